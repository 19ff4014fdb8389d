//! A store in memory, for tests and for running without a data folder.
//!
//! It asks every span for every question, which is simple enough to be the measure of what
//! [`crate::BlockStore`] answers. Left out: everything that survives the process.

use crate::{
    AppendError, Columns, EvictionReason, Found, FoundLogs, Ledger, LogQuery, Query, ReadError, Receipt,
    Settings, SpanFilter, Survey, Surveyed, TraceStore, Usage,
    assemble::{self, Line},
    book::{Book, Changes, owned},
    clock,
    evaluate::SpanCheck,
    logs::Page,
    losses::{self, Loss, Losses, TraceSizes},
    place::{Hit, Place},
    recent::{Payload, Recent},
    survey,
};
use foldhash::{HashMap, HashMapExt, HashSet};
use futures_util::future::{BoxFuture, FutureExt, ready};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use waypost_trace_model::{
    Batch, LogRecord, RefusalReason, Skeleton, Span, SpanId, Text, Trace, TraceId, TraceLosses, TraceSummary,
};
use waypost_trace_statistics::Statistics;

/// What a span takes in memory beside the bytes it came in; a rough figure.
const SPAN_OVERHEAD: usize = 512;

/// A [`TraceStore`] whose spans are gone when it is.
#[derive(Debug)]
pub struct MemoryStore {
    settings: Settings,
    statistics: Statistics,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// What each request brought for each service, oldest first.
    parts: VecDeque<Arc<Part>>,
    bytes: u64,
    /// Bytes of each service.
    bytes_of: HashMap<Text, u64>,
    book: Book,
    losses: Losses,
    evicted: HashMap<TraceId, u64>,
    sizes: TraceSizes,
    recent: Recent,
    is_closed: bool,
}

#[derive(Debug)]
struct Part {
    service: Text,
    arrival: u64,
    bytes: u64,
    spans: Vec<Span>,
    logs: Vec<LogRecord>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new(settings: Settings) -> MemoryStore {
        let state = State {
            parts: VecDeque::new(),
            bytes: 0,
            bytes_of: HashMap::new(),
            book: Book::default(),
            losses: Losses::default(),
            evicted: HashMap::new(),
            sizes: TraceSizes::new(settings.spans_per_trace),
            recent: Recent::new(),
            is_closed: false,
        };
        let statistics = Statistics::new(settings.statistics.clone());
        MemoryStore { settings, statistics, state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.expire(&self.settings, clock::now());
        state
    }

    /// What is kept at this moment, and what of these traces is missing from it. Nothing is looked through
    /// under the lock, so that reading does not stop what comes in.
    fn snapshot(&self, traces: &[TraceId]) -> Result<Snapshot, ReadError> {
        let state = self.state();
        if state.is_closed {
            return Err(ReadError::Closed);
        }
        let losses = traces.iter().map(|trace| state.losses_of(*trace)).collect();
        Ok(Snapshot { parts: state.parts.iter().cloned().collect(), losses })
    }

    fn take(&self, batch: &Batch) -> Result<Receipt, AppendError> {
        let now = clock::now();
        let payload = Payload::of(batch);
        let digest = (payload.len() > 0).then(|| payload.digest());
        let mut state = self.state();
        if state.is_closed {
            return Err(AppendError::Closed);
        }
        let mut changes = Changes::default();
        if digest.is_some_and(|digest| state.recent.contains(digest)) {
            changes.refuse_batch(batch, RefusalReason::Repeated);
            state.book.enter(&changes);
            return Ok(Receipt { is_repeat: true, ..Receipt::default() });
        }
        changes.refuse_as_told(batch);
        state.losses.add_all(&losses::told(batch));
        let mut kept: Vec<&Span> = Vec::with_capacity(batch.spans.len());
        for span in &batch.spans {
            if state.sizes.admit(span.trace_id) {
                kept.push(span);
                continue;
            }
            changes.refuse(span.service(), RefusalReason::TraceLimit, 1, 0);
            state.losses.add_all(&[Loss {
                trace: span.trace_id,
                reason: RefusalReason::TraceLimit,
                spans: 1,
            }]);
        }
        changes.keep(kept.iter().copied(), &batch.logs);
        state.book.enter(&changes);
        if let Some(digest) = digest {
            state.recent.insert(digest);
        }
        let bytes_per_record = payload.len() / (batch.spans.len() + batch.logs.len()).max(1) + SPAN_OVERHEAD;
        state.add(now, &kept, &batch.logs, bytes_per_record as u64);
        state.shrink(self.settings.budget_bytes);
        self.statistics.observe(batch, now);
        Ok(Receipt {
            spans: kept.len() as u64,
            logs: batch.logs.len() as u64,
            trace_limit: (batch.spans.len() - kept.len()) as u64,
            is_repeat: false,
        })
    }
}

impl State {
    fn add(&mut self, arrival: u64, spans: &[&Span], logs: &[LogRecord], bytes_per_record: u64) {
        let mut parts: HashMap<&Text, Part> = HashMap::new();
        let empty = |service: &Text| Part {
            service: owned(service),
            arrival,
            bytes: 0,
            spans: Vec::new(),
            logs: Vec::new(),
        };
        for span in spans {
            let part = parts.entry(span.service()).or_insert_with_key(|service| empty(service));
            part.spans.push((*span).clone());
        }
        for log in logs {
            let part = parts.entry(&log.resource.service).or_insert_with_key(|service| empty(service));
            part.logs.push(log.clone());
        }
        for mut part in parts.into_values() {
            part.bytes = (part.spans.len() + part.logs.len()) as u64 * bytes_per_record;
            self.bytes += part.bytes;
            *self.bytes_of.entry(part.service.clone()).or_default() += part.bytes;
            self.parts.push_back(Arc::new(part));
        }
    }

    /// Drops the oldest of the service that has the most, until everything fits.
    fn shrink(&mut self, budget: u64) {
        while self.bytes > budget {
            let Some((largest, _)) = self.bytes_of.iter().max_by_key(|(service, bytes)| (**bytes, *service))
            else {
                return;
            };
            let Some(oldest) = self.parts.iter().position(|part| part.service == *largest) else { return };
            self.drop_part(oldest, EvictionReason::Size);
        }
    }

    fn expire(&mut self, settings: &Settings, now: u64) {
        let keeps_for = settings.keeps_for_nanos();
        while keeps_for > 0
            && self.parts.front().is_some_and(|part| part.arrival.saturating_add(keeps_for) < now)
        {
            self.drop_part(0, EvictionReason::Age);
        }
    }

    fn drop_part(&mut self, place: usize, reason: EvictionReason) {
        let Some(part) = self.parts.remove(place) else { return };
        self.bytes -= part.bytes;
        if let Some(bytes) = self.bytes_of.get_mut(&part.service) {
            *bytes -= part.bytes;
            if *bytes == 0 {
                self.bytes_of.remove(&part.service);
            }
        }
        let mut changes = Changes::default();
        changes.evict(&part.service, reason, part.spans.len() as u64, part.logs.len() as u64);
        // What was kept may be gone: it is no repeat when it comes again.
        self.recent = Recent::new();
        self.book.enter(&changes);
        for span in &part.spans {
            if self.evicted.len() < losses::TRACES || self.evicted.contains_key(&span.trace_id) {
                *self.evicted.entry(span.trace_id).or_default() += 1;
            }
        }
    }

    fn losses_of(&self, trace: TraceId) -> TraceLosses {
        TraceLosses {
            refused: self.losses.of(trace),
            evicted: self.evicted.get(&trace).copied().unwrap_or_default(),
        }
    }
}

/// What a reader sees from its beginning to its end.
#[derive(Debug)]
struct Snapshot {
    parts: Vec<Arc<Part>>,
    /// Of the traces that were asked for, in the same order.
    losses: Vec<TraceLosses>,
}

/// Distinct spans and the log records of a trace.
type Records<'a> = (Vec<&'a Span>, Vec<&'a LogRecord>);

impl Snapshot {
    fn spans(&self) -> impl Iterator<Item = &Span> {
        self.parts.iter().flat_map(|part| &part.spans)
    }

    /// Everything of these traces, which is looked for once.
    fn traces(&self, traces: &[TraceId]) -> HashMap<TraceId, Records<'_>> {
        let mut wanted: HashMap<TraceId, Records<'_>> =
            traces.iter().map(|trace| (*trace, Records::default())).collect();
        for span in self.spans() {
            if let Some((spans, _)) = wanted.get_mut(&span.trace_id) {
                spans.push(span);
            }
        }
        for log in self.parts.iter().flat_map(|part| &part.logs) {
            if let Some((_, logs)) = log.trace_id.and_then(|trace| wanted.get_mut(&trace)) {
                logs.push(log);
            }
        }
        for (spans, _) in wanted.values_mut() {
            *spans = assemble::distinct(std::mem::take(spans));
        }
        wanted
    }

    fn trace(&self, trace: TraceId) -> Records<'_> {
        self.traces(&[trace]).remove(&trace).unwrap_or_default()
    }

    fn survey(&self, survey: &Survey, visit: &mut dyn FnMut(&Columns)) {
        let query = &survey.query;
        let every = SpanFilter::default();
        let mut checks = query.spans.iter().map(SpanCheck::new);
        let first = checks.next().unwrap_or_else(|| SpanCheck::new(&every));
        let others: Vec<SpanCheck<'_>> = checks.collect();
        let marked = survey.marked.as_ref().map(SpanCheck::new);
        let met: Option<HashSet<TraceId>> =
            survey::needs_traces(query).then(|| self.traces_that_meet(query, &others));
        let meets = |span: &&Span| {
            query.range.contains(&span.start)
                && first.holds(span)
                && met.as_ref().is_none_or(|met| met.contains(&span.trace_id))
        };
        let spans: Vec<&Span> = self.spans().filter(meets).collect();
        for spans in spans.chunks(8192) {
            visit(&Columns::of_spans(spans, marked.as_ref(), &survey.fields));
        }
    }

    /// Traces that last as long as is asked, and in which each of the other filters is met.
    fn traces_that_meet(&self, query: &Query, others: &[SpanCheck<'_>]) -> HashSet<TraceId> {
        let mut traces: HashMap<TraceId, Vec<&Span>> = HashMap::new();
        for span in self.spans() {
            traces.entry(span.trace_id).or_default().push(span);
        }
        traces.retain(|_, spans| {
            let start = spans.iter().map(|span| span.start).min().unwrap_or_default();
            let end = spans.iter().map(|span| span.end).max().unwrap_or_default();
            query.trace_duration.contains(&end.saturating_sub(start))
                && others.iter().all(|check| spans.iter().any(|span| check.holds(span)))
        });
        traces.into_keys().collect()
    }

    fn find(&self, query: &Query) -> Result<Found, ReadError> {
        let after = query.after.as_ref().map(|cursor| Place::from_cursor(cursor, query.order)).transpose()?;
        let every = SpanFilter::default();
        let mut checks = query.spans.iter().map(SpanCheck::new);
        let first = checks.next().unwrap_or_else(|| SpanCheck::new(&every));
        let others: Vec<SpanCheck<'_>> = checks.collect();
        let mut traces: HashMap<TraceId, Vec<&Span>> = HashMap::new();
        for span in self.spans() {
            traces.entry(span.trace_id).or_default().push(span);
        }
        let mut hits: Vec<(Place, Hit, TraceId)> = Vec::new();
        for (id, spans) in traces {
            let start = spans.iter().map(|span| span.start).min().unwrap_or_default();
            let end = spans.iter().map(|span| span.end).max().unwrap_or_default();
            let is_met = query.trace_duration.contains(&end.saturating_sub(start))
                && others.iter().all(|check| spans.iter().any(|span| check.holds(span)));
            if !is_met {
                continue;
            }
            let met = spans.iter().filter(|span| query.range.contains(&span.start) && first.holds(span));
            let best = met.map(|span| hit(query, span)).min();
            hits.extend(best.map(|hit| (Place::of(hit.rank, id), hit, id)));
        }
        hits.retain(|(place, ..)| after.is_none_or(|after| *place > after));
        hits.sort_unstable_by_key(|(place, ..)| *place);
        let has_more = hits.len() > query.limit;
        hits.truncate(query.limit);
        let last = hits.last().map(|(place, ..)| *place).or(after);
        let next = if has_more { last.map(|place| place.to_cursor(query.order)) } else { None };
        let matches = hits.into_iter().map(|(_, hit, id)| hit.to_match(id)).collect();
        Ok(Found { matches, next, scanned_to: None })
    }
}

fn hit(query: &Query, span: &Span) -> Hit {
    Hit {
        rank: query.order.rank(span.start, span.duration()),
        span_id: span.span_id,
        start: span.start,
        duration: span.duration(),
        status: span.status.code,
    }
}

fn whole(id: TraceId, (spans, logs): (&[&Span], &[&LogRecord]), losses: TraceLosses) -> Trace {
    let spans = spans.iter().copied().cloned().collect();
    assemble::trace(id, spans, logs.iter().copied().cloned().collect(), losses)
}

impl TraceStore for MemoryStore {
    fn append(&self, batch: Arc<Batch>) -> BoxFuture<'static, Result<Receipt, AppendError>> {
        ready(self.take(&batch)).boxed()
    }

    fn find(&self, query: &Query) -> Result<Found, ReadError> {
        self.snapshot(&[])?.find(query)
    }

    fn summaries(&self, traces: &[TraceId]) -> Result<Vec<TraceSummary>, ReadError> {
        let snapshot = self.snapshot(traces)?;
        let records = snapshot.traces(traces);
        let summary = |(id, losses): (&TraceId, &TraceLosses)| {
            let (spans, _) = records.get(id)?;
            let lines: Vec<Line> = spans.iter().map(|span| Line::of(span)).collect();
            assemble::summary(*id, &lines, losses.clone())
        };
        Ok(traces.iter().zip(&snapshot.losses).filter_map(summary).collect())
    }

    fn skeleton(&self, trace: TraceId) -> Result<Option<Skeleton>, ReadError> {
        let snapshot = self.snapshot(&[trace])?;
        let (spans, logs) = snapshot.trace(trace);
        let nodes: Vec<_> = spans.iter().map(|span| assemble::node(span)).collect();
        let logs: Vec<LogRecord> = logs.into_iter().cloned().collect();
        let losses = snapshot.losses.first().cloned().unwrap_or_default();
        Ok((!spans.is_empty()).then(|| assemble::skeleton(trace, nodes, &logs, losses)))
    }

    fn matching(&self, trace: TraceId, filter: &SpanFilter, limit: usize) -> Result<Vec<SpanId>, ReadError> {
        let snapshot = self.snapshot(&[])?;
        let check = SpanCheck::new(filter);
        let (spans, _) = snapshot.trace(trace);
        let mut lines: Vec<Line> = spans.into_iter().filter(|span| check.holds(span)).map(Line::of).collect();
        lines.sort_by(|a, b| a.key().cmp(&b.key()));
        Ok(lines.into_iter().map(|line| line.span_id).take(limit).collect())
    }

    fn spans(&self, trace: TraceId, spans: &[SpanId]) -> Result<(Vec<Span>, Vec<LogRecord>), ReadError> {
        let wanted: HashSet<SpanId> = spans.iter().copied().collect();
        let snapshot = self.snapshot(&[])?;
        let (mut found, mut logs) = snapshot.trace(trace);
        found.retain(|span| wanted.contains(&span.span_id));
        logs.retain(|log| log.span_id.is_some_and(|id| wanted.contains(&id)));
        let found = whole(trace, (&found, &logs), TraceLosses::default());
        Ok((found.spans, found.logs))
    }

    fn logs(&self, query: &LogQuery) -> Result<FoundLogs, ReadError> {
        let mut page = Page::new(query)?;
        self.snapshot(&[])?.parts.iter().flat_map(|part| &part.logs).for_each(|log| page.offer(log));
        Ok(page.finish())
    }

    fn traces(&self, traces: &[TraceId]) -> Result<Vec<Trace>, ReadError> {
        let snapshot = self.snapshot(traces)?;
        let records = snapshot.traces(traces);
        let trace = |(id, losses): (&TraceId, &TraceLosses)| {
            let (spans, logs) = records.get(id)?;
            (!spans.is_empty()).then(|| whole(*id, (spans, logs), losses.clone()))
        };
        Ok(traces.iter().zip(&snapshot.losses).filter_map(trace).collect())
    }

    fn survey(&self, survey: &Survey, visit: &mut dyn FnMut(&Columns)) -> Result<Surveyed, ReadError> {
        self.snapshot(&[])?.survey(survey, visit);
        Ok(Surveyed::default())
    }

    fn statistics(&self) -> &Statistics {
        &self.statistics
    }

    fn ledger(&self) -> Ledger {
        self.state().book.ledger()
    }

    fn usage(&self) -> Usage {
        let state = self.state();
        let (spans, logs) = state.book.stored();
        let bytes = state.bytes;
        let parts: Vec<Arc<Part>> = state.parts.iter().cloned().collect();
        drop(state);
        let starts = || parts.iter().flat_map(|part| &part.spans).map(|span| span.start);
        Usage {
            spans,
            logs,
            bytes,
            budget: self.settings.budget_bytes,
            keeps_for: self.settings.keeps_for_nanos(),
            oldest: starts().min(),
            newest: starts().max(),
            files: 0,
            trouble: None,
        }
    }

    fn close(&self) -> BoxFuture<'static, ()> {
        self.state().is_closed = true;
        ready(()).boxed()
    }
}

//! A store in memory, for tests and for running without a data folder.
//!
//! It asks every span for every question, which is simple enough to be the measure of what
//! [`crate::BlockStore`] answers. Left out: everything that survives the process.

use crate::{
    AppendError, EvictionReason, Found, Ledger, Query, ReadError, Receipt, Settings, SpanFilter, TraceStore,
    Usage,
    assemble::{self, Line},
    book::{Book, Changes, owned},
    clock,
    evaluate::SpanCheck,
    losses::{self, Loss, Losses, TraceSizes},
    place::{Hit, Place},
    recent::{Payload, Recent},
};
use foldhash::{HashMap, HashMapExt};
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
    parts: VecDeque<Part>,
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

    fn open(&self) -> Result<MutexGuard<'_, State>, ReadError> {
        let state = self.state();
        if state.is_closed { Err(ReadError::Closed) } else { Ok(state) }
    }

    fn take(&self, batch: &Batch) -> Result<Receipt, AppendError> {
        let now = clock::now();
        let mut state = self.state();
        if state.is_closed {
            return Err(AppendError::Closed);
        }
        let payload = Payload::of(batch);
        let mut changes = Changes::default();
        if payload.len() > 0 && state.recent.contains(payload.digest()) {
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
        if payload.len() > 0 {
            state.recent.insert(payload.digest());
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
            self.parts.push_back(part);
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
        }
        let mut changes = Changes::default();
        changes.evict(&part.service, reason, part.spans.len() as u64, part.logs.len() as u64);
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

    fn spans(&self) -> impl Iterator<Item = &Span> {
        self.parts.iter().flat_map(|part| &part.spans)
    }

    /// Distinct spans and the log records of a trace.
    fn trace(&self, id: TraceId) -> (Vec<Span>, Vec<LogRecord>) {
        let spans = self.spans().filter(|span| span.trace_id == id).cloned().collect();
        let logs = self.parts.iter().flat_map(|part| &part.logs).filter(|log| log.trace_id == Some(id));
        (assemble::distinct_spans(spans), logs.cloned().collect())
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

impl TraceStore for MemoryStore {
    fn append(&self, batch: Arc<Batch>) -> BoxFuture<'static, Result<Receipt, AppendError>> {
        ready(self.take(&batch)).boxed()
    }

    fn find(&self, query: &Query) -> Result<Found, ReadError> {
        self.open()?.find(query)
    }

    fn summaries(&self, traces: &[TraceId]) -> Result<Vec<TraceSummary>, ReadError> {
        let state = self.open()?;
        let summary = |id: &TraceId| {
            let lines: Vec<Line> = state.trace(*id).0.iter().map(Line::of).collect();
            assemble::summary(*id, &lines, state.losses_of(*id))
        };
        Ok(traces.iter().filter_map(summary).collect())
    }

    fn skeleton(&self, trace: TraceId) -> Result<Option<Skeleton>, ReadError> {
        let state = self.open()?;
        let (spans, logs) = state.trace(trace);
        let nodes: Vec<_> = spans.iter().map(assemble::node).collect();
        let skeleton = || assemble::skeleton(trace, nodes, &logs, state.losses_of(trace));
        Ok((!spans.is_empty()).then(skeleton))
    }

    fn matching(&self, trace: TraceId, filter: &SpanFilter, limit: usize) -> Result<Vec<SpanId>, ReadError> {
        let (mut spans, _) = self.open()?.trace(trace);
        assemble::sort_spans(&mut spans);
        let check = SpanCheck::new(filter);
        Ok(spans.iter().filter(|span| check.holds(span)).map(|span| span.span_id).take(limit).collect())
    }

    fn spans(&self, trace: TraceId, spans: &[SpanId]) -> Result<(Vec<Span>, Vec<LogRecord>), ReadError> {
        let (mut found, mut logs) = self.open()?.trace(trace);
        found.retain(|span| spans.contains(&span.span_id));
        logs.retain(|log| log.span_id.is_some_and(|id| spans.contains(&id)));
        let found = assemble::trace(trace, found, logs, TraceLosses::default());
        Ok((found.spans, found.logs))
    }

    fn traces(&self, traces: &[TraceId]) -> Result<Vec<Trace>, ReadError> {
        let state = self.open()?;
        let trace = |id: &TraceId| {
            let (spans, logs) = state.trace(*id);
            (!spans.is_empty()).then(|| assemble::trace(*id, spans, logs, state.losses_of(*id)))
        };
        Ok(traces.iter().filter_map(trace).collect())
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
        Usage {
            spans,
            logs,
            bytes: state.bytes,
            budget: self.settings.budget_bytes,
            keeps_for: self.settings.keeps_for_nanos(),
            oldest: state.spans().map(|span| span.start).min(),
            newest: state.spans().map(|span| span.start).max(),
            files: 0,
            trouble: None,
        }
    }

    fn close(&self) -> BoxFuture<'static, ()> {
        self.state().is_closed = true;
        ready(()).boxed()
    }
}

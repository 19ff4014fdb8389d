//! The store with its pinned traces: where a pinned trace is no longer whole in the store, its copy answers.

use super::Pins;
use futures_util::{FutureExt as _, future::BoxFuture};
use std::sync::{Arc, Mutex, PoisonError};
use waypost_trace_model::{Batch, LogRecord, Skeleton, Span, SpanId, Trace, TraceId, TraceSummary};
use waypost_trace_statistics::Statistics;
use waypost_trace_store::{
    AppendError, Columns, Found, FoundLogs, Ledger, LogQuery, MemoryStore, Query, ReadError, Receipt,
    Settings, SpanFilter, Survey, Surveyed, TraceStore, Usage,
};

/// A store beside which traces are pinned.
#[derive(Debug)]
pub(crate) struct PinnedStore {
    store: Arc<dyn TraceStore>,
    pins: Pins,
    /// The copy that was asked for last.
    last: Mutex<Option<(TraceId, u64, Arc<MemoryStore>)>>,
}

impl PinnedStore {
    pub(crate) fn new(store: Arc<dyn TraceStore>, pins: Pins) -> PinnedStore {
        PinnedStore { store, pins, last: Mutex::new(None) }
    }

    /// The copy of a trace when it has spans that the store has no longer.
    fn copy_of(&self, trace: TraceId) -> Result<Option<Arc<MemoryStore>>, ReadError> {
        let Some(pin) = self.pins.get(trace) else { return Ok(None) };
        let kept = self.store.summaries(&[trace])?.pop().map_or(0, |summary| summary.spans);
        if kept >= pin.spans {
            return Ok(None);
        }
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, _, copy)) =
            last.as_ref().filter(|(known, spans, _)| (*known, *spans) == (trace, pin.spans))
        {
            return Ok(Some(Arc::clone(copy)));
        }
        let Some(Trace { spans, logs, .. }) = self.pins.copy(trace) else { return Ok(None) };
        let copy = MemoryStore::new(Settings { budget_bytes: u64::MAX, ..Settings::default() });
        let batch = Batch { spans, logs, ..Batch::default() };
        // The store in memory has done everything when it answers.
        let kept = copy.append(Arc::new(batch)).now_or_never();
        if !matches!(kept, Some(Ok(_))) {
            return Err(ReadError::Failed("the copy of a pinned trace cannot be read".to_owned()));
        }
        let copy = Arc::new(copy);
        *last = Some((trace, pin.spans, Arc::clone(&copy)));
        Ok(Some(copy))
    }

    /// Answers about several traces, each by whoever has it.
    fn each<T>(
        &self,
        traces: &[TraceId],
        ask: impl Fn(&dyn TraceStore, &[TraceId]) -> Result<Vec<T>, ReadError>,
    ) -> Result<Vec<T>, ReadError> {
        if traces.iter().all(|trace| self.pins.get(*trace).is_none()) {
            return ask(&*self.store, traces);
        }
        let mut answers = Vec::with_capacity(traces.len());
        for trace in traces {
            match self.copy_of(*trace)? {
                Some(copy) => answers.extend(ask(&*copy, &[*trace])?),
                None => answers.extend(ask(&*self.store, &[*trace])?),
            }
        }
        Ok(answers)
    }
}

impl TraceStore for PinnedStore {
    fn append(&self, batch: Arc<Batch>) -> BoxFuture<'static, Result<Receipt, AppendError>> {
        self.store.append(batch)
    }

    fn find(&self, query: &Query) -> Result<Found, ReadError> {
        self.store.find(query)
    }

    fn summaries(&self, traces: &[TraceId]) -> Result<Vec<TraceSummary>, ReadError> {
        self.each(traces, TraceStore::summaries)
    }

    fn skeleton(&self, trace: TraceId) -> Result<Option<Skeleton>, ReadError> {
        match self.copy_of(trace)? {
            Some(copy) => copy.skeleton(trace),
            None => self.store.skeleton(trace),
        }
    }

    fn matching(&self, trace: TraceId, filter: &SpanFilter, limit: usize) -> Result<Vec<SpanId>, ReadError> {
        match self.copy_of(trace)? {
            Some(copy) => copy.matching(trace, filter, limit),
            None => self.store.matching(trace, filter, limit),
        }
    }

    fn spans(&self, trace: TraceId, spans: &[SpanId]) -> Result<(Vec<Span>, Vec<LogRecord>), ReadError> {
        match self.copy_of(trace)? {
            Some(copy) => copy.spans(trace, spans),
            None => self.store.spans(trace, spans),
        }
    }

    fn logs(&self, query: &LogQuery) -> Result<FoundLogs, ReadError> {
        match query.trace.map(|trace| self.copy_of(trace)).transpose()?.flatten() {
            Some(copy) => copy.logs(query),
            None => self.store.logs(query),
        }
    }

    fn traces(&self, traces: &[TraceId]) -> Result<Vec<Trace>, ReadError> {
        self.each(traces, TraceStore::traces)
    }

    fn survey(&self, survey: &Survey, visit: &mut dyn FnMut(&Columns)) -> Result<Surveyed, ReadError> {
        self.store.survey(survey, visit)
    }

    fn statistics(&self) -> &Statistics {
        self.store.statistics()
    }

    fn ledger(&self) -> Ledger {
        self.store.ledger()
    }

    fn usage(&self) -> Usage {
        self.store.usage()
    }

    fn close(&self) -> BoxFuture<'static, ()> {
        self.store.close()
    }
}

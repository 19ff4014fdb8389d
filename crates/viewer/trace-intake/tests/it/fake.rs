//! A store that does as it is told, and observers.

use futures_util::future::{BoxFuture, FutureExt as _};
use std::sync::{Arc, Mutex};
use tokio::sync::watch;
use waypost_trace_intake::{Intake, Observer, Settings, Unobserved};
use waypost_trace_model::{
    Batch, LogRecord, Refusal, RefusalReason, Skeleton, Span, SpanId, Trace, TraceId, TraceSummary,
};
use waypost_trace_statistics::Statistics;
use waypost_trace_store::{
    AppendError, Columns, Found, FoundLogs, Ledger, LogQuery, MemoryStore, Query, ReadError, Receipt,
    SpanFilter, Survey, Surveyed, TraceStore, Usage,
};

/// What a fake store does with a batch that has records.
#[derive(Clone, Debug)]
pub(crate) enum Does {
    Keep,
    Fail(AppendError),
    /// Waits until it is told something else.
    Hang,
}

/// Only appends; counts of refusals are always taken.
#[derive(Debug)]
pub(crate) struct FakeStore {
    does: watch::Sender<Does>,
    /// Every batch that was given to it.
    pub(crate) given: Arc<Mutex<Vec<Arc<Batch>>>>,
    /// Whether batches without records wait as well.
    pub(crate) hangs_refusals: bool,
    statistics: Statistics,
}

impl FakeStore {
    pub(crate) fn new(does: Does) -> FakeStore {
        let (does, _) = watch::channel(does);
        FakeStore { does, given: Arc::default(), hangs_refusals: false, statistics: Statistics::default() }
    }

    pub(crate) fn tell(&self, does: Does) {
        self.does.send_replace(does);
    }

    /// Batches with records.
    pub(crate) fn batches(&self) -> usize {
        self.given.lock().unwrap().iter().filter(|batch| !batch.spans.is_empty()).count()
    }

    /// Every refusal that it was told.
    pub(crate) fn refusals(&self) -> Vec<Refusal> {
        self.given.lock().unwrap().iter().flat_map(|batch| batch.refused.clone()).collect()
    }
}

impl TraceStore for FakeStore {
    fn append(&self, batch: Arc<Batch>) -> BoxFuture<'static, Result<Receipt, AppendError>> {
        self.given.lock().unwrap().push(Arc::clone(&batch));
        let mut does = self.does.subscribe();
        let is_free = batch.spans.is_empty() && batch.logs.is_empty() && !self.hangs_refusals;
        async move {
            let does = does.wait_for(|does| is_free || !matches!(does, Does::Hang)).await.unwrap().clone();
            match does {
                Does::Fail(error) if !is_free => Err(error),
                _ => Ok(Receipt {
                    spans: batch.spans.len() as u64,
                    logs: batch.logs.len() as u64,
                    ..Receipt::default()
                }),
            }
        }
        .boxed()
    }

    fn find(&self, _: &Query) -> Result<Found, ReadError> {
        Err(ReadError::Closed)
    }
    fn summaries(&self, _: &[TraceId]) -> Result<Vec<TraceSummary>, ReadError> {
        Err(ReadError::Closed)
    }
    fn skeleton(&self, _: TraceId) -> Result<Option<Skeleton>, ReadError> {
        Err(ReadError::Closed)
    }
    fn matching(&self, _: TraceId, _: &SpanFilter, _: usize) -> Result<Vec<SpanId>, ReadError> {
        Err(ReadError::Closed)
    }
    fn spans(&self, _: TraceId, _: &[SpanId]) -> Result<(Vec<Span>, Vec<LogRecord>), ReadError> {
        Err(ReadError::Closed)
    }
    fn logs(&self, _: &LogQuery) -> Result<FoundLogs, ReadError> {
        Err(ReadError::Closed)
    }
    fn traces(&self, _: &[TraceId]) -> Result<Vec<Trace>, ReadError> {
        Err(ReadError::Closed)
    }
    fn survey(&self, _: &Survey, _: &mut dyn FnMut(&Columns)) -> Result<Surveyed, ReadError> {
        Err(ReadError::Closed)
    }
    fn statistics(&self) -> &Statistics {
        &self.statistics
    }
    fn ledger(&self) -> Ledger {
        Ledger::default()
    }
    fn usage(&self) -> Usage {
        Usage::default()
    }
    fn close(&self) -> BoxFuture<'static, ()> {
        std::future::ready(()).boxed()
    }
}

pub(crate) fn memory() -> Arc<MemoryStore> {
    Arc::new(MemoryStore::new(waypost_trace_store::Settings::default()))
}

pub(crate) fn intake(store: Arc<dyn TraceStore>, settings: &Settings) -> Intake {
    Intake::new(store, settings, Arc::new(Unobserved))
}

/// Remembers how many spans it was shown.
#[derive(Debug, Default)]
pub(crate) struct Watching(pub(crate) Mutex<Vec<usize>>);

impl Observer for Watching {
    fn kept(&self, batch: &Arc<Batch>) {
        self.0.lock().unwrap().push(batch.spans.len());
    }
}

pub(crate) fn refusal(service: &str, reason: RefusalReason, spans: u64, logs: u64) -> Refusal {
    Refusal { service: service.into(), trace_id: None, reason, spans, logs }
}

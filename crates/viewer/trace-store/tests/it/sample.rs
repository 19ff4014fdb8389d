//! Spans and stores for tests.

use futures_util::FutureExt;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use waypost_trace_model::{
    Attribute, Batch, Kind, LogRecord, Resource, Scope, Span, SpanId, Status, StatusCode, TraceId, Value,
};
use waypost_trace_store::{AppendError, Cursor, Found, Match, Query, Receipt, TraceStore};

pub(crate) fn trace_id(number: u64) -> TraceId {
    TraceId::from_bytes(&u128::from(number).to_be_bytes()).unwrap()
}

pub(crate) fn span_id(number: u64) -> SpanId {
    SpanId::from_bytes(&number.to_be_bytes()).unwrap()
}

pub(crate) fn text(key: &str, value: &str) -> Attribute {
    Attribute { key: key.into(), value: Value::Text(value.into()) }
}

pub(crate) fn resource(service: &str) -> Arc<Resource> {
    Arc::new(Resource::new(vec![text("service.name", service), text("host", "h1")], 0, "".into()))
}

/// A root span of a service; its start and its duration are its number.
pub(crate) fn span(service: &str, trace: u64, number: u64) -> Span {
    Span {
        trace_id: trace_id(trace),
        span_id: span_id(number),
        parent_span_id: None,
        trace_state: "".into(),
        flags: 1,
        name: "work".into(),
        kind: Kind::Server,
        start: number,
        end: number * 2,
        status: Status::default(),
        attributes: vec![text("number", &number.to_string())],
        dropped_attributes: 0,
        events: Vec::new(),
        dropped_events: 0,
        links: Vec::new(),
        dropped_links: 0,
        resource: resource(service),
        scope: Arc::new(Scope::default()),
    }
}

pub(crate) fn failed(mut span: Span) -> Span {
    span.status = Status { code: StatusCode::Error, message: "it broke".into() };
    span
}

pub(crate) fn child_of(parent: u64, mut span: Span) -> Span {
    span.parent_span_id = Some(span_id(parent));
    span
}

pub(crate) fn log(service: &str, trace: u64, span: u64, time: u64) -> LogRecord {
    LogRecord {
        time,
        observed: time + 1,
        severity: 9,
        severity_text: "INFO".into(),
        body: Value::Text("hello".into()),
        event_name: "".into(),
        attributes: vec![text("k", "v")],
        dropped_attributes: 0,
        flags: 0,
        trace_id: Some(trace_id(trace)),
        span_id: Some(span_id(span)),
        resource: resource(service),
        scope: Arc::new(Scope::default()),
    }
}

pub(crate) fn batch(spans: Vec<Span>) -> Arc<Batch> {
    Arc::new(Batch { spans, ..Batch::default() })
}

/// Appends and waits for the answer. Stores answer from their own threads, so no runtime is needed.
pub(crate) fn append(store: &dyn TraceStore, batch: Arc<Batch>) -> Result<Receipt, AppendError> {
    wait(store.append(batch))
}

pub(crate) fn keep(store: &dyn TraceStore, spans: Vec<Span>) -> Receipt {
    append(store, batch(spans)).unwrap()
}

pub(crate) fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
}

pub(crate) fn is_ready<T>(future: impl Future<Output = T>) -> bool {
    future.now_or_never().is_some()
}

/// Waits until a level is reached.
pub(crate) fn until(what: &str, mut is_reached: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_reached() {
        assert!(begun.elapsed() < Duration::from_secs(30), "not reached within 30 s: {what}");
        std::thread::yield_now();
    }
}

/// Every match, page by page; says of each page whether it was full.
pub(crate) fn pages(store: &dyn TraceStore, query: &Query) -> Vec<Match> {
    let mut all: Vec<Match> = Vec::new();
    let mut after: Option<Cursor> = None;
    loop {
        let Found { matches, next, .. } =
            store.find(&Query { after: after.clone(), ..query.clone() }).unwrap();
        assert!(matches.len() <= query.limit);
        all.extend(matches);
        match next {
            Some(next) => {
                assert_ne!(Some(&next), after.as_ref(), "a page must go on");
                after = Some(next);
            }
            None => return all,
        }
    }
}

/// Checks the equation for every service and returns spans received, stored, refused, evicted.
pub(crate) fn balance(store: &dyn TraceStore) -> (u64, u64, u64, u64) {
    let mut sums = (0, 0, 0, 0);
    for service in store.ledger().services {
        let (refused, evicted) =
            (service.refused.values().sum::<u64>(), service.evicted.values().sum::<u64>());
        assert_eq!(service.received, service.stored + refused + evicted, "{service:?}");
        assert_eq!(
            service.logs_received,
            service.logs_stored + service.logs_refused + service.logs_evicted,
            "{service:?}"
        );
        sums = (sums.0 + service.received, sums.1 + service.stored, sums.2 + refused, sums.3 + evicted);
    }
    assert_eq!(store.usage().spans, sums.1);
    sums
}

//! Spans of a shop, given to the real statistics at times that the test says.

use std::{collections::BTreeMap, sync::Arc};
use waypost_trace_model::{
    Attribute, Batch, Kind, Resource, Scope, Span, SpanId, Status, StatusCode, TraceId, Value,
};
use waypost_trace_statistics::Statistics;

pub(crate) const SECOND: u64 = 1_000_000_000;
pub(crate) const MINUTE: u64 = 60 * SECOND;
pub(crate) const HOUR: u64 = 60 * MINUTE;
pub(crate) const DAY: u64 = 24 * HOUR;
/// Midnight of a day in 2026.
pub(crate) const MIDNIGHT: u64 = 20_700 * DAY;

/// One call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    pub(crate) service: &'static str,
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// The namespace of the SQLite database that it asks, for a client's span.
    pub(crate) database: &'static str,
    pub(crate) duration: u64,
    pub(crate) has_failed: bool,
}

impl Call {
    pub(crate) fn server(service: &'static str, name: &'static str, duration: u64) -> Call {
        Call { service, name, kind: Kind::Server, database: "", duration, has_failed: false }
    }

    pub(crate) fn failed(self) -> Call {
        Call { has_failed: true, ..self }
    }
}

/// Statistics, and how many spans were made.
#[derive(Debug, Default)]
pub(crate) struct Shop {
    pub(crate) statistics: Statistics,
    made: u64,
    resources: BTreeMap<&'static str, Arc<Resource>>,
}

impl Shop {
    /// Takes calls in, all at one moment.
    pub(crate) fn take(&mut self, calls: &[Call], now: u64) {
        let spans = calls.iter().map(|call| self.span(call)).collect();
        self.statistics.observe(&Batch { spans, ..Batch::default() }, now);
    }

    /// As many calls as one says, spread over the minute that begins at a moment; `failed` of them fail.
    pub(crate) fn minute(&mut self, call: Call, (calls, failed): (u64, u64), begin: u64) {
        let calls: Vec<Call> =
            (0..calls).map(|number| if number < failed { call.failed() } else { call }).collect();
        self.take(&calls, begin);
    }

    fn span(&mut self, call: &Call) -> Span {
        self.made += 1;
        let status = if call.has_failed { StatusCode::Error } else { StatusCode::Unset };
        let text = |key: &str, value: &str| Attribute { key: key.into(), value: Value::Text(value.into()) };
        let resource = || Arc::new(Resource::new(vec![text("service.name", call.service)], 0, "".into()));
        let resource = Arc::clone(self.resources.entry(call.service).or_insert_with(resource));
        let mut attributes = Vec::new();
        if !call.database.is_empty() {
            attributes.push(text("db.system.name", "sqlite"));
            attributes.push(text("db.namespace", call.database));
        }
        Span {
            trace_id: TraceId::from_bytes(&u128::from(self.made).to_be_bytes()).unwrap(),
            span_id: SpanId::from_bytes(&self.made.to_be_bytes()).unwrap(),
            parent_span_id: None,
            trace_state: "".into(),
            flags: 0,
            name: call.name.into(),
            kind: call.kind,
            start: 1_000,
            end: 1_000 + call.duration,
            status: Status { code: status, ..Status::default() },
            attributes,
            dropped_attributes: 0,
            events: Vec::new(),
            dropped_events: 0,
            links: Vec::new(),
            dropped_links: 0,
            resource,
            scope: Arc::new(Scope::default()),
        }
    }
}

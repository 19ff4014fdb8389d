//! Spans made by hand.

use std::sync::Arc;
use waypost_trace_model::{
    Attribute, Batch, Event, Kind, Link, Resource, Scope, Span, SpanId, Status, StatusCode, TraceId, Value,
};
use waypost_trace_statistics::Edge;

pub(crate) const SECOND: u64 = 1_000_000_000;
pub(crate) const MINUTE: u64 = 60 * SECOND;
pub(crate) const HOUR: u64 = 60 * MINUTE;
/// A day in 2026, at the full hour.
pub(crate) const NOW: u64 = 497_000 * HOUR;

pub(crate) fn trace(number: u64) -> TraceId {
    TraceId::from_bytes(&u128::from(number).to_be_bytes()).unwrap()
}

pub(crate) fn id(number: u64) -> SpanId {
    SpanId::from_bytes(&number.to_be_bytes()).unwrap()
}

pub(crate) fn text(key: &str, value: &str) -> Attribute {
    Attribute { key: key.into(), value: Value::Text(value.into()) }
}

/// A span of trace 1 that took a millisecond.
pub(crate) fn span(service: &str, name: &str, kind: Kind, own: u64, parent: Option<u64>) -> Span {
    Span {
        trace_id: trace(1),
        span_id: id(own),
        parent_span_id: parent.map(id),
        trace_state: "".into(),
        flags: 0,
        name: name.into(),
        kind,
        start: 1_000,
        end: 1_001_000,
        status: Status::default(),
        attributes: Vec::new(),
        dropped_attributes: 0,
        events: Vec::new(),
        dropped_events: 0,
        links: Vec::new(),
        dropped_links: 0,
        resource: Arc::new(Resource::new(vec![text("service.name", service)], 0, "".into())),
        scope: Arc::new(Scope::default()),
    }
}

pub(crate) trait Made {
    fn with(self, key: &str, value: &str) -> Span;
    fn value(self, key: &str, value: Value) -> Span;
    fn taking(self, nanoseconds: u64) -> Span;
    fn failed(self) -> Span;
    fn of(self, number: u64) -> Span;
    fn linked(self, number: u64, own: u64) -> Span;
    fn event(self, key: &str, value: &str) -> Span;
}

impl Made for Span {
    fn with(self, key: &str, value: &str) -> Span {
        self.value(key, Value::Text(value.into()))
    }

    fn value(mut self, key: &str, value: Value) -> Span {
        self.attributes.push(Attribute { key: key.into(), value });
        self
    }

    fn taking(mut self, nanoseconds: u64) -> Span {
        self.end = self.start + nanoseconds;
        self
    }

    fn failed(mut self) -> Span {
        self.status.code = StatusCode::Error;
        self
    }

    fn of(mut self, number: u64) -> Span {
        self.trace_id = trace(number);
        self
    }

    fn linked(mut self, number: u64, own: u64) -> Span {
        let attributes = vec![text("link.reason", "stored")];
        let (trace_id, span_id) = (trace(number), id(own));
        let link =
            Link { trace_id, span_id, trace_state: "".into(), flags: 1, attributes, dropped_attributes: 0 };
        self.links.push(link);
        self
    }

    fn event(mut self, key: &str, value: &str) -> Span {
        let attributes = vec![text(key, value)];
        self.events.push(Event { time: 1, name: "event".into(), attributes, dropped_attributes: 0 });
        self
    }
}

pub(crate) fn batch(spans: impl IntoIterator<Item = Span>) -> Batch {
    Batch { spans: spans.into_iter().collect(), ..Batch::default() }
}

/// `service:gateway -> database:sqlite/orders calls errors`
pub(crate) fn shown(edges: &[Edge]) -> Vec<String> {
    let peer =
        |peer: &waypost_trace_statistics::Peer| format!("{:?}:{}", peer.kind, peer.name).to_lowercase();
    let edges = edges.iter();
    edges
        .map(|edge| {
            format!("{} -> {} {} {}", peer(&edge.from), peer(&edge.to), edge.red.calls, edge.red.errors)
        })
        .collect()
}

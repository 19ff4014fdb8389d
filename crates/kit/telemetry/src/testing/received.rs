//! Spans that came from elsewhere, over OTLP for instance, as finished spans, so that one comparison serves both.

use std::sync::Arc;
use std::time::SystemTime;

use opentelemetry::trace::{Event, Link, SpanContext, SpanId, SpanKind, Status};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};

use crate::base::finished::FinishedSpan;

/// A span by its parts. `FinishedSpan::from` makes one to compare.
#[derive(Clone, Debug)]
pub struct ReceivedSpan {
    /// `service.name` of its resource.
    pub service_name: String,
    /// Its instrumentation scope.
    pub scope: InstrumentationScope,
    /// Trace, span, flags and trace state.
    pub span_context: SpanContext,
    /// The parent; `SpanId::INVALID` for a root.
    pub parent_id: SpanId,
    /// Whether the parent's context came in over the wire.
    pub parent_is_remote: bool,
    /// Name.
    pub name: String,
    /// Kind.
    pub kind: SpanKind,
    /// Status.
    pub status: Status,
    /// Wall-clock start.
    pub start: SystemTime,
    /// Wall-clock end.
    pub end: SystemTime,
    /// Attributes.
    pub attributes: Vec<KeyValue>,
    /// Name, time and attributes of each event.
    pub events: Vec<(String, SystemTime, Vec<KeyValue>)>,
    /// Each link with its attributes.
    pub links: Vec<(SpanContext, Vec<KeyValue>)>,
}

impl From<ReceivedSpan> for FinishedSpan {
    fn from(span: ReceivedSpan) -> FinishedSpan {
        let mut events = SpanEvents::default();
        events.events = span
            .events
            .into_iter()
            .map(|(name, at, attributes)| Event::new(name, at, attributes, 0))
            .collect();
        let mut links = SpanLinks::default();
        links.links =
            span.links.into_iter().map(|(context, attributes)| Link::new(context, attributes, 0)).collect();
        let data = SpanData {
            span_context: span.span_context,
            parent_span_id: span.parent_id,
            parent_span_is_remote: span.parent_is_remote,
            span_kind: span.kind,
            name: span.name.into(),
            start_time: span.start,
            end_time: span.end,
            attributes: span.attributes,
            dropped_attributes_count: 0,
            events,
            links,
            status: span.status,
            instrumentation_scope: span.scope,
        };
        FinishedSpan::new(Arc::from(span.service_name), data)
    }
}

//! Spans that came from elsewhere, over OTLP for instance, as finished spans, so that one comparison serves both.

use std::sync::Arc;
use std::time::SystemTime;

use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status};
use opentelemetry::{InstrumentationScope, KeyValue};

use crate::base::finished::{FinishedEvent, FinishedLink, FinishedSpan};

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
    fn from(span: ReceivedSpan) -> Self {
        Self {
            service_name: Arc::from(span.service_name),
            scope: span.scope,
            span_context: span.span_context,
            parent_id: span.parent_id,
            parent_is_remote: span.parent_is_remote,
            name: span.name.into(),
            kind: span.kind,
            status: span.status,
            start: span.start,
            end: span.end,
            attributes: span.attributes,
            dropped_attributes: 0,
            events: span
                .events
                .into_iter()
                .map(|(name, time, attributes)| FinishedEvent { name: name.into(), time, attributes })
                .collect(),
            dropped_events: 0,
            links: span
                .links
                .into_iter()
                .map(|(span, attributes)| FinishedLink { span, attributes })
                .collect(),
            dropped_links: 0,
        }
    }
}

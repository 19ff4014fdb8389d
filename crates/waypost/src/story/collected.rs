//! From the telemetry kit's finished spans to the spans of a story.

use std::time::{SystemTime, UNIX_EPOCH};

use waypost_telemetry::FinishedSpan;
use waypost_telemetry::opentelemetry::trace::SpanKind;

use super::{Kind, Span};

impl From<&FinishedSpan> for Span {
    fn from(span: &FinishedSpan) -> Span {
        let start = nanoseconds(span.start());
        let links = span.links().iter().map(|link| {
            let context = link.span_context();
            (context.trace_id().to_string(), context.span_id().to_string())
        });
        let attributes = span.attributes().iter();
        Span {
            trace_id: span.trace_id().to_string(),
            id: span.span_id().to_string(),
            parent_id: span.parent_id().map(|id| id.to_string()),
            links: links.collect(),
            name: span.name().to_owned(),
            kind: kind(&span.kind()),
            service: span.service_name().to_owned(),
            start,
            end: nanoseconds(span.end()).max(start),
            has_failed: span.is_error(),
            attributes: attributes.map(|pair| (pair.key.to_string(), pair.value.to_string())).collect(),
        }
    }
}

fn kind(kind: &SpanKind) -> Kind {
    match kind {
        SpanKind::Server => Kind::Server,
        SpanKind::Client => Kind::Client,
        SpanKind::Producer => Kind::Producer,
        SpanKind::Consumer => Kind::Consumer,
        SpanKind::Internal => Kind::Internal,
    }
}

fn nanoseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

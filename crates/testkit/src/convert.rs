//! Spans as OTLP brings them, as the kit's own finished spans, so that one way of comparing trees serves both.

use std::collections::HashSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Wire;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue as WireAttribute};
use opentelemetry_proto::tonic::trace::v1 as otlp;
use waypost_telemetry::opentelemetry::trace::{
    SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState,
};
use waypost_telemetry::opentelemetry::{Array, KeyValue, StringValue, Value};
use waypost_telemetry::testing::ReceivedSpan;
use waypost_telemetry::{FinishedSpan, opentelemetry::InstrumentationScope};

/// The spans of a request, and the attribute keys that one of them has twice.
pub(crate) fn spans(request: ExportTraceServiceRequest) -> (Vec<FinishedSpan>, Vec<String>) {
    let mut spans = Vec::new();
    let mut duplicates = Vec::new();
    for resource_spans in request.resource_spans {
        let resource = resource_spans.resource.unwrap_or_default();
        duplicates.extend(twice(&resource.attributes).map(|key| format!("resource: {key}")));
        let service = resource.attributes.iter().find(|attribute| attribute.key == "service.name");
        let service_name = service.and_then(|attribute| text(attribute.value.as_ref())).unwrap_or_default();
        for scope_spans in resource_spans.scope_spans {
            let scope = scope_spans.scope.map(|scope| scope.name).unwrap_or_default();
            for span in scope_spans.spans {
                duplicates.extend(twice(&span.attributes).map(|key| format!("{}: {key}", span.name)));
                spans.push(received(span, &service_name, &scope).into());
            }
        }
    }
    (spans, duplicates)
}

fn received(span: otlp::Span, service_name: &str, scope: &str) -> ReceivedSpan {
    let state: TraceState = span.trace_state.parse().unwrap_or_default();
    let flags = TraceFlags::new(u8::try_from(span.flags & 0xff).unwrap_or_default());
    ReceivedSpan {
        service_name: service_name.to_owned(),
        scope: InstrumentationScope::builder(scope.to_owned()).build(),
        span_context: SpanContext::new(trace_id(&span.trace_id), span_id(&span.span_id), flags, false, state),
        parent_id: span_id(&span.parent_span_id),
        // OTLP: bit 8 says that bit 9 is known, bit 9 that the parent is remote.
        parent_is_remote: span.flags & 0x300 == 0x300,
        kind: match span.kind() {
            otlp::span::SpanKind::Server => SpanKind::Server,
            otlp::span::SpanKind::Client => SpanKind::Client,
            otlp::span::SpanKind::Producer => SpanKind::Producer,
            otlp::span::SpanKind::Consumer => SpanKind::Consumer,
            otlp::span::SpanKind::Internal | otlp::span::SpanKind::Unspecified => SpanKind::Internal,
        },
        status: span.status.as_ref().map_or(Status::Unset, status),
        start: time(span.start_time_unix_nano),
        end: time(span.end_time_unix_nano),
        attributes: span.attributes.into_iter().map(attribute).collect(),
        events: span
            .events
            .into_iter()
            .map(|event| {
                (
                    event.name,
                    time(event.time_unix_nano),
                    event.attributes.into_iter().map(attribute).collect(),
                )
            })
            .collect(),
        links: span
            .links
            .into_iter()
            .map(|link| {
                let state = link.trace_state.parse().unwrap_or_default();
                let flags = TraceFlags::new(u8::try_from(link.flags & 0xff).unwrap_or_default());
                let context =
                    SpanContext::new(trace_id(&link.trace_id), span_id(&link.span_id), flags, true, state);
                (context, link.attributes.into_iter().map(attribute).collect())
            })
            .collect(),
        name: span.name,
    }
}

fn status(status: &otlp::Status) -> Status {
    match status.code() {
        otlp::status::StatusCode::Ok => Status::Ok,
        otlp::status::StatusCode::Error => Status::error(status.message.clone()),
        otlp::status::StatusCode::Unset => Status::Unset,
    }
}

fn attribute(wire: WireAttribute) -> KeyValue {
    KeyValue::new(wire.key, value(wire.value))
}

fn value(wire: Option<AnyValue>) -> Value {
    match wire.and_then(|wire| wire.value) {
        Some(Wire::BoolValue(value)) => Value::Bool(value),
        Some(Wire::IntValue(value)) => Value::I64(value),
        Some(Wire::DoubleValue(value)) => Value::F64(value),
        Some(Wire::StringValue(value)) => Value::String(value.into()),
        Some(Wire::ArrayValue(array)) => {
            let texts = array
                .values
                .into_iter()
                .map(|item| StringValue::from(value(Some(item)).to_string()))
                .collect();
            Value::Array(Array::String(texts))
        }
        // No other type is sent by the kit; it would show in the comparison.
        other => Value::String(format!("{other:?}").into()),
    }
}

fn text(value: Option<&AnyValue>) -> Option<String> {
    match value?.value.as_ref()? {
        Wire::StringValue(text) => Some(text.clone()),
        _ => None,
    }
}

fn twice(attributes: &[WireAttribute]) -> impl Iterator<Item = String> {
    let mut seen = HashSet::new();
    attributes
        .iter()
        .filter(move |attribute| !seen.insert(&attribute.key))
        .map(|attribute| attribute.key.clone())
}

fn trace_id(bytes: &[u8]) -> TraceId {
    bytes.try_into().map_or(TraceId::INVALID, TraceId::from_bytes)
}

fn span_id(bytes: &[u8]) -> SpanId {
    bytes.try_into().map_or(SpanId::INVALID, SpanId::from_bytes)
}

fn time(unix_nanoseconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_nanos(unix_nanoseconds)
}

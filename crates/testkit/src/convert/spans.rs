//! Spans.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::InstrumentationScope as WireScope;
use opentelemetry_proto::tonic::trace::v1 as otlp;
use waypost_telemetry::FinishedSpan;
use waypost_telemetry::opentelemetry::InstrumentationScope;
use waypost_telemetry::opentelemetry::trace::{SpanContext, SpanKind, Status, TraceFlags, TraceState};
use waypost_telemetry::testing::ReceivedSpan;

use super::{Received, attribute, span_id, time, trace_id, twice};

/// The spans of a request.
pub(crate) fn spans(request: ExportTraceServiceRequest) -> Received<FinishedSpan> {
    let mut all = Received::new();
    for resource_spans in request.resource_spans {
        let service_name = all.resource(resource_spans.resource);
        for scope_spans in resource_spans.scope_spans {
            let scope = scope(scope_spans.scope.unwrap_or_default());
            for span in scope_spans.spans {
                all.duplicates.extend(twice(&span.attributes).map(|key| format!("{}: {key}", span.name)));
                all.items.push(received(span, &service_name, scope.clone()).into());
            }
        }
    }
    all
}

fn scope(scope: WireScope) -> InstrumentationScope {
    let builder = InstrumentationScope::builder(scope.name);
    if scope.version.is_empty() { builder.build() } else { builder.with_version(scope.version).build() }
}

fn received(span: otlp::Span, service_name: &str, scope: InstrumentationScope) -> ReceivedSpan {
    let state: TraceState = span.trace_state.parse().unwrap_or_default();
    let flags = TraceFlags::new(u8::try_from(span.flags & 0xff).unwrap_or_default());
    ReceivedSpan {
        service_name: service_name.to_owned(),
        scope,
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

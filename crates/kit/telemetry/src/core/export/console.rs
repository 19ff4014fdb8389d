//! One line on standard output for each span, log record and metric reading: for a look while developing.

use std::fmt::Write as _;

use opentelemetry::KeyValue;
use opentelemetry::trace::Status;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::trace::SpanData;

use crate::base::finished::FinishedLog;

pub(crate) fn span(span: &SpanData) -> String {
    let took = span.end_time.duration_since(span.start_time).unwrap_or_default();
    let mut line = format!(
        "span {} {} {took:?} trace_id={} span_id={} parent_span_id={}",
        span.name,
        format!("{:?}", span.span_kind).to_uppercase(),
        span.span_context.trace_id(),
        span.span_context.span_id(),
        span.parent_span_id,
    );
    if let Status::Error { description } = &span.status {
        let _ = write!(line, " ERROR {description:?}");
    }
    push_attributes(&mut line, &span.attributes);
    line
}

pub(crate) fn log(record: &FinishedLog) -> String {
    let mut line = format!("log {} {}: {:?}", record.severity.name(), record.target, record.body);
    if record.span.is_valid() {
        let _ = write!(line, " trace_id={} span_id={}", record.span.trace_id(), record.span.span_id());
    }
    push_attributes(&mut line, &record.attributes);
    line
}

/// The reading as it would be scraped.
pub(crate) fn reading(reading: &ResourceMetrics) -> String {
    crate::core::prometheus::render_reading(reading)
}

fn push_attributes(line: &mut String, attributes: &[KeyValue]) {
    for attribute in attributes {
        let _ = write!(line, " {}={:?}", attribute.key, attribute.value.as_str());
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;
    use std::time::{Duration, UNIX_EPOCH};

    use opentelemetry::logs::Severity;
    use opentelemetry::trace::{SpanContext, SpanId, SpanKind, TraceFlags, TraceId, TraceState};
    use opentelemetry_sdk::trace::{SpanEvents, SpanLinks};

    use super::*;

    fn ids() -> SpanContext {
        SpanContext::new(TraceId::from(1), SpanId::from(2), TraceFlags::SAMPLED, false, TraceState::NONE)
    }

    #[test]
    fn a_span_is_one_line() {
        let line = span(&SpanData {
            span_context: ids(),
            parent_span_id: SpanId::from(3),
            parent_span_is_remote: false,
            span_kind: SpanKind::Server,
            name: "GET /orders".into(),
            start_time: UNIX_EPOCH,
            end_time: UNIX_EPOCH + Duration::from_millis(2),
            attributes: vec![KeyValue::new("http.route", "/orders")],
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: Status::error("no\ndisk"),
            instrumentation_scope: opentelemetry::InstrumentationScope::default(),
        });
        assert_eq!(
            line,
            "span GET /orders SERVER 2ms trace_id=00000000000000000000000000000001 span_id=0000000000000002 \
             parent_span_id=0000000000000003 ERROR \"no\\ndisk\" http.route=\"/orders\""
        );
    }

    #[test]
    fn a_log_record_is_one_line() {
        let line = log(&FinishedLog {
            time: UNIX_EPOCH,
            severity: Severity::Warn,
            target: Cow::Borrowed("order"),
            body: "slow\nrow".to_owned(),
            attributes: vec![KeyValue::new("n", 1)],
            span: ids(),
            service_name: "s".into(),
        });
        assert_eq!(
            line,
            "log WARN order: \"slow\\nrow\" trace_id=00000000000000000000000000000001 span_id=0000000000000002 n=\"1\""
        );
    }
}

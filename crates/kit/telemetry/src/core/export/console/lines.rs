//! One line for each span and log record, for programs that search them.

use std::fmt::Write as _;

use opentelemetry::KeyValue;
use opentelemetry::trace::Status;

use crate::base::finished::{FinishedLog, FinishedSpan};

pub(super) fn span_line(span: &FinishedSpan) -> String {
    let mut line = format!(
        "span {} {} {:?} trace_id={} span_id={} parent_span_id={}",
        span.name(),
        format!("{:?}", span.kind()).to_uppercase(),
        span.duration(),
        span.trace_id(),
        span.span_id(),
        span.parent_id,
    );
    if let Status::Error { description } = span.status() {
        let _ = write!(line, " ERROR {description:?}");
    }
    push_attributes(&mut line, span.attributes());
    line
}

pub(super) fn log_line(record: &FinishedLog) -> String {
    let mut line = format!("log {} {}: {:?}", record.severity.name(), record.target, record.body);
    if record.span.is_valid() {
        let _ = write!(line, " trace_id={} span_id={}", record.span.trace_id(), record.span.span_id());
    }
    push_attributes(&mut line, &record.attributes);
    line
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

    use opentelemetry::InstrumentationScope;
    use opentelemetry::logs::Severity;
    use opentelemetry::trace::{SpanContext, SpanId, SpanKind, TraceFlags, TraceId, TraceState};

    use super::*;

    fn ids() -> SpanContext {
        SpanContext::new(TraceId::from(1), SpanId::from(2), TraceFlags::SAMPLED, false, TraceState::NONE)
    }

    #[test]
    fn a_span_is_one_line() {
        let line = span_line(&FinishedSpan {
            service_name: "s".into(),
            scope: InstrumentationScope::default(),
            span_context: ids(),
            parent_id: SpanId::from(3),
            parent_is_remote: false,
            kind: SpanKind::Server,
            name: "GET /orders".into(),
            start: UNIX_EPOCH,
            end: UNIX_EPOCH + Duration::from_millis(2),
            attributes: vec![KeyValue::new("http.route", "/orders")],
            dropped_attributes: 0,
            events: Vec::new(),
            dropped_events: 0,
            links: Vec::new(),
            dropped_links: 0,
            status: Status::error("no\ndisk"),
        });
        assert_eq!(
            line,
            "span GET /orders SERVER 2ms trace_id=00000000000000000000000000000001 span_id=0000000000000002 \
             parent_span_id=0000000000000003 ERROR \"no\\ndisk\" http.route=\"/orders\""
        );
    }

    #[test]
    fn a_log_record_is_one_line() {
        let line = log_line(&FinishedLog {
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

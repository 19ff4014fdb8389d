//! Failures: recorded once, in full, tied to their trace.

use std::borrow::Cow;
use std::fmt;

use waypost_telemetry::error::ErrorClass;
use waypost_telemetry::opentelemetry::KeyValue;
use waypost_telemetry::opentelemetry::logs::Severity;
use waypost_telemetry::testing::TestTelemetry;
use waypost_telemetry::{ErrorType, record_error, span, with_context};

/// A failure in layers: the payment failed because the provider did.
#[derive(Debug)]
struct PaymentFailed {
    source: std::io::Error,
}

impl fmt::Display for PaymentFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the payment failed")
    }
}

impl std::error::Error for PaymentFailed {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

impl ErrorType for PaymentFailed {
    fn error_type(&self) -> Cow<'static, str> {
        "payment_failed".into()
    }

    fn class(&self) -> ErrorClass {
        ErrorClass::Dependency
    }

    fn severity(&self) -> Severity {
        Severity::Warn
    }

    fn attributes(&self) -> Vec<KeyValue> {
        vec![KeyValue::new("payment.provider_code", "e42")]
    }
}

#[derive(Debug)]
struct NoSuchOrder;

impl fmt::Display for NoSuchOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("there is no such order")
    }
}

impl std::error::Error for NoSuchOrder {}

impl ErrorType for NoSuchOrder {
    fn error_type(&self) -> Cow<'static, str> {
        "order_not_found".into()
    }

    fn is_failure(&self) -> bool {
        false
    }
}

fn refused() -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::ConnectionRefused, "provider refused the connection")
}

async fn charge() -> Result<(), std::io::Error> {
    span("charge").run(async { Err(refused()) }).await
}

async fn pay() -> Result<(), PaymentFailed> {
    span("pay").run(async { charge().await.map_err(|source| PaymentFailed { source }) }).await
}

#[tokio::test]
async fn an_error_that_passes_several_spans_is_logged_once() {
    let telemetry = TestTelemetry::new("s");
    let failed = with_context(telemetry.context(), span("place").run(pay())).await;
    assert!(failed.is_err());

    telemetry.tree().assert_matches(
        "place INTERNAL s ERROR error.type=payment_failed payment.provider_code=e42
           pay INTERNAL s ERROR error.type=payment_failed
             charge INTERNAL s ERROR error.type=connection_refused",
    );
    let logs = telemetry.finished_logs();
    assert_eq!(logs.len(), 1, "{logs:?}");
    assert_eq!(logs[0].body(), "provider refused the connection");
    assert_eq!(logs[0].span_context().span_id(), telemetry.only_span("charge").span_id());
    assert_eq!(logs[0].span_context().trace_id(), telemetry.only_span("place").trace_id());
    let description = |name| format!("{:?}", telemetry.only_span(name).status());
    assert!(description("charge").contains("provider refused"));
    assert!(!description("pay").contains("payment failed"));
}

#[tokio::test]
async fn two_errors_of_one_trace_are_two_records() {
    let telemetry = TestTelemetry::new("s");
    with_context(telemetry.context(), async {
        span("both")
            .observe(async {
                assert!(charge().await.is_err());
                record_error(&PaymentFailed { source: std::io::Error::other("another reason") });
            })
            .await;
    })
    .await;
    let bodies: Vec<_> = telemetry.finished_logs().iter().map(|log| log.body().to_owned()).collect();
    assert_eq!(bodies, ["provider refused the connection", "the payment failed"]);
}

#[test]
fn a_record_holds_chain_class_severity_and_facts() {
    let telemetry = TestTelemetry::new("s");
    telemetry.span("pay").in_scope(|| record_error(&PaymentFailed { source: refused() }));
    let [log] = &telemetry.finished_logs()[..] else { panic!("one record was expected") };
    let text = |key: &str| log.attribute(key).map(ToString::to_string).unwrap_or_default();

    assert_eq!(log.severity(), Severity::Warn);
    assert_eq!(text("error.type"), "payment_failed");
    assert_eq!(text("waypost.error.class"), "dependency");
    assert_eq!(text("payment.provider_code"), "e42");
    assert!(text("exception.type").ends_with("PaymentFailed"), "{}", text("exception.type"));
    assert_eq!(text("exception.message"), "the payment failed");
    assert_eq!(
        text("exception.stacktrace"),
        "the payment failed\ncaused by: provider refused the connection"
    );
}

#[test]
fn a_backtrace_is_taken_where_the_settings_ask_for_it() {
    let mut settings = TestTelemetry::settings("s");
    settings.logs.backtrace = true;
    settings.limits.attribute_value_length = 100_000;
    let telemetry = TestTelemetry::with(settings);
    telemetry.span("pay").in_scope(|| record_error(&PaymentFailed { source: refused() }));
    let trace = telemetry.finished_logs()[0].attribute("exception.stacktrace").unwrap().to_string();
    assert!(trace.contains("recorded at:"), "{trace}");
}

#[tokio::test]
async fn an_answer_that_is_no_failure_leaves_the_status_unset() {
    let telemetry = TestTelemetry::new("s");
    let answer =
        with_context(telemetry.context(), span("find").run(async { Err::<(), _>(NoSuchOrder) })).await;
    assert!(answer.is_err());
    telemetry.tree().assert_matches("find INTERNAL s");
    assert!(telemetry.only_span("find").attribute("error.type").is_none());
    assert!(telemetry.finished_logs().is_empty());
}

#[test]
fn a_failure_is_logged_even_where_its_trace_is_not_recorded() {
    let mut settings = TestTelemetry::settings("s");
    settings.traces.sampler = waypost_telemetry::config::SamplerKind::AlwaysOff;
    let telemetry = TestTelemetry::with(settings);
    telemetry.span("pay").in_scope(|| record_error(&refused()));
    assert!(telemetry.finished_spans().is_empty());
    let logs = telemetry.finished_logs();
    assert!(logs[0].span_context().is_valid() && !logs[0].span_context().is_sampled());
}

#[test]
fn a_grpc_status_is_classified_by_its_code() {
    let status = tonic::Status::unavailable("the stock service is away");
    assert_eq!(status.error_type(), "UNAVAILABLE");
    assert_eq!(status.class(), ErrorClass::Dependency);
    let inner = std::io::Error::other("the stock service is away");
    assert_eq!(status.fingerprint(), ErrorType::fingerprint(&inner));
}

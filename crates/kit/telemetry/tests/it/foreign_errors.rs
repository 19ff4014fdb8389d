//! Errors of other crates, recorded as they are.

use std::error::Error;
use std::io;

use anyhow::Context as _;
use waypost_telemetry::error::{AsErrorType, ErrorClass};
use waypost_telemetry::opentelemetry::logs::Severity;
use waypost_telemetry::opentelemetry::trace::Status;
use waypost_telemetry::testing::TestTelemetry;
use waypost_telemetry::{ErrorType, record_error, span, with_context};

/// `error.type` of a failure that passed through `.run()`.
async fn recorded<E: AsErrorType>(failure: E) -> (TestTelemetry, String) {
    let telemetry = TestTelemetry::new("s");
    let failed = with_context(telemetry.context(), span("a").run(async { Err::<(), E>(failure) })).await;
    assert!(failed.is_err());
    let error_type = telemetry.only_span("a").attribute("error.type").unwrap().to_string();
    (telemetry, error_type)
}

fn timed_out() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "no answer")
}

#[tokio::test]
async fn boxed_errors_are_found_along_their_sources() {
    let boxed: Box<dyn Error + Send + Sync> = timed_out().into();
    assert_eq!(recorded(boxed).await.1, "timed_out");
    let boxed: Box<dyn Error> = timed_out().into();
    assert_eq!(recorded(boxed).await.1, "timed_out");
    let parcel: Box<dyn Error + Send + Sync> = io::Error::other(tonic::Status::unavailable("away")).into();
    assert_eq!(recorded(parcel).await.1, "UNAVAILABLE");
    let text: Box<dyn Error + Send + Sync> = "just text".into();
    let (telemetry, error_type) = recorded(text).await;
    assert_eq!(error_type, "_OTHER");
    assert_eq!(telemetry.only_span("a").status(), &Status::error("just text"));
}

#[tokio::test]
async fn boxes_of_an_error_type_ask_it() {
    let boxed: Box<dyn ErrorType + Send + Sync> = Box::new(timed_out());
    assert_eq!(recorded(boxed).await.1, "timed_out");
    let shared: std::sync::Arc<dyn ErrorType + Send + Sync> = std::sync::Arc::new(timed_out());
    assert_eq!(recorded(shared).await.1, "timed_out");
}

#[tokio::test]
async fn anyhow_errors_keep_their_context_and_are_classified_by_their_source() {
    let failed = Err::<(), _>(timed_out()).context("saving the order").unwrap_err();
    let (telemetry, error_type) = recorded(failed).await;
    assert_eq!(error_type, "timed_out");
    let [log] = &telemetry.finished_logs()[..] else { panic!("one record was expected") };
    assert_eq!(log.body(), "saving the order");
    assert_eq!(log.attribute("waypost.error.class"), Some(&"timeout".into()));
    assert_eq!(log.attribute("exception.type"), Some(&"std::io::error::Error".into()));
    assert!(log.attribute("exception.stacktrace").unwrap().as_str().ends_with("caused by: no answer"));
    assert_eq!(recorded(anyhow::anyhow!("no cause")).await.1, "_OTHER");
}

#[tokio::test]
async fn eyre_errors_are_classified_by_their_source() {
    let failed = eyre::Report::new(timed_out()).wrap_err("saving the order");
    let (telemetry, error_type) = recorded(failed).await;
    assert_eq!((error_type.as_str(), telemetry.finished_logs()[0].body()), ("timed_out", "saving the order"));
}

#[tokio::test]
async fn plain_text_can_be_an_error() {
    let (telemetry, error_type) = recorded("out of tea".to_owned()).await;
    assert_eq!((error_type.as_str(), telemetry.finished_logs()[0].body()), ("_OTHER", "out of tea"));
    assert_eq!(recorded("out of tea").await.1, "_OTHER");
}

#[tokio::test]
async fn database_errors_have_codes() {
    assert_eq!(recorded(sqlx::Error::RowNotFound).await.1, "row_not_found");
    assert_eq!(recorded(sqlx::Error::PoolTimedOut).await.1, "pool_timed_out");
    assert_eq!(sqlx::Error::PoolTimedOut.class(), ErrorClass::Overload);
    assert_eq!(recorded(sqlx::Error::Io(timed_out())).await.1, "timed_out");
    assert_eq!(
        recorded(anyhow::Error::new(sqlx::Error::PoolClosed).context("loading")).await.1,
        "pool_closed"
    );

    assert_eq!(recorded(rusqlite::Error::QueryReturnedNoRows).await.1, "query_returned_no_rows");
    let taken = rusqlite::ffi::Error { code: rusqlite::ErrorCode::ConstraintViolation, extended_code: 2067 };
    assert_eq!(recorded(rusqlite::Error::SqliteFailure(taken, None)).await.1, "constraint_violation");
}

#[tokio::test]
async fn errors_of_kafka_have_its_codes() {
    use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
    let timed_out = KafkaError::MessageProduction(Code::MessageTimedOut);
    assert_eq!(timed_out.class(), ErrorClass::Timeout);
    assert_eq!(recorded(timed_out).await.1, "message_timed_out");
    assert_eq!(KafkaError::MessageProduction(Code::QueueFull).class(), ErrorClass::Overload);
    let unknown = anyhow::Error::new(KafkaError::Global(Code::UnknownTopicOrPartition)).context("relaying");
    assert_eq!(recorded(unknown).await.1, "unknown_topic_or_partition");
    assert_eq!(recorded(KafkaError::Canceled).await.1, "canceled");
}

#[tokio::test]
async fn http_client_errors_say_which_step_failed() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let client = reqwest::Client::builder().build().unwrap();
    let refused = client.get(format!("http://{nobody}/orders?token=secret")).send().await.unwrap_err();
    let (telemetry, error_type) = recorded(refused).await;
    assert_eq!(error_type, "connect");
    assert!(!format!("{:?}", telemetry.only_span("a").status()).contains("secret"));
    let unreadable = client.get("no address").send().await.unwrap_err();
    assert_eq!(
        (unreadable.class(), recorded(unreadable).await.1),
        (ErrorClass::Internal, "builder".to_owned())
    );
}

#[tokio::test]
async fn json_errors_are_grouped() {
    let parse = |text| serde_json::from_str::<u32>(text).unwrap_err();
    assert_eq!(recorded(parse("[")).await.1, "data");
    assert_eq!(recorded(parse("")).await.1, "eof");
    assert_eq!(recorded(parse("}")).await.1, "syntax");
}

#[tokio::test]
async fn tonic_and_tokio_errors_are_known() {
    assert_eq!(recorded(Box::new(tonic::Status::not_found("no such order"))).await.1, "NOT_FOUND");
    let late =
        tokio::time::timeout(std::time::Duration::ZERO, std::future::pending::<()>()).await.unwrap_err();
    assert_eq!(recorded(late).await.1, "timeout");
    let aborted = waypost_telemetry::spawn(std::future::pending::<()>());
    aborted.abort();
    assert_eq!(recorded(aborted.await.unwrap_err()).await.1, "cancelled");
}

#[derive(Debug, thiserror::Error)]
#[error("the order could not be saved")]
struct NotSaved(#[source] io::Error);

impl ErrorType for NotSaved {}

#[derive(Debug, thiserror::Error)]
#[error("out of {0}")]
struct OutOfStock(&'static str);

impl ErrorType for OutOfStock {}

#[test]
fn an_empty_impl_is_enough() {
    assert_eq!(NotSaved(timed_out()).error_type(), "timed_out");
    assert_eq!(OutOfStock("tea").error_type(), "out_of_stock");
}

#[tokio::test]
async fn a_refusal_is_one_record_and_no_error_record() {
    let refused = || async { Err::<(), _>(tonic::Status::failed_precondition("out of tea")) };
    let telemetry = TestTelemetry::new("s");
    let outer = span("handler").run(async { span("reserve").run(refused()).await });
    assert!(with_context(telemetry.context(), outer).await.is_err());
    let [log] = &telemetry.finished_logs()[..] else { panic!("one record was expected") };
    assert_eq!((log.severity(), log.body()), (Severity::Info, "out of tea"));
    assert_eq!(telemetry.only_span("reserve").status(), &Status::error("out of tea"));
}

#[test]
fn the_same_error_recorded_twice_on_a_span_keeps_its_text() {
    let telemetry = TestTelemetry::new("s");
    telemetry.span("a").in_scope(|| {
        record_error(&timed_out());
        record_error(&anyhow::Error::new(timed_out()));
    });
    assert_eq!(telemetry.only_span("a").status(), &Status::error("no answer"));
    assert_eq!(telemetry.finished_logs().len(), 1);
}

#[test]
fn a_stack_trace_is_not_cut_by_the_limit_of_values() {
    let mut settings = TestTelemetry::settings("s");
    settings.logs.backtrace = true;
    settings.limits.attribute_value_length = 20;
    let telemetry = TestTelemetry::with(settings);
    telemetry.span("a").in_scope(|| record_error(&NotSaved(timed_out())));
    let log = &telemetry.finished_logs()[0];
    let trace = log.attribute("exception.stacktrace").unwrap().to_string();
    let frames = trace.split_once("recorded at:\n").unwrap().1;
    assert!(frames.lines().next().unwrap().contains("it::foreign_errors"), "{trace}");
    assert!(!trace.contains("force_capture"), "{trace}");
    assert_eq!(log.attribute("exception.message").unwrap().as_str().len(), 20);
}

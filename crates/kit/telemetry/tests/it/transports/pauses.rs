//! A receiver that asks to be left alone is, by every request of its lane.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message as _;
use tonic::{Code, Status};
use waypost_telemetry::DropReason;
use waypost_telemetry::config::Exporter;

use super::{record, settings, start};
use crate::receiver::{GrpcReceiver, HttpReceiver, PATIENCE, Posted, Reply};

/// What was on its way when the receiver spoke may still arrive.
const ON_ITS_WAY: Duration = Duration::from_millis(300);

/// The first request is answered with 503 while others are under way, which succeed after that.
fn assert_pause_is_kept(retry_after: impl Fn() -> String + Send + Sync + 'static, least: Duration) {
    let asked_at = Arc::new(Mutex::new(None));
    let said = Arc::clone(&asked_at);
    let receiver = HttpReceiver::with(move |nth| {
        if nth > 1 {
            return Reply::slow(Duration::from_millis(200));
        }
        *said.lock().unwrap() = Some(Instant::now());
        Reply::unavailable(&retry_after())
    });
    let mut settings = settings(Exporter::OtlpHttp, &receiver.endpoint());
    settings.traces.batch.max_batch = 100;
    let telemetry = start(settings);
    record(&telemetry, 1_000);
    let report = telemetry.flush_blocking(PATIENCE);
    assert!(report.complete, "{report:?}");
    assert_eq!((report.traces.exported(), report.traces.dropped()), (1_000, 0));

    let asked_at: Instant = asked_at.lock().unwrap().unwrap();
    let posted = receiver.taken();
    let during: Vec<Duration> = posted
        .iter()
        .map(|posted| posted.at.saturating_duration_since(asked_at))
        .filter(|after| *after > ON_ITS_WAY && *after < least)
        .collect();
    assert!(during.is_empty(), "requests {during:?} after it asked for a pause of {least:?}");
    assert_eq!(
        posted.iter().filter(|posted| posted.is_taken).map(|p: &Posted| p.spans().len()).sum::<usize>(),
        1_000
    );
}

#[test]
fn retry_after_in_seconds_is_kept_by_all_requests() {
    assert_pause_is_kept(|| "2".to_owned(), Duration::from_millis(1_900));
}

#[test]
fn retry_after_as_a_date_is_kept_by_all_requests() {
    // A date has whole seconds, so up to one of the three is lost.
    let in_three_seconds = || httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(3));
    assert_pause_is_kept(in_three_seconds, Duration::from_millis(1_900));
}

#[test]
fn retry_after_nothing_is_no_storm() {
    let receiver = HttpReceiver::with(|_| Reply::unavailable("0"));
    let mut settings = settings(Exporter::OtlpHttp, &receiver.endpoint());
    settings.traces.batch.export_timeout = Duration::from_secs(1);
    let telemetry = start(settings);
    record(&telemetry, 1);
    let report = telemetry.flush_blocking(PATIENCE);
    assert_eq!(report.traces.dropped_for(DropReason::ExportFailed), 1);
    let requests = receiver.taken().len();
    assert!(requests <= 10, "{requests} requests");
}

#[test]
fn a_pause_longer_than_a_batch_may_take_keeps_the_queue() {
    let receiver =
        HttpReceiver::with(|nth| if nth == 1 { Reply::unavailable("2") } else { Reply::status(200) });
    let mut settings = settings(Exporter::OtlpHttp, &receiver.endpoint());
    settings.traces.batch.export_timeout = Duration::from_secs(1);
    settings.traces.batch.max_batch = 10;
    settings.traces.batch.delay = Duration::from_millis(5);
    let telemetry = start(settings);
    record(&telemetry, 1);
    receiver.next();
    crate::receiver::wait_until("giving the first up", || telemetry.ledger().dropped() == 1);
    record(&telemetry, 500);
    let report = telemetry.flush_blocking(PATIENCE);
    assert!(report.complete, "{report:?}");
    assert_eq!((report.traces.exported(), report.traces.dropped()), (500, 1));
}

/// A field of a protobuf message that holds a short message or text.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    [&[number << 3 | 2, u8::try_from(bytes.len()).unwrap()], bytes].concat()
}

/// A status whose details hold a `google.rpc.RetryInfo`, behind another detail.
fn with_retry_info(code: Code, delay: prost_types::Duration) -> Status {
    let retry_info = prost_types::Any {
        type_url: "type.googleapis.com/google.rpc.RetryInfo".to_owned(),
        value: field(1, &delay.encode_to_vec()),
    };
    let other = prost_types::Any {
        type_url: "type.googleapis.com/google.rpc.ErrorInfo".to_owned(),
        value: field(1, b"busy"),
    };
    let details = [field(3, &other.encode_to_vec()), field(3, &retry_info.encode_to_vec())].concat();
    Status::with_details(code, "busy", details.into())
}

async fn assert_grpc_delay_is_kept(code: Code) {
    let delay = prost_types::Duration { seconds: 1, nanos: 500_000_000 };
    let (receiver, endpoint) = GrpcReceiver::with(move |nth| {
        if nth == 1 { Err(with_retry_info(code, delay)) } else { Ok(ExportTraceServiceResponse::default()) }
    })
    .await;
    let telemetry = start(settings(Exporter::OtlpGrpc, &endpoint));
    record(&telemetry, 5);
    let report = telemetry.flush(PATIENCE).await;
    assert_eq!((report.traces.exported(), report.traces.dropped()), (5, 0), "{report:?}");
    let times = receiver.times.lock().unwrap();
    assert_eq!(times.len(), 2);
    assert!(times[1] - times[0] >= Duration::from_millis(1_400), "{:?}", times[1] - times[0]);
}

#[tokio::test]
async fn an_exhausted_receiver_is_asked_when_it_says() {
    assert_grpc_delay_is_kept(Code::ResourceExhausted).await;
}

#[tokio::test]
async fn an_unavailable_receiver_is_asked_when_it_says() {
    assert_grpc_delay_is_kept(Code::Unavailable).await;
}

#[tokio::test]
async fn an_exhausted_receiver_without_a_time_is_not_asked_again() {
    let (receiver, endpoint) = GrpcReceiver::with(|_| Err(Status::resource_exhausted("full"))).await;
    let telemetry = start(settings(Exporter::OtlpGrpc, &endpoint));
    record(&telemetry, 5);
    let report = telemetry.flush(PATIENCE).await;
    assert_eq!(report.traces.dropped_for(DropReason::ExportFailed), 5);
    assert_eq!(receiver.times.lock().unwrap().len(), 1);
}

//! How requests travel: forms, compression, addresses, sizes, and what a receiver may ask for. Real bytes at a fake
//! receiver.

mod cuts;
mod json;
mod pauses;
mod sizes;

use std::io::Read as _;
use std::time::Duration;

use flate2::read::GzDecoder;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use prost::Message as _;
use waypost_telemetry::config::{Compression, Exporter, Headers, OtlpProtocol, OtlpReceiver, SamplerKind};
use waypost_telemetry::testing::TestTelemetry;
use waypost_telemetry::{DropReason, Settings, Telemetry};

use crate::log_lines::process_lines;
use crate::receiver::{GrpcReceiver, HttpReceiver, Manner, PATIENCE, Posted, Reply, spans_of};

const SCHEMA: &str = "https://opentelemetry.io/schemas/";

pub(super) fn settings(exporter: Exporter, endpoint: &str) -> Settings {
    let mut settings = TestTelemetry::settings("s");
    settings.traces.exporters = vec![exporter];
    settings.logs.exporters.clear();
    settings.otlp.endpoint = Some(endpoint.to_owned());
    settings
}

fn additional(endpoint: String, protocol: OtlpProtocol) -> OtlpReceiver {
    OtlpReceiver { endpoint, protocol, ..OtlpReceiver::default() }
}

pub(super) fn start(settings: Settings) -> Telemetry {
    waypost_telemetry::init(settings).unwrap()
}

pub(super) fn record(telemetry: &Telemetry, spans: i32) {
    for n in 0..spans {
        telemetry.span("a").attr("n", i64::from(n)).attr("text", "ä".repeat(40)).in_scope(|| ());
    }
}

fn gunzipped(body: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    GzDecoder::new(body).read_to_end(&mut plain).unwrap();
    plain
}

#[test]
fn gzip_over_http_carries_the_same_bytes() {
    let (packed, plain) = (HttpReceiver::start(Manner::Takes), HttpReceiver::start(Manner::Takes));
    let mut settings = settings(Exporter::OtlpHttp, &packed.endpoint());
    settings.otlp.compression = Compression::Gzip;
    settings.otlp.additional = vec![additional(plain.endpoint(), OtlpProtocol::Http)];
    let telemetry = start(settings);
    record(&telemetry, 50);
    assert!(telemetry.shutdown_blocking(PATIENCE).complete);

    let (packed, plain) = (packed.next(), plain.next());
    assert_eq!(packed.header("content-encoding"), Some("gzip"));
    assert_eq!(packed.header("content-type"), Some("application/x-protobuf"));
    assert_eq!(plain.header("content-encoding"), None);
    assert!(packed.body.len() < plain.body.len() / 2);
    assert_eq!(gunzipped(&packed.body), plain.body);
    assert_eq!(plain.spans().len(), 50);
}

#[tokio::test]
async fn gzip_over_grpc_arrives() {
    let (receiver, endpoint) = GrpcReceiver::start().await;
    let mut settings = settings(Exporter::OtlpGrpc, &endpoint);
    settings.otlp.compression = Compression::Gzip;
    let telemetry = start(settings);
    record(&telemetry, 50);
    let report = telemetry.shutdown(PATIENCE).await;
    assert_eq!((report.traces.exported(), report.traces.dropped()), (50, 0));
    let request = receiver.traces.lock().unwrap().pop().unwrap();
    assert_eq!(request.metadata().get("grpc-encoding").unwrap(), "gzip");
    assert_eq!(spans_of(request.into_inner()).len(), 50);
}

#[tokio::test]
async fn receivers_of_every_protocol_get_the_same_spans() {
    let (http, json) = (HttpReceiver::start(Manner::Takes), HttpReceiver::start(Manner::Takes));
    let (grpc, endpoint) = GrpcReceiver::start().await;
    let mut settings = settings(Exporter::OtlpHttp, &http.endpoint());
    settings.otlp.additional =
        vec![additional(json.endpoint(), OtlpProtocol::HttpJson), additional(endpoint, OtlpProtocol::Grpc)];
    let telemetry = start(settings);
    record(&telemetry, 20);
    let report = telemetry.shutdown(PATIENCE).await;
    let names: Vec<_> =
        report.traces.exporters.iter().map(|ledger| (ledger.exporter, ledger.exported)).collect();
    let expected = [("otlp_http", 20), ("additional_otlp_http_json", 20), ("additional_otlp_grpc", 20)];
    assert_eq!(names, expected);

    let over_http = ExportTraceServiceRequest::decode(http.next().body.as_slice()).unwrap();
    let over_json: ExportTraceServiceRequest = serde_json::from_slice(&json.next().body).unwrap();
    let over_grpc = grpc.traces.lock().unwrap().pop().unwrap().into_inner();
    assert_eq!(over_json, over_http);
    assert_eq!(over_grpc, over_http);
}

#[tokio::test]
async fn requests_name_their_sender() {
    let http = HttpReceiver::start(Manner::Takes);
    let (grpc, endpoint) = GrpcReceiver::start().await;
    for settings in [settings(Exporter::OtlpHttp, &http.endpoint()), settings(Exporter::OtlpGrpc, &endpoint)]
    {
        let telemetry = start(settings);
        record(&telemetry, 1);
        assert!(telemetry.shutdown(PATIENCE).await.complete);
    }
    let begin = "OTel-OTLP-Exporter-Rust/";
    let posted = http.next();
    assert!(posted.header("user-agent").unwrap().starts_with(begin), "{}", posted.head);
    let request = grpc.traces.lock().unwrap().pop().unwrap();
    assert!(request.metadata().get("user-agent").unwrap().to_str().unwrap().starts_with(begin));
}

#[test]
fn headers_of_the_settings_win_and_queries_stay() {
    let receiver = HttpReceiver::start(Manner::Takes);
    let mut settings = settings(Exporter::OtlpHttp, &format!("{}/base/?token=abc", receiver.endpoint()));
    let headers = [("authorization", "Bearer x"), ("user-agent", "mine")];
    settings.otlp.headers =
        Headers(headers.map(|(name, value)| (name.to_owned(), value.to_owned())).into_iter().collect());
    let telemetry = start(settings);
    record(&telemetry, 1);
    telemetry.shutdown_blocking(PATIENCE);
    let posted = receiver.next();
    assert_eq!(posted.path, "/base/v1/traces?token=abc");
    assert_eq!(posted.header("authorization"), Some("Bearer x"));
    assert_eq!(posted.header("user-agent"), Some("mine"));
}

#[test]
fn resource_and_scope_name_their_schema() {
    let receiver = HttpReceiver::start(Manner::Takes);
    let telemetry = start(settings(Exporter::OtlpHttp, &receiver.endpoint()));
    record(&telemetry, 1);
    telemetry.shutdown_blocking(PATIENCE);
    let request = ExportTraceServiceRequest::decode(receiver.next().body.as_slice()).unwrap();
    let resource = &request.resource_spans[0];
    assert!(resource.schema_url.starts_with(SCHEMA), "{resource:?}");
    assert!(resource.scope_spans[0].schema_url.starts_with(SCHEMA), "{resource:?}");
    let scope = resource.scope_spans[0].scope.as_ref().unwrap();
    assert_eq!(
        (scope.name.as_str(), scope.version.as_str()),
        ("waypost-telemetry", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn the_unsampled_are_not_sent() {
    let receiver = HttpReceiver::start(Manner::Takes);
    let mut settings = settings(Exporter::OtlpHttp, &receiver.endpoint());
    settings.traces.sampler = SamplerKind::AlwaysOff;
    let telemetry = start(settings);
    record(&telemetry, 5);
    let report = telemetry.shutdown_blocking(PATIENCE);
    assert_eq!((report.traces.started, report.traces.ended, report.traces.exported()), (0, 0, 0));
    assert!(receiver.taken().is_empty());
}

/// The setting that the following tests keep to.
const MAX_REQUEST: usize = 8_000;

fn small_requests(endpoint: &str, compression: Compression) -> Telemetry {
    let mut settings = settings(Exporter::OtlpHttp, endpoint);
    settings.otlp.max_request_bytes = MAX_REQUEST;
    settings.otlp.compression = compression;
    start(settings)
}

#[test]
fn a_large_batch_is_sent_in_parts() {
    let receiver = HttpReceiver::start(Manner::Takes);
    let telemetry = small_requests(&receiver.endpoint(), Compression::None);
    record(&telemetry, 500);
    let report = telemetry.shutdown_blocking(PATIENCE);
    assert_eq!((report.traces.exported(), report.traces.dropped()), (500, 0));
    let posted = receiver.taken();
    let sizes: Vec<_> = posted.iter().map(|posted| posted.body.len()).collect();
    assert!(sizes.iter().all(|size| *size <= MAX_REQUEST), "{sizes:?}");
    // Requests are well filled.
    assert!(sizes.iter().filter(|size| **size > MAX_REQUEST * 3 / 4).count() >= sizes.len() - 1, "{sizes:?}");
    assert_eq!(posted.iter().map(|posted| posted.spans().len()).sum::<usize>(), 500);
}

#[test]
fn a_span_that_is_too_large_is_counted_and_the_others_go() {
    for compression in [Compression::None, Compression::Gzip] {
        let receiver = HttpReceiver::start(Manner::Takes);
        let telemetry = small_requests(&receiver.endpoint(), compression);
        record(&telemetry, 3);
        let large = "x".repeat(4_000);
        telemetry.span("large").attr("a", large.clone()).attr("b", large.clone()).in_scope(|| ());
        record(&telemetry, 2);
        let report = telemetry.shutdown_blocking(PATIENCE);
        assert!(report.complete && report.traces.is_balanced());
        assert_eq!(report.traces.exported(), 5);
        assert_eq!(report.traces.dropped_for(DropReason::TooLarge), 1);
        let plain = |posted: &Posted| {
            let body = posted.body.as_slice();
            if compression == Compression::Gzip { gunzipped(body) } else { body.to_vec() }
        };
        let spans = receiver
            .taken()
            .iter()
            .flat_map(|posted| spans_of(ExportTraceServiceRequest::decode(plain(posted).as_slice()).unwrap()))
            .collect::<Vec<_>>();
        assert_eq!(spans.len(), 5);
        assert!(spans.iter().all(|span| span.name == "a"));
    }
}

#[test]
fn a_warning_of_the_receiver_is_passed_on_once() {
    let lines = process_lines();
    let receiver = HttpReceiver::with(|_| {
        let partial = ExportTracePartialSuccess { rejected_spans: 0, error_message: "slow down".to_owned() };
        let body = ExportTraceServiceResponse { partial_success: Some(partial) }.encode_to_vec();
        Reply::Answer { status: 200, headers: String::new(), body, after: Duration::ZERO }
    });
    let telemetry = start(settings(Exporter::OtlpHttp, &receiver.endpoint()));
    for _ in 0..3 {
        record(&telemetry, 2);
        assert!(telemetry.flush_blocking(PATIENCE).complete);
    }
    let report = telemetry.shutdown_blocking(PATIENCE);
    assert_eq!((report.traces.exported(), report.traces.dropped()), (6, 0));
    assert!(receiver.taken().len() >= 3);
    let text = lines.text();
    let address = receiver.address.to_string();
    let about_it: Vec<_> = text.lines().filter(|line| line.contains(&address)).collect();
    assert_eq!(about_it.len(), 1, "{about_it:?}");
    assert!(about_it[0].contains("warns: slow down"), "{about_it:?}");
}

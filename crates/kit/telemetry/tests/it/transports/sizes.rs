//! No request is larger than the settings allow, whatever form it has: bytes as a receiver counts them.

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use prost::Message as _;
use waypost_telemetry::config::{Exporter, Temporality};
use waypost_telemetry::opentelemetry::KeyValue;
use waypost_telemetry::{DropReason, Telemetry};

use super::{MAX_REQUEST, record, settings, start};
use crate::receiver::{GrpcReceiver, HttpReceiver, Manner, PATIENCE, Posted, spans_of};

/// A span of about so many bytes.
fn record_large(telemetry: &Telemetry, name: &'static str, bytes: usize) {
    // A text has at most 4,096 characters.
    let parts = bytes.div_ceil(4_000);
    let mut span = telemetry.span(name);
    for part in 0..parts {
        span = span.attr(format!("part.{part}"), "x".repeat(4_000));
    }
    span.in_scope(|| ());
}

fn json_spans(posted: &Posted) -> Vec<serde_json::Value> {
    let request: serde_json::Value = serde_json::from_slice(&posted.body).unwrap();
    let list = |value: &serde_json::Value, key: &str| value[key].as_array().cloned().unwrap_or_default();
    let scopes = list(&request, "resourceSpans").into_iter().flat_map(|of| list(&of, "scopeSpans"));
    scopes.flat_map(|scope| list(&scope, "spans")).collect()
}

#[test]
fn a_batch_that_is_too_large_as_json_is_sent_in_parts() {
    let receiver = HttpReceiver::start(Manner::Takes);
    let mut settings = settings(Exporter::OtlpHttpJson, &receiver.endpoint());
    settings.otlp.max_request_bytes = MAX_REQUEST;
    let telemetry = start(settings);
    // Names and keys make up most of them, so that JSON is far more than twice as large.
    for n in 0..200 {
        let span = telemetry.span("a").attr("a", n).attr("b", true).attr("c", 1).attr("d", false);
        span.in_scope(|| ());
    }
    let report = telemetry.shutdown_blocking(PATIENCE);
    assert!(report.traces.is_balanced());
    assert_eq!((report.traces.exported(), report.traces.dropped()), (200, 0));
    let posted = receiver.taken();
    let sizes: Vec<_> = posted.iter().map(|posted| posted.body.len()).collect();
    assert!(sizes.iter().all(|size| *size <= MAX_REQUEST), "{sizes:?}");
    let mut numbers: Vec<String> = posted
        .iter()
        .flat_map(json_spans)
        .map(|span| span["attributes"][0]["value"]["intValue"].as_str().unwrap().to_owned())
        .collect();
    numbers.sort();
    numbers.dedup();
    assert_eq!(numbers.len(), 200, "each span once");
}

#[test]
fn a_span_that_is_too_large_as_json_is_dropped_alone() {
    let receiver = HttpReceiver::start(Manner::Takes);
    let mut settings = settings(Exporter::OtlpHttpJson, &receiver.endpoint());
    settings.otlp.max_request_bytes = MAX_REQUEST;
    let telemetry = start(settings);
    record(&telemetry, 3);
    // Quotation marks take two bytes in JSON: as protobuf it would fit.
    telemetry.span("large").attr("a", "\"".repeat(4_000)).in_scope(|| ());
    record(&telemetry, 2);
    let report = telemetry.shutdown_blocking(PATIENCE);
    assert!(report.complete && report.traces.is_balanced(), "{report:?}");
    assert_eq!((report.traces.exported(), report.traces.dropped_for(DropReason::TooLarge)), (5, 1));
    assert_eq!(report.traces.dropped(), 1);
    let names: Vec<_> =
        receiver.taken().iter().flat_map(json_spans).map(|span| span["name"].clone()).collect();
    assert_eq!(names, ["a"; 5]);
}

/// The receiver is tonic's, which refuses more than 4 MiB.
#[tokio::test]
async fn large_spans_stay_below_what_a_receiver_of_grpc_takes() {
    let (receiver, endpoint) = GrpcReceiver::start().await;
    let mut settings = settings(Exporter::OtlpGrpc, &endpoint);
    settings.limits.span_attributes = 2_000;
    let telemetry = start(settings);
    for _ in 0..40 {
        record_large(&telemetry, "large", 400_000);
    }
    record_large(&telemetry, "too large", 5_000_000);
    let report = telemetry.shutdown(PATIENCE).await;
    assert!(report.complete && report.traces.is_balanced(), "{report:?}");
    assert_eq!((report.traces.exported(), report.traces.dropped_for(DropReason::TooLarge)), (40, 1));
    let requests = receiver.traces.lock().unwrap();
    let sizes: Vec<_> = requests.iter().map(|request| request.get_ref().encoded_len()).collect();
    assert!(sizes.iter().all(|size| *size <= 4 * 1024 * 1024), "{sizes:?}");
    let arrived = requests.iter().map(|request| spans_of(request.get_ref().clone()).len());
    assert_eq!(arrived.sum::<usize>(), 40);
}

/// Values of the counter in a request, by label.
fn counts(body: &[u8]) -> Vec<(String, i64)> {
    let request = ExportMetricsServiceRequest::decode(body).unwrap();
    let scopes = request.resource_metrics.into_iter().flat_map(|resource| resource.scope_metrics);
    let metrics = scopes.flat_map(|scope| scope.metrics).filter(|metric| metric.name == "orders");
    let mut counts = Vec::new();
    for metric in metrics {
        let Some(Data::Sum(sum)) = metric.data else { unreachable!() };
        for point in sum.data_points {
            let Some(opentelemetry_proto::tonic::metrics::v1::number_data_point::Value::AsInt(value)) =
                point.value
            else {
                unreachable!()
            };
            counts.push((format!("{:?}", point.attributes), value));
        }
    }
    counts
}

#[test]
fn a_reading_that_is_too_large_is_sent_in_parts() {
    let receiver = HttpReceiver::start(Manner::AnswersFirst(1, 503));
    let mut settings = settings(Exporter::OtlpHttp, &receiver.endpoint());
    settings.traces.exporters.clear();
    settings.metrics.exporters = vec![Exporter::OtlpHttp];
    settings.metrics.temporality = Temporality::Delta;
    settings.otlp.max_request_bytes = MAX_REQUEST;
    let telemetry = start(settings);
    let orders = telemetry.meter().u64_counter("orders").build();
    for n in 0..300 {
        orders.add(2, &[KeyValue::new("n", n)]);
    }
    let report = telemetry.shutdown_blocking(PATIENCE);
    assert_eq!((report.metrics.exporters[0].exported, report.metrics.exporters[0].dropped_total()), (1, 0));
    let posted = receiver.taken();
    assert!(posted.len() > 2 && posted.iter().all(|posted| posted.body.len() <= MAX_REQUEST));
    let taken = posted.iter().filter(|posted| posted.is_taken);
    let mut counts: Vec<_> = taken.flat_map(|posted| counts(&posted.body)).collect();
    counts.sort();
    assert!(counts.iter().all(|(_, count)| *count == 2));
    counts.dedup();
    assert_eq!(counts.len(), 300, "each point once");
}

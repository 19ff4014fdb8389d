//! OTLP as JSON at the receiver, read with the official messages.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::Metric;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use prost::Message as _;
use waypost_telemetry::config::{Compression, Exporter};
use waypost_telemetry::opentelemetry::KeyValue;
use waypost_telemetry::record_error;

use super::{gunzipped, record, settings, start};
use crate::receiver::{HttpReceiver, Manner, PATIENCE, Posted};

/// The requests of a path as protobuf and as JSON.
fn both(posted: &[Posted], path: &str) -> (Vec<u8>, Vec<u8>) {
    let of = |kind| {
        let mut found = posted.iter().filter(|posted| posted.path == path);
        let request = found.find(|posted| posted.header("content-type") == Some(kind)).unwrap();
        request.body.clone()
    };
    (of("application/x-protobuf"), of("application/json"))
}

#[test]
fn log_records_and_metrics_are_what_protobuf_says() {
    let receiver = HttpReceiver::start(Manner::Takes);
    let exporters = vec![Exporter::OtlpHttp, Exporter::OtlpHttpJson];
    let mut settings = settings(Exporter::OtlpHttp, &receiver.endpoint());
    settings.logs.exporters = exporters.clone();
    settings.metrics.exporters = exporters;
    let telemetry = start(settings);
    telemetry.span("a").in_scope(|| record_error(&std::io::Error::from(std::io::ErrorKind::TimedOut)));
    let (meter, labels) = (telemetry.meter(), [KeyValue::new("plan", "gold"), KeyValue::new("n", 7)]);
    meter.u64_counter("test.counter").with_unit("{item}").with_description("What").build().add(3, &labels);
    meter.f64_counter("test.real").build().add(0.25, &[]);
    meter.i64_up_down_counter("test.updown").build().add(-3, &labels);
    meter.f64_gauge("test.gauge").build().record(-0.5, &labels);
    meter.f64_histogram("test.histogram").with_boundaries(vec![1.0, 2.0]).build().record(1.5, &labels);
    assert!(telemetry.shutdown_blocking(PATIENCE).complete);

    let posted = receiver.taken();
    let (protobuf, json) = both(&posted, "/v1/logs");
    let json: ExportLogsServiceRequest = serde_json::from_slice(&json).unwrap();
    assert_eq!(json, ExportLogsServiceRequest::decode(protobuf.as_slice()).unwrap());

    let (protobuf, json) = both(&posted, "/v1/metrics");
    let json: ExportMetricsServiceRequest = serde_json::from_slice(&json).unwrap();
    let (json, protobuf) =
        (own(json), own(ExportMetricsServiceRequest::decode(protobuf.as_slice()).unwrap()));
    assert_eq!(json.len(), 5, "{json:?}");
    assert_eq!(json, protobuf);
}

/// The metrics of the test, without the moment at which they were read: each form has a reading of its own.
fn own(request: ExportMetricsServiceRequest) -> Vec<Metric> {
    let scopes = request.resource_metrics.into_iter().flat_map(|resource| resource.scope_metrics);
    let metrics = scopes.flat_map(|scope| scope.metrics).filter(|metric| metric.name.starts_with("test."));
    let mut metrics: Vec<Metric> = metrics.collect();
    for metric in &mut metrics {
        match metric.data.as_mut().unwrap() {
            Data::Gauge(gauge) => {
                gauge.data_points.iter_mut().for_each(|point| point.time_unix_nano = 0);
            }
            Data::Sum(sum) => sum.data_points.iter_mut().for_each(|point| point.time_unix_nano = 0),
            Data::Histogram(histogram) => {
                histogram.data_points.iter_mut().for_each(|point| point.time_unix_nano = 0);
            }
            other => panic!("{other:?}"),
        }
    }
    metrics.sort_by(|left, right| left.name.cmp(&right.name));
    metrics
}

#[test]
fn json_can_be_compressed() {
    let receiver = HttpReceiver::start(Manner::Takes);
    let mut settings = settings(Exporter::OtlpHttpJson, &receiver.endpoint());
    settings.otlp.compression = Compression::Gzip;
    let telemetry = start(settings);
    record(&telemetry, 3);
    assert_eq!(telemetry.shutdown_blocking(PATIENCE).traces.exported(), 3);
    let posted = receiver.next();
    assert_eq!(posted.header("content-type"), Some("application/json"));
    assert_eq!(posted.header("content-encoding"), Some("gzip"));
    let json: serde_json::Value = serde_json::from_slice(&gunzipped(&posted.body)).unwrap();
    let spans = json["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().unwrap();
    assert_eq!(spans.len(), 3);
    assert_eq!(spans[0]["attributes"][0]["value"]["intValue"], "0");
}

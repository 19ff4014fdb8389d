//! What arrives at a real OTLP receiver, over HTTP and over gRPC, is what was recorded.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Wire;
use opentelemetry_proto::tonic::common::v1::{ArrayValue, KeyValue as WireKeyValue};
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{Span, span::SpanKind as WireKind};
use prost::Message;
use waypost_telemetry::config::{Exporter, Headers, OtlpReceiver};
use waypost_telemetry::opentelemetry::trace::SpanKind;
use waypost_telemetry::opentelemetry::{Array, KeyValue, Value};
use waypost_telemetry::testing::TestTelemetry;
use waypost_telemetry::{Builder, FinishedSpan, Outcome, Settings, Telemetry, event, record_error};

use crate::receiver::{GrpcReceiver, HttpReceiver, Manner, PATIENCE, spans_of};

fn settings(exporter: Exporter, endpoint: String) -> Settings {
    let mut settings = TestTelemetry::settings("order-service");
    settings.service_namespace = Some("waypost".to_owned());
    settings.traces.exporters = vec![exporter, Exporter::Memory];
    settings.logs.exporters = vec![exporter, Exporter::Memory];
    settings.metrics.exporters = vec![exporter];
    settings.otlp.endpoint = Some(endpoint);
    settings.otlp.headers = Headers([("x-key".to_owned(), "secret".to_owned())].into());
    settings
}

/// A parent with one of everything, and a child with an error.
fn record(telemetry: &Telemetry) {
    let earlier = telemetry.span("earlier").start();
    let link = earlier.span_context();
    earlier.end(Outcome::Ok);
    let list = Value::Array(Array::String(vec!["a".into(), "b".into()]));
    let parent = telemetry
        .span("place-order")
        .kind(SpanKind::Server)
        .attr("text", "ä")
        .attr("whole", 7)
        .attr("real", 0.5)
        .attr("truth", true)
        .attr("list", list)
        .attr("text", "again")
        .link(link)
        .start();
    let attached = parent.context().clone().attach();
    telemetry.span("charge").kind(SpanKind::Client).in_scope(|| {
        event("asked", vec![KeyValue::new("try", 1)]);
        record_error(&std::io::Error::from(std::io::ErrorKind::TimedOut));
    });
    drop(attached);
    parent.end(Outcome::Ok);
    telemetry.meter().u64_counter("orders.placed").build().add(3, &[KeyValue::new("plan", "gold")]);
}

fn attribute(attributes: &[WireKeyValue], key: &str) -> Option<Wire> {
    let mut with_key = attributes.iter().filter(|attribute| attribute.key == key);
    let found = with_key.next()?.value.clone()?.value;
    assert!(with_key.next().is_none(), "{key} is there twice");
    found
}

fn nanoseconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap().as_nanos().try_into().unwrap()
}

/// Ids, times, kind, parent as recorded.
fn assert_same(wire: &Span, recorded: &FinishedSpan) {
    assert_eq!(wire.trace_id, recorded.trace_id().to_bytes());
    assert_eq!(wire.span_id, recorded.span_id().to_bytes());
    let parent = recorded.parent_id().map(|parent| parent.to_bytes().to_vec()).unwrap_or_default();
    assert_eq!(wire.parent_span_id, parent);
    assert_eq!(wire.name, recorded.name());
    assert_eq!(wire.start_time_unix_nano, nanoseconds(recorded.start()));
    assert_eq!(wire.end_time_unix_nano, nanoseconds(recorded.end()));
    assert_eq!(wire.attributes.len(), recorded.attributes().len());
}

fn assert_traces(request: ExportTraceServiceRequest, telemetry: &Telemetry) {
    let resource = request.resource_spans[0].resource.clone().unwrap();
    assert_eq!(
        attribute(&resource.attributes, "service.name"),
        Some(Wire::StringValue("order-service".into()))
    );
    assert_eq!(
        attribute(&resource.attributes, "service.namespace"),
        Some(Wire::StringValue("waypost".into()))
    );
    let spans = spans_of(request);
    let recorded = telemetry.finished_spans();
    assert_eq!(spans.len(), recorded.len());
    for recorded in &recorded {
        let wire = spans.iter().find(|span| span.span_id == recorded.span_id().to_bytes()).unwrap();
        assert_same(wire, recorded);
    }

    let place = spans.iter().find(|span| span.name == "place-order").unwrap();
    assert_eq!(place.kind(), WireKind::Server);
    assert_eq!(attribute(&place.attributes, "text"), Some(Wire::StringValue("again".into())));
    assert_eq!(attribute(&place.attributes, "whole"), Some(Wire::IntValue(7)));
    assert_eq!(attribute(&place.attributes, "real"), Some(Wire::DoubleValue(0.5)));
    assert_eq!(attribute(&place.attributes, "truth"), Some(Wire::BoolValue(true)));
    let Some(Wire::ArrayValue(ArrayValue { values })) = attribute(&place.attributes, "list") else {
        panic!("a list was expected")
    };
    assert_eq!(values.len(), 2);
    assert_eq!(place.links[0].span_id, spans.iter().find(|span| span.name == "earlier").unwrap().span_id);
    assert_eq!(place.status.as_ref().unwrap().code(), StatusCode::Unset);

    let charge = spans.iter().find(|span| span.name == "charge").unwrap();
    assert_eq!(charge.kind(), WireKind::Client);
    assert_eq!(charge.status.as_ref().unwrap().code(), StatusCode::Error);
    assert_eq!(charge.events[0].name, "asked");
    assert_eq!(attribute(&charge.events[0].attributes, "try"), Some(Wire::IntValue(1)));
}

fn assert_logs(request: &ExportLogsServiceRequest, telemetry: &Telemetry) {
    let record = &request.resource_logs[0].scope_logs[0].log_records[0];
    let recorded = &telemetry.finished_logs()[0];
    assert_eq!(record.trace_id, recorded.span_context().trace_id().to_bytes());
    assert_eq!(record.span_id, recorded.span_context().span_id().to_bytes());
    assert_eq!(record.time_unix_nano, nanoseconds(recorded.time()));
    assert_eq!((record.severity_number, record.severity_text.as_str()), (17, "ERROR"));
    assert_eq!(attribute(&record.attributes, "error.type"), Some(Wire::StringValue("timed_out".into())));
}

fn assert_metrics(request: &ExportMetricsServiceRequest) {
    let metrics: Vec<_> = request
        .resource_metrics
        .iter()
        .flat_map(|resource| &resource.scope_metrics)
        .flat_map(|scope| &scope.metrics)
        .map(|metric| metric.name.as_str())
        .collect();
    assert!(metrics.contains(&"orders.placed"), "{metrics:?}");
}

#[test]
fn over_http_every_signal_arrives_as_recorded() {
    let receiver = HttpReceiver::start(Manner::Takes);
    let telemetry = waypost_telemetry::init(settings(Exporter::OtlpHttp, receiver.endpoint())).unwrap();
    record(&telemetry);
    let report = telemetry.shutdown_blocking(PATIENCE);
    assert!(report.complete, "{report:?}");
    assert_eq!(report.metrics.exporters[0].exported, 1);

    let posted = receiver.taken();
    let body = |path: &str| {
        let request = posted.iter().find(|posted| posted.path == path).unwrap();
        let head = request.head.to_lowercase();
        assert!(
            head.contains("content-type: application/x-protobuf") && head.contains("x-key: secret"),
            "{head}"
        );
        request.body.as_slice()
    };
    assert_traces(ExportTraceServiceRequest::decode(body("/v1/traces")).unwrap(), &telemetry);
    assert_logs(&ExportLogsServiceRequest::decode(body("/v1/logs")).unwrap(), &telemetry);
    assert_metrics(&ExportMetricsServiceRequest::decode(body("/v1/metrics")).unwrap());
}

#[tokio::test]
async fn over_grpc_every_signal_arrives_as_recorded() {
    let (receiver, endpoint) = GrpcReceiver::start().await;
    let telemetry = waypost_telemetry::init(settings(Exporter::OtlpGrpc, endpoint)).unwrap();
    record(&telemetry);
    // The receiver shares this single-threaded runtime: a shutdown that blocked it would never end well.
    let report = telemetry.shutdown(PATIENCE).await;
    assert!(report.complete, "{report:?}");
    assert_eq!((report.traces.dropped(), report.traces.is_balanced()), (0, true));

    let traces = receiver.traces.lock().unwrap().pop().unwrap();
    assert_eq!(traces.metadata().get("x-key").unwrap(), "secret");
    assert_traces(traces.into_inner(), &telemetry);
    assert_logs(&receiver.logs.lock().unwrap()[0], &telemetry);
    assert_metrics(&receiver.metrics.lock().unwrap()[0]);
}

#[test]
fn a_signal_with_an_address_of_its_own_goes_there() {
    let (common, own) = (HttpReceiver::start(Manner::Takes), HttpReceiver::start(Manner::Takes));
    let mut settings = settings(Exporter::OtlpHttp, common.endpoint());
    settings.otlp.traces.endpoint = Some(format!("{}/custom/path", own.endpoint()));
    settings.otlp.traces.headers = Some(Headers::default());
    settings.otlp.traces.timeout = Some(Duration::from_secs(1));
    let telemetry = waypost_telemetry::init(settings).unwrap();
    record(&telemetry);
    telemetry.shutdown_blocking(PATIENCE);
    let posted = own.next();
    assert_eq!(posted.path, "/custom/path");
    assert!(!posted.head.contains("x-key"));
    assert!(common.taken().iter().all(|posted| posted.path != "/v1/traces"));
}

#[test]
fn addresses_with_tls_can_be_used() {
    for exporter in [Exporter::OtlpHttp, Exporter::OtlpGrpc] {
        let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let settings = settings(exporter, format!("https://{nobody}"));
        let provider = rustls::crypto::ring::default_provider().into();
        let telemetry = Builder::new(settings).tls_provider(provider).init().unwrap();
        record(&telemetry);
        let report = telemetry.shutdown_blocking(Duration::from_millis(500));
        assert!(report.traces.is_balanced(), "{report:?}");
    }
}

#[test]
fn an_additional_receiver_gets_everything_while_the_common_one_hangs() {
    let (common, additional) = (HttpReceiver::start(Manner::Hangs), HttpReceiver::start(Manner::Takes));
    let mut settings = settings(Exporter::OtlpHttp, common.endpoint());
    settings.metrics.exporters.clear();
    settings.otlp.additional =
        vec![OtlpReceiver { endpoint: additional.endpoint(), logs: true, ..OtlpReceiver::default() }];
    let telemetry = waypost_telemetry::init(settings).unwrap();
    record(&telemetry);
    let report = telemetry.shutdown_blocking(Duration::from_secs(1));

    let mut posted = [additional.next(), additional.next()];
    posted.sort_by(|left, right| left.path.cmp(&right.path));
    let paths: Vec<&str> = posted.iter().map(|posted| posted.path.as_str()).collect();
    assert_eq!(paths, ["/v1/logs", "/v1/traces"]);
    assert!(!posted[1].head.contains("x-key"), "the common receiver's headers are not for others");
    let names: Vec<String> = posted[1].spans().into_iter().map(|span| span.name).collect();
    assert_eq!(names, ["earlier", "charge", "place-order"]);

    let of = |exporter| report.traces.exporters.iter().find(|ledger| ledger.exporter == exporter).unwrap();
    assert_eq!((of("additional_otlp_http").exported, of("otlp_http").exported), (3, 0));
    assert_eq!(of("otlp_http").dropped_total(), 3);
}

/// How often the export thread of a service has gone to sleep.
#[cfg(target_os = "linux")]
fn sleeps_of(service: &str) -> u64 {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten();
    let is_it = |task: &std::fs::DirEntry| {
        let name = std::fs::read_to_string(task.path().join("comm")).unwrap_or_default();
        name.trim() == format!("export-{service}")
    };
    let task = tasks.into_iter().find(is_it).unwrap();
    let status = std::fs::read_to_string(task.path().join("status")).unwrap();
    let count = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:")).unwrap();
    count.trim().parse().unwrap()
}

#[cfg(target_os = "linux")]
#[test]
fn without_a_delay_a_span_goes_at_once_and_then_nothing_wakes() {
    let start = |service: &str, receiver: &HttpReceiver, delay| {
        let mut settings = TestTelemetry::settings(service);
        settings.traces.exporters = vec![Exporter::OtlpHttp];
        settings.traces.batch.delay = delay;
        settings.otlp.endpoint = Some(receiver.endpoint());
        waypost_telemetry::init(settings).unwrap()
    };
    let (receiver, clock) = (HttpReceiver::start(Manner::Takes), HttpReceiver::start(Manner::Takes));
    let telemetry = start("at-once", &receiver, Duration::ZERO);
    for name in ["first", "second"] {
        telemetry.span(name).in_scope(|| ());
        assert_eq!(receiver.next().spans()[0].name, name);
    }
    let waiting = start("clock", &clock, Duration::from_millis(300));
    waiting.span("a while").in_scope(|| ());
    let before = sleeps_of("at-once");
    clock.next();
    let slept = sleeps_of("at-once") - before;
    assert!(slept < 30, "woke {slept} times in 300 ms with nothing to send");
}

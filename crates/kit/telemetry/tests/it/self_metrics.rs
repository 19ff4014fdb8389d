//! What the kit says about itself means what the conventions for SDKs say.

use std::collections::HashMap;
use std::time::Duration;

use waypost_telemetry::config::{Exporter, OtlpReceiver, SamplerKind};
use waypost_telemetry::metrics::{render_prometheus, sample};
use waypost_telemetry::testing::TestTelemetry;
use waypost_telemetry::{Settings, Telemetry};

use crate::prometheus_page::exposition::read;
use crate::receiver::{HttpReceiver, Manner, PATIENCE, wait_until};

fn page(telemetry: &Telemetry) -> String {
    let page = render_prometheus(std::slice::from_ref(telemetry));
    read(&page).unwrap_or_else(|reason| panic!("{reason}\n{page}"));
    page
}

fn settings(endpoint: String) -> Settings {
    let mut settings = TestTelemetry::settings("s");
    settings.traces.exporters = vec![Exporter::OtlpHttp];
    settings.logs.exporters.clear();
    settings.otlp.endpoint = Some(endpoint);
    settings
}

fn record(telemetry: &Telemetry, spans: usize) {
    (0..spans).for_each(|_| telemetry.span("a").in_scope(|| ()));
}

#[test]
fn a_ring_in_memory_that_makes_room_is_no_loss() {
    let mut settings = TestTelemetry::settings("s");
    settings.traces.memory_capacity = 2;
    let telemetry = TestTelemetry::with(settings);
    record(&telemetry, 5);
    let open = telemetry.span("open").start();
    let page = page(&telemetry);
    assert_eq!(sample(&page, "otel_sdk_span_started_total", &[]), Some(6.0));
    let recorded = [("otel_span_sampling_result", "RECORD_AND_SAMPLE")];
    assert_eq!(sample(&page, "otel_sdk_span_live", &recorded), Some(1.0));
    assert!(!page.contains("error_type") && !page.contains("memory\""), "{page}");
    drop(open);
}

#[test]
fn every_started_span_is_counted_with_its_parent_and_its_sampling() {
    let telemetry = TestTelemetry::new("s");
    let mut carrier = HashMap::new();
    telemetry.span("root").in_scope(|| {
        telemetry.span("child").in_scope(|| ());
        telemetry.inject(&waypost_telemetry::opentelemetry::Context::current(), &mut carrier);
    });
    let attached = telemetry.extract(&carrier).attach();
    telemetry.span("called").in_scope(|| ());
    drop(attached);
    let at_page = page(&telemetry);
    for origin in ["none", "local", "remote"] {
        let labels =
            [("otel_span_parent_origin", origin), ("otel_span_sampling_result", "RECORD_AND_SAMPLE")];
        assert_eq!(sample(&at_page, "otel_sdk_span_started_total", &labels), Some(1.0), "{at_page}");
    }

    let mut settings = TestTelemetry::settings("s");
    settings.traces.sampler = SamplerKind::AlwaysOff;
    let silent = TestTelemetry::with(settings);
    record(&silent, 3);
    let page = page(&silent);
    let labels = [("otel_span_parent_origin", "none"), ("otel_span_sampling_result", "DROP")];
    assert_eq!(sample(&page, "otel_sdk_span_started_total", &labels), Some(3.0), "{page}");
    assert_eq!(sample(&page, "otel_sdk_span_live", &[]), Some(0.0));
}

#[test]
fn two_receivers_of_one_protocol_are_two_components() {
    let (first, second) = (HttpReceiver::start(Manner::Takes), HttpReceiver::start(Manner::Answers(400)));
    let mut settings = settings(first.endpoint());
    settings.otlp.additional = vec![OtlpReceiver { endpoint: second.endpoint(), ..OtlpReceiver::default() }];
    let telemetry = waypost_telemetry::init(settings).unwrap();
    record(&telemetry, 3);
    assert!(telemetry.flush_blocking(PATIENCE).complete);

    let page = page(&telemetry);
    let (first_port, second_port) = (first.address.port().to_string(), second.address.port().to_string());
    let exported = |labels: &[(&str, &str)]| sample(&page, "otel_sdk_exporter_span_exported_total", labels);
    let first = [
        ("otel_component_type", "otlp_http_span_exporter"),
        ("otel_component_name", "otlp_http_span_exporter/0"),
        ("server_address", "127.0.0.1"),
        ("server_port", &first_port),
    ];
    assert_eq!(exported(&first), Some(3.0), "{page}");
    let second = [("otel_component_name", "otlp_http_span_exporter/1"), ("server_port", &second_port)];
    let failed = [second[0], second[1], ("error_type", "export_failed")];
    assert_eq!(exported(&failed), Some(3.0), "{page}");

    for processor in ["batching_span_processor/0", "batching_span_processor/1"] {
        let labels = [("otel_component_type", "batching_span_processor"), ("otel_component_name", processor)];
        let processed = sample(&page, "otel_sdk_processor_span_processed_total", &labels);
        assert_eq!(processed, Some(3.0), "handed over, whatever became of them: {page}");
        let capacity = sample(&page, "otel_sdk_processor_span_queue_capacity", &labels);
        assert_eq!(capacity, Some(16_384.0));
    }
    let took = "otel_sdk_exporter_operation_duration_seconds_count";
    assert_eq!(sample(&page, took, &first), Some(1.0), "{page}");
    assert_eq!(sample(&page, took, &failed), Some(1.0), "{page}");
}

#[test]
fn a_queued_span_is_not_processed_and_one_under_way_is() {
    let receiver = HttpReceiver::start(Manner::Hangs);
    let mut settings = settings(receiver.endpoint());
    settings.traces.batch.max_batch = 1;
    settings.traces.batch.queue_size = 12;
    settings.traces.batch.delay = PATIENCE;
    settings.traces.batch.export_timeout = PATIENCE;
    let telemetry = waypost_telemetry::init(settings).unwrap();
    record(&telemetry, 14);
    let value = |name: &str, labels: &[(&str, &str)]| sample(&page(&telemetry), name, labels);
    wait_until("requests under way", || value("otel_sdk_exporter_span_inflight", &[]) == Some(8.0));
    assert_eq!(value("otel_sdk_processor_span_queue_size", &[]), Some(4.0));
    assert_eq!(value("otel_sdk_processor_span_queue_capacity", &[]), Some(12.0));
    let processed = "otel_sdk_processor_span_processed_total";
    assert_eq!(value(processed, &[("error_type", "queue_full")]), Some(2.0));
    let page = page(&telemetry);
    let handed: Vec<&str> =
        page.lines().filter(|line| line.starts_with(processed) && !line.contains("error_type")).collect();
    assert!(handed.len() == 1 && handed[0].ends_with(" 8"), "{page}");
    assert_eq!(value("otel_sdk_exporter_span_exported_total", &[]), Some(0.0));
}

#[test]
fn data_points_are_counted_where_metrics_are_pushed() {
    let receiver = HttpReceiver::start(Manner::AnswersFirst(1, 400));
    let mut settings = settings(receiver.endpoint());
    settings.traces.exporters.clear();
    settings.metrics.exporters = vec![Exporter::OtlpHttp];
    settings.metrics.interval = Duration::from_hours(1);
    let telemetry = waypost_telemetry::init(settings).unwrap();
    telemetry.meter().u64_counter("orders").build().add(1, &[]);
    telemetry.flush_blocking(PATIENCE);
    telemetry.flush_blocking(PATIENCE);
    let page = page(&telemetry);
    let exported = "otel_sdk_exporter_metric_data_point_exported_total";
    let component = ("otel_component_name", "otlp_http_metric_exporter/0");
    assert!(sample(&page, exported, &[component, ("error_type", "export_failed")]).unwrap() >= 1.0, "{page}");
    let lines: Vec<&str> = page.lines().filter(|line| line.starts_with(exported)).collect();
    assert_eq!(lines.len(), 2, "{page}");
    assert_eq!(sample(&page, "otel_sdk_exporter_metric_data_point_inflight", &[component]), Some(0.0));
}

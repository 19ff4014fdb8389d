//! Metrics as they are scraped, and what the kit says about itself.

use waypost_telemetry::config::MetricSettings;
use waypost_telemetry::metrics::{self, DATABASE_SECONDS, render_prometheus, sample};
use waypost_telemetry::opentelemetry::KeyValue;
use waypost_telemetry::testing::TestTelemetry;

#[test]
fn handles_share_a_family_and_differ_by_service_name() {
    let (orders, users) = (TestTelemetry::new("order-service"), TestTelemetry::new("user-service"));
    for (telemetry, seconds) in [(&orders, 0.02), (&users, 2.0)] {
        let duration =
            metrics::durations(telemetry.meter(), "db.client.operation.duration", "Work", &DATABASE_SECONDS);
        duration.record(seconds, &[KeyValue::new("db.system.name", "sqlite")]);
    }
    let page = render_prometheus(&[orders.handle().clone(), users.handle().clone()]);
    let family = "db_client_operation_duration_seconds";
    assert_eq!(page.matches(&format!("# HELP {family} Work\n")).count(), 1, "{page}");
    assert_eq!(page.matches(&format!("# TYPE {family} histogram\n")).count(), 1);
    for (service, at_50_ms) in [("order-service", 1.0), ("user-service", 0.0)] {
        let labels = [("service_name", service), ("db_system_name", "sqlite")];
        assert_eq!(sample(&page, &format!("{family}_count"), &labels), Some(1.0));
        let bucket = [labels[0], labels[1], ("le", "0.05")];
        assert_eq!(sample(&page, &format!("{family}_bucket"), &bucket), Some(at_50_ms));
        let last = [labels[0], labels[1], ("le", "+Inf")];
        assert_eq!(sample(&page, &format!("{family}_bucket"), &last), Some(1.0));
    }
    assert_eq!(sample(&page, &format!("{family}_sum"), &[("service_name", "user-service")]), Some(2.0));
}

#[test]
fn counters_only_grow_from_scrape_to_scrape() {
    let telemetry = TestTelemetry::new("s");
    let counter = telemetry.meter().u64_counter("orders.placed").build();
    for expected in [1.0, 2.0] {
        counter.add(1, &[]);
        let page = render_prometheus(&[telemetry.handle().clone()]);
        assert_eq!(sample(&page, "orders_placed_total", &[("service_name", "s")]), Some(expected));
    }
}

#[test]
fn the_process_tells_its_memory_and_cpu_time() {
    let mut settings = TestTelemetry::settings("s");
    settings.metrics.process = true;
    let telemetry = TestTelemetry::with(settings);
    let page = render_prometheus(&[telemetry.handle().clone()]);
    assert!(sample(&page, "process_memory_usage_bytes", &[]).unwrap() > 1e6, "{page}");
    assert!(sample(&page, "process_memory_virtual_bytes", &[]).unwrap() > 1e6, "{page}");
    assert!(sample(&page, "process_cpu_time_seconds_total", &[("cpu_mode", "user")]).is_some());
    assert!(sample(&page, "process_cpu_time_seconds_total", &[("cpu_mode", "system")]).is_some());
    assert!(sample(&page, "process_thread_count", &[]).unwrap() >= 1.0);
    assert!(sample(&page, "process_unix_file_descriptor_count", &[]).unwrap() >= 3.0, "{page}");
    assert!(sample(&page, "process_uptime_seconds", &[]).unwrap() >= 0.0, "{page}");
    assert!(page.contains("# TYPE process_uptime_seconds gauge"), "{page}");
}

#[test]
fn a_flood_of_attribute_sets_ends_in_the_overflow() {
    let mut settings = TestTelemetry::settings("s");
    settings.metrics.cardinality_limit = 10;
    let telemetry = TestTelemetry::with(settings);
    let counter = telemetry.meter().u64_counter("requests").build();
    for n in 0..1_000 {
        counter.add(1, &[KeyValue::new("id", n)]);
    }
    let page = render_prometheus(&[telemetry.handle().clone()]);
    assert!(page.matches("requests_total{").count() <= 11, "{page}");
    assert!(sample(&page, "requests_total", &[("otel_metric_overflow", "true")]).unwrap() >= 989.0);
}

#[test]
fn metrics_can_be_switched_off() {
    let mut settings = TestTelemetry::settings("s");
    settings.metrics = MetricSettings { enabled: false, ..MetricSettings::default() };
    let telemetry = TestTelemetry::with(settings);
    telemetry.meter().u64_counter("requests").build().add(1, &[]);
    assert_eq!(render_prometheus(&[telemetry.handle().clone()]), "");
}

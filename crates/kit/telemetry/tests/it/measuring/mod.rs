//! Metrics beyond counting: exemplars, OpenMetrics, views, declared instruments, the runtime.

mod declared;
mod exemplars;
mod open_metrics;
mod runtime;
mod views;

use waypost_telemetry::metrics::PrometheusPage;
use waypost_telemetry::testing::TestTelemetry;

/// The page in OpenMetrics, of the metrics alone.
fn open_metrics(telemetry: &TestTelemetry) -> String {
    let page = PrometheusPage::new().open_metrics(true).scope_labels(false).target_info(false);
    page.render(&[telemetry.handle().clone()])
}

/// The lines of a page that begin so.
fn lines<'a>(page: &'a str, start: &str) -> Vec<&'a str> {
    page.lines().filter(|line| line.starts_with(start)).collect()
}

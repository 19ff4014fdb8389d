//! Metrics: what the kit observes of itself and of the process, and the page that Prometheus reads.
//!
//! Durations are measured by the layers and not derived from spans: sampling cannot bend them.

mod accept;
pub mod declared;
mod page;
mod process;
mod runtime;
mod sdk;

use crate::base::config::MetricSettings;
use crate::core::handle::Telemetry;
pub use page::PrometheusPage;
pub use runtime::observe_runtime;

/// The metrics of all handles on one page: [`PrometheusPage`] as it is by default. To be served as
/// [`PrometheusPage::CONTENT_TYPE`].
///
/// ```
/// use waypost_telemetry::{metrics, testing::TestTelemetry};
///
/// let (orders, users) = (TestTelemetry::new("order-service"), TestTelemetry::new("user-service"));
/// for telemetry in [&orders, &users] {
///     telemetry.meter().u64_counter("cache.requests").build().add(1, &[]);
/// }
/// let page = metrics::render_prometheus(&[orders.handle().clone(), users.handle().clone()]);
/// assert_eq!(page.matches("# TYPE cache_requests_total counter").count(), 1);
/// assert_eq!(metrics::sample(&page, "cache_requests_total", &[("service_name", "user-service")]), Some(1.0));
/// ```
pub fn render_prometheus(handles: &[Telemetry]) -> String {
    PrometheusPage::new().render(handles)
}

/// Registers what the kit itself observes.
pub(crate) fn observe(telemetry: &Telemetry, settings: &MetricSettings) {
    if settings.enabled {
        sdk::observe(telemetry);
        if settings.process {
            process::observe(telemetry.meter());
        }
    }
}

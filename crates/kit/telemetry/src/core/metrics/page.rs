//! The page that Prometheus scrapes.

use crate::core::handle::Telemetry;
use crate::core::prometheus::{Page, PageOptions};

/// A page in Prometheus' text format, and what it shows beside the metrics.
///
/// Every series has the label `service_name`; handles of one service name are told apart by `service_instance_id`.
/// `job` and `instance` are left to Prometheus, which sets them by its own configuration.
///
/// ```
/// use waypost_telemetry::{metrics::PrometheusPage, testing::TestTelemetry};
///
/// let telemetry = TestTelemetry::new("order-service");
/// telemetry.meter().u64_counter("cache.requests").build().add(1, &[]);
/// let handles = [telemetry.handle().clone()];
///
/// let page = PrometheusPage::new().render(&handles);
/// assert!(page.contains("otel_scope_name=\"waypost-telemetry\""));
/// let short = PrometheusPage::new().scope_labels(false).target_info(false).render(&handles);
/// assert!(short.contains("cache_requests_total{service_name=\"order-service\"} 1\n"));
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct PrometheusPage {
    options: PageOptions,
}

impl PrometheusPage {
    /// What an answer with this page says of itself: `Content-Type`.
    pub const CONTENT_TYPE: &'static str = "text/plain; version=0.0.4; charset=utf-8";

    /// A page with everything that the specification wants by default.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether each series says the scope it comes from: `otel_scope_name`, `otel_scope_version`,
    /// `otel_scope_schema_url` and `otel_scope_<attribute>`. Without them metrics of one name from two scopes are one
    /// series, of which the first is shown.
    #[must_use]
    pub fn scope_labels(mut self, are_shown: bool) -> Self {
        self.options.scope_labels = are_shown;
        self
    }

    /// Whether `target_info` shows the attributes of each handle's resource.
    #[must_use]
    pub fn target_info(mut self, is_shown: bool) -> Self {
        self.options.target_info = is_shown;
        self
    }

    /// The metrics of these handles now. Runs the callbacks of observable instruments on this thread.
    pub fn render(self, handles: &[Telemetry]) -> String {
        let mut page = Page::new(self.options);
        for (index, telemetry) in handles.iter().enumerate() {
            let is_same = |other: &Telemetry| std::ptr::eq(other.metrics(), telemetry.metrics());
            if handles.iter().take(index).any(is_same) {
                continue;
            }
            let shares_name =
                |other: &Telemetry| !is_same(other) && other.service_name() == telemetry.service_name();
            let instance = handles.iter().any(shares_name).then(|| instance_of(telemetry)).flatten();
            if let Some(reading) = telemetry.metrics().read() {
                page.add(&reading, telemetry.service_name(), instance.as_deref());
            }
        }
        page.render()
    }
}

fn instance_of(telemetry: &Telemetry) -> Option<String> {
    let attribute = telemetry.resource().iter().find(|pair| pair.key.as_str() == "service.instance.id")?;
    Some(attribute.value.to_string())
}

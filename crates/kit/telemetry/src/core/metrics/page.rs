//! The page that Prometheus scrapes.

use http::HeaderMap;

use super::accept;
use crate::core::handle::Telemetry;
use crate::core::prometheus::{Format, Page, PageOptions};

/// A page in Prometheus' text format or OpenMetrics, and what it shows beside the metrics.
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
///
/// A handler serves what its caller takes, so that Prometheus gets the exemplars of OpenMetrics:
///
/// ```
/// use axum::{Router, http::{HeaderMap, header}, response::IntoResponse, routing::get};
/// use waypost_telemetry::{Telemetry, metrics::PrometheusPage};
///
/// fn admin(telemetry: Telemetry) -> Router {
///     let metrics = move |headers: HeaderMap| async move {
///         let page = PrometheusPage::new().accepted_by(&headers);
///         ([(header::CONTENT_TYPE, page.content_type())], page.render(&[telemetry])).into_response()
///     };
///     Router::new().route("/metrics", get(metrics))
/// }
/// # let _ = admin(Telemetry::disabled());
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct PrometheusPage {
    options: PageOptions,
}

impl PrometheusPage {
    /// `Content-Type` of a page in Prometheus' text format.
    pub const CONTENT_TYPE: &'static str = "text/plain; version=0.0.4; charset=utf-8";
    /// `Content-Type` of a page in OpenMetrics.
    pub const OPEN_METRICS: &'static str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

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

    /// Whether the page is OpenMetrics 1.0.0: the format with exemplars.
    #[must_use]
    pub fn open_metrics(mut self, is_wanted: bool) -> Self {
        self.options.format = if is_wanted { Format::OpenMetrics } else { Format::Text };
        self
    }

    /// The format that a request asks for by its `Accept` headers: OpenMetrics if it is named there and nothing is wanted
    /// more than it, else Prometheus' text format.
    #[must_use]
    pub fn accepted_by(self, headers: &HeaderMap) -> Self {
        self.open_metrics(accept::wants_open_metrics(headers))
    }

    /// `Content-Type` of this page.
    pub fn content_type(self) -> &'static str {
        match self.options.format {
            Format::Text => Self::CONTENT_TYPE,
            Format::OpenMetrics => Self::OPEN_METRICS,
        }
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
                let exemplars = telemetry.metrics().exemplars();
                page.add(&reading, &exemplars, telemetry.service_name(), instance.as_deref());
            }
        }
        page.render()
    }
}

fn instance_of(telemetry: &Telemetry) -> Option<String> {
    let attribute = telemetry.resource().iter().find(|pair| pair.key.as_str() == "service.instance.id")?;
    Some(attribute.value.to_string())
}

//! Settings that change metrics on their way: views and exemplars.

use serde::{Deserialize, Serialize};
use waypost_settings::settings;

settings! {
    /// A view: what becomes of the instruments that it fits. An instrument has one view, the first that fits, or none.
    ///
    /// ```
    /// use waypost_telemetry::config::ViewSettings;
    /// use waypost_telemetry::metrics::render_prometheus;
    /// use waypost_telemetry::opentelemetry::KeyValue;
    /// use waypost_telemetry::testing::TestTelemetry;
    ///
    /// let mut settings = TestTelemetry::settings("order-service");
    /// settings.metrics.views = vec![ViewSettings {
    ///     instrument: "library.requests".to_owned(),
    ///     name: Some("requests".to_owned()),
    ///     attributes: Some(vec!["method".to_owned()]),
    ///     ..ViewSettings::default()
    /// }];
    /// let telemetry = TestTelemetry::with(settings);
    /// let requests = telemetry.meter().u64_counter("library.requests").build();
    /// for user in ["anna", "bert"] {
    ///     requests.add(1, &[KeyValue::new("method", "GET"), KeyValue::new("user", user)]);
    /// }
    /// let page = render_prometheus(&[telemetry.handle().clone()]);
    /// assert!(page.contains("requests_total{method=\"GET\"") && !page.contains("anna"), "{page}");
    /// ```
    #[derive(PartialEq)]
    pub struct ViewSettings {
        /// Names of instruments, without regard to case. `*` stands for any characters, here and in `scope`.
        pub instrument: String = "*".to_owned(),
        /// Names of their instrumentation scopes.
        pub scope: String = "*".to_owned(),
        /// Their kind.
        pub kind: Option<InstrumentKind> = None,
        /// Their unit.
        pub unit: Option<String> = None,
        /// The name under which they are shown and sent.
        pub name: Option<String> = None,
        /// What they are said to measure.
        pub description: Option<String> = None,
        /// Whether they are left out.
        pub drop: bool = false,
        /// The upper bounds of a histogram's buckets, in its unit.
        pub buckets: Option<Vec<f64>> = None,
        /// The keys of the attributes that stay; what differs in others alone is one series.
        pub attributes: Option<Vec<String>> = None,
        /// Attribute sets that one of them may have, in place of that of all.
        pub cardinality_limit: Option<usize> = None,
    }
}

/// What measures a metric.
///
/// ```
/// use waypost_telemetry::config::InstrumentKind;
///
/// let settings = waypost_telemetry::Settings::from_toml("[[metrics.views]]\nkind = \"observable_gauge\"\ndrop = true")?;
/// assert_eq!(settings.metrics.views[0].kind, Some(InstrumentKind::ObservableGauge));
/// # Ok::<(), waypost_telemetry::SettingsError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InstrumentKind {
    /// A sum that only grows.
    Counter,
    /// A sum that may shrink.
    UpDownCounter,
    /// A distribution.
    Histogram,
    /// A value of a moment.
    Gauge,
    /// A sum that only grows, asked for when metrics are read.
    ObservableCounter,
    /// A sum that may shrink, asked for when metrics are read.
    ObservableUpDownCounter,
    /// A value of a moment, asked for when metrics are read.
    ObservableGauge,
}

impl InstrumentKind {
    pub(crate) const NAMES: [(&str, Self); 7] = [
        ("counter", Self::Counter),
        ("up_down_counter", Self::UpDownCounter),
        ("histogram", Self::Histogram),
        ("gauge", Self::Gauge),
        ("observable_counter", Self::ObservableCounter),
        ("observable_up_down_counter", Self::ObservableUpDownCounter),
        ("observable_gauge", Self::ObservableGauge),
    ];
}

/// Which measurements may stand beside a metric as exemplars.
///
/// ```
/// use waypost_telemetry::config::ExemplarFilter;
///
/// let settings = waypost_telemetry::Settings::from_toml("[metrics]\nexemplars = \"always_off\"")?;
/// assert_eq!(settings.metrics.exemplars, ExemplarFilter::AlwaysOff);
/// # Ok::<(), waypost_telemetry::SettingsError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExemplarFilter {
    /// None.
    AlwaysOff,
    /// All, in a sampled span or not.
    AlwaysOn,
    /// Those that are taken in a sampled span.
    #[default]
    TraceBased,
}

impl ExemplarFilter {
    pub(crate) const NAMES: [(&str, Self); 3] =
        [("always_off", Self::AlwaysOff), ("always_on", Self::AlwaysOn), ("trace_based", Self::TraceBased)];
}

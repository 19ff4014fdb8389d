//! The tail buffer, as settings.

use std::collections::BTreeMap;
use std::time::Duration;

use waypost_settings::settings;

settings! {
    /// Keeps traces of this process whole that the share of the sampler left out, where something in them speaks for it.
    ///
    /// ```
    /// use waypost_telemetry::{Outcome, testing::TestTelemetry};
    /// use waypost_telemetry::config::SamplerKind;
    ///
    /// let mut settings = TestTelemetry::settings("order-service");
    /// settings.traces.sampler = SamplerKind::ParentBasedRatio;
    /// settings.traces.ratio = 1e-9;
    /// settings.traces.tail.enabled = true;
    /// settings.traces.tail.rare_interval = std::time::Duration::ZERO;
    /// let telemetry = TestTelemetry::with(settings);
    /// telemetry.span("fine").start().end(Outcome::Ok);
    /// telemetry.span("failed").start().end(Outcome::Error("sold_out".into()));
    /// assert_eq!(telemetry.finished_spans().len(), 1);
    /// assert_eq!(telemetry.only_span("failed").attribute("waypost.sampling.reason"), Some(&"error".into()));
    /// ```
    #[derive(PartialEq)]
    pub struct TailSettings {
        /// Whether spans of traces that the share left out wait for a reason to be kept.
        pub enabled: bool = false,
        /// Bytes that may wait, at least 65,536; then the oldest traces make room.
        pub max_bytes: usize = 32 * 1024 * 1024,
        /// Longest time that the spans of a trace wait, from the first that ended.
        #[serde(with = "waypost_settings::std_duration")]
        pub max_age: Duration = Duration::from_secs(30),
        /// Keep traces with a span that failed.
        pub errors: bool = true,
        /// Keep traces whose request took as long in this process, or longer; 0 keeps none for that.
        #[serde(with = "waypost_settings::std_duration")]
        pub slow: Duration = Duration::from_secs(1),
        /// Keep one trace in this time of each name that requests have in this process; 0 keeps none for that.
        #[serde(with = "waypost_settings::std_duration")]
        pub rare_interval: Duration = Duration::from_mins(1),
        /// Keep traces with a span that has one of these attributes; in the texts `*` stands for any characters.
        pub attributes: BTreeMap<String, String> = BTreeMap::new(),
    }
}

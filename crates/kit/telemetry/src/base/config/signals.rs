//! Settings of each signal: spans, metrics, log records.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use waypost_settings::settings;

use super::{ExemplarFilter, Exporter, SamplerKind, SamplingSettings, TailSettings, ViewSettings};

settings! {
    /// Settings of the spans.
    ///
    /// ```
    /// use waypost_telemetry::config::{Exporter, TraceSettings};
    ///
    /// let traces = TraceSettings { exporters: vec![Exporter::Memory], ratio: 0.1, ..TraceSettings::default() };
    /// assert_eq!(traces.batch.queue_size, 16_384);
    /// ```
    #[derive(PartialEq)]
    pub struct TraceSettings {
        /// Where spans go; several at once are allowed.
        pub exporters: Vec<Exporter> = vec![Exporter::OtlpHttp],
        /// Which traces are recorded.
        pub sampler: SamplerKind = SamplerKind::ParentBasedAlwaysOn,
        /// Share of traces recorded by the ratio samplers, 0 to 1.
        pub ratio: f64 = 1.0,
        /// Rules where one ratio is not enough.
        pub sampling: SamplingSettings = SamplingSettings::default(),
        /// Traces that are kept for what happened in them.
        pub tail: TailSettings = TailSettings::default(),
        /// Queue and batches of each network exporter.
        pub batch: BatchSettings = BatchSettings::default(),
        /// Finished spans the memory exporter keeps; older ones are dropped and counted.
        pub memory_capacity: usize = 65_536,
    }
}

settings! {
    /// Queue and batches of an exporter. The defaults suit 100 % sampling: OpenTelemetry's own queue of 2,048 drops
    /// spans at a few thousand requests a second. The queue takes memory only for what waits in it.
    ///
    /// ```
    /// use std::time::Duration;
    /// use waypost_telemetry::config::BatchSettings;
    ///
    /// let batch = BatchSettings { delay: Duration::from_millis(200), max_batch: 512, ..BatchSettings::default() };
    /// assert!(batch.max_batch <= batch.queue_size);
    /// ```
    #[derive(PartialEq, Eq)]
    pub struct BatchSettings {
        /// Items that may wait; more are dropped and counted, the newest first.
        pub queue_size: usize = 16_384,
        /// Bytes that may wait, as they will be sent.
        pub queue_bytes: usize = 64 * 1024 * 1024,
        /// Items sent in one request.
        pub max_batch: usize = 1_024,
        /// Longest time an item waits before it is sent; 0 sends at once.
        #[serde(with = "waypost_settings::std_duration")]
        pub delay: Duration = Duration::from_secs(1),
        /// Longest time one batch is tried, retries included; then it is dropped and counted. 0 is no limit.
        #[serde(with = "waypost_settings::std_duration")]
        pub export_timeout: Duration = Duration::from_secs(30),
    }
}

settings! {
    /// Settings of the metrics. They can always be read in Prometheus' text format; exporters push them as well.
    ///
    /// ```
    /// use std::time::Duration;
    /// use waypost_telemetry::config::{Exporter, MetricSettings, Temporality};
    ///
    /// let metrics = MetricSettings {
    ///     exporters: vec![Exporter::OtlpHttp],
    ///     interval: Duration::from_secs(10),
    ///     temporality: Temporality::Delta,
    ///     ..MetricSettings::default()
    /// };
    /// assert!(metrics.enabled);
    /// ```
    #[derive(PartialEq)]
    pub struct MetricSettings {
        /// `false` leaves every instrument without effect.
        pub enabled: bool = true,
        /// Where metrics are pushed; none by default, since `/metrics` shows them.
        pub exporters: Vec<Exporter> = Vec::new(),
        /// Time between two pushes.
        #[serde(with = "waypost_settings::std_duration")]
        pub interval: Duration = Duration::from_mins(1),
        /// Longest time of one push, retries included. 0 is no limit.
        #[serde(with = "waypost_settings::std_duration")]
        pub export_timeout: Duration = Duration::from_secs(30),
        /// Attribute sets one instrument may have; later ones are counted together as overflow.
        pub cardinality_limit: usize = 2_000,
        /// Whether what is pushed adds up since the start or since the push before. A difference that a receiver took, but
        /// whose answer was lost, is sent again and counted twice there: OTLP has no way to tell. What adds up since the
        /// start does not have that.
        pub temporality: Temporality = Temporality::Cumulative,
        /// Which measurements of counters and histograms are shown beside them, with the ids of their spans.
        pub exemplars: ExemplarFilter = ExemplarFilter::TraceBased,
        /// What becomes of single instruments: the first view that fits one holds.
        pub views: Vec<ViewSettings> = Vec::new(),
        /// CPU time and memory of the process. Only one handle of a process should report them.
        pub process: bool = true,
    }
}

/// From when on pushed metrics add up.
///
/// ```
/// use waypost_telemetry::config::Temporality;
///
/// let settings = waypost_telemetry::Settings::from_toml("[metrics]\ntemporality = \"low_memory\"")?;
/// assert_eq!(settings.metrics.temporality, Temporality::LowMemory);
/// # Ok::<(), waypost_telemetry::SettingsError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Temporality {
    /// From the start of the process.
    #[default]
    Cumulative,
    /// From the push before, for counters and histograms; what goes up and down adds up from the start.
    Delta,
    /// From the push before for synchronous counters and histograms; everything else adds up from the start.
    LowMemory,
}

settings! {
    /// Settings of the log records that go over OTLP, and of the process-wide output that [`crate::logs::install`]
    /// sets up.
    ///
    /// ```
    /// use waypost_telemetry::config::{LogFormat, LogSettings};
    ///
    /// let logs = LogSettings { format: LogFormat::Json, filter: "info,shop=debug".to_owned(), ..LogSettings::default() };
    /// let layer = waypost_telemetry::logs::layer::<tracing_subscriber::Registry>(&logs)?;
    /// # drop(layer);
    /// # Ok::<(), waypost_telemetry::logs::InstallError>(())
    /// ```
    #[derive(PartialEq)]
    pub struct LogSettings {
        /// Where this handle's log records go beside standard output; several at once are allowed.
        pub exporters: Vec<Exporter> = Vec::new(),
        /// Queue and batches of each network exporter.
        pub batch: BatchSettings = BatchSettings::default(),
        /// Records the memory exporter keeps.
        pub memory_capacity: usize = 4_096,
        /// Form of the lines on standard output.
        pub format: LogFormat = LogFormat::Pretty,
        /// What is logged, in the syntax of `RUST_LOG`.
        pub filter: String = "info".to_owned(),
        /// Whether a failure's backtrace is captured where it is recorded. Costs about a millisecond a failure.
        pub backtrace: bool = false,
    }
}

/// Form of the lines on standard output.
///
/// ```
/// use waypost_telemetry::config::LogFormat;
///
/// let settings = waypost_telemetry::Settings::from_toml("[logs]\nformat = \"json\"")?;
/// assert_eq!(settings.logs.format, LogFormat::Json);
/// # Ok::<(), waypost_telemetry::SettingsError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people; coloured on a terminal.
    Pretty,
    /// One JSON object a line.
    Json,
}

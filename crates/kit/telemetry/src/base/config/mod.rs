//! Settings of the kit: a struct, a TOML file, and the standard `OTEL_*` variables laid over either.
//!
//! For the program that calls [`crate::init()`]. Every default works without any infrastructure around. Nothing
//! here reads the process environment unless asked ([`Settings::from_env`]); a program with its own way to read
//! it passes a look-up to [`Settings::overlay_env`]. All problems are reported at once, each with name, value
//! and reason. Secrets are left out of `Debug` and of what is serialized.

mod check;
mod endpoint;
mod env;
#[cfg(feature = "file")]
mod file;
pub(crate) mod log_filter;
mod otlp;
mod sampler;
mod values;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub(crate) use endpoint::Endpoint;
pub use otlp::{Compression, OtlpProtocol, OtlpReceiver, OtlpSettings, OtlpSignal};
pub use sampler::SamplerKind;
pub(crate) use values::limited;
pub use values::{Headers, Problem, SettingsError};

/// What a service tells the kit. Sections that are left out keep their defaults.
///
/// ```
/// use waypost_telemetry::Settings;
///
/// let settings = Settings::from_toml(
///     r#"
///     service_name = "order-service"
///     [traces]
///     exporters = ["otlp_http"]
///     [otlp]
///     endpoint = "http://collector:4318"
///     "#,
/// )?;
/// assert_eq!(settings.service_name, "order-service");
/// # Ok::<(), waypost_telemetry::SettingsError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// `false` makes the whole kit a no-op: nothing is recorded, trace context still passes through.
    pub enabled: bool,
    /// `service.name` of everything this handle sends.
    pub service_name: String,
    /// `service.namespace`: the system the service belongs to.
    pub service_namespace: Option<String>,
    /// `service.version`.
    pub service_version: Option<String>,
    /// `service.instance.id`; a random UUID when left out.
    pub service_instance_id: Option<String>,
    /// `deployment.environment.name`, for example `production`.
    pub environment: Option<String>,
    /// Further resource attributes; they win over what the detectors find.
    pub resource_attributes: BTreeMap<String, String>,
    /// What is looked up about the surroundings of the process.
    pub detectors: Vec<Detector>,
    /// Formats in which context enters and leaves the process.
    pub propagators: Vec<Propagator>,
    /// Longest time that what is still queued may take at the end of the process.
    #[serde(with = "values::duration")]
    pub flush_timeout: Duration,
    /// Spans.
    pub traces: TraceSettings,
    /// Metrics.
    pub metrics: MetricSettings,
    /// Log records.
    pub logs: LogSettings,
    /// Where and how OTLP is sent.
    pub otlp: OtlpSettings,
    /// Bounds on what one span may carry.
    pub limits: Limits,
    /// What may enter, leave and become an attribute from baggage.
    pub baggage: BaggageSettings,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            enabled: true,
            service_name: "unknown_service".to_owned(),
            service_namespace: None,
            service_version: None,
            service_instance_id: None,
            environment: None,
            resource_attributes: BTreeMap::new(),
            detectors: vec![Detector::Process, Detector::Os, Detector::Host, Detector::Container],
            propagators: vec![Propagator::TraceContext, Propagator::Baggage],
            flush_timeout: Duration::from_secs(5),
            traces: TraceSettings::default(),
            metrics: MetricSettings::default(),
            logs: LogSettings::default(),
            otlp: OtlpSettings::default(),
            limits: Limits::default(),
            baggage: BaggageSettings::default(),
        }
    }
}

impl Settings {
    /// Defaults under this service name.
    pub fn new(service_name: impl Into<String>) -> Self {
        Self { service_name: service_name.into(), ..Self::default() }
    }
}

/// Where a signal goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exporter {
    /// OTLP as protobuf over HTTP/1.1.
    OtlpHttp,
    /// OTLP as JSON over HTTP/1.1.
    OtlpHttpJson,
    /// OTLP over gRPC.
    OtlpGrpc,
    /// One line each on standard output.
    Console,
    /// A bounded ring in memory, readable through the handle at once.
    Memory,
    /// Nowhere. Ids are still made and passed on.
    None,
}

impl Exporter {
    /// Its name in files, metrics and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::OtlpHttp => "otlp_http",
            Self::OtlpHttpJson => "otlp_http_json",
            Self::OtlpGrpc => "otlp_grpc",
            Self::Console => "console",
            Self::Memory => "memory",
            Self::None => "none",
        }
    }
}

/// What is looked up about the surroundings of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Detector {
    /// Process id, executable name and owner; never its arguments, which may hold secrets.
    Process,
    /// Operating system.
    Os,
    /// Host name, id and architecture.
    Host,
    /// Container id, from the control group of the process.
    Container,
}

/// A format in which context enters and leaves the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Propagator {
    /// W3C `traceparent` and `tracestate`.
    TraceContext,
    /// W3C `baggage`.
    Baggage,
}

/// Settings of the spans.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TraceSettings {
    /// Where spans go; several at once are allowed.
    pub exporters: Vec<Exporter>,
    /// Which traces are recorded.
    pub sampler: SamplerKind,
    /// Share of traces recorded by the ratio samplers, 0 to 1.
    pub ratio: f64,
    /// Queue and batches of each network exporter.
    pub batch: BatchSettings,
    /// Finished spans the memory exporter keeps; older ones are dropped and counted.
    pub memory_capacity: usize,
}

impl Default for TraceSettings {
    fn default() -> Self {
        Self {
            exporters: vec![Exporter::OtlpHttp],
            sampler: SamplerKind::ParentBasedAlwaysOn,
            ratio: 1.0,
            batch: BatchSettings::default(),
            memory_capacity: 65_536,
        }
    }
}

/// Queue and batches of an exporter. The defaults suit 100 % sampling: OpenTelemetry's own queue of 2,048 drops
/// spans at a few thousand requests a second. The queue takes memory only for what waits in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BatchSettings {
    /// Items that may wait; more are dropped and counted, the newest first.
    pub queue_size: usize,
    /// Bytes that may wait, as they will be sent.
    pub queue_bytes: usize,
    /// Items sent in one request.
    pub max_batch: usize,
    /// Longest time an item waits before it is sent; 0 sends at once.
    #[serde(with = "values::duration")]
    pub delay: Duration,
    /// Longest time one batch is tried, retries included; then it is dropped and counted. 0 is no limit.
    #[serde(with = "values::duration")]
    pub export_timeout: Duration,
}

impl Default for BatchSettings {
    fn default() -> Self {
        Self {
            queue_size: 16_384,
            queue_bytes: 64 * 1024 * 1024,
            max_batch: 1_024,
            delay: Duration::from_secs(1),
            export_timeout: Duration::from_secs(30),
        }
    }
}

/// Settings of the metrics. They can always be read in Prometheus' text format; exporters push them as well.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MetricSettings {
    /// `false` leaves every instrument without effect.
    pub enabled: bool,
    /// Where metrics are pushed; none by default, since `/metrics` shows them.
    pub exporters: Vec<Exporter>,
    /// Time between two pushes.
    #[serde(with = "values::duration")]
    pub interval: Duration,
    /// Longest time of one push, retries included. 0 is no limit.
    #[serde(with = "values::duration")]
    pub export_timeout: Duration,
    /// Attribute sets one instrument may have; later ones are counted together as overflow.
    pub cardinality_limit: usize,
    /// Whether what is pushed adds up since the start or since the push before.
    pub temporality: Temporality,
    /// CPU time and memory of the process. Only one handle of a process should report them.
    pub process: bool,
}

impl Default for MetricSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            exporters: Vec::new(),
            interval: Duration::from_mins(1),
            export_timeout: Duration::from_secs(30),
            cardinality_limit: 2_000,
            temporality: Temporality::Cumulative,
            process: true,
        }
    }
}

/// From when on pushed metrics add up.
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

/// Settings of the log records that go over OTLP, and of the process-wide output that [`crate::logs::install`]
/// sets up.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogSettings {
    /// Where this handle's log records go beside standard output; several at once are allowed.
    pub exporters: Vec<Exporter>,
    /// Queue and batches of each network exporter.
    pub batch: BatchSettings,
    /// Records the memory exporter keeps.
    pub memory_capacity: usize,
    /// Form of the lines on standard output.
    pub format: LogFormat,
    /// What is logged, in the syntax of `RUST_LOG`.
    pub filter: String,
    /// Whether a failure's backtrace is captured where it is recorded. Costs about a millisecond a failure.
    pub backtrace: bool,
}

/// Form of the lines on standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people; coloured on a terminal.
    Pretty,
    /// One JSON object a line.
    Json,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self {
            exporters: Vec::new(),
            batch: BatchSettings::default(),
            memory_capacity: 4_096,
            format: LogFormat::Pretty,
            filter: "info".to_owned(),
            backtrace: false,
        }
    }
}

/// Bounds on what one span may carry. What is over a bound is cut or dropped and counted on the span.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Characters of a text value, on spans, events, links and log records.
    pub attribute_value_length: usize,
    /// Attributes of a span.
    pub span_attributes: u32,
    /// Events of a span.
    pub span_events: u32,
    /// Links of a span.
    pub span_links: u32,
    /// Attributes of an event.
    pub event_attributes: u32,
    /// Attributes of a link.
    pub link_attributes: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            attribute_value_length: 4_096,
            span_attributes: 128,
            span_events: 128,
            span_links: 128,
            event_attributes: 128,
            link_attributes: 128,
        }
    }
}

/// What may enter, leave and become an attribute from baggage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BaggageSettings {
    /// Keys set as attributes on every span.
    pub span_attributes: Vec<String>,
    /// Keys that may leave the process.
    pub outbound: Vec<String>,
    /// Members taken from one inbound header; the rest is ignored. At most 64, the bound of the W3C format.
    pub max_members: usize,
    /// Bytes of one value; longer members are ignored.
    pub max_value_length: usize,
}

impl Default for BaggageSettings {
    fn default() -> Self {
        Self {
            span_attributes: vec![crate::base::attributes::TENANT_ID.to_owned()],
            outbound: vec![crate::base::attributes::TENANT_ID.to_owned()],
            max_members: 64,
            max_value_length: 256,
        }
    }
}

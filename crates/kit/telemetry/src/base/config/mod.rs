//! Settings of the kit: a struct, a TOML file, and the standard `OTEL_*` variables laid over either.
//!
//! For the program that calls [`crate::init()`]. Every default works without any infrastructure around. Nothing
//! here reads the process environment unless asked ([`Settings::from_env`]); a program with its own way to read
//! it passes a look-up to [`Settings::overlay_env`]. Our own file is strict: all its problems are reported at once,
//! each with place, key and reason. The environment, which belongs to others as well, is obeyed as far as it can be
//! understood, and the rest is a warning. Secrets are left out of `Debug` and of what is serialized.

mod check;
mod endpoint;
mod env;
mod errors;
#[cfg(feature = "file")]
mod file;
mod limits;
pub(crate) mod log_filter;
mod otlp;
mod outputs;
mod sampler;
mod sampling;
mod signals;
mod tail;
mod values;
mod views;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use waypost_settings::settings;

pub(crate) use endpoint::Endpoint;
pub use env::{FromVariable, Warning, environment_table};
pub use errors::{ErrorSettings, MessageRule};
pub use limits::{BaggageSettings, Limits};
pub use otlp::{Compression, OtlpProtocol, OtlpReceiver, OtlpSettings, OtlpSignal};
pub use outputs::{ConsoleForm, ConsoleSettings, ExporterFilter, OtlpFileSettings, ZipkinSettings};
pub use sampler::SamplerKind;
pub use sampling::{
    DebugHeaderSettings, JaegerRemoteSettings, ParentChoice, ParentSettings, RuleKind, SamplingRule,
    SamplingSettings,
};
pub use signals::{BatchSettings, LogFormat, LogSettings, MetricSettings, Temporality, TraceSettings};
pub use tail::TailSettings;
pub use values::Headers;
pub(crate) use values::limited;
pub use views::{ExemplarFilter, InstrumentKind, ViewSettings};
pub use waypost_settings::{Complaint, Origin, Problem, Problems as SettingsError};

settings! {
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
    #[derive(PartialEq)]
    pub struct Settings {
        /// `false` makes the whole kit a no-op: nothing is recorded, trace context still passes through.
        pub enabled: bool = true,
        /// `service.name` of everything this handle sends. By default `unknown_service:` and the executable.
        pub service_name: String = unknown_service(),
        /// `service.namespace`: the system the service belongs to.
        pub service_namespace: Option<String> = None,
        /// `service.version`.
        pub service_version: Option<String> = None,
        /// `service.instance.id`; a random UUID when left out.
        pub service_instance_id: Option<String> = None,
        /// `deployment.environment.name`, for example `production`.
        pub environment: Option<String> = None,
        /// Further resource attributes; they win over what the detectors find.
        pub resource_attributes: BTreeMap<String, String> = BTreeMap::new(),
        /// Further resource attributes that are lists of texts; they win over those of one text.
        pub resource_lists: BTreeMap<String, Vec<String>> = BTreeMap::new(),
        /// What is looked up about the surroundings of the process.
        pub detectors: Vec<Detector> = vec![Detector::Process, Detector::Os, Detector::Host, Detector::Container],
        /// Formats in which context enters and leaves the process. All are written; where a caller wrote several, the last one
        /// counts.
        pub propagators: Vec<Propagator> = vec![Propagator::TraceContext, Propagator::Baggage],
        /// Longest time that what is still queued may take at the end of the process.
        #[serde(with = "waypost_settings::std_duration")]
        pub flush_timeout: Duration = Duration::from_secs(5),
        /// Spans.
        pub traces: TraceSettings = TraceSettings::default(),
        /// Metrics.
        pub metrics: MetricSettings = MetricSettings::default(),
        /// Log records.
        pub logs: LogSettings = LogSettings::default(),
        /// Failures.
        pub errors: ErrorSettings = ErrorSettings::default(),
        /// Where and how OTLP is sent.
        pub otlp: OtlpSettings = OtlpSettings::default(),
        /// What single exporters do not get; those that fit an exporter hold together.
        pub exporter_filters: Vec<ExporterFilter> = Vec::new(),
        /// Where spans are sent to Zipkin.
        pub zipkin: ZipkinSettings = ZipkinSettings::default(),
        /// How spans look on standard output.
        pub console: ConsoleSettings = ConsoleSettings::default(),
        /// Where OTLP is written to.
        pub otlp_file: OtlpFileSettings = OtlpFileSettings::default(),
        /// Bounds on what one span may carry.
        pub limits: Limits = Limits::default(),
        /// What may enter, leave and become an attribute from baggage.
        pub baggage: BaggageSettings = BaggageSettings::default(),
        /// What was ignored of the environment and why; [`crate::init()`] logs it. No setting.
        #[serde(skip)]
        pub warnings: Vec<Warning> = Vec::new(),
    }
}

impl Settings {
    /// Defaults under this service name.
    ///
    /// ```
    /// use waypost_telemetry::Settings;
    ///
    /// let settings = Settings::new("order-service");
    /// assert_eq!(settings.service_name, "order-service");
    /// assert!(settings.metrics.exporters.is_empty());
    /// ```
    pub fn new(service_name: impl Into<String>) -> Self {
        Self { service_name: service_name.into(), ..Self::default() }
    }

    /// As [`Settings::new`], and as the OpenTelemetry specification has it for a program that says nothing: metrics
    /// and log records are sent over OTLP too.
    ///
    /// The queues stay larger than the specification's (16,384 items, batches of 1,024, sent every second, in place
    /// of 2,048, 512 and 5 s for spans), because its own drop spans at a few thousand requests a second.
    ///
    /// ```
    /// use waypost_telemetry::{Settings, config::Exporter};
    ///
    /// let settings = Settings::standard("order-service");
    /// assert_eq!(settings.metrics.exporters, [Exporter::OtlpHttp]);
    /// ```
    pub fn standard(service_name: impl Into<String>) -> Self {
        let mut settings = Self::new(service_name);
        settings.metrics.exporters = vec![Exporter::OtlpHttp];
        settings.logs.exporters = vec![Exporter::OtlpHttp];
        settings
    }
}

/// What the specification asks a service without a name to be called.
fn unknown_service() -> String {
    static NAME: OnceLock<String> = OnceLock::new();
    let name = NAME.get_or_init(|| {
        let path = std::env::current_exe().ok();
        let executable = path.as_deref().and_then(Path::file_name).map(OsStr::to_string_lossy);
        executable.map_or_else(|| "unknown_service".to_owned(), |name| format!("unknown_service:{name}"))
    });
    name.clone()
}

/// Where a signal goes.
///
/// ```
/// use waypost_telemetry::{Settings, config::Exporter};
///
/// let mut settings = Settings::new("order-service");
/// settings.traces.exporters = vec![Exporter::OtlpGrpc, Exporter::Console];
/// assert_eq!(settings.traces.exporters[0].name(), "otlp_grpc");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exporter {
    /// OTLP as protobuf over HTTP/1.1.
    OtlpHttp,
    /// OTLP as JSON over HTTP/1.1.
    OtlpHttpJson,
    /// OTLP over gRPC.
    OtlpGrpc,
    /// Spans in Zipkin's JSON, version 2, over HTTP/1.1.
    Zipkin,
    /// OTLP as lines of JSON in a file for each signal.
    OtlpFile,
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
            Self::Zipkin => "zipkin",
            Self::OtlpFile => "otlp_file",
            Self::Console => "console",
            Self::Memory => "memory",
            Self::None => "none",
        }
    }
}

/// What is looked up about the surroundings of the process.
///
/// ```
/// use waypost_telemetry::testing::TestTelemetry;
/// use waypost_telemetry::config::Detector;
///
/// let mut settings = TestTelemetry::settings("order-service");
/// settings.detectors = vec![Detector::Process];
/// let telemetry = TestTelemetry::with(settings);
/// assert!(telemetry.resource().iter().any(|attribute| attribute.key.as_str() == "process.pid"));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Detector {
    /// Process id, executable name and owner; never its arguments, which may hold secrets.
    Process,
    /// Operating system.
    Os,
    /// Host name, id and architecture.
    Host,
    /// Container id, from the control group of the process; in Kubernetes the pod's id and the container's name, from its mounts.
    Container,
}

/// A format in which context enters and leaves the process.
///
/// ```
/// use std::collections::HashMap;
/// use waypost_telemetry::config::Propagator;
/// use waypost_telemetry::testing::TestTelemetry;
///
/// let mut settings = TestTelemetry::settings("order-service");
/// settings.propagators = vec![Propagator::Baggage];
/// let telemetry = TestTelemetry::with(settings);
/// let span = telemetry.span("call").start();
/// let mut headers = HashMap::new();
/// telemetry.inject(span.context(), &mut headers);
/// assert!(headers.is_empty(), "no trace context, and there is no baggage");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Propagator {
    /// W3C `traceparent` and `tracestate`.
    TraceContext,
    /// W3C `baggage`.
    Baggage,
    /// Zipkin's B3 in one header `b3`; headers `x-b3-*` are read as well.
    B3,
    /// Zipkin's B3 in headers `x-b3-*`; one header `b3` is read as well.
    B3Multi,
    /// Jaeger's `uber-trace-id`, with its baggage in headers `uberctx-*`.
    Jaeger,
    /// `x-amzn-trace-id` of AWS X-Ray.
    XRay,
}

//! Ways out beside OTLP over the network: Zipkin, and files; and what a single way out does not get.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use waypost_settings::settings;

settings! {
    /// Where the exporter `zipkin` sends spans.
    ///
    /// ```
    /// use waypost_telemetry::{Settings, config::Exporter};
    ///
    /// let mut settings = Settings::new("order-service");
    /// settings.traces.exporters = vec![Exporter::Zipkin];
    /// settings.zipkin.endpoint = "http://zipkin:9411/api/v2/spans".to_owned();
    /// assert!(settings.check().is_ok());
    /// ```
    #[derive(PartialEq, Eq)]
    pub struct ZipkinSettings {
        /// Full address, used as it stands.
        pub endpoint: String = "http://localhost:9411/api/v2/spans".to_owned(),
        /// Longest time of one request; 0 is no limit.
        #[serde(with = "waypost_settings::std_duration")]
        pub timeout: Duration = Duration::from_secs(10),
    }
}

settings! {
    /// Files of the exporter `otlp_file`: each line is one request in OTLP's JSON form, as the Collector's file receiver reads
    /// it. `{service}` in a path stands for `service.name`: two handles must not write one file.
    ///
    /// ```
    /// use waypost_telemetry::{Settings, config::Exporter};
    ///
    /// let folder = tempfile::tempdir()?;
    /// let mut settings = Settings::new("order-service");
    /// settings.traces.exporters = vec![Exporter::OtlpFile];
    /// settings.otlp_file.traces = folder.path().join("traces.jsonl");
    /// let telemetry = waypost_telemetry::init(settings)?;
    /// telemetry.span("place").in_scope(|| ());
    /// telemetry.shutdown_blocking(std::time::Duration::from_secs(5));
    /// let written = std::fs::read_to_string(folder.path().join("traces.jsonl"))?;
    /// assert!(written.starts_with(r#"{"resourceSpans":["#) && written.ends_with('\n'));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[derive(PartialEq, Eq)]
    pub struct OtlpFileSettings {
        /// File of the spans; it is appended to.
        pub traces: PathBuf = PathBuf::from("{service}.traces.jsonl"),
        /// File of the metrics.
        pub metrics: PathBuf = PathBuf::from("{service}.metrics.jsonl"),
        /// File of the log records.
        pub logs: PathBuf = PathBuf::from("{service}.logs.jsonl"),
        /// Bytes of a file. One that would be larger is renamed, with `.1` behind its name, in place of the one that was renamed
        /// before; so a signal takes no more than twice as much.
        pub max_bytes: u64 = 64 * 1024 * 1024,
    }
}

settings! {
    /// How the exporter `console` shows spans. In colour at a terminal, unless the variable `NO_COLOR` is set.
    ///
    /// ```
    /// use waypost_telemetry::config::{ConsoleForm, ConsoleSettings};
    ///
    /// let console = ConsoleSettings { hidden_attributes: vec!["*".to_owned()], ..ConsoleSettings::default() };
    /// assert_eq!(console.form, ConsoleForm::Tree);
    /// ```
    #[derive(PartialEq, Eq)]
    pub struct ConsoleSettings {
        /// Trees for people, lines for programs.
        pub form: ConsoleForm = ConsoleForm::Tree,
        /// Attributes that trees do not show; `*` stands for any characters. By default those that say how a request travelled.
        pub hidden_attributes: Vec<String> = hidden_attributes(),
    }
}

fn hidden_attributes() -> Vec<String> {
    let patterns = [
        "client.*",
        "code.*",
        "http.request.method",
        "http.route",
        "network.*",
        "otel.*",
        "server.*",
        "thread.*",
        "url.*",
        "user_agent.*",
        "waypost.error.fingerprint",
    ];
    patterns.map(str::to_owned).into()
}

/// Form of spans on standard output.
///
/// ```
/// use waypost_telemetry::config::ConsoleForm;
///
/// let settings = waypost_telemetry::Settings::from_toml("[console]\nform = \"lines\"")?;
/// assert_eq!(settings.console.form, ConsoleForm::Lines);
/// # Ok::<(), waypost_telemetry::SettingsError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ConsoleForm {
    /// A tree for each trace.
    Tree,
    /// A line for each span, with all of its attributes.
    Lines,
}

settings! {
    /// What some exporters do not get of spans and log records that others get whole: for receivers that belong to others.
    ///
    /// ```
    /// use waypost_telemetry::config::ExporterFilter;
    ///
    /// let filter = ExporterFilter {
    ///     exporter: "additional_*".to_owned(),
    ///     remove_attributes: vec!["user.*".to_owned()],
    ///     ..ExporterFilter::default()
    /// };
    /// assert!(filter.redact_attributes.is_empty());
    /// ```
    #[derive(PartialEq, Eq)]
    pub struct ExporterFilter {
        /// Which exporters, by their names in the ledger: `otlp_http`, `additional_otlp_grpc`, `zipkin`. `*` stands for any
        /// characters, here and below.
        pub exporter: String = "*".to_owned(),
        /// Spans of these names are left out, and log records of these event names.
        pub leave_out_names: Vec<String> = Vec::new(),
        /// Spans and log records with one of these attributes are left out: names, and texts of their values.
        pub leave_out_attributes: BTreeMap<String, String> = BTreeMap::new(),
        /// Attributes of these names are removed: of spans, their events and links, log records, and the resource.
        pub remove_attributes: Vec<String> = Vec::new(),
        /// The values of attributes of these names are replaced by `REDACTED`.
        pub redact_attributes: Vec<String> = Vec::new(),
    }
}

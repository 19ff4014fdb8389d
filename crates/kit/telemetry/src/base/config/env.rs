//! The standard `OTEL_*` variables, also those that the SDK leaves out.
//!
//! <https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/>. An empty variable is as
//! good as absent. A variable that is set and cannot be honoured is a problem and not a silent default. Beside
//! the standard ones only `RUST_LOG` is read.

use std::time::Duration;

use percent_encoding::percent_decode_str;

use super::{
    BatchSettings, Exporter, Headers, OtlpSignal, Problem, Propagator, SamplerKind, Settings, SettingsError,
};

/// A signal's name in variables.
#[derive(Clone, Copy)]
struct SignalName(&'static str);

const TRACES: SignalName = SignalName("TRACES");
const METRICS: SignalName = SignalName("METRICS");
const LOGS: SignalName = SignalName("LOGS");

impl Settings {
    /// Defaults with the variables of the process over them.
    pub fn from_env() -> Result<Self, SettingsError> {
        let mut settings = Self::default();
        settings.overlay_env(&|name| std::env::var(name).ok())?;
        Ok(settings)
    }

    /// Lays variables over these settings. With any problem, in the variables or in what they amount to, the
    /// settings stay as they are.
    ///
    /// ```
    /// use waypost_telemetry::Settings;
    ///
    /// let mut settings = Settings::new("order-service");
    /// settings.overlay_env(&|name| match name {
    ///     "OTEL_TRACES_SAMPLER" => Some("parentbased_traceidratio".to_owned()),
    ///     "OTEL_TRACES_SAMPLER_ARG" => Some("0.1".to_owned()),
    ///     _ => None,
    /// })?;
    /// assert_eq!(settings.traces.ratio, 0.1);
    /// # Ok::<(), waypost_telemetry::SettingsError>(())
    /// ```
    pub fn overlay_env(&mut self, lookup: &dyn Fn(&str) -> Option<String>) -> Result<(), SettingsError> {
        let mut env = Variables { lookup, problems: Vec::new() };
        let mut settings = self.clone();
        env.general(&mut settings);
        env.traces(&mut settings);
        env.metrics(&mut settings);
        env.logs(&mut settings);
        env.otlp(&mut settings);
        env.limits(&mut settings);

        let mut problems = env.problems;
        problems.extend(settings.problems());
        SettingsError::check(problems)?;
        *self = settings;
        Ok(())
    }
}

struct Variables<'a> {
    lookup: &'a dyn Fn(&str) -> Option<String>,
    problems: Vec<Problem>,
}

impl Variables<'_> {
    fn text(&self, name: &str) -> Option<String> {
        let text = (self.lookup)(name)?;
        Some(text.trim().to_owned()).filter(|text| !text.is_empty())
    }

    /// The value of a variable; a problem if it is set and cannot be read.
    fn read<T>(&mut self, name: &str, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        let text = self.text(name)?;
        parse(&text).map_err(|reason| self.add(Problem::new(name, &text, reason))).ok()
    }

    /// A variable that several signals share is reported once.
    fn add(&mut self, problem: Problem) {
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }

    fn set<T>(&mut self, target: &mut T, name: &str, parse: impl FnOnce(&str) -> Result<T, String>) {
        if let Some(value) = self.read(name, parse) {
            *target = value;
        }
    }

    fn general(&mut self, settings: &mut Settings) {
        if let Some(disabled) = self.read("OTEL_SDK_DISABLED", boolean) {
            settings.enabled = !disabled;
        }
        if let Some(attributes) = self.read("OTEL_RESOURCE_ATTRIBUTES", pairs) {
            for (key, value) in attributes {
                if key == "service.name" {
                    settings.service_name = value;
                } else {
                    settings.resource_attributes.insert(key, value);
                }
            }
        }
        self.set(&mut settings.service_name, "OTEL_SERVICE_NAME", owned);
        self.set(&mut settings.propagators, "OTEL_PROPAGATORS", propagators);
        self.set(&mut settings.logs.filter, "RUST_LOG", owned);
    }

    fn traces(&mut self, settings: &mut Settings) {
        self.exporters(&mut settings.traces.exporters, TRACES);
        self.set(&mut settings.traces.sampler, "OTEL_TRACES_SAMPLER", |text| {
            let known = SamplerKind::NAMES.iter().find(|(name, _)| *name == text);
            known.map(|(_, kind)| *kind).ok_or_else(|| {
                format!("not a sampler of this kit: {}", SamplerKind::NAMES.map(|(name, _)| name).join(", "))
            })
        });
        // The argument of a sampler that takes none is ignored, as the specification says.
        if matches!(settings.traces.sampler, SamplerKind::Ratio | SamplerKind::ParentBasedRatio) {
            self.set(&mut settings.traces.ratio, "OTEL_TRACES_SAMPLER_ARG", |text| {
                let ratio = text.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio));
                ratio.ok_or_else(|| "not a number from 0 to 1".to_owned())
            });
        }
        self.batch(&mut settings.traces.batch, "OTEL_BSP");
    }

    fn metrics(&mut self, settings: &mut Settings) {
        self.exporters(&mut settings.metrics.exporters, METRICS);
        self.set(&mut settings.metrics.interval, "OTEL_METRIC_EXPORT_INTERVAL", milliseconds);
        self.set(&mut settings.metrics.export_timeout, "OTEL_METRIC_EXPORT_TIMEOUT", milliseconds);
        self.only("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "cumulative");
    }

    fn logs(&mut self, settings: &mut Settings) {
        self.exporters(&mut settings.logs.exporters, LOGS);
        self.batch(&mut settings.logs.batch, "OTEL_BLRP");
    }

    /// `OTEL_*_EXPORTER` says where to, `OTEL_EXPORTER_OTLP_*PROTOCOL` how.
    fn exporters(&mut self, exporters: &mut Vec<Exporter>, signal: SignalName) {
        let own = format!("OTEL_EXPORTER_OTLP_{}_PROTOCOL", signal.0);
        let otlp = self.read(&own, protocol).or_else(|| self.read("OTEL_EXPORTER_OTLP_PROTOCOL", protocol));
        if let Some(otlp) = otlp {
            for exporter in exporters.iter_mut() {
                if matches!(exporter, Exporter::OtlpHttp | Exporter::OtlpGrpc) {
                    *exporter = otlp;
                }
            }
        }
        let is_metrics = signal.0 == METRICS.0;
        self.set(exporters, &format!("OTEL_{}_EXPORTER", signal.0), |text| {
            let mut chosen = Vec::new();
            for name in list(text) {
                match name {
                    "otlp" => chosen.push(otlp.unwrap_or(Exporter::OtlpHttp)),
                    "console" | "logging" => chosen.push(Exporter::Console),
                    "memory" => chosen.push(Exporter::Memory),
                    "none" => chosen.push(Exporter::None),
                    // Always there to be scraped; nothing to push.
                    "prometheus" if is_metrics => {}
                    other => {
                        return Err(format!(
                            "{other:?} is none of otlp, console, memory, prometheus (metrics), none"
                        ));
                    }
                }
            }
            Ok(chosen)
        });
    }

    fn batch(&mut self, batch: &mut BatchSettings, prefix: &str) {
        self.set(&mut batch.queue_size, &format!("{prefix}_MAX_QUEUE_SIZE"), number);
        self.set(&mut batch.max_batch, &format!("{prefix}_MAX_EXPORT_BATCH_SIZE"), number);
        self.set(&mut batch.delay, &format!("{prefix}_SCHEDULE_DELAY"), milliseconds);
        self.set(&mut batch.export_timeout, &format!("{prefix}_EXPORT_TIMEOUT"), milliseconds);
    }

    fn otlp(&mut self, settings: &mut Settings) {
        let otlp = &mut settings.otlp;
        self.set(&mut otlp.endpoint, "OTEL_EXPORTER_OTLP_ENDPOINT", |text| Ok(Some(text.to_owned())));
        self.headers(&mut otlp.headers, "OTEL_EXPORTER_OTLP_HEADERS");
        self.set(&mut otlp.timeout, "OTEL_EXPORTER_OTLP_TIMEOUT", milliseconds);
        self.otlp_signal(&mut otlp.traces, TRACES);
        self.otlp_signal(&mut otlp.metrics, METRICS);
        self.otlp_signal(&mut otlp.logs, LOGS);
        for infix in ["", "TRACES_", "METRICS_", "LOGS_"] {
            self.only(&format!("OTEL_EXPORTER_OTLP_{infix}COMPRESSION"), "none");
            for name in ["CERTIFICATE", "CLIENT_KEY", "CLIENT_CERTIFICATE"] {
                self.only(&format!("OTEL_EXPORTER_OTLP_{infix}{name}"), "");
            }
        }
    }

    fn otlp_signal(&mut self, own: &mut OtlpSignal, signal: SignalName) {
        let prefix = format!("OTEL_EXPORTER_OTLP_{}", signal.0);
        self.set(&mut own.endpoint, &format!("{prefix}_ENDPOINT"), |text| Ok(Some(text.to_owned())));
        self.set(&mut own.timeout, &format!("{prefix}_TIMEOUT"), |text| milliseconds(text).map(Some));
        let mut headers = Headers::default();
        if self.headers(&mut headers, &format!("{prefix}_HEADERS")) {
            own.headers = Some(headers);
        }
    }

    /// Values of headers are secret, so a problem does not repeat them.
    fn headers(&mut self, headers: &mut Headers, name: &str) -> bool {
        let Some(text) = self.text(name) else { return false };
        if let Ok(pairs) = pairs(&text) {
            headers.0 = pairs.into_iter().map(|(name, value)| (name.to_lowercase(), value)).collect();
            return true;
        }
        self.add(Problem::new(name, "***", "not a list of name=value, separated by commas"));
        false
    }

    /// A standard variable of which only one value can be honoured yet; none at all if that is empty.
    fn only(&mut self, name: &str, value: &str) {
        self.read(name, |text| match text {
            text if text == value => Ok(()),
            _ if value.is_empty() => Err("not supported yet; remove it".to_owned()),
            _ => Err(format!("not supported yet; remove it or set {value:?}")),
        });
    }

    fn limits(&mut self, settings: &mut Settings) {
        let limits = &mut settings.limits;
        self.set(&mut limits.attribute_value_length, "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", number);
        self.set(&mut limits.attribute_value_length, "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", number);
        if let Some(count) = self.read("OTEL_ATTRIBUTE_COUNT_LIMIT", number) {
            limits.span_attributes = count;
            limits.event_attributes = count;
            limits.link_attributes = count;
        }
        self.set(&mut limits.span_attributes, "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", number);
        self.set(&mut limits.event_attributes, "OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", number);
        self.set(&mut limits.link_attributes, "OTEL_LINK_ATTRIBUTE_COUNT_LIMIT", number);
        self.set(&mut limits.span_events, "OTEL_SPAN_EVENT_COUNT_LIMIT", number);
        self.set(&mut limits.span_links, "OTEL_SPAN_LINK_COUNT_LIMIT", number);
    }
}

#[expect(clippy::unnecessary_wraps, reason = "it has the shape of a parser")]
fn owned(text: &str) -> Result<String, String> {
    Ok(text.to_owned())
}

fn boolean(text: &str) -> Result<bool, String> {
    match text.to_lowercase().as_str() {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err("neither true nor false".to_owned()),
    }
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| "not a whole number from 0 up".to_owned())
}

fn milliseconds(text: &str) -> Result<Duration, String> {
    text.parse().map(Duration::from_millis).map_err(|_| "not a whole number of milliseconds".to_owned())
}

fn protocol(text: &str) -> Result<Exporter, String> {
    match text {
        "http/protobuf" => Ok(Exporter::OtlpHttp),
        "grpc" => Ok(Exporter::OtlpGrpc),
        _ => Err("neither http/protobuf nor grpc".to_owned()),
    }
}

fn propagators(text: &str) -> Result<Vec<Propagator>, String> {
    let mut chosen = Vec::new();
    for name in list(text) {
        match name {
            "tracecontext" => chosen.push(Propagator::TraceContext),
            "baggage" => chosen.push(Propagator::Baggage),
            "none" => {}
            other => return Err(format!("{other:?} is none of tracecontext, baggage, none")),
        }
    }
    Ok(chosen)
}

fn list(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty())
}

/// `a=1,b=2`, with values percent-encoded.
fn pairs(text: &str) -> Result<Vec<(String, String)>, String> {
    list(text)
        .map(|pair| {
            let (key, value) = pair.split_once('=').ok_or_else(|| format!("{pair:?} is not key=value"))?;
            let (key, value) = (key.trim(), percent_decode_str(value.trim()).decode_utf8());
            match (key.is_empty(), value) {
                (false, Ok(value)) => Ok((key.to_owned(), value.into_owned())),
                _ => Err(format!("{pair:?} is not key=value")),
            }
        })
        .collect()
}

//! The table of variables: all of the specification, in the order in which they are applied.
//!
//! A row is read into settings, or ignored with a reason. Common variables stand before those of one signal.

use std::fmt::Write as _;

use super::kinds::{self, Show as _, list, named, pairs};
use super::otlp;
use super::overlay::Overlay;
use crate::base::config::{Exporter, Propagator, SamplerKind, Settings};

/// A row.
pub(super) struct Variable {
    pub(super) name: &'static str,
    pub(super) meaning: Meaning,
}

pub(super) enum Meaning {
    Read(Reading),
    /// Why it is not read.
    Ignored(&'static str),
}

pub(super) struct Reading {
    /// The settings that it may set.
    pub(super) settings: &'static [&'static str],
    /// What it may hold, as the object of "is not".
    pub(super) takes: &'static str,
    /// Whether a value must not be shown.
    pub(super) is_secret: fn(&str) -> bool,
    /// Sets what the text asks for; else the reason why not, or not all of it, as a sentence without its subject.
    pub(super) read: fn(&mut Overlay<'_>, &'static str, &str) -> Result<(), String>,
    /// What is in force, in the words of the variable.
    pub(super) used: fn(&Settings) -> String,
}

/// `traces.batch.delay` as text.
macro_rules! key {
    ($first:ident $(. $rest:ident)*) => { concat!(stringify!($first) $(, ".", stringify!($rest))*) };
}

/// A row that sets one setting; `$into` wraps the value where the setting is an `Option`.
macro_rules! row {
    ($name:expr, $kind:expr, $($path:ident).+) => { row!($name, $kind, $($path).+, std::convert::identity) };
    ($name:expr, $kind:expr, $($path:ident).+, $into:path) => { row!($name, $kind, $($path).+, $into, kinds::never) };
    ($name:expr, $kind:expr, $($path:ident).+, $into:path, $is_secret:path) => {
        $crate::base::config::env::table::Variable {
            name: $name,
            meaning: $crate::base::config::env::table::Meaning::Read($crate::base::config::env::table::Reading {
                settings: &[key!($($path).+)],
                takes: $kind.takes,
                is_secret: $is_secret,
                read: |overlay, name, text| {
                    let value = ($kind.parse)(text).ok_or_else(|| format!("is not {}", $kind.takes))?;
                    overlay.set(name, key!($($path).+), |settings| settings.$($path).+ = $into(value));
                    Ok(())
                },
                used: |settings| settings.$($path).+.show(),
            }),
        }
    };
}
pub(super) use {key, row};

/// A row that is not read.
const fn ignored(name: &'static str, reason: &'static str) -> Variable {
    Variable { name, meaning: Meaning::Ignored(reason) }
}

/// A row that is more than one value for one setting.
const fn special(
    name: &'static str,
    settings: &'static [&'static str],
    takes: &'static str,
    read: fn(&mut Overlay<'_>, &'static str, &str) -> Result<(), String>,
    used: fn(&Settings) -> String,
) -> Variable {
    Variable {
        name,
        meaning: Meaning::Read(Reading { settings, takes, is_secret: kinds::never, read, used }),
    }
}

/// Every variable.
pub(super) fn variables() -> impl Iterator<Item = &'static Variable> {
    GENERAL
        .iter()
        .chain(otlp::COMMON)
        .chain(otlp::TRACES)
        .chain(otlp::METRICS)
        .chain(otlp::LOGS)
        .chain(IGNORED)
}

const RESOURCE: &[&str] = &[
    "resource_attributes",
    "service_name",
    "service_namespace",
    "service_version",
    "service_instance_id",
    "environment",
];

const COUNTS: &[&str] =
    &["limits.span_attributes", "limits.event_attributes", "limits.link_attributes", "limits.log_attributes"];

const SAMPLER_ARG: &[&str] =
    &["traces.ratio", "traces.sampling.jaeger_remote.endpoint", "traces.sampling.jaeger_remote.interval"];

const GENERAL: &[Variable] = &[
    special("OTEL_SDK_DISABLED", &["enabled"], "true or false", disabled, |settings| {
        (!settings.enabled).show()
    }),
    special("OTEL_RESOURCE_ATTRIBUTES", RESOURCE, "a list of key=value, percent-encoded", resource, |_| {
        "nothing of it".to_owned()
    }),
    row!("OTEL_SERVICE_NAME", kinds::TEXT, service_name),
    special(
        "OTEL_PROPAGATORS",
        &["propagators"],
        "a list of tracecontext, baggage, b3, b3multi, jaeger, xray, none",
        propagators,
        |settings| settings.propagators.show(),
    ),
    special(
        "OTEL_TRACES_EXPORTER",
        &["traces.exporters"],
        "a list of otlp, zipkin, otlp_file, console, memory, none",
        |overlay, name, text| exporters(overlay, name, text, "traces.exporters", |s| &mut s.traces.exporters),
        |settings| settings.traces.exporters.show(),
    ),
    special(
        "OTEL_METRICS_EXPORTER",
        &["metrics.exporters"],
        "a list of otlp, otlp_file, console, memory, prometheus, none",
        |overlay, name, text| {
            exporters(overlay, name, text, "metrics.exporters", |s| &mut s.metrics.exporters)
        },
        |settings| settings.metrics.exporters.show(),
    ),
    special(
        "OTEL_LOGS_EXPORTER",
        &["logs.exporters"],
        "a list of otlp, otlp_file, console, memory, none",
        |overlay, name, text| exporters(overlay, name, text, "logs.exporters", |s| &mut s.logs.exporters),
        |settings| settings.logs.exporters.show(),
    ),
    row!("OTEL_TRACES_SAMPLER", kinds::SAMPLER, traces.sampler),
    special(
        "OTEL_TRACES_SAMPLER_ARG",
        SAMPLER_ARG,
        "a number from 0 to 1, or what Jaeger's samplers take",
        sampler_arg,
        |settings| settings.traces.ratio.show(),
    ),
    row!(
        "OTEL_EXPORTER_ZIPKIN_ENDPOINT",
        kinds::HTTP_ENDPOINT,
        zipkin.endpoint,
        std::convert::identity,
        kinds::with_credentials
    ),
    row!("OTEL_EXPORTER_ZIPKIN_TIMEOUT", kinds::TIMEOUT, zipkin.timeout),
    row!("OTEL_BSP_SCHEDULE_DELAY", kinds::MILLISECONDS, traces.batch.delay),
    row!("OTEL_BSP_EXPORT_TIMEOUT", kinds::TIMEOUT, traces.batch.export_timeout),
    row!("OTEL_BSP_MAX_QUEUE_SIZE", kinds::SIZE, traces.batch.queue_size),
    row!("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", kinds::SIZE, traces.batch.max_batch),
    row!("OTEL_BLRP_SCHEDULE_DELAY", kinds::MILLISECONDS, logs.batch.delay),
    row!("OTEL_BLRP_EXPORT_TIMEOUT", kinds::TIMEOUT, logs.batch.export_timeout),
    row!("OTEL_BLRP_MAX_QUEUE_SIZE", kinds::SIZE, logs.batch.queue_size),
    row!("OTEL_BLRP_MAX_EXPORT_BATCH_SIZE", kinds::SIZE, logs.batch.max_batch),
    row!("OTEL_METRIC_EXPORT_INTERVAL", kinds::INTERVAL, metrics.interval),
    row!("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", kinds::TEMPORALITY, metrics.temporality),
    row!("OTEL_METRICS_EXEMPLAR_FILTER", kinds::EXEMPLARS, metrics.exemplars),
    row!("OTEL_METRIC_EXPORT_TIMEOUT", kinds::TIMEOUT, metrics.export_timeout),
    row!("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", kinds::LENGTH, limits.attribute_value_length),
    special("OTEL_ATTRIBUTE_COUNT_LIMIT", COUNTS, kinds::COUNT.takes, attribute_count, |settings| {
        settings.limits.span_attributes.show()
    }),
    row!("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", kinds::LENGTH, limits.span_attribute_value_length, Some),
    row!("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", kinds::COUNT, limits.span_attributes),
    row!("OTEL_SPAN_EVENT_COUNT_LIMIT", kinds::COUNT, limits.span_events),
    row!("OTEL_SPAN_LINK_COUNT_LIMIT", kinds::COUNT, limits.span_links),
    row!("OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", kinds::COUNT, limits.event_attributes),
    row!("OTEL_LINK_ATTRIBUTE_COUNT_LIMIT", kinds::COUNT, limits.link_attributes),
    row!(
        "OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT",
        kinds::LENGTH,
        limits.log_attribute_value_length,
        Some
    ),
    row!("OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT", kinds::COUNT, limits.log_attributes),
    row!("RUST_LOG", kinds::FILTER, logs.filter),
    // A file that can be read is read before the table is gone through, and then no row but `RUST_LOG` is.
    special(
        "OTEL_CONFIG_FILE",
        &[],
        "the path of a declarative configuration, in place of all other `OTEL_` variables; with the feature `config-file`",
        |_, _, _| Err("is not read: the feature `config-file` is not built in".to_owned()),
        |_| "every other variable".to_owned(),
    ),
];

const NO_PORT: &str = "the program serves the Prometheus page at an address of its own";

const IGNORED: &[Variable] = &[
    ignored("OTEL_LOG_LEVEL", "messages of telemetry are events of `tracing`, so RUST_LOG filters them"),
    ignored("OTEL_ENTITIES", "entities are in development; OTEL_RESOURCE_ATTRIBUTES takes their attributes"),
    ignored(
        "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION",
        "histograms have explicit buckets, those of the semantic conventions",
    ),
    ignored("OTEL_EXPORTER_OTLP_SPAN_INSECURE", "it is obsolete; OTEL_EXPORTER_OTLP_TRACES_INSECURE is read"),
    ignored(
        "OTEL_EXPORTER_OTLP_METRIC_INSECURE",
        "it is obsolete; OTEL_EXPORTER_OTLP_METRICS_INSECURE is read",
    ),
    ignored("OTEL_EXPORTER_ZIPKIN_PROTOCOL", "spans go to Zipkin as JSON"),
    ignored("OTEL_EXPORTER_PROMETHEUS_HOST", NO_PORT),
    ignored("OTEL_EXPORTER_PROMETHEUS_PORT", NO_PORT),
    ignored("OTEL_EXPERIMENTAL_CONFIG_FILE", "it is deprecated; OTEL_CONFIG_FILE is read"),
];

/// Anything but `true` is false, as the specification has it for every boolean.
pub(super) fn boolean(text: &str) -> (bool, Result<(), String>) {
    let is_true = text.eq_ignore_ascii_case("true");
    let is_known = is_true || text.eq_ignore_ascii_case("false");
    (is_true, if is_known { Ok(()) } else { Err("is neither true nor false".to_owned()) })
}

fn disabled(overlay: &mut Overlay<'_>, name: &'static str, text: &str) -> Result<(), String> {
    let (disabled, outcome) = boolean(text);
    overlay.set(name, "enabled", |settings| settings.enabled = !disabled);
    outcome
}

fn resource(overlay: &mut Overlay<'_>, name: &'static str, text: &str) -> Result<(), String> {
    let attributes = pairs(text).ok_or("cannot be read as a list of key=value, percent-encoded")?;
    for (key, value) in attributes {
        overlay.set_resource_attribute(name, key, value);
    }
    Ok(())
}

fn propagators(overlay: &mut Overlay<'_>, name: &'static str, text: &str) -> Result<(), String> {
    let names = kinds::PROPAGATORS.map(|(name, propagator)| (name, Some(propagator)));
    let (chosen, unknown) = choose(text, &[&names[..], &[("none", None)]].concat());
    set_chosen(overlay, name, "propagators", chosen, &unknown, |s, chosen: Vec<Propagator>| {
        s.propagators = chosen;
    })
}

/// Which transport `otlp` is, the rows of the protocol say; until then it is HTTP.
fn exporters(
    overlay: &mut Overlay<'_>,
    name: &'static str,
    text: &str,
    setting: &'static str,
    target: fn(&mut Settings) -> &mut Vec<Exporter>,
) -> Result<(), String> {
    let names = [
        ("otlp", Some(Exporter::OtlpHttp)),
        ("otlp_file", Some(Exporter::OtlpFile)),
        ("console", Some(Exporter::Console)),
        ("memory", Some(Exporter::Memory)),
        ("none", None),
    ];
    // The Prometheus page is always there to be scraped; nothing is pushed.
    let prometheus: &[_] = if setting == "metrics.exporters" { &[("prometheus", None)] } else { &[] };
    let zipkin: &[_] =
        if setting == "traces.exporters" { &[("zipkin", Some(Exporter::Zipkin))] } else { &[] };
    let (chosen, unknown) = choose(text, &[&names[..], prometheus, zipkin].concat());
    set_chosen(overlay, name, setting, chosen, &unknown, |s, chosen| *target(s) = chosen)
}

/// What the names of a list stand for, each once, and the names that are not known.
fn choose<T: Copy + PartialEq>(text: &str, names: &[(&str, Option<T>)]) -> (Option<Vec<T>>, String) {
    let mut chosen: Option<Vec<T>> = None;
    let mut unknown = Vec::new();
    for name in list(text) {
        let Some(choice) = named(names, name) else {
            unknown.push(name);
            continue;
        };
        let chosen = chosen.get_or_insert_default();
        chosen.extend(choice.filter(|choice| !chosen.contains(choice)));
    }
    (chosen, unknown.join(","))
}

/// With no name that is known, the list is as good as absent.
fn set_chosen<T>(
    overlay: &mut Overlay<'_>,
    name: &'static str,
    setting: &'static str,
    chosen: Option<Vec<T>>,
    unknown: &str,
    set: impl FnOnce(&mut Settings, Vec<T>),
) -> Result<(), String> {
    if let Some(chosen) = chosen {
        overlay.set(name, setting, |settings| set(settings, chosen));
    }
    if unknown.is_empty() { Ok(()) } else { Err(format!("asks for {unknown}, which is not had here")) }
}

/// Belongs to the sampler of the environment, and is nothing without it.
fn sampler_arg(overlay: &mut Overlay<'_>, name: &'static str, text: &str) -> Result<(), String> {
    let sampler = overlay.text("OTEL_TRACES_SAMPLER").ok_or("is ignored without OTEL_TRACES_SAMPLER")?;
    match (kinds::SAMPLER.parse)(&sampler) {
        Some(SamplerKind::Ratio | SamplerKind::ParentBasedRatio) => {
            let takes = kinds::RATIO.takes;
            let ratio = (kinds::RATIO.parse)(text).ok_or_else(|| format!("is not {takes}"))?;
            overlay.set(name, "traces.ratio", |settings| settings.traces.ratio = ratio);
            Ok(())
        }
        Some(SamplerKind::JaegerRemote | SamplerKind::ParentBasedJaegerRemote) => {
            jaeger_remote_arg(overlay, name, text)
        }
        Some(_) => Err(format!("is ignored: {sampler} takes no argument")),
        None => Err(format!("is ignored with its sampler {sampler}")),
    }
}

/// `endpoint=http://agent:5778/sampling,pollingIntervalMs=5000,initialSamplingRate=0.25`, each of them optional.
fn jaeger_remote_arg(overlay: &mut Overlay<'_>, name: &'static str, text: &str) -> Result<(), String> {
    let mut unread = Vec::new();
    for entry in list(text) {
        let (key, value) = entry.split_once('=').unwrap_or((entry, ""));
        let is_read = match key.trim() {
            "endpoint" => {
                (kinds::ENDPOINT.parse)(value).filter(|value| value.starts_with("http://")).map(|value| {
                    overlay.set(name, "traces.sampling.jaeger_remote.endpoint", |settings| {
                        settings.traces.sampling.jaeger_remote.endpoint = value;
                    });
                })
            }
            "pollingIntervalMs" => (kinds::INTERVAL.parse)(value).map(|interval| {
                overlay.set(name, "traces.sampling.jaeger_remote.interval", |settings| {
                    settings.traces.sampling.jaeger_remote.interval = interval;
                });
            }),
            "initialSamplingRate" => (kinds::RATIO.parse)(value).map(|ratio| {
                overlay.set(name, "traces.ratio", |settings| settings.traces.ratio = ratio);
            }),
            _ => None,
        };
        if is_read.is_none() {
            unread.push(entry);
        }
    }
    if unread.is_empty() { Ok(()) } else { Err(format!("has what cannot be used: {}", unread.join(","))) }
}

fn attribute_count(overlay: &mut Overlay<'_>, name: &'static str, text: &str) -> Result<(), String> {
    let count = (kinds::COUNT.parse)(text).ok_or_else(|| format!("is not {}", kinds::COUNT.takes))?;
    overlay.set(name, "limits.span_attributes", |settings| settings.limits.span_attributes = count);
    overlay.set(name, "limits.event_attributes", |settings| settings.limits.event_attributes = count);
    overlay.set(name, "limits.link_attributes", |settings| settings.limits.link_attributes = count);
    overlay.set(name, "limits.log_attributes", |settings| settings.limits.log_attributes = count);
    Ok(())
}

/// Every variable of the specification as a Markdown table: what it sets and takes, or why it is not read.
///
/// ```
/// let table = waypost_telemetry::config::environment_table();
/// assert!(table.contains("| `OTEL_SERVICE_NAME` | `service_name` |"));
/// ```
pub fn environment_table() -> String {
    let mut text = String::from("| variable | sets | takes |\n|---|---|---|\n");
    for variable in variables() {
        let name = variable.name;
        // Writing to a String cannot fail.
        match &variable.meaning {
            Meaning::Read(meaning) => {
                let settings: Vec<String> =
                    meaning.settings.iter().map(|setting| format!("`{setting}`")).collect();
                let settings = if settings.is_empty() { "all".to_owned() } else { settings.join(", ") };
                writeln!(text, "| `{name}` | {settings} | {} |", meaning.takes).ok();
            }
            Meaning::Ignored(reason) => {
                writeln!(text, "| `{name}` | not read | {reason} |").ok();
            }
        }
    }
    text
}

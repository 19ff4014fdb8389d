//! The standard `OTEL_*` variables beside our own: which setting each of them sets.
//!
//! The kit reads them ([`waypost_telemetry::Settings::overlay_env`]); this table only says what they touch, so that a
//! flag wins over them and `config print` can name them as the source of a value.

use waypost_service::config::{Flag, Origin, Problem};
use waypost_telemetry::Settings as Telemetry;

use super::Environment;

/// Variable and setting, or section of settings.
const VARIABLES: &[(&str, &str)] = &[
    ("OTEL_SDK_DISABLED", "telemetry.enabled"),
    ("OTEL_SERVICE_NAME", "telemetry.service_name"),
    ("OTEL_RESOURCE_ATTRIBUTES", "telemetry.resource_attributes"),
    ("OTEL_PROPAGATORS", "telemetry.propagators"),
    ("OTEL_TRACES_EXPORTER", "telemetry.traces.exporters"),
    ("OTEL_METRICS_EXPORTER", "telemetry.metrics.exporters"),
    ("OTEL_LOGS_EXPORTER", "telemetry.logs.exporters"),
    ("OTEL_TRACES_SAMPLER", "telemetry.traces.sampler"),
    ("OTEL_TRACES_SAMPLER_ARG", "telemetry.traces.ratio"),
    ("OTEL_METRIC_EXPORT_INTERVAL", "telemetry.metrics.interval"),
    ("OTEL_METRIC_EXPORT_TIMEOUT", "telemetry.metrics.export_timeout"),
    ("OTEL_BSP_MAX_QUEUE_SIZE", "telemetry.traces.batch.queue_size"),
    ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "telemetry.traces.batch.max_batch"),
    ("OTEL_BSP_SCHEDULE_DELAY", "telemetry.traces.batch.delay"),
    ("OTEL_BSP_EXPORT_TIMEOUT", "telemetry.traces.batch.export_timeout"),
    ("OTEL_BLRP_MAX_QUEUE_SIZE", "telemetry.logs.batch.queue_size"),
    ("OTEL_BLRP_MAX_EXPORT_BATCH_SIZE", "telemetry.logs.batch.max_batch"),
    ("OTEL_BLRP_SCHEDULE_DELAY", "telemetry.logs.batch.delay"),
    ("OTEL_BLRP_EXPORT_TIMEOUT", "telemetry.logs.batch.export_timeout"),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "telemetry.otlp.endpoint"),
    ("OTEL_EXPORTER_OTLP_HEADERS", "telemetry.otlp.headers"),
    ("OTEL_EXPORTER_OTLP_TIMEOUT", "telemetry.otlp.timeout"),
    ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "telemetry.otlp.traces.endpoint"),
    ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "telemetry.otlp.traces.headers"),
    ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "telemetry.otlp.traces.timeout"),
    ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "telemetry.otlp.metrics.endpoint"),
    ("OTEL_EXPORTER_OTLP_METRICS_HEADERS", "telemetry.otlp.metrics.headers"),
    ("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", "telemetry.otlp.metrics.timeout"),
    ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "telemetry.otlp.logs.endpoint"),
    ("OTEL_EXPORTER_OTLP_LOGS_HEADERS", "telemetry.otlp.logs.headers"),
    ("OTEL_EXPORTER_OTLP_LOGS_TIMEOUT", "telemetry.otlp.logs.timeout"),
    ("RUST_LOG", "telemetry.logs.filter"),
    ("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "telemetry.limits.attribute_value_length"),
    ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "telemetry.limits.span_attributes"),
    ("OTEL_SPAN_EVENT_COUNT_LIMIT", "telemetry.limits.span_events"),
    ("OTEL_SPAN_LINK_COUNT_LIMIT", "telemetry.limits.span_links"),
    ("OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", "telemetry.limits.event_attributes"),
    ("OTEL_LINK_ATTRIBUTE_COUNT_LIMIT", "telemetry.limits.link_attributes"),
];

/// Lays the `OTEL_*` variables over `telemetry`, except where a flag has spoken. Returns which settings they set,
/// as `(variable, setting)`, and what is wrong with them.
pub(super) fn overlay(
    telemetry: &mut Telemetry,
    environment: &Environment,
    flags: &[Flag],
) -> (Vec<(&'static str, &'static str)>, Vec<Problem>) {
    let is_flagged = |variable: &str| {
        let setting = VARIABLES.iter().find(|(known, _)| *known == variable).map(|(_, setting)| *setting);
        setting.is_some_and(|setting| flags.iter().any(|flag| overlaps(&flag.key, setting)))
    };
    let lookup = |variable: &str| {
        if is_flagged(variable) { None } else { environment.get(variable).map(str::to_owned) }
    };
    let problems = match telemetry.overlay_env(&lookup) {
        Ok(()) => Vec::new(),
        Err(error) => error.problems.into_iter().map(problem).collect(),
    };
    let given = VARIABLES.iter().copied().filter(|(variable, _)| lookup(variable).is_some());
    (given.collect(), problems)
}

/// True when one setting is the other or lies within it.
fn overlaps(left: &str, right: &str) -> bool {
    let within = |key: &str, section: &str| {
        key.strip_prefix(section).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    within(left, right) || within(right, left)
}

/// A problem names a variable, or a setting that only several values together make wrong.
fn problem(problem: waypost_telemetry::config::Problem) -> Problem {
    let is_variable =
        problem.name.chars().all(|letter| letter.is_ascii_uppercase() || "_0123456789".contains(letter));
    let reason = reason(&problem);
    if is_variable {
        Problem { origin: Origin::Environment(problem.name), key: String::new(), reason }
    } else {
        let origin = Origin::Environment("OTEL_*".to_owned());
        Problem { origin, key: format!("telemetry.{}", problem.name), reason }
    }
}

/// What is wrong with the value, and the value.
pub(super) fn reason(problem: &waypost_telemetry::config::Problem) -> String {
    match problem.value.as_str() {
        "" => problem.reason.clone(),
        value => format!("{value:?}: {}", problem.reason),
    }
}

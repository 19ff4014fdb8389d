//! Descriptions of the telemetry kit's settings for the documented file.
//!
//! The kit depends on nothing of ours, so its struct cannot describe itself the way the roles' structs do. A test
//! keeps this table complete.

use waypost_service::config::FieldDoc;

/// A setting of `[telemetry]`, its description, and its type if it is unset by default.
type Entry = (&'static str, &'static str, Option<&'static str>);

const PROSE: &[Entry] = &[
    (
        "enabled",
        "false makes telemetry a no-op: nothing is recorded, trace context still passes through.",
        None,
    ),
    (
        "service_name",
        "service.name of a process with a single role, in place of the role's own, such as `order-service`.",
        None,
    ),
    ("service_namespace", "service.namespace: the system that the services belong to.", None),
    ("service_version", "service.version.", None),
    ("service_instance_id", "service.instance.id; a random UUID when unset.", Some("String")),
    ("environment", "deployment.environment.name, for example production.", Some("String")),
    ("resource_attributes", "Further resource attributes; they win over what is found out.", None),
    ("detectors", "What is looked up about the surroundings: process, os, host, container.", None),
    ("propagators", "Formats in which context enters and leaves: tracecontext, baggage.", None),
    ("flush_timeout", "Longest time that what is still queued may take at the end of the process.", None),
    ("traces", "Spans.", None),
    (
        "traces.exporters",
        "Where spans go: otlp_http, otlp_grpc, console, memory, none; several are allowed.",
        None,
    ),
    ("traces.sampler", "Which traces are recorded, by OpenTelemetry's names.", None),
    ("traces.ratio", "Share of traces that the ratio samplers record, from 0 to 1.", None),
    ("traces.memory_capacity", "Finished spans that the memory exporter keeps.", None),
    ("traces.batch", "Queue and batches of each network exporter of spans.", None),
    ("metrics", "Metrics.", None),
    ("metrics.enabled", "false leaves every instrument without effect.", None),
    ("metrics.exporters", "Where metrics are pushed; /metrics shows them in any case.", None),
    ("metrics.interval", "Time between two pushes.", None),
    ("metrics.export_timeout", "Longest time of one push, retries included.", None),
    ("metrics.cardinality_limit", "Attribute sets of one instrument; later ones are counted together.", None),
    ("metrics.temporality", "From when on pushed metrics add up: cumulative, delta, low_memory.", None),
    ("metrics.process", "Whether CPU time and memory of the process are reported.", None),
    ("logs", "Log records.", None),
    ("logs.exporters", "Where log records go beside the process's own output.", None),
    ("logs.memory_capacity", "Records that the memory exporter keeps.", None),
    ("logs.format", "Form of the lines: pretty or json.", None),
    ("logs.filter", "What is logged, in the syntax of RUST_LOG.", None),
    ("logs.backtrace", "Whether a failure's backtrace is captured; about a millisecond a failure.", None),
    ("logs.batch", "Queue and batches of each network exporter of log records.", None),
    ("otlp", "Where and how OTLP is sent.", None),
    (
        "otlp.endpoint",
        "Address of the collector; by default that of the OpenTelemetry specification on this machine.",
        Some("String"),
    ),
    ("otlp.headers", "Sent with every request. Shown as *** in print.", None),
    ("otlp.timeout", "Longest time of one request.", None),
    ("otlp.compression", "Whether request bodies are compressed: none, gzip.", None),
    (
        "otlp.certificate",
        "File with the certificates (PEM) that a receiver is checked against.",
        Some("PathBuf"),
    ),
    ("otlp.client_certificate", "File with the client's own certificate chain (PEM).", Some("PathBuf")),
    ("otlp.client_key", "File with the private key (PEM) of client_certificate.", Some("PathBuf")),
    ("otlp.insecure", "Plaintext for a gRPC endpoint without a scheme.", None),
    ("otlp.max_request_bytes", "Bytes of one request before compression.", None),
    ("otlp.traces", "Differences for spans.", None),
    ("otlp.metrics", "Differences for metrics.", None),
    ("otlp.logs", "Differences for log records.", None),
    (
        "otlp.additional",
        "Receivers beside this one, each a table with endpoint, protocol, traces, logs, delay.",
        None,
    ),
    ("limits", "Bounds on what one span may carry; what is over them is cut or dropped and counted.", None),
    ("limits.attribute_value_length", "Characters of a text value.", None),
    ("limits.span_attributes", "Attributes of a span.", None),
    ("limits.span_events", "Events of a span.", None),
    ("limits.span_links", "Links of a span.", None),
    ("limits.event_attributes", "Attributes of an event.", None),
    ("limits.link_attributes", "Attributes of a link.", None),
    ("baggage", "What may enter, leave and become an attribute from baggage.", None),
    ("baggage.span_attributes", "Keys set as attributes on every span.", None),
    ("baggage.outbound", "Keys that may leave the process.", None),
    ("baggage.max_members", "Members taken from one inbound header; the rest is ignored.", None),
    ("baggage.max_value_length", "Bytes of one value; longer members are ignored.", None),
];

/// The same in both batch sections.
const BATCH: &[Entry] = &[
    ("queue_size", "Items that may wait; more are dropped and counted.", None),
    ("max_batch", "Items sent in one request.", None),
    ("delay", "Longest time an item waits before it is sent.", None),
    (
        "export_timeout",
        "Longest time one batch is tried, retries included; then it is dropped and counted.",
        None,
    ),
];

/// The same for each signal of OTLP.
const OTLP_SIGNAL: &[Entry] = &[
    ("endpoint", "Full address, used as it stands.", Some("String")),
    ("headers", "Sent in place of the common headers.", Some("table of String")),
    ("timeout", "Longest time of one request.", Some("Duration")),
    ("compression", "Whether request bodies are compressed: none, gzip.", Some("Compression")),
    ("certificate", "File with the certificates (PEM) that a receiver is checked against.", Some("PathBuf")),
    ("client_certificate", "File with the client's own certificate chain (PEM).", Some("PathBuf")),
    ("client_key", "File with the private key (PEM) of client_certificate.", Some("PathBuf")),
    ("insecure", "Plaintext for a gRPC endpoint without a scheme.", Some("bool")),
];

/// Every entry with its whole key.
fn entries() -> impl Iterator<Item = (String, &'static str, Option<&'static str>)> {
    let groups = [
        ("telemetry", PROSE),
        ("telemetry.traces.batch", BATCH),
        ("telemetry.logs.batch", BATCH),
        ("telemetry.otlp.traces", OTLP_SIGNAL),
        ("telemetry.otlp.metrics", OTLP_SIGNAL),
        ("telemetry.otlp.logs", OTLP_SIGNAL),
    ];
    groups.into_iter().flat_map(|(section, entries)| {
        entries.iter().map(move |(key, doc, unset)| (format!("{section}.{key}"), *doc, *unset))
    })
}

/// `fields` with the descriptions that the kit's settings lack, and with those that are unset by default.
pub(super) fn completed(mut fields: Vec<FieldDoc>) -> Vec<FieldDoc> {
    for (key, doc, unset_type) in entries() {
        match (fields.iter_mut().find(|field| field.key == key), unset_type) {
            (Some(field), _) if field.doc.is_empty() => doc.clone_into(&mut field.doc),
            (None, Some(type_name)) => fields.push(FieldDoc {
                key,
                doc: doc.to_owned(),
                type_name: type_name.to_owned(),
                default: None,
                is_section: false,
            }),
            _ => {}
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::super::Settings;
    use super::*;

    #[test]
    fn every_setting_is_described() {
        let silent: Vec<String> = Settings::documented()
            .into_iter()
            .filter(|field| field.doc.trim().is_empty())
            .map(|field| field.key)
            .collect();
        assert!(silent.is_empty(), "no description for {silent:?}");
    }

    #[test]
    fn no_description_is_of_a_setting_that_does_not_exist() {
        let fields = Settings::documented();
        for (key, ..) in entries() {
            assert!(fields.iter().any(|field| field.key == key), "{key} does not exist");
        }
    }
}

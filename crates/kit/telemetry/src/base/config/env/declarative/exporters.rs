//! Processors and readers of the providers, and their exporters.

use std::path::PathBuf;
use std::time::Duration;

use super::model::named_unless;
use super::reader::{Reader, Section};
use super::yaml::{Content, Node};
use crate::base::config::env::kinds;
use crate::base::config::{BatchSettings, Compression, Exporter, Headers, OtlpSignal, Settings, Temporality};

/// What a provider is of.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Signal {
    Traces,
    Metrics,
    Logs,
}

impl Signal {
    fn exporters(self) -> (&'static str, fn(&mut Settings) -> &mut Vec<Exporter>) {
        match self {
            Self::Traces => ("traces.exporters", |settings| &mut settings.traces.exporters),
            Self::Metrics => ("metrics.exporters", |settings| &mut settings.metrics.exporters),
            Self::Logs => ("logs.exporters", |settings| &mut settings.logs.exporters),
        }
    }

    fn otlp(self) -> (&'static str, fn(&mut Settings) -> &mut OtlpSignal) {
        match self {
            Self::Traces => ("otlp.traces", |settings| &mut settings.otlp.traces),
            Self::Metrics => ("otlp.metrics", |settings| &mut settings.otlp.metrics),
            Self::Logs => ("otlp.logs", |settings| &mut settings.otlp.logs),
        }
    }

    fn batch(self) -> (&'static str, fn(&mut Settings) -> &mut BatchSettings) {
        match self {
            Self::Logs => ("logs.batch", |settings| &mut settings.logs.batch),
            Self::Traces | Self::Metrics => ("traces.batch", |settings| &mut settings.traces.batch),
        }
    }
}

/// `processors` of spans or log records: `batch`, and `simple`, which is a batch that never waits.
pub(super) fn processors(reader: &mut Reader<'_, '_>, provider: &mut Section, signal: Signal) {
    let mut chosen = Vec::new();
    let path = provider.path_of("processors");
    for (place, node) in reader.list(provider, "processors").into_iter().enumerate() {
        let path = format!("{path}[{place}]");
        let Some((kind, node)) = reader.choice(node, &path) else { continue };
        let mut processor = reader.section(node, format!("{path}.{kind}"));
        match kind.as_str() {
            "batch" => batch(reader, &mut processor, signal),
            "simple" => {
                let (setting, target) = signal.batch();
                reader.set(setting, |settings| target(settings).delay = Duration::ZERO);
            }
            _ => {
                reader.not_had.push(processor.path);
                continue;
            }
        }
        exporter(reader, &mut processor, signal, &mut chosen);
        reader.finish(&processor);
    }
    let (setting, target) = signal.exporters();
    reader.set(setting, |settings| *target(settings) = chosen);
}

fn batch(reader: &mut Reader<'_, '_>, processor: &mut Section, signal: Signal) {
    let (setting, target) = signal.batch();
    let delay = reader.milliseconds(processor, "schedule_delay", 0);
    let export_timeout = reader.milliseconds(processor, "export_timeout", 0);
    let queue_size = reader.size(processor, "max_queue_size", 1);
    let max_batch = reader.size(processor, "max_export_batch_size", 1);
    if let (Some(queue_size), Some(max_batch)) = (queue_size, max_batch)
        && max_batch > queue_size
    {
        let path = processor.path_of("max_export_batch_size");
        reader.refuse(processor.line, path, "is more than max_queue_size");
    }
    reader.set(setting, |settings| {
        let batch = target(settings);
        batch.delay = delay.unwrap_or(batch.delay);
        batch.export_timeout = export_timeout.unwrap_or(batch.export_timeout);
        batch.queue_size = queue_size.unwrap_or(batch.queue_size);
        batch.max_batch = max_batch.unwrap_or(batch.max_batch);
    });
}

/// `readers` of metrics: `periodic`; the Prometheus page is always there, so `pull` needs nothing.
pub(super) fn readers(reader: &mut Reader<'_, '_>, provider: &mut Section) {
    let mut chosen = Vec::new();
    let path = provider.path_of("readers");
    for (place, node) in reader.list(provider, "readers").into_iter().enumerate() {
        let path = format!("{path}[{place}]");
        let Some((kind, node)) = reader.choice(node, &path) else { continue };
        let mut periodic = reader.section(node, format!("{path}.{kind}"));
        if kind != "periodic" {
            reader.not_had.push(periodic.path);
            continue;
        }
        let interval = reader.milliseconds(&mut periodic, "interval", 1);
        let timeout = reader.milliseconds(&mut periodic, "timeout", 0);
        reader.set("metrics.interval", |settings| {
            settings.metrics.interval = interval.unwrap_or(settings.metrics.interval);
        });
        reader.set("metrics.export_timeout", |settings| {
            settings.metrics.export_timeout = timeout.unwrap_or(settings.metrics.export_timeout);
        });
        if let Some(mut limits) = reader.within(&mut periodic, "cardinality_limits") {
            if let Some(limit) = reader.size(&mut limits, "default", 1) {
                reader
                    .set("metrics.cardinality_limit", |settings| settings.metrics.cardinality_limit = limit);
            }
            reader.finish(&limits);
        }
        exporter(reader, &mut periodic, Signal::Metrics, &mut chosen);
        reader.finish(&periodic);
    }
    let (setting, target) = Signal::Metrics.exporters();
    reader.set(setting, |settings| *target(settings) = chosen);
}

fn exporter(reader: &mut Reader<'_, '_>, owner: &mut Section, signal: Signal, chosen: &mut Vec<Exporter>) {
    let path = owner.path_of("exporter");
    let Some(node) = owner.take("exporter") else {
        return reader.refuse(owner.line, path, "is missing");
    };
    let Some((kind, node)) = reader.choice(node, &path) else { return };
    let mut exporter = reader.section(node, format!("{path}.{kind}"));
    let is_otlp = |exporter: &Exporter| {
        matches!(exporter, Exporter::OtlpHttp | Exporter::OtlpHttpJson | Exporter::OtlpGrpc)
    };
    match kind.as_str() {
        "console" => chosen.extend((!chosen.contains(&Exporter::Console)).then_some(Exporter::Console)),
        "otlp_http" | "otlp_grpc" if !chosen.iter().any(is_otlp) => {
            chosen.push(otlp(reader, &mut exporter, signal, kind == "otlp_grpc"));
        }
        _ => return reader.not_had.push(exporter.path),
    }
    if signal == Signal::Metrics {
        temporality(reader, &mut exporter);
        named_unless(reader, &mut exporter, "default_histogram_aggregation", "explicit_bucket_histogram");
    }
    reader.finish(&exporter);
}

fn temporality(reader: &mut Reader<'_, '_>, exporter: &mut Section) {
    let path = exporter.path_of("temporality_preference");
    let temporality = match reader.text(exporter, "temporality_preference").as_deref() {
        None => return,
        Some("cumulative") => Temporality::Cumulative,
        Some("delta") => Temporality::Delta,
        Some("low_memory") => Temporality::LowMemory,
        Some(_) => return reader.refuse(exporter.line, path, "is not one of cumulative, delta, low_memory"),
    };
    reader.set("metrics.temporality", |settings| settings.metrics.temporality = temporality);
}

fn otlp(reader: &mut Reader<'_, '_>, exporter: &mut Section, signal: Signal, is_grpc: bool) -> Exporter {
    let (path, line) = (exporter.path.clone(), exporter.line);
    let endpoint = reader.text(exporter, "endpoint");
    if let Some(endpoint) = &endpoint {
        let usable = (kinds::ENDPOINT.parse)(endpoint).is_some();
        if !usable || (!is_grpc && !endpoint.contains("://")) {
            reader.refuse(line, format!("{path}.endpoint"), format!("is not {}", kinds::ENDPOINT.takes));
        }
    }
    let headers = headers(reader, exporter);
    let compression = match reader.text(exporter, "compression").as_deref() {
        Some("gzip") => Compression::Gzip,
        Some("none") | None => Compression::None,
        Some(_) => {
            reader.not_had.push(format!("{path}.compression"));
            Compression::None
        }
    };
    let timeout = reader.milliseconds(exporter, "timeout", 0);
    let is_json = match reader.text(exporter, "encoding").as_deref() {
        Some("json") => true,
        Some("protobuf") | None => false,
        Some(_) => {
            reader.refuse(line, format!("{path}.encoding"), "is not one of protobuf, json");
            false
        }
    };
    if let Some(bytes) = reader.size(exporter, "max_request_size", 0) {
        let bytes = if bytes == 0 { usize::MAX } else { bytes };
        reader.set("otlp.max_request_bytes", |settings| settings.otlp.max_request_bytes = bytes);
    }
    named_unless(reader, exporter, "max_response_size", "4194304");
    let mut own =
        OtlpSignal { endpoint, headers, timeout, compression: Some(compression), ..OtlpSignal::default() };
    if let Some(mut tls) = reader.within(exporter, "tls") {
        let mut file = |key: &str| reader.text(&mut tls, key).map(PathBuf::from);
        own.certificate = file("ca_file");
        own.client_key = file("key_file");
        own.client_certificate = file("cert_file");
        own.insecure = reader.truth(&mut tls, "insecure");
        if own.client_key.is_some() != own.client_certificate.is_some() {
            reader.refuse(tls.line, tls.path.as_str(), "needs key_file and cert_file, or neither");
        }
        reader.finish(&tls);
    }
    let (setting, target) = signal.otlp();
    reader.set(setting, |settings| *target(settings) = own);
    match (is_grpc, is_json) {
        (true, _) => Exporter::OtlpGrpc,
        (false, true) => Exporter::OtlpHttpJson,
        (false, false) => Exporter::OtlpHttp,
    }
}

/// Pairs win over the list.
fn headers(reader: &mut Reader<'_, '_>, exporter: &mut Section) -> Option<Headers> {
    let mut headers = Headers::default();
    let path = exporter.path_of("headers_list");
    if let Some(text) = reader.text(exporter, "headers_list") {
        match (kinds::HEADERS.parse)(&text) {
            Some(listed) => headers = listed,
            None => reader.refuse(exporter.line, path, format!("is not {}", kinds::HEADERS.takes)),
        }
    }
    let path = exporter.path_of("headers");
    for (place, node) in reader.list(exporter, "headers").into_iter().enumerate() {
        let mut pair = reader.section(node, format!("{path}[{place}]"));
        let name = reader.text(&mut pair, "name");
        let value = pair.take("value");
        match (name, value) {
            (Some(name), Some(Node { content: Content::Text { text, .. }, .. })) => {
                headers.0.insert(name.to_lowercase(), text);
            }
            (Some(_), Some(Node { content: Content::Null, .. })) => {}
            _ => reader.refuse(pair.line, pair.path.as_str(), "needs a name and a value"),
        }
        reader.finish(&pair);
    }
    (!headers.0.is_empty()).then_some(headers)
}

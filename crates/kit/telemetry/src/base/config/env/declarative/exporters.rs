//! Processors and readers of the providers, and their exporters.

use std::time::Duration;

use super::model::named_unless;
use super::otlp::{otlp, receiver};
use super::reader::{Reader, Section};
use crate::base::config::{BatchSettings, Exporter, OtlpReceiver, OtlpSignal, Settings, Temporality};

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

    /// Where the signal goes over HTTP.
    pub(super) fn path(self) -> &'static str {
        match self {
            Self::Traces => "/v1/traces",
            Self::Metrics => "/v1/metrics",
            Self::Logs => "/v1/logs",
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
        let given = match kind.as_str() {
            "batch" => Given::read(reader, &mut processor),
            "simple" => Given { delay: Some(Duration::ZERO), ..Given::default() },
            _ => {
                reader.not_had.push(processor.path);
                continue;
            }
        };
        match exporter(reader, &mut processor, signal, &mut chosen) {
            Some(receiver) => {
                given.name_what_is_shared(reader, &processor);
                let receiver = OtlpReceiver { delay: given.delay, ..receiver };
                reader.set("otlp.additional", |settings| settings.otlp.additional.push(receiver));
            }
            None => given.set(reader, signal),
        }
        reader.finish(&processor);
    }
    let (setting, target) = signal.exporters();
    reader.set(setting, |settings| *target(settings) = chosen);
}

/// What a `batch` says.
#[derive(Default)]
struct Given {
    delay: Option<Duration>,
    export_timeout: Option<Duration>,
    queue_size: Option<usize>,
    max_batch: Option<usize>,
}

impl Given {
    fn read(reader: &mut Reader<'_, '_>, processor: &mut Section) -> Self {
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
        Self { delay, export_timeout, queue_size, max_batch }
    }

    fn set(self, reader: &mut Reader<'_, '_>, signal: Signal) {
        let (setting, target) = signal.batch();
        reader.set(setting, |settings| {
            let batch = target(settings);
            batch.delay = self.delay.unwrap_or(batch.delay);
            batch.export_timeout = self.export_timeout.unwrap_or(batch.export_timeout);
            batch.queue_size = self.queue_size.unwrap_or(batch.queue_size);
            batch.max_batch = self.max_batch.unwrap_or(batch.max_batch);
        });
    }

    /// A further receiver has a queue of its own, but of the size of the first one's.
    fn name_what_is_shared(&self, reader: &mut Reader<'_, '_>, processor: &Section) {
        for (key, is_given) in [
            ("export_timeout", self.export_timeout.is_some()),
            ("max_queue_size", self.queue_size.is_some()),
            ("max_export_batch_size", self.max_batch.is_some()),
        ] {
            if is_given {
                reader.not_had.push(processor.path_of(key));
            }
        }
    }
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
        if let Some(mut limits) = reader.within(&mut periodic, "cardinality_limits") {
            if let Some(limit) = reader.size(&mut limits, "default", 1) {
                reader
                    .set("metrics.cardinality_limit", |settings| settings.metrics.cardinality_limit = limit);
            }
            reader.finish(&limits);
        }
        if let Some(receiver) = exporter(reader, &mut periodic, Signal::Metrics, &mut chosen) {
            // All receivers are pushed to at the same times.
            for (key, is_given) in [("interval", interval.is_some()), ("timeout", timeout.is_some())] {
                reader.not_had.extend(is_given.then(|| periodic.path_of(key)));
            }
            reader.set("otlp.additional", |settings| settings.otlp.additional.push(receiver));
        } else {
            reader.set("metrics.interval", |settings| {
                settings.metrics.interval = interval.unwrap_or(settings.metrics.interval);
            });
            reader.set("metrics.export_timeout", |settings| {
                settings.metrics.export_timeout = timeout.unwrap_or(settings.metrics.export_timeout);
            });
        }
        reader.finish(&periodic);
    }
    let (setting, target) = Signal::Metrics.exporters();
    reader.set(setting, |settings| *target(settings) = chosen);
}

/// Reads an exporter into the settings of its signal; gives the receiver if the signal has one of OTLP already.
fn exporter(
    reader: &mut Reader<'_, '_>,
    owner: &mut Section,
    signal: Signal,
    chosen: &mut Vec<Exporter>,
) -> Option<OtlpReceiver> {
    let path = owner.path_of("exporter");
    let Some(node) = owner.take("exporter") else {
        reader.refuse(owner.line, path, "is missing");
        return None;
    };
    let (kind, node) = reader.choice(node, &path)?;
    let mut exporter = reader.section(node, format!("{path}.{kind}"));
    let is_otlp = |exporter: &Exporter| {
        matches!(exporter, Exporter::OtlpHttp | Exporter::OtlpHttpJson | Exporter::OtlpGrpc)
    };
    let mut further = None;
    match kind.as_str() {
        "console" => chosen.extend((!chosen.contains(&Exporter::Console)).then_some(Exporter::Console)),
        "otlp_http" | "otlp_grpc" => {
            let (form, own) = otlp(reader, &mut exporter, kind == "otlp_grpc");
            if chosen.iter().any(is_otlp) {
                further = Some(receiver(form, own, signal));
            } else {
                let (setting, target) = signal.otlp();
                reader.set(setting, |settings| *target(settings) = own);
                chosen.push(form);
            }
        }
        _ => {
            reader.not_had.push(exporter.path);
            return None;
        }
    }
    if signal == Signal::Metrics {
        temporality(reader, &mut exporter);
        named_unless(reader, &mut exporter, "default_histogram_aggregation", "explicit_bucket_histogram");
    }
    reader.finish(&exporter);
    further
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

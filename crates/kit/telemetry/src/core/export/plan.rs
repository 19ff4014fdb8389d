//! From the settings to the ways out of a handle: which lanes there are, and how to make their loops once a runtime is
//! there.

use std::sync::Arc;

use opentelemetry::KeyValue;

use super::account::Account;
use super::control::ControlReceiver;
use super::filter::Filter;
use super::frame::Envelope;
use super::frames::Frames;
use super::lane::Lane;
use super::lane_loop::LaneLoop;
use super::memory::Memory;
use super::otlp::{LOGS, METRICS, Signal, TRACES};
use super::pipeline::{LogPipeline, Slot, SpanPipeline};
use super::readings::ReadingsLoop;
use super::receivers::{Receiver, TlsProvider};
use super::tail::{Tail, TailGroup};
use super::{ExportError, Exports, worker};
use crate::base::attributes::SCHEMA_URL;
use crate::base::config::{BatchSettings, Exporter, OtlpReceiver, Settings};
use crate::core::readings::{self, MetricSource};
use crate::core::sampling::Strategies;

/// What the program hands over beside the settings.
#[derive(Debug, Default)]
pub(crate) struct Parts {
    pub(crate) tls: Option<TlsProvider>,
    /// Handles that keep traces together with this one.
    pub(crate) tail_group: Option<TailGroup>,
    /// What a Jaeger collector says of sampling, if one is asked.
    pub(crate) strategies: Strategies,
}

type Build = Box<dyn FnOnce() -> Result<worker::Loop, ExportError> + Send>;

/// A lane and what its loop is made from.
struct LanePlan {
    lane: Arc<Lane>,
    receiver: Receiver,
    signal: Signal,
}

impl Exports {
    /// Starts the export thread if any exporter needs one.
    pub(crate) fn start(
        settings: &Settings,
        service_name: &Arc<str>,
        resource: &[KeyValue],
        source: &MetricSource,
        parts: &Parts,
    ) -> Result<Self, ExportError> {
        let tls = parts.tls.as_ref();
        let mut plan = Plan { exports: Self::default(), builds: Vec::new(), source: source.clone() };
        let tail = Tail::new(&settings.traces.tail, parts.tail_group.as_ref());
        let spans = plan.spans(settings, service_name, resource, tls)?;
        plan.exports.spans = Arc::new(SpanPipeline { tail, ..spans });
        if let Some(tail) = &plan.exports.spans.tail {
            tail.group.join(&plan.exports.spans);
        }
        plan.exports.logs = plan.logs(settings, resource, tls)?;
        plan.metrics(settings, tls)?;
        plan.strategies(settings, &parts.strategies);
        plan.start(service_name)
    }
}

struct Plan {
    exports: Exports,
    builds: Vec<Build>,
    source: MetricSource,
}

impl Plan {
    fn spans(
        &mut self,
        settings: &Settings,
        service_name: &Arc<str>,
        resource: &[KeyValue],
        tls: Option<&TlsProvider>,
    ) -> Result<SpanPipeline, ExportError> {
        let traces = &settings.traces;
        let mut lanes = Vec::new();
        let slots = plan_lanes(&mut lanes, &traces.exporters, &traces.batch, settings, TRACES, tls)?;
        let mut slots = with_additional(slots, &mut lanes, &traces.batch, settings, TRACES, tls)?;
        let memory = take_memory(&mut slots, traces.memory_capacity);
        Ok(SpanPipeline {
            frames: self.run(lanes, settings, resource, readings::Signal::Spans),
            memory,
            slots,
            service_name: Arc::clone(service_name),
            ..SpanPipeline::default()
        })
    }

    fn logs(
        &mut self,
        settings: &Settings,
        resource: &[KeyValue],
        tls: Option<&TlsProvider>,
    ) -> Result<LogPipeline, ExportError> {
        let logs = &settings.logs;
        let mut lanes = Vec::new();
        let slots = plan_lanes(&mut lanes, &logs.exporters, &logs.batch, settings, LOGS, tls)?;
        let mut slots = with_additional(slots, &mut lanes, &logs.batch, settings, LOGS, tls)?;
        let memory = take_memory(&mut slots, logs.memory_capacity);
        Ok(LogPipeline {
            frames: self.run(lanes, settings, resource, readings::Signal::Logs),
            memory,
            slots,
            limits: settings.limits.clone(),
            ..LogPipeline::default()
        })
    }

    /// Metrics in memory are read through the handle, so that exporter needs nothing here.
    fn metrics(&mut self, settings: &Settings, tls: Option<&TlsProvider>) -> Result<(), ExportError> {
        let pushed = settings.metrics.exporters.iter().copied();
        let pushed = pushed.filter(|exporter| !matches!(exporter, Exporter::None | Exporter::Memory));
        let common = pushed.map(|exporter| Receiver::common(settings, exporter, METRICS, tls));
        let additional = settings.otlp.additional.iter().filter(|additional| additional.metrics);
        let additional =
            additional.map(|additional| Receiver::additional(settings, additional, METRICS, tls));
        for receiver in common.chain(additional) {
            let receiver = receiver?;
            let exporter = receiver.exporter();
            let account = Arc::new(Account::new(receiver.name()));
            self.exports.metrics.push(Arc::clone(&account));
            let control = self.control();
            let (source, settings) =
                (self.source.push(exporter, receiver.server()), settings.metrics.clone());
            self.builds.push(Box::new(move || {
                let outlet = receiver.outlet(METRICS)?;
                Ok(Box::pin(ReadingsLoop::new(source, account, outlet, control, &settings).run()))
            }));
        }
        Ok(())
    }

    /// Asks how much is sampled.
    #[cfg(feature = "jaeger-remote")]
    fn strategies(&mut self, settings: &Settings, strategies: &Strategies) {
        if settings.traces.sampler.asks_jaeger() {
            let remote = &settings.traces.sampling.jaeger_remote;
            let (control, strategies) = (self.control(), strategies.clone());
            let asking =
                super::strategies::StrategyLoop::new(remote, &settings.service_name, strategies, control);
            self.builds.push(Box::new(move || Ok(Box::pin(asking.run()))));
        }
    }

    /// Settings that ask for it were refused.
    #[cfg(not(feature = "jaeger-remote"))]
    #[expect(clippy::unused_self, reason = "it has the shape of the one that asks")]
    fn strategies(&mut self, _: &Settings, _: &Strategies) {}

    /// The frames of these lanes, with a loop for each.
    fn run(
        &mut self,
        plans: Vec<LanePlan>,
        settings: &Settings,
        resource: &[KeyValue],
        kind: readings::Signal,
    ) -> Option<Arc<Frames>> {
        let max_request_bytes = plans.iter().map(|plan| plan.receiver.max_request_bytes()).min()?;
        let lanes = plans.iter().map(|plan| Arc::clone(&plan.lane)).collect();
        let frames = Arc::new(Frames::new(Envelope::new(resource, SCHEMA_URL), lanes, max_request_bytes));
        let mut names = readings::Names::new(kind);
        for LanePlan { lane, receiver, signal } in plans {
            let control = self.control();
            let component = names.exporter(receiver.name(), receiver.server().as_ref());
            let operations = self.source.operations(component);
            let filter = Filter::new(&settings.exporter_filters, receiver.name(), kind);
            let frames = Arc::clone(&frames);
            self.builds.push(Box::new(move || {
                let outlet = receiver.outlet(signal)?;
                Ok(Box::pin(LaneLoop::new(lane, frames, outlet, filter, operations, control).run()))
            }));
        }
        Some(frames)
    }

    fn control(&mut self) -> ControlReceiver {
        let (sender, receiver) = ControlReceiver::new();
        self.exports.controls.push(sender);
        receiver
    }

    fn start(self, service_name: &str) -> Result<Exports, ExportError> {
        if !self.builds.is_empty() {
            let builds = self.builds;
            worker::start(service_name, move || builds.into_iter().map(|build| build()).collect())?;
        }
        Ok(self.exports)
    }
}

/// A lane for each exporter of a signal that sends; gives the order of their accounts.
fn plan_lanes(
    lanes: &mut Vec<LanePlan>,
    exporters: &[Exporter],
    batch: &BatchSettings,
    settings: &Settings,
    signal: Signal,
    tls: Option<&TlsProvider>,
) -> Result<Vec<Slot>, ExportError> {
    let mut slots = Vec::new();
    for exporter in exporters {
        match exporter {
            Exporter::None => {}
            Exporter::Memory => slots.push(Slot::Memory),
            Exporter::Console
            | Exporter::OtlpFile
            | Exporter::OtlpHttp
            | Exporter::OtlpHttpJson
            | Exporter::OtlpGrpc
            | Exporter::Zipkin => {
                let receiver = Receiver::common(settings, *exporter, signal, tls)?;
                let lane = Lane::new(exporter.name(), receiver.server(), batch.clone());
                slots.push(Slot::Lane(lanes.len()));
                lanes.push(LanePlan { lane, receiver, signal });
            }
        }
    }
    Ok(slots)
}

/// Lanes to the receivers beside the common one.
fn with_additional(
    mut slots: Vec<Slot>,
    lanes: &mut Vec<LanePlan>,
    batch: &BatchSettings,
    settings: &Settings,
    signal: Signal,
    tls: Option<&TlsProvider>,
) -> Result<Vec<Slot>, ExportError> {
    let takes = |additional: &&OtlpReceiver| {
        if signal.path == LOGS.path { additional.logs } else { additional.traces }
    };
    for additional in settings.otlp.additional.iter().filter(takes) {
        let receiver = Receiver::additional(settings, additional, signal, tls)?;
        let batch = BatchSettings { delay: additional.delay.unwrap_or(batch.delay), ..batch.clone() };
        let lane = Lane::new(receiver.name(), receiver.server(), batch);
        slots.push(Slot::Lane(lanes.len()));
        lanes.push(LanePlan { lane, receiver, signal });
    }
    Ok(slots)
}

/// The memory that a signal's slots ask for.
fn take_memory<T: Clone>(slots: &mut [Slot], capacity: usize) -> Option<Memory<T>> {
    slots.iter().any(|slot| matches!(slot, Slot::Memory)).then(|| Memory::new(capacity))
}

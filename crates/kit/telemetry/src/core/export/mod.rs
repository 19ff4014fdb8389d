//! From ended spans, log records and metrics to their receivers.
//!
//! The place for another export path: anything that implements [`Sink`] can stand beside or instead of a
//! [`lane::Lane`]; `Pipeline` and the ledger do not care how it sends. What holds for every sink: `accept` never
//! waits and never fails, and its account explains every item.

mod account;
mod complaint;
mod console;
mod lane;
mod limits;
mod memory;
mod orders;
mod otlp;
mod outlet;
mod pipeline;
mod queue;
mod readings;
mod receivers;
mod worker;

use std::fmt::Debug;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SpanData;
use tokio::sync::watch;

use crate::base::config::{BatchSettings, Exporter, Limits, OtlpReceiver, Settings};
use crate::base::finished::{FinishedLog, FinishedSpan};
use crate::base::ledger::{ExporterLedger, FlushReport, Ledger, ShutdownReport, SignalLedger};
use crate::core::readings::MetricSource;
use account::Account;
use lane::{Lane, LaneLoop};
pub(crate) use limits::HEADROOM;
use memory::{LogMemory, Memory, SpanMemory};
use orders::{Ears, Mouth, Order};
use outlet::Outlet;
pub(crate) use pipeline::Pipeline;
use pipeline::SpanCounts;
use readings::ReadingsLoop;
use receivers::Receivers;

/// A clock cannot add any duration; nobody waits longer than this.
const LONGEST_DEADLINE: Duration = Duration::from_hours(24);

/// An exporter that cannot be started.
#[derive(Debug)]
pub(crate) enum ExportError {
    /// Its client could not be built.
    Exporter { exporter: &'static str, reason: String },
    /// Its thread could not be started.
    Thread(std::io::Error),
}

impl ExportError {
    fn exporter(exporter: Exporter, error: &dyn std::error::Error) -> Self {
        let causes = std::iter::successors(Some(error), |cause| (*cause).source());
        let reason = causes.last().map(ToString::to_string).unwrap_or_default();
        Self::Exporter { exporter: exporter.name(), reason }
    }
}

/// Where one signal's items go, whatever becomes of them.
pub(crate) trait Sink<T>: Send + Sync + Debug {
    /// Takes an item. Never waits.
    fn accept(&self, item: T);

    /// The account of everything taken.
    fn ledger(&self) -> ExporterLedger;
}

/// Everything that leaves a handle.
#[derive(Debug, Default)]
pub(crate) struct Exports {
    counts: Arc<SpanCounts>,
    spans: Arc<[Arc<dyn Sink<SpanData>>]>,
    logs: Vec<Arc<dyn Sink<FinishedLog>>>,
    metrics: Vec<Arc<Account>>,
    span_memory: Option<Arc<Memory<FinishedSpan>>>,
    log_memory: Option<Arc<Memory<FinishedLog>>>,
    mouths: Vec<Mouth>,
    limits: Limits,
}

impl Exports {
    /// Starts the export thread if any exporter needs one.
    pub(crate) fn start(
        settings: &Settings,
        service_name: &Arc<str>,
        resource: &Resource,
        source: &MetricSource,
    ) -> Result<Self, ExportError> {
        let exports = Self { limits: settings.limits.clone(), ..Self::default() };
        let mut plan = Plan { exports, spans: Vec::new(), builds: Vec::new() };
        let receivers = Arc::new(Receivers::new(settings, resource));
        plan.spans(settings, service_name, &receivers);
        plan.logs(settings, &receivers);
        plan.metrics(settings, source, &receivers);
        for receiver in &settings.otlp.additional {
            plan.additional(settings, receiver, resource);
        }
        plan.start(service_name)
    }

    /// The processor that feeds the span sinks.
    pub(crate) fn pipeline(&self, settings: &Settings) -> Pipeline {
        let (counts, sinks) = (Arc::clone(&self.counts), Arc::clone(&self.spans));
        Pipeline::new(counts, sinks, settings.limits.clone(), &settings.baggage)
    }

    pub(crate) fn takes_logs(&self) -> bool {
        !self.logs.is_empty()
    }

    pub(crate) fn log(&self, mut record: FinishedLog) {
        limits::tidy_log(&mut record, &self.limits);
        if let Some((last, others)) = self.logs.split_last() {
            for sink in others {
                sink.accept(record.clone());
            }
            last.accept(record);
        }
    }

    pub(crate) fn finished_spans(&self) -> Vec<FinishedSpan> {
        self.span_memory.as_ref().map(|memory| memory.all()).unwrap_or_default()
    }

    pub(crate) fn finished_logs(&self) -> Vec<FinishedLog> {
        self.log_memory.as_ref().map(|memory| memory.all()).unwrap_or_default()
    }

    pub(crate) fn forget_finished(&self) {
        if let Some(memory) = &self.span_memory {
            memory.forget();
        }
        if let Some(memory) = &self.log_memory {
            memory.forget();
        }
    }

    pub(crate) fn stop_remembering(&self) {
        if let Some(memory) = &self.span_memory {
            memory.stop();
        }
        if let Some(memory) = &self.log_memory {
            memory.stop();
        }
    }

    /// Tells when a span was added to memory; `None` if spans are not kept there.
    pub(crate) fn span_changes(&self) -> Option<watch::Receiver<u64>> {
        self.span_memory.as_ref().map(|memory| memory.changes())
    }

    pub(crate) fn traces(&self) -> Ledger {
        let (started, ended) = self.counts.read();
        Ledger { started, ended, exporters: self.spans.iter().map(|sink| sink.ledger()).collect() }
    }

    fn log_ledger(&self) -> SignalLedger {
        SignalLedger { exporters: self.logs.iter().map(|sink| sink.ledger()).collect() }
    }

    fn metric_ledger(&self) -> SignalLedger {
        SignalLedger { exporters: self.metrics.iter().map(|account| account.ledger()).collect() }
    }

    /// Blocks up to the deadline.
    pub(crate) fn flush(&self, deadline: Duration) -> FlushReport {
        let (start, deadline) = (Instant::now(), deadline.min(LONGEST_DEADLINE));
        let complete = self.order(start + deadline, Order::Flush);
        FlushReport {
            complete,
            elapsed: start.elapsed(),
            traces: self.traces(),
            logs: self.log_ledger(),
            metrics: self.metric_ledger(),
        }
    }

    /// Blocks up to the deadline.
    pub(crate) fn shutdown(&self, deadline: Duration) -> ShutdownReport {
        let (start, deadline) = (Instant::now(), deadline.min(LONGEST_DEADLINE));
        // The loops stop a little earlier, so that their last words are in the report.
        let stop_by = tokio::time::Instant::from_std(start + deadline.mul_f64(0.95));
        let complete = self.order(start + deadline, |done| Order::Stop(stop_by, done));
        ShutdownReport {
            complete,
            elapsed: start.elapsed(),
            traces: self.traces(),
            logs: self.log_ledger(),
            metrics: self.metric_ledger(),
        }
    }

    /// Gives every loop an order and waits until all have carried it out.
    fn order(&self, deadline: Instant, order: impl Fn(mpsc::Sender<()>) -> Order) -> bool {
        let (done, all_done) = mpsc::channel();
        for mouth in &self.mouths {
            // A loop that has stopped has nothing left to do.
            let _ = mouth.send(order(done.clone()));
        }
        drop(done);
        orders::all_done(&all_done, deadline)
    }
}

/// The sinks as they are put together, and how to make their loops once a runtime is there.
struct Plan {
    exports: Exports,
    spans: Vec<Arc<dyn Sink<SpanData>>>,
    builds: Vec<Build>,
}

type Build = Box<dyn FnOnce() -> Result<worker::Loop, ExportError> + Send>;

impl Plan {
    fn spans(&mut self, settings: &Settings, service_name: &Arc<str>, receivers: &Arc<Receivers>) {
        for exporter in &settings.traces.exporters {
            match exporter {
                Exporter::None => {}
                Exporter::Memory => {
                    let spans = Arc::new(Memory::new(settings.traces.memory_capacity));
                    self.exports.span_memory = Some(Arc::clone(&spans));
                    self.spans.push(Arc::new(SpanMemory { spans, service_name: Arc::clone(service_name) }));
                }
                Exporter::Console | Exporter::OtlpHttp | Exporter::OtlpHttpJson | Exporter::OtlpGrpc => {
                    let lane = Lane::new(exporter.name(), settings.traces.batch.clone());
                    self.run_lane(&lane, receivers, *exporter, Receivers::traces);
                    self.spans.push(lane);
                }
            }
        }
    }

    fn logs(&mut self, settings: &Settings, receivers: &Arc<Receivers>) {
        for exporter in &settings.logs.exporters {
            match exporter {
                Exporter::None => {}
                Exporter::Memory => {
                    let records = Arc::new(Memory::new(settings.logs.memory_capacity));
                    self.exports.log_memory = Some(Arc::clone(&records));
                    self.exports.logs.push(Arc::new(LogMemory(records)));
                }
                Exporter::Console | Exporter::OtlpHttp | Exporter::OtlpHttpJson | Exporter::OtlpGrpc => {
                    let lane = Lane::new(exporter.name(), settings.logs.batch.clone());
                    self.run_lane(&lane, receivers, *exporter, Receivers::logs);
                    self.exports.logs.push(lane);
                }
            }
        }
    }

    /// Metrics in memory are read through the handle, so that exporter needs nothing here.
    fn metrics(&mut self, settings: &Settings, source: &MetricSource, receivers: &Arc<Receivers>) {
        let pushed = settings.metrics.exporters.iter().copied();
        for exporter in pushed.filter(|exporter| !matches!(exporter, Exporter::None | Exporter::Memory)) {
            let account = Arc::new(Account::new(exporter.name()));
            self.exports.metrics.push(Arc::clone(&account));
            let ears = self.ears();
            let (source, receivers) = (source.clone(), Arc::clone(receivers));
            let settings = settings.metrics.clone();
            self.builds.push(Box::new(move || {
                let outlet = receivers.metrics(exporter)?;
                Ok(Box::pin(ReadingsLoop::new(source, account, outlet, ears, &settings).run()))
            }));
        }
    }

    /// Lanes to a receiver beside the common one.
    fn additional(&mut self, settings: &Settings, receiver: &OtlpReceiver, resource: &Resource) {
        let (receivers, exporter) = Receivers::of(receiver, resource);
        let receivers = Arc::new(receivers);
        let name = match exporter {
            Exporter::OtlpGrpc => "additional_otlp_grpc",
            Exporter::OtlpHttpJson => "additional_otlp_http_json",
            _ => "additional_otlp_http",
        };
        let batch = |batch: &BatchSettings| BatchSettings {
            delay: receiver.delay.unwrap_or(batch.delay),
            ..batch.clone()
        };
        if receiver.traces {
            let lane = Lane::new(name, batch(&settings.traces.batch));
            self.run_lane(&lane, &receivers, exporter, Receivers::traces);
            self.spans.push(lane);
        }
        if receiver.logs {
            let lane = Lane::new(name, batch(&settings.logs.batch));
            self.run_lane(&lane, &receivers, exporter, Receivers::logs);
            self.exports.logs.push(lane);
        }
    }

    fn run_lane<T: Send + Debug + 'static>(
        &mut self,
        lane: &Arc<Lane<T>>,
        receivers: &Arc<Receivers>,
        exporter: Exporter,
        outlet: fn(&Receivers, Exporter) -> Result<Outlet<T>, ExportError>,
    ) {
        let ears = self.ears();
        let (lane, receivers) = (Arc::clone(lane), Arc::clone(receivers));
        self.builds.push(Box::new(move || {
            Ok(Box::pin(LaneLoop::new(lane, outlet(&receivers, exporter)?, ears).run()))
        }));
    }

    fn ears(&mut self) -> Ears {
        let (mouth, ears) = Ears::new();
        self.exports.mouths.push(mouth);
        ears
    }

    fn start(mut self, service_name: &str) -> Result<Exports, ExportError> {
        self.exports.spans = self.spans.into();
        if !self.builds.is_empty() {
            let builds = self.builds;
            worker::start(service_name, move || builds.into_iter().map(|build| build()).collect())?;
        }
        Ok(self.exports)
    }
}

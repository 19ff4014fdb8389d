//! From ended spans, log records and metrics to their receivers.
//!
//! Spans and log records are encoded where they end, into frames that every receiver of the handle shares
//! ([`frames`]); each receiver has a lane with bounds and an account of its own ([`lane`]). What holds for every way
//! out: taking an item never waits and never fails, and an account explains every item.

mod account;
mod buffers;
mod complaint;
mod console;
mod control;
mod counts;
mod decode;
mod encode_logs;
mod encode_metrics;
mod ended;
mod file;
mod filter;
mod frame;
mod frames;
mod lane;
mod lane_loop;
mod memory;
mod otlp;
mod outlet;
mod pipeline;
mod plan;
mod readings;
#[cfg(feature = "testing-collector")]
pub(crate) mod received;
mod receivers;
mod scope;
mod split;
#[cfg(feature = "jaeger-remote")]
mod strategies;
mod tail;
mod worker;
mod zipkin;

use std::fmt;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::base::config::Exporter;
use crate::base::finished::{FinishedLog, FinishedSpan};
use crate::base::ledger::{FlushReport, Ledger, ShutdownReport, SignalLedger};
use account::Account;
use control::{Command, ControlSender};
pub(crate) use encode_logs::nanoseconds;
#[cfg(feature = "testing")]
pub(crate) use encode_metrics::request as metrics_request;
pub(crate) use ended::{ATTRIBUTES, EVENTS, EndedSpan, LINKS, wire_flags};
use memory::Memory;
use pipeline::LogPipeline;
pub(crate) use pipeline::SpanPipeline;
pub(crate) use plan::Parts;
pub(crate) use scope::Scope;
pub use tail::TailGroup;
pub(crate) use tail::header_of;

/// A clock cannot add any duration; nobody waits longer than this.
const MAX_DEADLINE: Duration = Duration::from_hours(24);

/// What the loops have at the end of a shutdown to count what is left, where its time allows: on a busy machine they wait
/// for a processor.
const COUNTING: Duration = Duration::from_millis(100);

/// An exporter that cannot be started.
#[derive(Debug)]
pub(crate) enum ExportError {
    /// Its client could not be built.
    Exporter { exporter: &'static str, reason: String },
    /// Its thread could not be started.
    Thread(std::io::Error),
}

impl ExportError {
    fn exporter(exporter: Exporter, reason: &dyn fmt::Display) -> Self {
        Self::Exporter { exporter: exporter.name(), reason: reason.to_string() }
    }
}

/// Everything that leaves a handle.
#[derive(Debug, Default)]
pub(crate) struct Exports {
    spans: Arc<SpanPipeline>,
    logs: LogPipeline,
    metrics: Vec<Arc<Account>>,
    controls: Vec<ControlSender>,
}

impl Exports {
    /// Where spans go.
    pub(crate) fn spans(&self) -> &Arc<SpanPipeline> {
        &self.spans
    }

    pub(crate) fn takes_logs(&self) -> bool {
        !self.logs.is_empty()
    }

    pub(crate) fn log(&self, record: FinishedLog) {
        self.logs.accept(record);
    }

    pub(crate) fn finished_spans(&self) -> Vec<FinishedSpan> {
        self.spans.memory.as_ref().map(Memory::all).unwrap_or_default()
    }

    pub(crate) fn finished_logs(&self) -> Vec<FinishedLog> {
        self.logs.memory.as_ref().map(Memory::all).unwrap_or_default()
    }

    pub(crate) fn forget_finished(&self) {
        if let Some(memory) = &self.spans.memory {
            memory.forget();
        }
        if let Some(memory) = &self.logs.memory {
            memory.forget();
        }
    }

    pub(crate) fn stop_remembering(&self) {
        if let Some(memory) = &self.spans.memory {
            memory.stop();
        }
        if let Some(memory) = &self.logs.memory {
            memory.stop();
        }
    }

    /// Tells when a span was added to memory; `None` if spans are not kept there.
    pub(crate) fn span_changes(&self) -> Option<watch::Receiver<u64>> {
        self.spans.changes()
    }

    pub(crate) fn traces(&self) -> Ledger {
        self.spans.ledger()
    }

    pub(crate) fn log_ledger(&self) -> SignalLedger {
        self.logs.ledger()
    }

    pub(crate) fn metric_ledger(&self) -> SignalLedger {
        SignalLedger { exporters: self.metrics.iter().map(|account| account.ledger()).collect() }
    }

    /// Blocks up to the deadline.
    pub(crate) fn flush(&self, deadline: Duration) -> FlushReport {
        let (start, deadline) = (Instant::now(), deadline.min(MAX_DEADLINE));
        let complete = self.command(start + deadline, Command::Flush);
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
        let (start, deadline) = (Instant::now(), deadline.min(MAX_DEADLINE));
        // The loops stop a little earlier, so that what they count last is in the report.
        let counting = deadline.mul_f64(0.05).max(COUNTING.min(deadline / 4));
        let stop_by = tokio::time::Instant::from_std(start + deadline.saturating_sub(counting));
        let complete = self.command(start + deadline, |done| Command::Stop(stop_by, done));
        ShutdownReport {
            complete,
            elapsed: start.elapsed(),
            traces: self.traces(),
            logs: self.log_ledger(),
            metrics: self.metric_ledger(),
        }
    }

    /// Gives every loop a command and waits until all have carried it out.
    fn command(&self, deadline: Instant, command: impl Fn(mpsc::Sender<()>) -> Command) -> bool {
        let (done, all_done) = mpsc::channel();
        for control in &self.controls {
            // A loop that has stopped has nothing left to do.
            let _ = control.send(command(done.clone()));
        }
        drop(done);
        control::all_done(&all_done, deadline)
    }
}

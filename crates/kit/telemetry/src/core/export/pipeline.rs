//! Where a handle's spans and log records go when they end: memory, and the frames of the network's lanes.

use std::sync::Arc;

use tokio::sync::watch;

use super::counts::SpanCounts;
use super::decode;
use super::encode_logs::{self, Targets};
use super::ended::EndedSpan;
use super::frame::ITEMS;
use super::frames::Frames;
use super::memory::Memory;
use crate::base::config::Limits;
use crate::base::finished::{FinishedLog, FinishedSpan};
use crate::base::ledger::{ExporterLedger, Ledger, ParentOrigin, SamplingResult, SignalLedger};

/// Which account stands at a place of the ledger: the order is that of the settings.
#[derive(Clone, Copy, Debug)]
pub(super) enum Slot {
    Lane(usize),
    Memory,
}

fn ledgers(slots: &[Slot], lanes: &[ExporterLedger], memory: Option<&ExporterLedger>) -> Vec<ExporterLedger> {
    let ledger = |slot: &Slot| match slot {
        Slot::Lane(place) => lanes.get(*place).cloned(),
        Slot::Memory => memory.cloned(),
    };
    slots.iter().filter_map(ledger).collect()
}

/// The way of spans.
#[derive(Debug, Default)]
pub(crate) struct SpanPipeline {
    pub(super) counts: SpanCounts,
    pub(super) frames: Option<Arc<Frames>>,
    pub(super) memory: Option<Memory<FinishedSpan>>,
    pub(super) slots: Vec<Slot>,
    pub(super) service_name: Arc<str>,
}

impl SpanPipeline {
    #[inline]
    pub(crate) fn started(&self, sampling: SamplingResult, parent: ParentOrigin) {
        self.counts.started(sampling, parent);
    }

    /// A recorded span has ended. One that was recorded only for this process is not exported.
    #[inline]
    pub(crate) fn ended(&self, span: &EndedSpan<'_>) {
        if !span.context.is_sampled() {
            return;
        }
        // Counted before it is shown anywhere: whoever sees the last span of a trace sees none of it open.
        self.counts.ended();
        if let Some(frames) = &self.frames {
            frames.accept(span.scope, |out| span.put(out, ITEMS));
        }
        if let Some(memory) = &self.memory {
            memory.keep(|| self.finished(span));
        }
    }

    fn finished(&self, span: &EndedSpan<'_>) -> FinishedSpan {
        let mut bytes = Vec::new();
        span.put_message(&mut bytes);
        let mut finished = decode::span(&bytes, span.scope.scope.clone(), Arc::clone(&self.service_name));
        // The trace state of the context is what the API could hold of it.
        finished.span_context = span.context.clone();
        finished
    }

    pub(super) fn ledger(&self) -> Ledger {
        let (starts, ended) = self.counts.read();
        let lanes = self.frames.as_ref().map(|frames| frames.ledgers()).unwrap_or_default();
        let memory = self.memory.as_ref().map(Memory::ledger);
        let exporters = ledgers(&self.slots, &lanes, memory.as_ref());
        Ledger { started: starts.sampled(), starts, ended, exporters }
    }

    /// Tells when a span was added to memory; `None` if spans are not kept there.
    pub(super) fn changes(&self) -> Option<watch::Receiver<u64>> {
        self.memory.as_ref().map(Memory::changes)
    }
}

/// The way of log records.
#[derive(Debug, Default)]
pub(crate) struct LogPipeline {
    pub(super) frames: Option<Arc<Frames>>,
    pub(super) memory: Option<Memory<FinishedLog>>,
    pub(super) slots: Vec<Slot>,
    pub(super) targets: Targets,
    pub(super) limits: Limits,
}

impl LogPipeline {
    pub(super) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    pub(super) fn accept(&self, mut record: FinishedLog) {
        if let Some(frames) = &self.frames {
            let scope = self.targets.scope(&record.target);
            frames.accept(&scope, |out| encode_logs::put(out, ITEMS, &record, &self.limits));
        }
        if let Some(memory) = &self.memory {
            memory.keep(|| {
                encode_logs::tidy(&mut record, &self.limits);
                record
            });
        }
    }

    pub(super) fn ledger(&self) -> SignalLedger {
        let lanes = self.frames.as_ref().map(|frames| frames.ledgers()).unwrap_or_default();
        let memory = self.memory.as_ref().map(Memory::ledger);
        SignalLedger { exporters: ledgers(&self.slots, &lanes, memory.as_ref()) }
    }
}

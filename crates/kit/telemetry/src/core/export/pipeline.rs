//! Where a handle's spans and log records go when they end: memory, and the frames of the network's lanes.

use std::sync::Arc;
use std::time::Instant;

use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, TraceId};
use tokio::sync::watch;

use super::counts::SpanCounts;
use super::decode;
use super::encode_logs::{self, Targets};
use super::ended::EndedSpan;
use super::frame::ITEMS;
use super::frames::Frames;
use super::memory::Memory;
use super::tail::{Held, Tail};
use crate::base::config::Limits;
use crate::base::finished::{FinishedLog, FinishedSpan};
use crate::base::ledger::{ExporterLedger, Ledger, ParentOrigin, SamplingResult, SignalLedger, TailLedger};
use crate::base::wire::put_bytes;
use crate::core::sampler::Decision;

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
    pub(super) tail: Option<Tail>,
    pub(super) service_name: Arc<str>,
}

impl SpanPipeline {
    #[inline]
    pub(crate) fn started(&self, sampling: SamplingResult, parent: ParentOrigin) {
        self.counts.started(sampling, parent);
    }

    /// Has the tail buffer, if there is one, look at what was decided about a span.
    #[inline]
    pub(crate) fn amend(
        &self,
        context: &Context,
        parent: Option<&SpanContext>,
        trace_id: TraceId,
        decision: &mut Decision,
    ) {
        if let Some(tail) = &self.tail
            && let Some(kept) = tail.amend(context, parent, trace_id, decision)
        {
            tail.group.keep(kept);
        }
    }

    /// A recorded span has ended. One that was recorded only for this process is not exported, unless its trace is kept later.
    #[inline]
    pub(crate) fn ended(&self, span: &EndedSpan<'_>) {
        if !span.context.is_sampled() {
            if let Some(tail) = &self.tail
                && Tail::holds(span)
            {
                self.hold(tail, span);
            }
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

    fn hold(&self, tail: &Tail, span: &EndedSpan<'_>) {
        let (trace_id, now) = (span.context.trace_id(), Instant::now());
        let reason = tail.reason(span, now);
        self.release(tail.hold(trace_id, Tail::held(span, reason), now));
        if reason.is_some() {
            tail.group.keep(trace_id);
        }
    }

    /// Keeps a trace from now on.
    pub(super) fn keep(&self, trace_id: TraceId) {
        if let Some(tail) = &self.tail {
            self.release(tail.keep(trace_id));
        }
    }

    #[inline]
    pub(crate) fn has_tail(&self) -> bool {
        self.tail.is_some()
    }

    /// Whether the tail buffer keeps a trace.
    pub(crate) fn keeps(&self, trace_id: TraceId) -> bool {
        self.tail.as_ref().is_some_and(|tail| tail.is_kept(trace_id))
    }

    /// Keeps a trace of which another process said that it keeps it.
    pub(crate) fn keep_as_told(&self, trace_id: TraceId) {
        if let Some(tail) = &self.tail {
            tail.group.keep(trace_id);
        }
    }

    /// The account of the tail buffer, if there is one.
    pub(crate) fn tail_ledger(&self) -> Option<TailLedger> {
        self.tail.as_ref().map(Tail::ledger)
    }

    fn release(&self, spans: Vec<Held>) {
        for Held { scope, message } in spans {
            self.counts.ended();
            if let Some(frames) = &self.frames {
                frames.accept(&scope, |out| put_bytes(out, ITEMS, &message));
            }
            if let Some(memory) = &self.memory {
                let service_name = || Arc::clone(&self.service_name);
                memory.keep(|| decode::span(&message, scope.scope.clone(), service_name()));
            }
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
        let kept = self.tail.as_ref().map_or(0, Tail::kept_spans);
        Ledger { started: starts.sampled() + kept, starts, ended, exporters }
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

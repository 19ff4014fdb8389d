//! Spans that wait for a reason to be kept: the tail buffer of a process.
//!
//! A trace that the sampler left out by its share is recorded all the same and waits here, encoded, until something speaks for
//! it: a span that failed, took long, is of a rare kind or has an attribute that was asked for; or another process that
//! keeps it. Then what waits is exported, and what comes later goes the normal way. What nothing speaks for makes room, the
//! oldest first: after a time, or when the bytes are used up.
//!
//! Processes tell one another. `waypost=undecided` in the trace state has a callee hold its spans too; `waypost=kept` with the
//! sampled flag has it export what it held. A callee that kept a trace says so in the head of its response, with
//! `traceresponse`, whose sampled flag is set.
//!
//! Invariants: what waits takes no more than the bytes of the settings, bookkeeping included; every span that waited is
//! exported or counted; no lock is held while spans are exported.

mod buffer;
mod group;
mod reasons;

use std::borrow::Cow;
use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Instant;

use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, TraceId, TraceState};

use super::ended::EndedSpan;
use super::scope::Scope;
use crate::base::config::TailSettings;
use crate::base::ledger::{SamplingResult, TailLedger};
use crate::core::propagation::tracestate::member_of;
use crate::core::sampler::Decision;
use buffer::Buffer;
pub use group::TailGroup;
use reasons::{Reason, Reasons};

/// The member of the trace state.
const KEY: &str = "waypost";
const UNDECIDED: &str = "undecided";
const KEPT: &str = "kept";
/// The same as it stands in a list.
const UNDECIDED_MEMBER: &str = "waypost=undecided";
const KEPT_MEMBER: &str = "waypost=kept";

/// Bytes that a thread keeps to write spans in.
const MAX_SPARE: usize = 16 * 1024;

thread_local! {
    static WRITTEN: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Trace states of which nearly all spans here have one: neither made, checked nor written down for each span.
static UNDECIDED_STATE: LazyLock<TraceState> = LazyLock::new(|| state_of(UNDECIDED));
static KEPT_STATE: LazyLock<TraceState> = LazyLock::new(|| state_of(KEPT));

fn state_of(value: &'static str) -> TraceState {
    TraceState::NONE.insert(KEY, value).unwrap_or(TraceState::NONE)
}

/// A trace state as it is sent and exported.
pub(crate) fn header_of(state: &TraceState) -> Cow<'static, str> {
    if *state == TraceState::NONE {
        return Cow::Borrowed("");
    }
    match state.get(KEY) {
        Some(UNDECIDED) if *state == *UNDECIDED_STATE => Cow::Borrowed(UNDECIDED_MEMBER),
        Some(KEPT) if *state == *KEPT_STATE => Cow::Borrowed(KEPT_MEMBER),
        _ => Cow::Owned(state.header()),
    }
}

/// An encoded span of a scope.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) scope: Arc<Scope>,
    /// The message, with its sampled flag set.
    pub(super) message: Vec<u8>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Tail {
    buffer: Buffer,
    reasons: Reasons,
    pub(super) group: TailGroup,
    kept_spans: AtomicU64,
    kept_traces: AtomicU64,
}

impl Tail {
    /// `None` if it is turned off.
    pub(super) fn new(settings: &TailSettings, group: Option<&TailGroup>) -> Option<Self> {
        settings.enabled.then(|| Self {
            buffer: Buffer::new(settings.max_bytes, settings.max_age),
            reasons: Reasons::new(settings),
            group: group.cloned().unwrap_or_default(),
            kept_spans: AtomicU64::new(0),
            kept_traces: AtomicU64::new(0),
        })
    }

    /// Has a span that the sampler left out wait, or be exported where its trace is kept already. Returns the trace that a
    /// remote caller says it keeps.
    pub(super) fn amend(
        &self,
        context: &Context,
        parent: Option<&SpanContext>,
        trace_id: TraceId,
        decision: &mut Decision,
    ) -> Option<TraceId> {
        let mark = parent.and_then(|parent| member_of(context, parent, KEY));
        let (is_undecided, is_kept) = (mark.as_deref() == Some(UNDECIDED), mark.as_deref() == Some(KEPT));
        match decision.result {
            // Somebody decided for this span: the rest of the trace goes the same way.
            SamplingResult::RecordAndSample if is_undecided => {
                mark_as(decision, parent, KEPT);
                Some(trace_id)
            }
            SamplingResult::RecordAndSample => {
                (is_kept && parent.is_some_and(SpanContext::is_remote)).then_some(trace_id)
            }
            SamplingResult::Drop if is_undecided || decision.may_be_kept => {
                if self.buffer.is_kept(trace_id) {
                    decision.result = SamplingResult::RecordAndSample;
                    mark_as(decision, parent, KEPT);
                } else {
                    decision.result = SamplingResult::RecordOnly;
                    mark_as(decision, parent, UNDECIDED);
                }
                None
            }
            SamplingResult::Drop | SamplingResult::RecordOnly => None,
        }
    }

    /// Whether a span that ended is one that waits.
    pub(super) fn holds(span: &EndedSpan<'_>) -> bool {
        span.trace_state == UNDECIDED_MEMBER
            || span.trace_state.split(',').any(|member| member == UNDECIDED_MEMBER)
    }

    /// What speaks for the trace of a span that ended.
    pub(super) fn reason(&self, span: &EndedSpan<'_>, now: Instant) -> Option<Reason> {
        self.reasons.of(span, now)
    }

    /// The span as it will be exported if its trace is kept.
    pub(super) fn held(span: &EndedSpan<'_>, reason: Option<Reason>) -> Held {
        let flags = span.context.trace_flags().with_sampled(true);
        let of = span.context;
        let context = SpanContext::new(of.trace_id(), of.span_id(), flags, false, TraceState::NONE);
        let trace_state = match span.trace_state {
            UNDECIDED_MEMBER => Cow::Borrowed(KEPT_MEMBER),
            among_others => Cow::Owned(among_others.replacen(UNDECIDED_MEMBER, KEPT_MEMBER, 1)),
        };
        let mut attributes = Vec::new();
        if let Some(reason) = reason {
            attributes.reserve_exact(span.attributes.len() + 64);
            attributes.extend_from_slice(span.attributes);
            reason.put(&mut attributes);
        }
        let attributes = if reason.is_some() { attributes.as_slice() } else { span.attributes };
        let sampled = EndedSpan { context: &context, trace_state: &trace_state, attributes, ..*span };
        // Written down where there is room already, so that what waits has one allocation of its own size: one that grew and
        // shrank leaves holes between those that wait.
        let mut written = WRITTEN.try_with(Cell::take).unwrap_or_default();
        sampled.put_message(&mut written);
        let message = written.clone();
        written.clear();
        written.shrink_to(MAX_SPARE);
        // A thread that is ending keeps none.
        let _ = WRITTEN.try_with(|spare| spare.set(written));
        Held { scope: Arc::clone(span.scope), message }
    }

    /// Has a span wait. Gives it back, and all that waited of its trace, if that is kept.
    pub(super) fn hold(&self, trace_id: TraceId, held: Held, now: Instant) -> Vec<Held> {
        let released = self.buffer.hold(trace_id, held, now);
        self.kept_spans.fetch_add(released.len() as u64, Ordering::Relaxed);
        released
    }

    /// Keeps a trace from now on: what waited of it.
    pub(super) fn keep(&self, trace_id: TraceId) -> Vec<Held> {
        let Some(released) = self.buffer.keep(trace_id) else { return Vec::new() };
        self.kept_traces.fetch_add(1, Ordering::Relaxed);
        self.kept_spans.fetch_add(released.len() as u64, Ordering::Relaxed);
        released
    }

    pub(super) fn is_kept(&self, trace_id: TraceId) -> bool {
        self.buffer.is_kept(trace_id)
    }

    /// Spans that waited and were exported.
    pub(super) fn kept_spans(&self) -> u64 {
        self.kept_spans.load(Ordering::Relaxed)
    }

    pub(super) fn ledger(&self) -> TailLedger {
        TailLedger {
            kept_traces: self.kept_traces.load(Ordering::Relaxed),
            kept_spans: self.kept_spans(),
            ..self.buffer.ledger()
        }
    }
}

/// A list that is full already stays as it is; then nobody else is told.
fn mark_as(decision: &mut Decision, parent: Option<&SpanContext>, value: &'static str) {
    let state = decision.trace_state.take();
    let state =
        state.unwrap_or_else(|| parent.map_or(TraceState::NONE, |parent| parent.trace_state().clone()));
    if state == TraceState::NONE {
        let alone = if value == KEPT { &KEPT_STATE } else { &UNDECIDED_STATE };
        decision.trace_state = Some(TraceState::clone(alone));
        return;
    }
    decision.trace_state = Some(state.insert(KEY, value).unwrap_or(state));
}

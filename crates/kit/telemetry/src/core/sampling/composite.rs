//! From what a sampler intends to a decision, and to the trace state that tells of it.

use opentelemetry::trace::{Link, SpanContext, SpanKind, TraceId, TraceState};
use opentelemetry::{Context, KeyValue};

use super::settings::SettingsSampler;
use super::threshold::{KEY, OtMember, Randomness};
use super::{ComposableSampler, Intent, SpanStart, ot_of};
use crate::base::attributes::SAMPLING_REASON;
use crate::base::config::SamplerKind;

/// In a context: the request that it belongs to asked to be recorded, and may ask so.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DebugTrace;

/// What was decided.
#[derive(Debug)]
pub(crate) struct Decided {
    pub(crate) is_sampled: bool,
    /// Whether a later look at the whole trace may keep it all the same.
    pub(crate) may_be_kept: bool,
    pub(crate) attributes: Vec<KeyValue>,
    /// `None` leaves the parent's.
    pub(crate) trace_state: Option<TraceState>,
}

/// Decides by a sampler of the settings or of the program.
#[derive(Debug)]
pub(crate) enum Composite {
    Settings(SettingsSampler),
    Program(Box<dyn ComposableSampler>),
}

impl Composite {
    /// `false` when the sampler is the program's own.
    pub(crate) fn change(&self, kind: SamplerKind, ratio: f64) -> bool {
        match self {
            Self::Settings(sampler) => {
                sampler.change(kind, ratio);
                true
            }
            Self::Program(_) => false,
        }
    }

    #[expect(clippy::too_many_arguments, reason = "what a sampler may ask for")]
    pub(crate) fn decide(
        &self,
        parent_context: &Context,
        parent: Option<&SpanContext>,
        trace_id: TraceId,
        name: &str,
        kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[Link],
    ) -> Decided {
        let member = ot_of(parent_context, parent);
        let ot = OtMember::parse(member.as_deref().unwrap_or_default());
        let randomness = ot.randomness.unwrap_or_else(|| Randomness::of(trace_id));
        let span = SpanStart {
            parent_context,
            parent,
            trace_id,
            name,
            kind,
            attributes,
            links,
            parent_threshold: ot.threshold,
            randomness,
        };
        let intent = self.intent(&span);
        let is_sampled = intent.takes(randomness);
        let threshold = intent.threshold.filter(|_| is_sampled && intent.is_reliable);
        let written = ot.with_threshold(threshold);
        let is_as_before = member.as_deref().unwrap_or_default() == written;
        let trace_state = (!is_as_before).then(|| {
            let state = parent.map_or(TraceState::NONE, |parent| parent.trace_state().clone());
            with_member(&state, written)
        });
        let attributes = if is_sampled { intent.attributes } else { Vec::new() };
        Decided { is_sampled, may_be_kept: intent.threshold.is_some(), attributes, trace_state }
    }

    fn intent(&self, span: &SpanStart<'_>) -> Intent {
        let is_entry = span.parent.is_none_or(SpanContext::is_remote);
        if is_entry && span.parent_context.get::<DebugTrace>().is_some() {
            return Intent::always().unreliable().attribute(SAMPLING_REASON, "debug");
        }
        match self {
            Self::Settings(sampler) => sampler.intent(span),
            Self::Program(sampler) => sampler.intent(span),
        }
    }
}

/// The state with this member first; an empty one is taken out. A list that is full already stays as it is.
fn with_member(state: &TraceState, written: String) -> TraceState {
    let changed = if written.is_empty() { state.delete(KEY) } else { state.insert(KEY, written) };
    changed.unwrap_or_else(|_| state.clone())
}

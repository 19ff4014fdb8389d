//! Which traces are recorded: the decision made once, at the root, and followed by everything below it.
//!
//! The parent-based samplers follow a valid parent, local or remote, and decide only for roots. An invalid or
//! absent parent is no parent: a root made on purpose inside another trace is decided anew. The ratio sampler
//! compares the low 63 bits of the trace id with its bound, as the OpenTelemetry SDKs do, so that services with
//! the same ratio choose the same traces. Rules, rates and thresholds are those of [`crate::core::sampling`].

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use opentelemetry::trace::{Link, SpanContext, SpanKind, TraceId, TraceState};
use opentelemetry::{Context, KeyValue};

use crate::base::config::SamplerKind;
use crate::base::ledger::SamplingResult;
use crate::core::propagation::is_left_to_us;
use crate::core::sampling::Composite;

/// What was decided about one span.
#[derive(Debug)]
pub(crate) struct Decision {
    pub(crate) result: SamplingResult,
    /// Whether it was left out by its share alone, so that a tail buffer may keep it.
    pub(crate) may_be_kept: bool,
    /// Attributes that the sampler adds.
    pub(crate) attributes: Vec<KeyValue>,
    /// The trace state from here on; `None` leaves the parent's.
    pub(crate) trace_state: Option<TraceState>,
}

/// The decision, ready to be made: a bound on the low 63 bits of the trace id.
#[derive(Debug)]
pub(crate) enum Sampler {
    /// One of the settings.
    Own(OwnSampler),
    /// One that is put together: by settings with rules, or by the program.
    Composite(Box<Composite>),
    /// One that the program brings along.
    #[cfg(feature = "sdk")]
    Foreign(Box<dyn opentelemetry_sdk::trace::ShouldSample>),
}

/// Follows the parent or compares the trace id with a bound. Both may change while spans are made; a span that is made meanwhile
/// may see one of them old and the other new.
#[derive(Debug)]
pub(crate) struct OwnSampler {
    follows_parent: AtomicBool,
    bound: AtomicU64,
}

/// One more than the largest value of the bits that are compared.
const ALL: u64 = 1 << 63;

impl Sampler {
    pub(crate) fn new(kind: SamplerKind, ratio: f64) -> Self {
        let bound = AtomicU64::new(bound_by(kind, ratio));
        Self::Own(OwnSampler { follows_parent: AtomicBool::new(kind.follows_parent()), bound })
    }

    /// Decides as this kind from now on. `false` when the sampler is the program's own.
    pub(crate) fn change(&self, kind: SamplerKind, ratio: f64) -> bool {
        match self {
            Self::Own(own) => {
                own.follows_parent.store(kind.follows_parent(), Ordering::Relaxed);
                own.bound.store(bound_by(kind, ratio), Ordering::Relaxed);
                true
            }
            Self::Composite(composite) => composite.change(kind, ratio),
            #[cfg(feature = "sdk")]
            Self::Foreign(_) => false,
        }
    }

    /// Decides about a span; `parent_span` is the span of `parent` if that is valid.
    #[expect(clippy::too_many_arguments, reason = "what a sampler of the program may ask for")]
    #[inline]
    pub(crate) fn decide(
        &self,
        parent: &Context,
        parent_span: Option<&SpanContext>,
        trace_id: TraceId,
        name: &str,
        kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[Link],
    ) -> Decision {
        match self {
            Self::Own(own) => own.decide(parent, parent_span, trace_id),
            Self::Composite(composite) => {
                let decided = composite.decide(parent, parent_span, trace_id, name, kind, attributes, links);
                let result =
                    if decided.is_sampled { SamplingResult::RecordAndSample } else { SamplingResult::Drop };
                Decision {
                    result,
                    may_be_kept: decided.may_be_kept && !decided.is_sampled,
                    attributes: decided.attributes,
                    trace_state: decided.trace_state,
                }
            }
            #[cfg(feature = "sdk")]
            Self::Foreign(sampler) => {
                use opentelemetry_sdk::trace::SamplingDecision;
                let said = sampler.should_sample(Some(parent), trace_id, name, kind, attributes, links);
                let result = match said.decision {
                    SamplingDecision::Drop => SamplingResult::Drop,
                    SamplingDecision::RecordOnly => SamplingResult::RecordOnly,
                    SamplingDecision::RecordAndSample => SamplingResult::RecordAndSample,
                };
                Decision {
                    result,
                    may_be_kept: false,
                    attributes: said.attributes,
                    trace_state: Some(said.trace_state),
                }
            }
        }
    }
}

impl Sampler {
    /// Whether it takes no span, whatever its parent says.
    #[inline]
    pub(crate) fn takes_none(&self) -> bool {
        match self {
            Self::Own(own) => {
                !own.follows_parent.load(Ordering::Relaxed) && own.bound.load(Ordering::Relaxed) == 0
            }
            Self::Composite(_) => false,
            #[cfg(feature = "sdk")]
            Self::Foreign(_) => false,
        }
    }

    /// Whether it looks at attributes; those of the settings do not.
    #[inline]
    pub(crate) fn reads_attributes(&self) -> bool {
        !matches!(self, Self::Own(_))
    }
}

impl OwnSampler {
    /// Whether a span is recorded; `parent` is one that is valid.
    #[inline]
    fn samples(&self, context: &Context, parent: Option<&SpanContext>, trace_id: TraceId) -> bool {
        match parent {
            Some(parent) if self.follows_parent.load(Ordering::Relaxed) => {
                parent.is_sampled() || is_left_to_us(context, parent) && self.samples_root(trace_id)
            }
            _ => self.samples_root(trace_id),
        }
    }

    /// Decides about a span; `parent` is one that is valid.
    #[inline]
    pub(crate) fn decide(
        &self,
        context: &Context,
        parent: Option<&SpanContext>,
        trace_id: TraceId,
    ) -> Decision {
        let result = self.result(context, parent, trace_id);
        let may_be_kept = result == SamplingResult::Drop && self.may_keep(parent);
        Decision { result, may_be_kept, attributes: Vec::new(), trace_state: None }
    }

    /// What [`decide`](Self::decide) says, for those who ask nothing else.
    #[inline]
    pub(crate) fn result(
        &self,
        context: &Context,
        parent: Option<&SpanContext>,
        trace_id: TraceId,
    ) -> SamplingResult {
        let is_sampled = self.samples(context, parent, trace_id);
        if is_sampled { SamplingResult::RecordAndSample } else { SamplingResult::Drop }
    }

    /// Whether a trace that was left out belongs to those of which a share is taken.
    fn may_keep(&self, parent: Option<&SpanContext>) -> bool {
        let follows = parent.is_some() && self.follows_parent.load(Ordering::Relaxed);
        !follows && self.bound.load(Ordering::Relaxed) > 0
    }

    #[inline]
    fn samples_root(&self, trace_id: TraceId) -> bool {
        let low = trace_id.to_bytes().last_chunk().map_or(0, |low| u64::from_be_bytes(*low));
        low >> 1 < self.bound.load(Ordering::Relaxed)
    }
}

fn bound_by(kind: SamplerKind, ratio: f64) -> u64 {
    bound_of(kind.share(ratio))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "the ratio is clamped to 0..=1, so the product lies within 0..=2^63"
)]
fn bound_of(ratio: f64) -> u64 {
    (ratio.clamp(0.0, 1.0) * ALL as f64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry::trace::{SpanId, TraceContextExt, TraceFlags};

    fn decide(sampler: &Sampler, parent: &Context, trace_id: u128) -> bool {
        let span = parent.span();
        let span = Some(span.span_context()).filter(|span| span.is_valid());
        let kind = SpanKind::Internal;
        let decision = sampler.decide(parent, span, TraceId::from(trace_id), "a", &kind, &[], &[]);
        decision.result == SamplingResult::RecordAndSample
    }

    fn parent(flags: TraceFlags, remote: bool) -> Context {
        let span = SpanContext::new(TraceId::from(7), SpanId::from(7), flags, remote, TraceState::default());
        Context::new().with_remote_span_context(span)
    }

    #[test]
    fn a_parent_decides_whether_local_or_remote() {
        let none = Sampler::new(SamplerKind::ParentBasedAlwaysOff, 1.0);
        let all = Sampler::new(SamplerKind::ParentBasedAlwaysOn, 1.0);
        for remote in [true, false] {
            assert!(decide(&none, &parent(TraceFlags::SAMPLED, remote), 7));
            assert!(!decide(&all, &parent(TraceFlags::NOT_SAMPLED, remote), 7));
        }
        assert!(!decide(&none, &Context::new(), 7));
        assert!(decide(&all, &Context::new(), 7));
    }

    #[test]
    fn a_root_made_on_purpose_is_decided_anew() {
        let all = Sampler::new(SamplerKind::ParentBasedAlwaysOn, 1.0);
        let root = Context::new().with_remote_span_context(SpanContext::empty_context());
        assert!(decide(&all, &root, 7));
    }

    #[test]
    fn a_ratio_takes_its_share_of_the_roots() {
        let tenth = Sampler::new(SamplerKind::ParentBasedRatio, 0.1);
        let ids = (0..20_000).map(|_| fastrand::u128(1..));
        let taken = ids.filter(|id| decide(&tenth, &Context::new(), *id)).count();
        assert!((1_700..2_300).contains(&taken), "{taken}");

        let every = Sampler::new(SamplerKind::Ratio, 1.0);
        assert!(decide(&every, &parent(TraceFlags::NOT_SAMPLED, true), u128::MAX));
        let none = Sampler::new(SamplerKind::Ratio, 0.0);
        assert!(!decide(&none, &Context::new(), 1 << 64));
    }
}

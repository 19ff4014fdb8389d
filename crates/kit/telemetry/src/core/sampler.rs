//! Which traces are recorded: the decision made once, at the root, and followed by everything below it.
//!
//! The parent-based samplers follow a valid parent, local or remote, and decide only for roots. An invalid or
//! absent parent is no parent: a root made on purpose inside another trace is decided anew. The ratio sampler
//! compares the low 63 bits of the trace id with its bound, as the OpenTelemetry SDKs do, so that services with
//! the same ratio choose the same traces. Left out: rules, rate limits and quotas, which come as further kinds.

use opentelemetry::Context;
use opentelemetry::KeyValue;
use opentelemetry::trace::{Link, SpanKind, SpanRef, TraceContextExt, TraceId, TraceState};
use opentelemetry_sdk::trace::{SamplingDecision, SamplingResult, ShouldSample};

use crate::base::config::SamplerKind;

/// The decision, ready to be made: a bound on the low 63 bits of the trace id.
#[derive(Clone, Debug)]
pub(crate) struct Sampler {
    follows_parent: bool,
    bound: u64,
}

/// One more than the largest value of the bits that are compared.
const ALL: u64 = 1 << 63;

impl Sampler {
    pub(crate) fn new(kind: SamplerKind, ratio: f64) -> Self {
        let bound = match kind {
            SamplerKind::AlwaysOn | SamplerKind::ParentBasedAlwaysOn => ALL,
            SamplerKind::AlwaysOff | SamplerKind::ParentBasedAlwaysOff => 0,
            SamplerKind::Ratio | SamplerKind::ParentBasedRatio => bound_of(ratio),
        };
        Self { follows_parent: kind.follows_parent(), bound }
    }

    fn samples_root(&self, trace_id: TraceId) -> bool {
        let low = u128::from_be_bytes(trace_id.to_bytes()) & u128::from(u64::MAX);
        low >> 1 < u128::from(self.bound)
    }
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

impl ShouldSample for Sampler {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        trace_id: TraceId,
        _name: &str,
        _kind: &SpanKind,
        _attributes: &[KeyValue],
        _links: &[Link],
    ) -> SamplingResult {
        let span = parent.map(TraceContextExt::span);
        let parent = span.as_ref().map(SpanRef::span_context).filter(|parent| parent.is_valid());
        let sampled = match parent {
            Some(parent) if self.follows_parent => parent.is_sampled(),
            _ => self.samples_root(trace_id),
        };
        SamplingResult {
            decision: if sampled { SamplingDecision::RecordAndSample } else { SamplingDecision::Drop },
            attributes: Vec::new(),
            trace_state: parent.map_or_else(TraceState::default, |parent| parent.trace_state().clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry::trace::{SpanContext, SpanId, TraceFlags};

    fn decide(sampler: &Sampler, parent: &Context, trace_id: u128) -> bool {
        let result =
            sampler.should_sample(Some(parent), TraceId::from(trace_id), "a", &SpanKind::Internal, &[], &[]);
        result.decision == SamplingDecision::RecordAndSample
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

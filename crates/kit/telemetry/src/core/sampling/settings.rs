//! The sampler that settings make: parents, rules, and for the rest a share that may change while the program runs.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use opentelemetry::trace::{SpanContext, SpanKind};

use super::parents::follow;
use super::patterns::{Rule, SpanPattern, first};
use super::remote::Strategies;
use super::threshold::Threshold;
use super::{ComposableSampler, Intent, SpanStart, rate_limited, ratio};
use crate::base::config::{
    ParentChoice, ParentSettings, RuleKind, SamplerKind, SamplingRule, SamplingSettings, TraceSettings,
};
use crate::core::propagation::is_left_to_us;

/// Stands for no threshold: nothing is taken.
const NONE: u64 = u64::MAX;

#[derive(Debug)]
pub(crate) struct SettingsSampler {
    follows_parent: AtomicBool,
    parents: ParentSettings,
    rules: Vec<Rule>,
    /// Bits of the threshold for what no rule fits.
    otherwise: AtomicU64,
    asks_jaeger: AtomicBool,
    strategies: Strategies,
}

impl SettingsSampler {
    /// `None` where the plain samplers are enough.
    pub(crate) fn new(traces: &TraceSettings, strategies: &Strategies) -> Option<Self> {
        let SamplingSettings { consistent, rules, parents, debug_header, jaeger_remote: _ } =
            &traces.sampling;
        let is_plain = !consistent
            && rules.is_empty()
            && *parents == ParentSettings::default()
            && debug_header.name.is_none()
            && !traces.sampler.asks_jaeger();
        if is_plain {
            return None;
        }
        let sampler = Self {
            follows_parent: AtomicBool::default(),
            parents: parents.clone(),
            rules: rules.iter().map(rule).collect(),
            otherwise: AtomicU64::default(),
            asks_jaeger: AtomicBool::default(),
            strategies: strategies.clone(),
        };
        sampler.change(traces.sampler, traces.ratio);
        Some(sampler)
    }

    /// Decides as this kind from now on, behind the same rules.
    pub(crate) fn change(&self, kind: SamplerKind, ratio: f64) {
        let threshold = Threshold::of_ratio(kind.share(ratio)).map_or(NONE, Threshold::bits);
        self.follows_parent.store(kind.follows_parent(), Ordering::Relaxed);
        self.asks_jaeger.store(kind.asks_jaeger(), Ordering::Relaxed);
        self.otherwise.store(threshold, Ordering::Relaxed);
    }

    fn below(&self, parent: &SpanContext, span: &SpanStart<'_>) -> Intent {
        let choice = match (parent.is_remote(), parent.is_sampled()) {
            (true, true) => self.parents.remote_sampled,
            (true, false) => self.parents.remote_not_sampled,
            (false, true) => self.parents.local_sampled,
            (false, false) => self.parents.local_not_sampled,
        };
        match choice {
            ParentChoice::Follow => follow(parent, span),
            ParentChoice::AlwaysOn => Intent::always(),
            ParentChoice::AlwaysOff => Intent::never(),
            ParentChoice::Root => self.root(span),
        }
    }

    fn root(&self, span: &SpanStart<'_>) -> Intent {
        let by_rule = first(&self.rules, span);
        let asks_jaeger = self.asks_jaeger.load(Ordering::Relaxed);
        by_rule.or_else(|| self.strategies.intent(span).filter(|_| asks_jaeger)).unwrap_or_else(|| {
            Intent::threshold_of(Threshold::from_bits(self.otherwise.load(Ordering::Relaxed)))
        })
    }
}

impl ComposableSampler for SettingsSampler {
    fn intent(&self, span: &SpanStart<'_>) -> Intent {
        match span.parent {
            Some(parent)
                if self.follows_parent.load(Ordering::Relaxed)
                    && !is_left_to_us(span.parent_context, parent) =>
            {
                self.below(parent, span)
            }
            _ => self.root(span),
        }
    }
}

fn rule(rule: &SamplingRule) -> Rule {
    let mut pattern = SpanPattern::new();
    if let Some(kind) = rule.kind {
        pattern = pattern.kind(kind_of(kind));
    }
    if let Some(name) = &rule.name {
        pattern = pattern.name(name);
    }
    if let Some(route) = &rule.route {
        pattern = pattern.route(route);
    }
    if let Some(tenant) = &rule.tenant {
        pattern = pattern.tenant(tenant);
    }
    for (key, value) in &rule.attributes {
        pattern = pattern.attribute(key, value);
    }
    let share = ratio(rule.ratio);
    let sampler: Box<dyn ComposableSampler> = match rule.max_per_second {
        None => Box::new(share),
        Some(rate) => Box::new(rate_limited(share, rate)),
    };
    Rule { pattern, sampler }
}

fn kind_of(kind: RuleKind) -> SpanKind {
    match kind {
        RuleKind::Server => SpanKind::Server,
        RuleKind::Client => SpanKind::Client,
        RuleKind::Producer => SpanKind::Producer,
        RuleKind::Consumer => SpanKind::Consumer,
        RuleKind::Internal => SpanKind::Internal,
    }
}

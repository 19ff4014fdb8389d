//! Findings that come again: those of the same kind, service and place in many traces are one.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use waypost_trace_model::{Text, TraceId};

use super::{Sample, quantile};
use crate::{BadInstance, Finding, FindingKind, Instances};

/// Different findings that are told apart.
const MAX_FINDINGS: usize = 1_000;

/// Traces that are named for each.
const MAX_EXAMPLES: usize = 3;

/// A finding of many traces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recurring {
    /// What is wrong.
    pub kind: FindingKind,
    /// The service that would be changed.
    pub service: Text,
    /// What it is about.
    pub place: String,
    /// Traces that have it.
    pub traces: usize,
    /// Spans that show it, in all of them.
    pub spans: u64,
    /// Nanoseconds of all roots together that would be saved, at most.
    pub saves: u64,
    /// Nanoseconds saved of the root of a trace that has it, in the middle.
    pub p50: u64,
    /// What is said of the trace where it costs most.
    pub sentence: String,
    /// Traces where it costs most, the worst first.
    pub examples: Vec<TraceId>,
    /// The instance of the service that most of the traces with it passed through, when the others have less of it.
    pub instance: Option<BadInstance>,
}

/// Instances of one service that are told apart.
const MAX_INSTANCES: usize = 1_000;

/// The instances of services that a trace passed through, each once.
pub(super) fn instances<'a>(sample: &Sample<'a>) -> BTreeSet<(&'a Text, &'a Text)> {
    let known = sample.nodes.iter().zip(sample.facts);
    known.filter_map(|(node, facts)| Some((&node.service, facts.instance.as_ref()?))).collect()
}

#[derive(Debug, Default)]
struct Seen {
    spans: u64,
    /// What each trace would save.
    saves: Vec<(u64, Reverse<TraceId>)>,
    worst: Option<(u64, Reverse<TraceId>)>,
    sentence: String,
    /// Traces with it by the instance of the service.
    by_instance: BTreeMap<Text, u64>,
}

#[derive(Debug, Default)]
pub(super) struct Findings {
    seen: BTreeMap<(FindingKind, Text, String), Seen>,
    /// All traces by the instances of each service that they passed through.
    instances: BTreeMap<Text, BTreeMap<Text, u64>>,
}

impl Findings {
    pub(super) fn add(&mut self, sample: &Sample<'_>, findings: Vec<Finding>) {
        let trace = sample.id;
        let passed = instances(sample);
        for (service, instance) in &passed {
            let known = self.instances.entry((*service).clone()).or_default();
            if known.len() < MAX_INSTANCES || known.contains_key(*instance) {
                *known.entry((*instance).clone()).or_default() += 1;
            }
        }
        for Finding { kind, sentence, service, place, rows, saves, .. } in findings {
            let of_service = || passed.iter().filter(|(known, _)| **known == service);
            let through: Vec<Text> = of_service().map(|(_, instance)| (*instance).clone()).collect();
            let key = (kind, service, place);
            if self.seen.len() >= MAX_FINDINGS && !self.seen.contains_key(&key) {
                continue;
            }
            let seen = self.seen.entry(key).or_default();
            seen.spans += rows.len() as u64;
            for instance in through {
                if seen.by_instance.len() < MAX_INSTANCES || seen.by_instance.contains_key(&instance) {
                    *seen.by_instance.entry(instance).or_default() += 1;
                }
            }
            let this = (saves, Reverse(trace));
            seen.saves.push(this);
            if seen.worst.is_none_or(|worst| this > worst) {
                (seen.worst, seen.sentence) = (Some(this), sentence);
            }
        }
    }

    pub(super) fn finish(self) -> Vec<Recurring> {
        let passed = self.instances;
        let one = |((kind, service, place), mut seen): ((FindingKind, Text, String), Seen)| {
            let mut instances = Instances::default();
            for (instance, traces) in passed.get(&service).into_iter().flatten() {
                let with_it = seen.by_instance.get(instance).copied().unwrap_or_default();
                instances.add(instance, *traces, with_it);
            }
            seen.saves.sort_unstable();
            let saves: Vec<u64> = seen.saves.iter().map(|(saves, _)| *saves).collect();
            let examples = seen.saves.iter().rev().take(MAX_EXAMPLES).map(|(_, Reverse(trace))| *trace);
            Recurring {
                kind,
                service,
                place,
                traces: saves.len(),
                spans: seen.spans,
                saves: saves.iter().fold(0, |sum: u64, one| sum.saturating_add(*one)),
                p50: quantile(&saves, 50),
                sentence: seen.sentence,
                examples: examples.collect(),
                instance: instances.worst(),
            }
        };
        let mut findings: Vec<Recurring> = self.seen.into_iter().map(one).collect();
        findings.sort_by_key(|finding| (Reverse(finding.saves), Reverse(finding.traces)));
        findings
    }
}

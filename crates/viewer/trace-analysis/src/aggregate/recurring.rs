//! Findings that come again: those of the same kind, service and place in many traces are one.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use waypost_trace_model::{Text, TraceId};

use super::quantile;
use crate::{Finding, FindingKind};

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
}

#[derive(Debug, Default)]
struct Seen {
    spans: u64,
    /// What each trace would save.
    saves: Vec<(u64, Reverse<TraceId>)>,
    worst: Option<(u64, Reverse<TraceId>)>,
    sentence: String,
}

#[derive(Debug, Default)]
pub(super) struct Findings {
    seen: BTreeMap<(FindingKind, Text, String), Seen>,
}

impl Findings {
    pub(super) fn add(&mut self, trace: TraceId, findings: Vec<Finding>) {
        for Finding { kind, sentence, service, place, rows, saves, .. } in findings {
            let key = (kind, service, place);
            if self.seen.len() >= MAX_FINDINGS && !self.seen.contains_key(&key) {
                continue;
            }
            let seen = self.seen.entry(key).or_default();
            seen.spans += rows.len() as u64;
            let this = (saves, Reverse(trace));
            seen.saves.push(this);
            if seen.worst.is_none_or(|worst| this > worst) {
                (seen.worst, seen.sentence) = (Some(this), sentence);
            }
        }
    }

    pub(super) fn finish(self) -> Vec<Recurring> {
        let one = |((kind, service, place), mut seen): ((FindingKind, Text, String), Seen)| {
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
            }
        };
        let mut findings: Vec<Recurring> = self.seen.into_iter().map(one).collect();
        findings.sort_by_key(|finding| (Reverse(finding.saves), Reverse(finding.traces)));
        findings
    }
}

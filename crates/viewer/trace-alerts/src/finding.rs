//! Rules about findings: how many traces of a window show one, or what it costs them.
//!
//! Traces are looked at by whoever has them ([`Search`] says which, [`Looked`] is what comes back), since that takes longer than
//! to read a figure. At most some hundred traces of a window are looked at, chosen evenly; numbers are
//! those of the sample, or what they stand for among all traces of the window, and the sentence says of how many.

use crate::{
    condition::{Reading, Unit, last},
    machine::Verdict,
    place::Place,
    rule::{Rule, Scope},
    words,
};
use std::collections::BTreeMap;
use waypost_trace_analysis::{Finding, FindingKind, Instances};
use waypost_trace_model::{Text, TraceId};
use waypost_trace_statistics::Subject;

/// Traces that are named for each service.
const MAX_EXAMPLES: usize = 3;

/// What a rule about findings counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FindingMeasure {
    /// The part of the traces that show it.
    Share,
    /// How many traces of the window show it.
    Traces,
    /// Nanoseconds that traces of the window lost by it.
    Lost,
}

impl FindingMeasure {
    /// What its values are.
    pub(crate) fn unit(self) -> Unit {
        match self {
            FindingMeasure::Share => Unit::Share,
            FindingMeasure::Traces => Unit::Count,
            FindingMeasure::Lost => Unit::Duration,
        }
    }
}

/// What a rule looks for in the traces of a window.
#[derive(Clone, Debug, PartialEq)]
pub struct Search {
    /// The rule's place among the rules.
    pub rule: usize,
    /// Only traces with such a span; of an operation only what lies below its first span. `None`: every trace.
    pub subject: Option<Subject>,
    /// Findings of these kinds; empty: of every kind.
    pub kinds: Vec<FindingKind>,
    /// The time that is looked at, in nanoseconds.
    pub window: u64,
}

/// What was found in the traces of a window.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Looked {
    /// Traces of the window.
    matching: u64,
    /// Those of them that were looked at.
    traces: u64,
    /// Whatever service would have to be changed.
    all: Seen,
    /// By the service that would have to be changed.
    by_service: BTreeMap<Text, Seen>,
    /// Traces by the instances of services that they passed through, and those of them that show something.
    instances: BTreeMap<Text, Instances>,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Seen {
    traces: u64,
    lost: u64,
    /// What it costs, and the trace: the most first.
    worst: Vec<(u64, TraceId)>,
    sentence: String,
}

impl Looked {
    /// At some of so many traces.
    pub fn among(matching: u64) -> Self {
        Self { matching, ..Self::default() }
    }

    /// Counts a trace with its findings, which are of the kinds that the rule looks for, and the instances of services that it passed
    /// through. Of several findings the one that costs most is what the trace loses: what they cost may overlap.
    pub fn add<'a>(
        &mut self,
        trace: TraceId,
        findings: &[Finding],
        instances: impl IntoIterator<Item = (&'a Text, &'a Text)>,
    ) {
        self.traces += 1;
        let mut costly: BTreeMap<&Text, &Finding> = BTreeMap::new();
        for finding in findings {
            let most = costly.entry(&finding.service).or_insert(finding);
            if finding.saves > most.saves {
                *most = finding;
            }
        }
        for (service, finding) in &costly {
            self.by_service.entry((*service).clone()).or_default().add(trace, finding);
        }
        if let Some(most) = costly.values().max_by_key(|finding| finding.saves) {
            self.all.add(trace, most);
        }
        for (service, instance) in instances {
            let is_bad = costly.contains_key(service);
            self.instances.entry(service.clone()).or_default().add(instance, 1, u64::from(is_bad));
        }
    }
}

impl Seen {
    fn add(&mut self, trace: TraceId, finding: &Finding) {
        self.traces += 1;
        self.lost = self.lost.saturating_add(finding.saves);
        if self.worst.first().is_none_or(|(saves, _)| finding.saves > *saves) {
            self.sentence.clone_from(&finding.sentence);
        }
        self.worst.push((finding.saves, trace));
        self.worst.sort_by_key(|(saves, _)| std::cmp::Reverse(*saves));
        self.worst.truncate(MAX_EXAMPLES);
    }
}

impl Rule {
    /// What is to be looked for; `None` for a rule about anything but findings.
    pub(crate) fn search(&self, number: usize) -> Option<Search> {
        let crate::Condition::Finding { kinds, .. } = &self.condition else { return None };
        let subject = match &self.scope {
            Scope::One(subject) => Some(subject.clone()),
            Scope::EachService | Scope::EachOperation(_) => None,
        };
        Some(Search { rule: number, subject, kinds: kinds.clone(), window: self.window })
    }

    pub(crate) fn finding(&self, subject: &Subject, looked: Option<&Looked>) -> Reading {
        let place = Place::from(subject).words();
        let (crate::Condition::Finding { kinds, measure, above, resolve }, Some(looked)) =
            (&self.condition, looked)
        else {
            let sentence = format!("{place}: no trace was looked at yet");
            return Reading {
                verdict: Verdict::Unknown,
                value: None,
                calls: 0,
                sentence,
                examples: Vec::new(),
            };
        };
        let nothing = Seen::default();
        let seen = match subject {
            Subject::Service(service) => looked.by_service.get(service).unwrap_or(&nothing),
            Subject::Operations { .. } | Subject::Edge { .. } => &looked.all,
        };
        let value = looked.value(*measure, seen);
        let verdict = if looked.traces == 0 || looked.matching < self.min_calls {
            Verdict::Unknown
        } else if value > *above {
            Verdict::Beyond
        } else if value > *resolve {
            Verdict::Between
        } else {
            Verdict::Within
        };
        let mut sentence = looked.sentence(seen, kinds, &last(self.window));
        sentence = format!("{place}: {sentence}; threshold {}", limit(*measure, *above));
        let instances = subject_service(subject).and_then(|service| looked.instances.get(service));
        if let Some(worst) = instances.and_then(Instances::worst) {
            sentence = format!("{sentence}; {}", worst.sentence("traces show it"));
        }
        if !seen.sentence.is_empty() {
            sentence = format!("{sentence}. The worst: {}", seen.sentence);
        }
        Reading {
            verdict,
            value: (looked.traces > 0).then_some(value),
            calls: looked.matching,
            sentence,
            examples: seen.worst.iter().map(|(_, trace)| *trace).collect(),
        }
    }
}

fn subject_service(subject: &Subject) -> Option<&Text> {
    match subject {
        Subject::Service(service) | Subject::Operations { service, .. } => Some(service),
        Subject::Edge { .. } => None,
    }
}

impl Looked {
    #[expect(clippy::cast_precision_loss, reason = "figures are read with a few digits")]
    fn value(&self, measure: FindingMeasure, seen: &Seen) -> f64 {
        let stands_for = if self.traces == 0 { 0.0 } else { self.matching as f64 / self.traces as f64 };
        match measure {
            FindingMeasure::Share => words::share(seen.traces, self.traces),
            FindingMeasure::Traces => seen.traces as f64 * stands_for,
            FindingMeasure::Lost => seen.lost as f64 * stands_for,
        }
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "nanoseconds of a window")]
    fn sentence(&self, seen: &Seen, kinds: &[FindingKind], when: &str) -> String {
        let what = match kinds {
            [kind] => kind.words().to_owned(),
            [] => "a finding".to_owned(),
            kinds => format!("a finding of {} kinds", kinds.len()),
        };
        let (found, looked) = (words::count(seen.traces), words::count(self.traces));
        let lost = words::latency(self.value(FindingMeasure::Lost, seen) as u64);
        if self.traces >= self.matching {
            return format!("{found} of {looked} traces {when} have {what}, {lost} lost");
        }
        let all = words::count(self.matching);
        format!("{found} of {looked} traces looked at, of {all} {when}, have {what}, about {lost} lost")
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "read from such numbers")]
fn limit(measure: FindingMeasure, above: f64) -> String {
    match measure {
        FindingMeasure::Share => words::percent(above),
        FindingMeasure::Traces => format!("{} traces", words::count(above as u64)),
        FindingMeasure::Lost => format!("{} lost", words::latency(above as u64)),
    }
}

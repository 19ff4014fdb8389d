//! What rules measure.

use crate::{
    finding::{FindingMeasure, Looked},
    instances::Bad,
    machine::Verdict,
    numbers::Numbers,
    place::Place,
    rule::Rule,
    watch::Watch,
    words,
};
use serde::{Deserialize, Serialize};
use std::ops::Range;
use waypost_trace_analysis::FindingKind;
use waypost_trace_model::TraceId;
use waypost_trace_statistics::{Examples, Step, Subject};

const MINUTE: u64 = 60_000_000_000;
const HOUR: u64 = 60 * MINUTE;

/// What a rule measures, and against what. Shares are from 0 to 1, latencies in nanoseconds.
#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    /// The part of the calls that failed.
    ErrorShare {
        /// It holds above this.
        above: f64,
        /// It is resolved at or below this.
        resolve: f64,
    },
    /// A quantile of latencies.
    Latency {
        /// From 0 to 1.
        quantile: f64,
        /// It holds above this.
        above: u64,
        /// It is resolved at or below this.
        resolve: u64,
    },
    /// By which part there are fewer calls than in the hour before.
    RateDrop {
        /// It holds from this on.
        by: f64,
        /// It is resolved below this.
        resolve: f64,
    },
    /// No call at all.
    NoData,
    /// The error budget of an objective is used up too fast.
    BurnRate {
        /// The part of the calls that must be good.
        objective: f64,
        /// A call that takes longer is not good.
        latency: Option<u64>,
        /// It holds when the budget burns too fast over both windows of one of these.
        pairs: Vec<Burn>,
    },
    /// Something of it is unusual.
    Anomaly,
    /// Traces show something that is worth changing.
    Finding {
        /// Of these kinds; empty: of any.
        kinds: Vec<FindingKind>,
        /// What is counted.
        measure: FindingMeasure,
        /// It holds above this: a share, traces, or nanoseconds.
        above: f64,
        /// It is resolved at or below this.
        resolve: f64,
    },
}

/// Two windows in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Burn {
    /// Shows that it matters.
    pub long: u64,
    /// Shows that it goes on.
    pub short: u64,
    /// How many times faster than the objective allows.
    pub factor: f64,
}

/// What the value of a reading is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// A part of all, from 0 to 1.
    Share,
    /// Nanoseconds.
    Duration,
    /// A multiple.
    Factor,
    /// A number of things.
    Count,
}

/// What was measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// What it says of the rule.
    pub verdict: Verdict,
    /// The figure; `None` when there is none.
    pub value: Option<f64>,
    /// What it is made of.
    pub calls: u64,
    /// The figure in words.
    pub sentence: String,
    /// Traces to look at, the most telling first.
    pub examples: Vec<TraceId>,
}

/// What a measurement is made with.
pub(crate) struct Source<'a> {
    pub(crate) numbers: &'a dyn Numbers,
    pub(crate) watch: &'a Watch,
    pub(crate) now: u64,
    /// Since when this process takes spans: before, nothing could come.
    pub(crate) started: u64,
    /// What was found in traces, for a rule about findings.
    pub(crate) looked: Option<&'a Looked>,
}

impl Condition {
    /// What the value of a reading is.
    pub fn unit(&self) -> Unit {
        match self {
            Condition::ErrorShare { .. } | Condition::RateDrop { .. } => Unit::Share,
            Condition::Latency { .. } | Condition::NoData => Unit::Duration,
            Condition::BurnRate { .. } => Unit::Factor,
            Condition::Anomaly => Unit::Count,
            Condition::Finding { measure, .. } => measure.unit(),
        }
    }

    /// Beyond which value it holds.
    #[expect(clippy::cast_precision_loss, reason = "a latency is read with a few digits")]
    pub fn threshold(&self, window: u64) -> f64 {
        match self {
            Condition::ErrorShare { above, .. } | Condition::Finding { above, .. } => *above,
            Condition::Latency { above, .. } => *above as f64,
            Condition::RateDrop { by, .. } => *by,
            Condition::NoData => window as f64,
            Condition::BurnRate { pairs, .. } => {
                pairs.iter().map(|pair| pair.factor).fold(f64::INFINITY, f64::min)
            }
            Condition::Anomaly => 0.0,
        }
    }

    /// `error-share`, as in the configuration.
    pub fn name(&self) -> &'static str {
        match self {
            Condition::ErrorShare { .. } => "error-share",
            Condition::Latency { .. } => "latency",
            Condition::RateDrop { .. } => "rate-drop",
            Condition::NoData => "no-data",
            Condition::BurnRate { .. } => "burn-rate",
            Condition::Anomaly => "anomaly",
            Condition::Finding { .. } => "finding",
        }
    }

    /// Which calls are bad, where the condition is about calls that are.
    pub(crate) fn bad(&self) -> Option<Bad> {
        match self {
            Condition::ErrorShare { .. } => Some(Bad { failed: true, slower_than: None }),
            Condition::Latency { above, .. } => Some(Bad { failed: false, slower_than: Some(*above) }),
            Condition::BurnRate { latency, .. } => Some(Bad { failed: true, slower_than: *latency }),
            Condition::RateDrop { .. }
            | Condition::NoData
            | Condition::Anomaly
            | Condition::Finding { .. } => None,
        }
    }
}

impl Rule {
    pub(crate) fn measure(&self, subject: &Subject, source: &Source<'_>) -> Reading {
        match &self.condition {
            Condition::ErrorShare { above, resolve } => self.error_share(subject, source, *above, *resolve),
            Condition::Latency { quantile, above, resolve } => {
                self.latency(subject, source, *quantile, (*above, *resolve))
            }
            Condition::RateDrop { by, resolve } => self.rate_drop(subject, source, (*by, *resolve)),
            Condition::NoData => self.no_data(subject, source),
            Condition::BurnRate { objective, latency, pairs } => {
                self.burn_rate(subject, source, *objective, *latency, pairs)
            }
            Condition::Anomaly => anomaly(subject, source),
            Condition::Finding { .. } => self.finding(subject, source.looked),
        }
    }

    fn error_share(&self, subject: &Subject, source: &Source<'_>, above: f64, resolve: f64) -> Reading {
        let Some(step) = source.last(subject, self.window) else { return unknown(subject) };
        let (calls, errors) = (step.calls(), step.errors());
        let value = words::share(errors, calls);
        let verdict = if calls < self.min_calls {
            Verdict::Unknown
        } else if value > above {
            Verdict::Beyond
        } else if value > resolve {
            Verdict::Between
        } else {
            Verdict::Within
        };
        let figure = words::errors(errors, calls, &last(self.window));
        let sentence = format!("{}: {figure}; threshold {}", place(subject), words::percent(above));
        let examples = in_order(step.examples(), |of| [of.failed, of.slowest, of.recent]);
        Reading { verdict, value: (calls > 0).then_some(value), calls, sentence, examples }
    }

    #[expect(clippy::cast_precision_loss, reason = "a latency is read with a few digits")]
    fn latency(&self, subject: &Subject, source: &Source<'_>, quantile: f64, limits: (u64, u64)) -> Reading {
        let (above, resolve) = limits;
        let Some(step) = source.last(subject, self.window) else { return unknown(subject) };
        let (calls, found) = (step.calls(), step.quantile(quantile));
        let verdict = match found {
            Some(_) if calls < self.min_calls => Verdict::Unknown,
            None => Verdict::Unknown,
            Some(value) if value > above => Verdict::Beyond,
            Some(value) if value > resolve => Verdict::Between,
            Some(_) => Verdict::Within,
        };
        let told = found.map_or("none".to_owned(), words::latency);
        let sentence = format!(
            "{}: p{} {told} {} ({} calls); threshold {}",
            place(subject),
            words::digits(quantile * 100.0),
            last(self.window),
            words::count(calls),
            words::latency(above)
        );
        let examples = in_order(step.examples(), |of| [of.slowest, of.failed, of.recent]);
        Reading { verdict, value: found.map(|value| value as f64), calls, sentence, examples }
    }

    #[expect(clippy::cast_precision_loss, reason = "a rate is read with a few digits")]
    fn rate_drop(&self, subject: &Subject, source: &Source<'_>, (by, resolve): (f64, f64)) -> Reading {
        let begin = floor(source.now.saturating_sub(self.window), MINUTE);
        let before = floor(begin.saturating_sub(HOUR), 10 * MINUTE).max(source.began());
        let length = source.now.saturating_sub(begin);
        let (Some(now), Some(earlier)) = (
            source.numbers.window(subject, &(begin..source.now.saturating_add(1))),
            source.numbers.window(subject, &(before..begin)),
        ) else {
            return unknown(subject);
        };
        let known = begin.saturating_sub(before);
        if known < self.window || begin < source.started {
            return Reading { calls: now.calls(), ..unknown(subject) };
        }
        let expected = earlier.calls() as f64 * (length as f64 / known as f64);
        let drop = if expected > 0.0 { 1.0 - now.calls() as f64 / expected } else { 0.0 };
        let verdict = if expected < self.min_calls as f64 {
            Verdict::Unknown
        } else if drop >= by {
            Verdict::Beyond
        } else if drop >= resolve {
            Verdict::Between
        } else {
            Verdict::Within
        };
        let change = if drop >= 0.0 {
            format!("{} fewer calls", words::percent(drop))
        } else {
            format!("{} more calls", words::percent(-drop))
        };
        let sentence = format!(
            "{}: {change} {} than in the hour before ({} instead of {}); threshold {} fewer",
            place(subject),
            last(self.window),
            words::count(now.calls()),
            words::digits(expected),
            words::percent(by)
        );
        let examples = in_order(now.examples(), |of| [of.recent, of.slowest, of.failed]);
        Reading { verdict, value: Some(drop), calls: now.calls(), sentence, examples }
    }

    fn no_data(&self, subject: &Subject, source: &Source<'_>) -> Reading {
        let begin = source.now.saturating_sub(self.window);
        let step = source.numbers.window(subject, &(begin..source.now.saturating_add(1)));
        let calls = step.as_ref().map_or(0, Step::calls);
        let verdict = if calls > 0 {
            Verdict::Within
        } else if begin < source.started {
            Verdict::Unknown
        } else {
            Verdict::Beyond
        };
        let sentence = match calls {
            0 => format!("{}: no call {}", place(subject), last(self.window)),
            calls => format!("{}: {} calls {}", place(subject), words::count(calls), last(self.window)),
        };
        // The last that came, within a day.
        let earlier = source.numbers.window(subject, &(begin.saturating_sub(24 * HOUR)..begin));
        let examples = earlier.filter(|_| calls == 0).map(|step| step.examples()).unwrap_or_default();
        let examples = in_order(examples, |of| [of.recent, None, None]);
        Reading { verdict, value: None, calls, sentence, examples }
    }

    fn burn_rate(
        &self,
        subject: &Subject,
        source: &Source<'_>,
        objective: f64,
        latency: Option<u64>,
        pairs: &[Burn],
    ) -> Reading {
        let budget = 1.0 - objective;
        let burn = |step: &Step| {
            let bad = step.calls().saturating_sub(step.good(latency));
            (words::share(bad, step.calls()) / budget, bad)
        };
        let mut worst: Option<(Verdict, f64, Reading)> = None;
        for pair in pairs {
            let (Some(long), Some(short)) =
                (source.last(subject, pair.long), source.last(subject, pair.short))
            else {
                return unknown(subject);
            };
            let ((long_burn, bad), (short_burn, _)) = (burn(&long), burn(&short));
            // The short window ends an alert soon after it is over; the long one alone keeps it, but does not begin it.
            let verdict = if long.calls() < self.min_calls {
                Verdict::Unknown
            } else if long_burn > pair.factor && short_burn > pair.factor {
                Verdict::Beyond
            } else if short_burn > pair.factor {
                Verdict::Between
            } else {
                Verdict::Within
            };
            let sentence = format!(
                "{}: the error budget of {} burns {} times as fast as allowed {} ({} bad of {}) and {} times {}; threshold {}",
                place(subject),
                words::percent(objective),
                words::digits(long_burn),
                last(pair.long),
                words::count(bad),
                words::count(long.calls()),
                words::digits(short_burn),
                last(pair.short),
                words::digits(pair.factor)
            );
            let examples = in_order(long.examples(), |of| [of.failed, of.slowest, of.recent]);
            let reading = Reading {
                verdict,
                value: (long.calls() > 0).then_some(long_burn),
                calls: long.calls(),
                sentence,
                examples,
            };
            let excess = long_burn.min(short_burn) / pair.factor;
            if worst.as_ref().is_none_or(|(known, most, _)| (rank(verdict), excess) > (rank(*known), *most)) {
                worst = Some((verdict, excess, reading));
            }
        }
        worst.map_or_else(|| unknown(subject), |(_, _, reading)| reading)
    }
}

fn anomaly(subject: &Subject, source: &Source<'_>) -> Reading {
    let within = Place::from(subject);
    let active: Vec<_> = source.watch.active().filter(|episode| episode.place.is_within(&within)).collect();
    let verdict = if active.is_empty() { Verdict::Within } else { Verdict::Beyond };
    let sentence = match active.first() {
        None => format!("{}: nothing unusual", within.words()),
        Some(first) => first.sentence.clone(),
    };
    let examples = active.iter().flat_map(|episode| episode.examples.iter().copied()).collect();
    let calls = active.iter().map(|episode| episode.calls).sum();
    #[expect(clippy::cast_precision_loss, reason = "a handful")]
    let value = Some(active.len() as f64);
    Reading { verdict, value, calls, sentence, examples }
}

impl Source<'_> {
    /// The figures of the last so many nanoseconds, whole minutes of them.
    fn last(&self, subject: &Subject, window: u64) -> Option<Step> {
        self.numbers.window(subject, &self.window(window))
    }

    fn window(&self, window: u64) -> Range<u64> {
        self.now.saturating_sub(window)..self.now.saturating_add(1)
    }

    /// Since when figures are whole.
    fn began(&self) -> u64 {
        self.numbers.first_arrival().unwrap_or(self.now)
    }
}

fn rank(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Unknown => 0,
        Verdict::Within => 1,
        Verdict::Between => 2,
        Verdict::Beyond => 3,
    }
}

fn unknown(subject: &Subject) -> Reading {
    let sentence = format!("{}: too little is known", place(subject));
    Reading { verdict: Verdict::Unknown, value: None, calls: 0, sentence, examples: Vec::new() }
}

fn place(subject: &Subject) -> String {
    Place::from(subject).words()
}

pub(crate) fn last(window: u64) -> String {
    format!("in the last {}", words::time(window))
}

pub(crate) fn floor(time: u64, width: u64) -> u64 {
    time / width * width
}

/// Those that there are, each once.
pub(crate) fn in_order(examples: Examples, order: impl Fn(Examples) -> [Option<TraceId>; 3]) -> Vec<TraceId> {
    let mut ids: Vec<TraceId> = Vec::new();
    for id in order(examples).into_iter().flatten() {
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    ids
}

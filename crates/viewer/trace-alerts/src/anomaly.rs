//! What is unusual about one thing, and by how much, held against the same hour of earlier days and the last hours.
//!
//! Each test asks whether the last ten minutes can be explained by twice the usual (by half the usual for rates) and says so
//! only when the chance of that is below [`CHANCE`]: a change has to be large and cannot be luck.

use crate::{
    condition::{floor, in_order},
    instances::Bad,
    machine::Verdict,
    numbers::Numbers,
    place::Place,
    probability::{at_least, at_most, upper_share},
    words,
};
use serde::{Deserialize, Serialize};
use std::ops::Range;
use waypost_trace_model::TraceId;
use waypost_trace_statistics::{Hour, Step, Subject};

const MINUTE: u64 = 60_000_000_000;
const HOUR: u64 = 60 * MINUTE;
/// What is looked at.
const WINDOW: u64 = 10 * MINUTE;
/// The last hours.
const RECENT: u64 = 3 * HOUR;
/// With fewer calls nothing is said.
const MIN_CALLS: u64 = 20;
/// With fewer calls a time says nothing of what is usual.
const MIN_USUAL: u64 = 60;
/// The chance below which luck is ruled out.
const CHANCE: f64 = 1e-4;
/// Errors: at least so much more of all calls than usual, and twice as many.
const MORE_ERRORS: f64 = 0.02;
/// Latency: this part of the calls took longer than by a quarter above the usual 95th percentile.
const SLOW_SHARE: f64 = 0.10;
const SLOWER: f64 = 1.25;
const SLOWER_BY: f64 = 5e6;
/// Rate: below this part of the usual.
const FEWER: f64 = 0.5;

/// What is unusual.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum What {
    /// More calls fail.
    Errors,
    /// Calls take longer.
    Latency,
    /// There are fewer calls.
    Rate,
}

impl What {
    /// All of them.
    pub const ALL: [What; 3] = [What::Errors, What::Latency, What::Rate];

    /// `errors`, `latency` or `rate`.
    pub fn name(self) -> &'static str {
        match self {
            What::Errors => "errors",
            What::Latency => "latency",
            What::Rate => "rate",
        }
    }
}

/// Something unusual.
#[derive(Clone, Debug, PartialEq)]
pub struct Anomaly {
    /// What.
    pub what: What,
    /// With the figures and what they are held against.
    pub sentence: String,
    /// The figure: a share, a 95th percentile in nanoseconds, or calls in ten minutes.
    pub value: f64,
    /// What is usual, in the same unit.
    pub usual: f64,
    /// Calls in the last ten minutes.
    pub calls: u64,
    /// Traces to look at.
    pub examples: Vec<TraceId>,
}

/// What the figures of a moment are held against.
struct Usual {
    days: Vec<Hour>,
    /// The last hours before.
    recent: Option<Step>,
    /// The last hour before, and how much of it was measured.
    hour: Option<(Step, u64)>,
}

/// The figures of one thing at one moment.
pub(crate) struct Look<'a> {
    pub(crate) numbers: &'a dyn Numbers,
    pub(crate) subject: &'a Subject,
    pub(crate) now: u64,
    /// Since when this process takes spans.
    pub(crate) started: u64,
    /// Since when it is unusual: the last hours are those before.
    pub(crate) since: Option<u64>,
}

impl Look<'_> {
    /// What the ten minutes say of errors, latency or rate.
    pub(crate) fn at(&self, what: What) -> (Verdict, Option<Anomaly>) {
        let begin = floor(self.now.saturating_sub(WINDOW), MINUTE);
        let Some(step) = self.numbers.window(self.subject, &(begin..self.now.saturating_add(1))) else {
            return (Verdict::Unknown, None);
        };
        let until = floor(self.since.unwrap_or(self.now).saturating_sub(WINDOW), MINUTE);
        let usual = self.usual(until);
        match what {
            What::Errors => self.errors(&step, &usual),
            What::Latency => self.latency(&step, &usual),
            What::Rate => self.rate(&step, &usual, begin),
        }
    }

    fn usual(&self, until: u64) -> Usual {
        let began = self.numbers.first_arrival().unwrap_or(self.now);
        let from = floor(until.saturating_sub(RECENT), 10 * MINUTE);
        let hour_from = floor(until.saturating_sub(HOUR), 10 * MINUTE);
        let measured = until.saturating_sub(hour_from);
        let is_whole = began <= hour_from && measured >= HOUR;
        let hour = self.numbers.window(self.subject, &(hour_from..until)).filter(|_| is_whole);
        Usual {
            days: self.numbers.same_hours(self.subject, self.now.saturating_sub(WINDOW / 2)),
            recent: self.numbers.window(self.subject, &(from..until)),
            hour: hour.map(|hour| (hour, measured)),
        }
    }

    fn errors(&self, step: &Step, usual: &Usual) -> (Verdict, Option<Anomaly>) {
        let (errors, calls) = (step.errors(), step.calls());
        let days = usual.days.iter().fold((0, 0), |sum, hour| (sum.0 + hour.errors, sum.1 + hour.calls));
        let recent = usual.recent.as_ref().map_or((0, 0), |recent| (recent.errors(), recent.calls()));
        let known: Vec<(u64, u64, String)> = [(days, days_words(&usual.days)), (recent, recent_words())]
            .into_iter()
            .filter(|((_, calls), _)| *calls >= MIN_USUAL)
            .map(|((errors, calls), when)| (errors, calls, when))
            .collect();
        if calls < MIN_CALLS || known.is_empty() {
            return (Verdict::Unknown, None);
        }
        let share = words::share(errors, calls);
        let expected =
            known.iter().map(|(errors, calls, _)| upper_share(*errors, *calls)).fold(0.0, f64::max);
        let limit = (2.0 * expected).max(expected + MORE_ERRORS).min(1.0);
        if share <= limit {
            return (Verdict::Within, None);
        }
        let is_luck = at_least(errors, calls, limit) >= CHANCE;
        let told = known.iter().map(|(errors, calls, when)| {
            let share = words::percent(words::share(*errors, *calls));
            format!("{share} {when} ({} of {})", words::count(*errors), words::count(*calls))
        });
        let told: Vec<String> = told.collect();
        let figure = words::errors(errors, calls, "in the last 10 min");
        let usual = known.iter().map(|(errors, calls, _)| words::share(*errors, *calls)).fold(0.0, f64::max);
        let anomaly = Anomaly {
            what: What::Errors,
            sentence: format!("{}: {figure}; {}", self.place(), told.join(", ")),
            value: share,
            usual,
            calls,
            examples: in_order(step.examples(), |of| [of.failed, of.slowest, of.recent]),
        };
        (if is_luck { Verdict::Between } else { Verdict::Beyond }, Some(anomaly))
    }

    #[expect(clippy::cast_precision_loss, reason = "a latency is read with a few digits")]
    fn latency(&self, step: &Step, usual: &Usual) -> (Verdict, Option<Anomaly>) {
        let calls = step.calls();
        let days_calls: u64 = usual.days.iter().map(|hour| hour.calls).sum();
        let days = median(usual.days.iter().map(|hour| hour.p95)).filter(|_| days_calls >= MIN_USUAL);
        let recent = usual.recent.as_ref().filter(|recent| recent.calls() >= MIN_USUAL);
        let recent = recent.and_then(|recent| recent.quantile(0.95));
        let known: Vec<(u64, String)> = [(days, days_words(&usual.days)), (recent, recent_words())]
            .into_iter()
            .filter_map(|(p95, when)| Some((p95?, when)))
            .collect();
        let Some(p95) = known.iter().map(|(p95, _)| *p95).max().filter(|_| calls >= MIN_CALLS) else {
            return (Verdict::Unknown, None);
        };
        let limit = slow_beyond(p95);
        let slow = calls.saturating_sub(step.within(limit));
        let share = words::share(slow, calls);
        if share <= SLOW_SHARE {
            return (Verdict::Within, None);
        }
        let is_luck = at_least(slow, calls, SLOW_SHARE) >= CHANCE;
        let now = step.quantile(0.95).unwrap_or_default();
        let told: Vec<String> =
            known.iter().map(|(p95, when)| format!("{} {when}", words::latency(*p95))).collect();
        let anomaly = Anomaly {
            what: What::Latency,
            sentence: format!(
                "{}: p95 {} in the last 10 min, {} of calls above {} ({} of {}); p95 was {}",
                self.place(),
                words::latency(now),
                words::percent(share),
                words::latency(limit),
                words::count(slow),
                words::count(calls),
                told.join(", ")
            ),
            value: now as f64,
            usual: p95 as f64,
            calls,
            examples: in_order(step.examples(), |of| [of.slowest, of.failed, of.recent]),
        };
        (if is_luck { Verdict::Between } else { Verdict::Beyond }, Some(anomaly))
    }

    #[expect(clippy::cast_precision_loss, reason = "a rate is read with a few digits")]
    fn rate(&self, step: &Step, usual: &Usual, begin: u64) -> (Verdict, Option<Anomaly>) {
        let Some((hour, measured)) = usual.hour.as_ref().filter(|_| begin >= self.started) else {
            return (Verdict::Unknown, None);
        };
        let (calls, length) = (step.calls(), self.now.saturating_sub(begin).max(1) as f64);
        let recent = hour.calls() as f64 * length / *measured as f64;
        let days = median(usual.days.iter().map(|hour| hour.calls));
        let days = days.map(|calls| calls as f64 * length / HOUR as f64);
        let expected = days.map_or(recent, |days| days.min(recent));
        if expected < MIN_CALLS as f64 {
            return (Verdict::Unknown, None);
        }
        if calls as f64 >= expected * FEWER {
            return (Verdict::Within, None);
        }
        let is_luck = at_most(calls, expected * FEWER) >= CHANCE;
        let mut told = Vec::new();
        told.extend(
            days.map(|days| format!("{} are usual {}", words::digits(days), days_words(&usual.days))),
        );
        told.push(format!("{} were in as much of the hour before", words::digits(recent)));
        let anomaly = Anomaly {
            what: What::Rate,
            sentence: format!(
                "{}: {} calls in the last 10 min; {}",
                self.place(),
                words::count(calls),
                told.join(", ")
            ),
            value: calls as f64,
            usual: expected,
            calls,
            examples: in_order(step.examples(), |of| [of.recent, of.slowest, of.failed]),
        };
        (if is_luck { Verdict::Between } else { Verdict::Beyond }, Some(anomaly))
    }

    fn place(&self) -> String {
        Place::from(self.subject).words()
    }
}

/// Beyond which latency a call is slow, where this is the usual 95th percentile.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a latency is read with a few digits"
)]
fn slow_beyond(p95: u64) -> u64 {
    (p95 as f64 * SLOWER).max(p95 as f64 + SLOWER_BY) as u64
}

impl Anomaly {
    /// The calls that make it one, and the time in which they came.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "nanoseconds of a latency")]
    pub(crate) fn bad_within(&self, now: u64) -> Option<(Bad, Range<u64>)> {
        let window = now.saturating_sub(WINDOW)..now.saturating_add(1);
        let bad = match self.what {
            What::Errors => Bad { failed: true, slower_than: None },
            What::Latency => Bad { failed: false, slower_than: Some(slow_beyond(self.usual as u64)) },
            What::Rate => return None,
        };
        Some((bad, window))
    }
}

fn recent_words() -> String {
    format!("in the last {}", words::time(RECENT))
}

fn days_words(days: &[Hour]) -> String {
    match days.len() {
        1 => "in this hour of an earlier day".to_owned(),
        count => format!("in this hour of {count} earlier days"),
    }
}

/// Of an even number of values the lower of the two in the middle.
fn median(values: impl Iterator<Item = u64>) -> Option<u64> {
    let mut values: Vec<u64> = values.collect();
    values.sort_unstable();
    values.get(values.len().checked_sub(1)? / 2).copied()
}

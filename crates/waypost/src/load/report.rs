//! What a load run found: orders a second, latency by outcome, failures by code.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

/// More codes than this are counted together: an answer must not make the report grow without bound.
const MAX_CODES: usize = 64;

/// Counts and latencies while the run goes on.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    outcomes: BTreeMap<String, Outcome>,
    answered: u64,
}

#[derive(Debug)]
struct Outcome {
    /// Microseconds; grows as larger values come.
    latency: Histogram<u32>,
    unexpected: u64,
}

impl Tally {
    pub(crate) fn record(&mut self, code: &str, latency: Duration, is_expected: bool) {
        self.answered += 1;
        let is_full = self.outcomes.len() >= MAX_CODES && !self.outcomes.contains_key(code);
        let code = if is_full { "other" } else { code };
        if !self.outcomes.contains_key(code) {
            let Ok(latency) = Histogram::new(3) else { return };
            self.outcomes.insert(code.to_owned(), Outcome { latency, unexpected: 0 });
        }
        if let Some(outcome) = self.outcomes.get_mut(code) {
            let microseconds = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
            // An auto-resizing histogram refuses only what exceeds the memory of the machine.
            outcome.latency.record(microseconds.max(1)).ok();
            outcome.unexpected += u64::from(!is_expected);
        }
    }

    /// How many requests have been answered or have failed.
    pub(crate) fn answered(&self) -> u64 {
        self.answered
    }

    pub(crate) fn report(&self, took: Duration, concurrency: usize, rate: Option<f64>) -> Report {
        let seconds = took.as_secs_f64().max(f64::MIN_POSITIVE);
        let outcomes: BTreeMap<String, OutcomeReport> =
            self.outcomes.iter().map(|(code, outcome)| (code.clone(), outcome.report())).collect();
        let completed = outcomes.get(COMPLETED).map_or(0, |outcome| outcome.count);
        Report {
            requests: self.answered,
            seconds: rounded(took.as_secs_f64()),
            requests_per_second: rounded(as_f64(self.answered) / seconds),
            completed_per_second: rounded(as_f64(completed) / seconds),
            concurrency,
            rate,
            unexpected: self.outcomes.values().map(|outcome| outcome.unexpected).sum(),
            outcomes,
        }
    }
}

/// The name of the outcome 201.
pub(crate) const COMPLETED: &str = "completed";
/// The name of the outcome 202.
pub(crate) const PENDING: &str = "pending";

impl Outcome {
    fn report(&self) -> OutcomeReport {
        let at = |quantile| rounded(as_f64(self.latency.value_at_quantile(quantile)) / 1000.0);
        OutcomeReport {
            count: self.latency.len(),
            unexpected: self.unexpected,
            p50_ms: at(0.5),
            p90_ms: at(0.9),
            p99_ms: at(0.99),
            max_ms: rounded(as_f64(self.latency.max()) / 1000.0),
        }
    }
}

/// The result of a run; `--json` prints it as it is.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) requests: u64,
    pub(crate) seconds: f64,
    pub(crate) requests_per_second: f64,
    pub(crate) completed_per_second: f64,
    pub(crate) concurrency: usize,
    /// Requests a second that were asked for; null when each worker went as fast as it could.
    pub(crate) rate: Option<f64>,
    /// Answers that the mix does not explain.
    pub(crate) unexpected: u64,
    /// By outcome: `completed`, `pending`, a code of the error table, or `client:` and what failed on this side.
    pub(crate) outcomes: BTreeMap<String, OutcomeReport>,
}

#[derive(Debug, Serialize)]
pub(crate) struct OutcomeReport {
    pub(crate) count: u64,
    pub(crate) unexpected: u64,
    pub(crate) p50_ms: f64,
    pub(crate) p90_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) max_ms: f64,
}

impl Report {
    pub(crate) fn lines(&self) -> Vec<String> {
        let pace = match self.rate {
            Some(rate) => format!("{rate} a second asked for, at most {} at once", self.concurrency),
            None => format!("{} at once", self.concurrency),
        };
        let mut lines = vec![
            format!("{} requests in {:.2} s, {pace}", self.requests, self.seconds),
            format!(
                "{:.0} completed orders/s, {:.0} requests/s",
                self.completed_per_second, self.requests_per_second
            ),
            String::new(),
            format!(
                "{:<28}{:>9}{:>11}{:>11}{:>11}{:>11}",
                "outcome", "count", "p50 ms", "p90 ms", "p99 ms", "max ms"
            ),
        ];
        for (code, outcome) in &self.outcomes {
            let OutcomeReport { count, p50_ms, p90_ms, p99_ms, max_ms, .. } = outcome;
            lines.push(format!(
                "{code:<28}{count:>9}{p50_ms:>11.2}{p90_ms:>11.2}{p99_ms:>11.2}{max_ms:>11.2}"
            ));
        }
        lines.push(String::new());
        if self.unexpected == 0 {
            lines.push("no unexpected failures".to_owned());
        }
        for (code, outcome) in self.outcomes.iter().filter(|(_, outcome)| outcome.unexpected > 0) {
            lines.push(format!("unexpected: {} times {code}", outcome.unexpected));
        }
        lines
    }
}

/// Two decimals are more than such a measurement is good for.
fn rounded(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

#[expect(clippy::cast_precision_loss, reason = "counts and microseconds of a run stay far below 2^53")]
fn as_f64(value: u64) -> f64 {
    value as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_has_percentiles_by_outcome_and_counts_what_was_not_expected() {
        let mut tally = Tally::default();
        for milliseconds in 1..=100 {
            tally.record(COMPLETED, Duration::from_millis(milliseconds), true);
        }
        tally.record("overloaded", Duration::from_millis(3), false);
        let report = tally.report(Duration::from_secs(2), 4, None);

        let completed = &report.outcomes[COMPLETED];
        assert_eq!((completed.count, completed.unexpected), (100, 0));
        assert!((completed.p50_ms - 50.0).abs() < 0.2, "{}", completed.p50_ms);
        assert!((completed.p99_ms - 99.0).abs() < 0.2, "{}", completed.p99_ms);
        assert!((report.completed_per_second - 50.0).abs() < 0.01);
        assert_eq!(report.unexpected, 1);
        assert_eq!(report.lines().last().unwrap(), "unexpected: 1 times overloaded");
    }

    #[test]
    fn unknown_codes_do_not_make_the_report_grow_without_bound() {
        let mut tally = Tally::default();
        for code in 0..1000 {
            tally.record(&format!("code-{code}"), Duration::from_millis(1), false);
        }
        let report = tally.report(Duration::from_secs(1), 1, None);
        assert!(report.outcomes.len() <= MAX_CODES + 1);
        assert_eq!(report.unexpected, 1000);
    }
}

//! How fast spans come in, for "what you hold, at this rate".
//!
//! The count of kept spans is sampled every few seconds; the rate is that of the last minutes.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use waypost_trace_store::{Ledger, Usage};

/// Time between samples.
pub(crate) const SAMPLE_EVERY: Duration = Duration::from_secs(10);

/// Five minutes of samples.
const SAMPLES: usize = 31;

/// With fewer spans, what the files weigh by themselves says nothing about a span.
const FEWEST_SPANS: u64 = 1000;

/// The longest time that is told: a hundred years.
const MAX: f64 = 100.0 * 365.25 * 24.0 * 3600.0 * 1e9;

/// Samples of the number of spans that were ever kept. Cheap to clone; clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Throughput(Arc<Mutex<VecDeque<Sample>>>);

#[derive(Clone, Copy, Debug)]
struct Sample {
    /// Nanoseconds since 1970.
    time: u64,
    kept: u64,
}

impl Throughput {
    /// Takes what the ledger says now.
    pub(crate) fn sample(&self, ledger: &Ledger, now: u64) {
        let mut samples = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if samples.len() == SAMPLES {
            samples.pop_front();
        }
        samples.push_back(Sample { time: now, kept: ever_kept(ledger) });
    }

    /// How long the store holds what comes in at the present rate, in nanoseconds; `None` when nothing comes in, or too
    /// little is known.
    pub(crate) fn holds_for(&self, ledger: &Ledger, usage: &Usage, now: u64) -> Option<u64> {
        let first = *self.0.lock().unwrap_or_else(PoisonError::into_inner).front()?;
        let spans = ever_kept(ledger).checked_sub(first.kept).filter(|spans| *spans > 0)?;
        let time = now.checked_sub(first.time).filter(|time| *time > 0)?;
        if usage.spans < FEWEST_SPANS {
            return None;
        }
        #[expect(clippy::cast_precision_loss, reason = "an estimate of two digits")]
        let [spans, time, bytes, kept, budget] =
            [spans, time, usage.bytes, usage.spans, usage.budget].map(|number| number as f64);
        let bytes_per_nanosecond = bytes / kept * (spans / time);
        let held = (budget / bytes_per_nanosecond).min(MAX);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "positive and below the longest"
        )]
        let held = held as u64;
        Some(held)
    }
}

fn ever_kept(ledger: &Ledger) -> u64 {
    let kept = |service: &waypost_trace_store::ServiceLedger| {
        service.received.saturating_sub(service.refused.values().sum())
    };
    ledger.services.iter().map(kept).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use waypost_trace_model::RefusalReason;
    use waypost_trace_store::ServiceLedger;

    const SECOND: u64 = 1_000_000_000;

    fn ledger(kept: u64) -> Ledger {
        let refused = [(RefusalReason::Malformed, 7)].into();
        let service = ServiceLedger { received: kept + 7, stored: kept, refused, ..ServiceLedger::default() };
        Ledger { services: vec![service] }
    }

    fn usage(spans: u64) -> Usage {
        Usage { spans, bytes: spans * 100, budget: 1_000_000, ..Usage::default() }
    }

    #[test]
    fn the_budget_is_divided_by_the_bytes_that_come_in() {
        let throughput = Throughput::default();
        throughput.sample(&ledger(0), 0);
        throughput.sample(&ledger(1000), 10 * SECOND);
        // 100 spans a second of 100 bytes each: 10 kB a second, so a megabyte lasts 100 seconds.
        assert_eq!(throughput.holds_for(&ledger(2000), &usage(2000), 20 * SECOND), Some(100 * SECOND));
    }

    #[test]
    fn nothing_is_told_without_samples_spans_or_a_rate() {
        let throughput = Throughput::default();
        assert_eq!(throughput.holds_for(&ledger(5000), &usage(5000), SECOND), None);
        throughput.sample(&ledger(5000), SECOND);
        assert_eq!(throughput.holds_for(&ledger(5000), &usage(5000), 2 * SECOND), None);
        assert_eq!(throughput.holds_for(&ledger(5010), &usage(999), 2 * SECOND), None);
        assert!(throughput.holds_for(&ledger(5010), &usage(1000), 2 * SECOND).is_some());
    }

    #[test]
    fn old_samples_are_forgotten() {
        let throughput = Throughput::default();
        throughput.sample(&ledger(1_000_000), 0);
        for second in 1..=31 {
            throughput.sample(&ledger(1_000_000 + second), second * SECOND);
        }
        // One span a second of 100 bytes.
        let held = throughput.holds_for(&ledger(1_000_031), &usage(2000), 31 * SECOND);
        assert_eq!(held, Some(10_000 * SECOND));
    }
}

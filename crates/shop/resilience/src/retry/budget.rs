//! How many retries all the calls to one target may make together.
//!
//! Every call pays in a fraction of a token and every retry takes out a whole one, so retries add at most that
//! fraction to the load, however many callers there are; a reserve lets a quiet client retry at all. There is no
//! clock in it: a target that nobody calls needs no retries.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use waypost_telemetry::{
    Telemetry,
    opentelemetry::{KeyValue, metrics::Counter},
};

use crate::TARGET;

/// The retry budget of one target. Cheap to clone; clones share it. Each is its own: share one among all the
/// callers of a target, or the budget is as many times as large.
#[derive(Clone)]
pub struct Budget {
    shared: Arc<Shared>,
}

struct Shared {
    /// Thousandths of a token.
    balance: AtomicU32,
    deposit: u32,
    reserve: u32,
    target: KeyValue,
    verdicts: Counter<u64>,
}

const TOKEN: u32 = 1000;

/// What became of the wish to try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Repeated,
    NoAttemptsLeft,
    NoTimeLeft,
    NoBudgetLeft,
}

impl Budget {
    /// One retry for every five calls, and a reserve of ten. `target` names it on metrics.
    pub fn new(telemetry: &Telemetry, target: &str) -> Self {
        Self::with(telemetry, target, 20, 10)
    }

    /// `percent` retries for every hundred calls, at most 100, and a reserve of whole retries to begin with, which
    /// is also the most that can be saved up.
    pub fn with(telemetry: &Telemetry, target: &str, percent: u32, reserve: u32) -> Self {
        let reserve = reserve.saturating_mul(TOKEN);
        let verdicts = telemetry
            .meter()
            .u64_counter("waypost.retries")
            .with_description("Calls that failed in a way that allows a retry, by what became of it")
            .with_unit("{call}")
            .build();
        Self {
            shared: Arc::new(Shared {
                balance: AtomicU32::new(reserve),
                deposit: percent.min(100) * (TOKEN / 100),
                reserve,
                target: KeyValue::new(TARGET, target.to_owned()),
                verdicts,
            }),
        }
    }

    /// Pays in for a call.
    pub(super) fn deposit(&self) {
        let Shared { balance, deposit, reserve, .. } = &*self.shared;
        // Relaxed: the number stands for itself and orders nothing else.
        let _ = balance.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |now| {
            Some(now.saturating_add(*deposit).min(*reserve))
        });
    }

    /// Takes out a retry, if there is one.
    pub(super) fn withdraw(&self) -> bool {
        self.shared
            .balance
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |now| now.checked_sub(TOKEN))
            .is_ok()
    }

    pub(super) fn record(&self, verdict: Verdict) {
        let outcome = match verdict {
            Verdict::Repeated => "repeated",
            Verdict::NoAttemptsLeft => "no_attempts_left",
            Verdict::NoTimeLeft => "no_time_left",
            Verdict::NoBudgetLeft => "no_budget_left",
        };
        let attributes = [self.shared.target.clone(), KeyValue::new("waypost.retry.outcome", outcome)];
        self.shared.verdicts.add(1, &attributes);
    }
}

impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let balance = self.shared.balance.load(Ordering::Relaxed);
        f.debug_struct("Budget").field("thousandths", &balance).finish_non_exhaustive()
    }
}

//! Waiting between attempts of background work.

use std::time::Duration;

use waypost_resilience::backoff::{self, Random};

/// How long background work waits between attempts: doubled with each failure, a random half of it taken off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The longest wait after the first failure.
    pub first: Duration,
    /// The longest wait of all.
    pub max: Duration,
}

impl Backoff {
    /// How long to wait after this many failures in a row.
    pub fn delay(self, failures: u32) -> Duration {
        backoff::Backoff::new(self.first, self.max).half_jitter(failures.saturating_sub(1), &Random::system())
    }
}

impl Default for Backoff {
    /// 50 ms to 5 s.
    fn default() -> Backoff {
        Backoff { first: Duration::from_millis(50), max: Duration::from_secs(5) }
    }
}

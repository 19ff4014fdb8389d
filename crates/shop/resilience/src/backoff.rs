//! How long to wait before the next try: longer each time, and not the same for everybody.
//!
//! Without the jitter all callers that failed together would come back together. Randomness is handed in
//! ([`Random`]), so that tests know the waits.

use std::{fmt, sync::Arc, time::Duration};

/// Exponential waits: the ceiling doubles from `base` until it reaches `max`.
///
/// ```
/// use std::time::Duration;
/// use waypost_resilience::backoff::{Backoff, Random};
///
/// let backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1));
/// assert_eq!(backoff.ceiling(0), Duration::from_millis(100));
/// assert_eq!(backoff.ceiling(3), Duration::from_millis(800));
/// assert_eq!(backoff.ceiling(99), Duration::from_secs(1));
/// assert_eq!(backoff.full_jitter(1, &Random::fixed(0.5)), Duration::from_millis(100));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    base: Duration,
    max: Duration,
}

impl Backoff {
    /// Waits that begin at `base` and end at `max`.
    pub const fn new(base: Duration, max: Duration) -> Self {
        Self { base, max }
    }

    /// The longest wait after `failures` earlier waits: `base * 2^failures`, at most `max`.
    pub fn ceiling(&self, failures: u32) -> Duration {
        let factor = 2_u32.checked_pow(failures).unwrap_or(u32::MAX);
        self.base.saturating_mul(factor).min(self.max)
    }

    /// A wait anywhere between nothing and the ceiling: spreads callers best.
    pub fn full_jitter(&self, failures: u32, random: &Random) -> Duration {
        self.ceiling(failures).mul_f64(random.draw())
    }

    /// A wait between half the ceiling and the ceiling, for those who must not come back at once.
    pub fn half_jitter(&self, failures: u32, random: &Random) -> Duration {
        self.ceiling(failures).mul_f64(0.5 + random.draw() / 2.0)
    }
}

/// Where random numbers come from.
#[derive(Clone)]
pub struct Random(Arc<dyn Fn() -> f64 + Send + Sync>);

impl Random {
    /// The process's generator. Good enough to spread waits, not for secrets.
    pub fn system() -> Self {
        Self(Arc::new(fastrand::f64))
    }

    /// The same number every time, for tests.
    pub fn fixed(number: f64) -> Self {
        Self(Arc::new(move || number))
    }

    /// A number from 0 to 1.
    fn draw(&self) -> f64 {
        (self.0)().clamp(0.0, 1.0)
    }
}

impl Default for Random {
    fn default() -> Self {
        Self::system()
    }
}

impl fmt::Debug for Random {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Random")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_wait_is_never_longer_than_its_ceiling(failures: u32, random in -1.0..2.0) {
            let backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(2));
            let random = Random::fixed(random);
            let ceiling = backoff.ceiling(failures);
            prop_assert!(ceiling <= Duration::from_secs(2));
            prop_assert!(backoff.full_jitter(failures, &random) <= ceiling);
            let half = backoff.half_jitter(failures, &random);
            prop_assert!(half >= ceiling / 2 && half <= ceiling);
        }
    }

    #[test]
    fn a_ceiling_that_no_duration_can_hold_is_the_maximum() {
        let backoff = Backoff::new(Duration::MAX, Duration::MAX);
        assert_eq!(backoff.ceiling(u32::MAX), Duration::MAX);
    }
}

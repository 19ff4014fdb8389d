//! A token bucket that loses nothing to rounding, however often it is asked.
//!
//! Instead of a number of tokens it keeps the time at which the bucket would be full again: a token moves that time on by
//! what one takes to refill, and is refused where that would lie further ahead than the whole bucket takes. So nothing is
//! rounded away between two questions that come soon after one another, and threads share one number without a lock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Lets a number of traces a second pass.
#[derive(Debug)]
pub(super) struct TokenBucket {
    /// Nanoseconds for one token. `None` lets nothing pass.
    token: Option<u64>,
    /// Nanoseconds for as many as may pass at once.
    whole: u64,
    /// When it is full again, in nanoseconds of its clock.
    full_at: AtomicU64,
    epoch: Instant,
}

impl TokenBucket {
    /// As many at once as in a second, and at least one.
    pub(super) fn per_second(rate: f64) -> Self {
        let interval = if rate > 0.0 { Duration::try_from_secs_f64(1.0 / rate).ok() } else { None };
        let token = interval.and_then(|interval| u64::try_from(interval.as_nanos()).ok());
        // More than one a nanosecond is as good as all.
        let token = token.map(|token| token.max(1));
        let whole = token.unwrap_or_default().max(1_000_000_000);
        Self { token, whole, full_at: AtomicU64::new(0), epoch: Instant::now() }
    }

    /// Takes a token if there is one.
    pub(super) fn take(&self) -> bool {
        self.take_at(self.epoch.elapsed())
    }

    /// The same at a time since the bucket was made.
    fn take_at(&self, now: Duration) -> bool {
        let Some(token) = self.token else { return false };
        // From one bucket's length on, so that it begins full.
        let now = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX).saturating_add(self.whole);
        let mut full_at = self.full_at.load(Ordering::Relaxed);
        loop {
            let next = full_at.max(now).saturating_add(token);
            if next - now > self.whole {
                return false;
            }
            match self.full_at.compare_exchange_weak(full_at, next, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(seen) => full_at = seen,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(bucket: &TokenBucket, from: Duration, to: Duration, step: Duration) -> u32 {
        let (mut now, mut taken) = (from, 0);
        while now < to {
            taken += u32::from(bucket.take_at(now));
            now += step;
        }
        taken
    }

    #[test]
    fn a_bucket_refills_right_however_often_it_is_asked() {
        // A token takes 333 ms: counting whole tokens at every question would never see one.
        for step in [Duration::from_nanos(997), Duration::from_micros(50), Duration::from_millis(7)] {
            let bucket = TokenBucket::per_second(3.0);
            let at_once = (0..9).filter(|_| bucket.take_at(Duration::ZERO)).count();
            assert_eq!(at_once, 3, "it begins full");
            let later = taken(&bucket, step, Duration::from_millis(4_010), step);
            assert_eq!(later, 12, "at {step:?}");
        }
    }

    #[test]
    fn a_pause_fills_it_once_and_no_more() {
        let bucket = TokenBucket::per_second(5.0);
        let hour = Duration::from_hours(1);
        assert_eq!((0..9).filter(|_| bucket.take_at(Duration::ZERO)).count(), 5);
        assert_eq!((0..9).filter(|_| bucket.take_at(hour)).count(), 5);
    }

    #[test]
    fn less_than_one_a_second_is_one_after_its_time() {
        let bucket = TokenBucket::per_second(0.1);
        let at = |seconds| bucket.take_at(Duration::from_secs(seconds));
        assert!(at(0) && !at(9) && at(10) && !at(19) && at(20));
        assert!(!TokenBucket::per_second(0.0).take_at(hour()));
    }

    fn hour() -> Duration {
        Duration::from_hours(1)
    }

    #[test]
    fn threads_together_take_no_more_than_there_is() {
        let bucket = TokenBucket::per_second(1_000.0);
        let taken: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| (0..1_000).filter(|_| bucket.take_at(Duration::ZERO)).count()))
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(taken, 1_000);
    }
}

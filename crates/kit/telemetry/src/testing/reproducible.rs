//! Ids and times that are the same in every run: a seeded generator, and a clock that a test moves.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry::trace::{SpanId, TraceId};

pub use crate::core::clock::Clock;
pub use crate::core::ids::IdGenerator;

/// Ids from a seed: the same seed gives the same ids in the same order, on every machine. Clones go on where the others are.
///
/// ```
/// use waypost_telemetry::testing::{IdGenerator, SeededIds};
///
/// let (one, same, other) = (SeededIds::new(7), SeededIds::new(7), SeededIds::new(8));
/// let id = one.new_trace_id();
/// assert!(id == same.new_trace_id() && id != other.new_trace_id() && id != one.new_trace_id());
/// ```
#[derive(Clone, Debug)]
pub struct SeededIds(Arc<Mutex<u64>>);

impl SeededIds {
    /// The ids of a seed; any number will do.
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(seed)))
    }
}

impl IdGenerator for SeededIds {
    fn new_trace_id(&self) -> TraceId {
        let mut state = locked(&self.0);
        TraceId::from(u128::from(next(&mut state)) << 64 | u128::from(next(&mut state)))
    }

    fn new_span_id(&self) -> SpanId {
        SpanId::from(next(&mut locked(&self.0)))
    }
}

/// `SplitMix64`, whose numbers are part of its definition, so that snapshots outlive a change of libraries.
/// Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014, figure 13.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// A clock that stands still until its test moves it. Clones are the same clock: one goes into the handle, one stays.
///
/// ```
/// use std::time::Duration;
/// use waypost_telemetry::testing::{ManualClock, TestTelemetry};
///
/// let clock = ManualClock::new();
/// let settings = TestTelemetry::settings("order-service");
/// let telemetry = TestTelemetry::build(waypost_telemetry::Builder::new(settings).clock(clock.clone()));
/// telemetry.span("place").in_scope(|| clock.advance(Duration::from_millis(20)));
/// assert_eq!(telemetry.only_span("place").duration(), Duration::from_millis(20));
/// ```
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<Mutex<SystemTime>>);

impl ManualClock {
    /// A billion seconds after the beginning of 1970, which is 2001-09-09T01:46:40Z.
    pub fn new() -> Self {
        Self::at(UNIX_EPOCH + Duration::from_secs(1_000_000_000))
    }

    /// One that stands at `time`.
    pub fn at(time: SystemTime) -> Self {
        Self(Arc::new(Mutex::new(time)))
    }

    /// Moves it on. A time that the system cannot tell leaves it where it is.
    pub fn advance(&self, by: Duration) {
        let mut time = locked(&self.0);
        *time = time.checked_add(by).unwrap_or(*time);
    }

    /// Moves it to `time`, which may be earlier.
    pub fn set(&self, time: SystemTime) {
        *locked(&self.0) = time;
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for ManualClock {
    fn now(&self) -> SystemTime {
        *locked(&self.0)
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::next;

    #[test]
    fn the_numbers_are_those_of_the_definition() {
        let mut state = 1_234_567;
        let first: Vec<u64> = (0..3).map(|_| next(&mut state)).collect();
        assert_eq!(first, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
    }
}

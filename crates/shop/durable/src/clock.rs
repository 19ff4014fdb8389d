//! The wall clock as a value, so that leases can be tested without waiting for them.
//!
//! For databases and brokers: leases, holds and ages are judged by the clock of the store that several processes share
//! ([`crate::Unit::now`]), never by that of a caller. What only measures a duration uses tokio's own clock.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Tells the time of day.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> SystemTime + Send + Sync>);

impl Clock {
    /// The machine's clock.
    pub fn system() -> Clock {
        Clock(Arc::new(SystemTime::now))
    }

    /// A clock that asks `now` each time.
    pub fn from_fn(now: impl Fn() -> SystemTime + Send + Sync + 'static) -> Clock {
        Clock(Arc::new(now))
    }

    /// The time of day.
    pub fn now(&self) -> SystemTime {
        (self.0)()
    }

    /// The time of day so long ago; 1970 when that is before what there is.
    pub fn ago(&self, age: Duration) -> SystemTime {
        self.now().checked_sub(age).unwrap_or(UNIX_EPOCH)
    }
}

impl Default for Clock {
    fn default() -> Clock {
        Clock::system()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Clock").field(&self.now()).finish()
    }
}

/// A clock that stands until it is set: for tests of what happens after hours. Clones are the same clock.
///
/// ```
/// use std::time::{Duration, SystemTime};
///
/// use waypost_durable::clock::ManualClock;
///
/// let hand = ManualClock::at(SystemTime::UNIX_EPOCH);
/// let clock = hand.clock();
/// hand.advance(Duration::from_secs(30));
/// assert_eq!(clock.now(), SystemTime::UNIX_EPOCH + Duration::from_secs(30));
/// ```
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<Mutex<SystemTime>>);

impl ManualClock {
    /// A clock that stands at this time.
    pub fn at(time: SystemTime) -> ManualClock {
        ManualClock(Arc::new(Mutex::new(time)))
    }

    /// What is to be asked for the time.
    pub fn clock(&self) -> Clock {
        let hand = self.clone();
        Clock::from_fn(move || hand.now())
    }

    /// The time it stands at.
    pub fn now(&self) -> SystemTime {
        *self.lock()
    }

    /// Sets it, forward or back.
    pub fn set(&self, time: SystemTime) {
        *self.lock() = time;
    }

    /// Sets it forward and tells the time since.
    pub fn advance(&self, by: Duration) -> SystemTime {
        let mut now = self.lock();
        *now += by;
        *now
    }

    fn lock(&self) -> MutexGuard<'_, SystemTime> {
        // Nothing panics while it is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Milliseconds since 1970, the form in which the tables of this crate store a time.
pub fn millis(time: SystemTime) -> i64 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => saturating_millis(since),
        Err(before) => -saturating_millis(before.duration()),
    }
}

/// The time of a number of milliseconds since 1970.
pub fn from_millis(millis: i64) -> SystemTime {
    let distance = Duration::from_millis(millis.unsigned_abs());
    let time = if millis < 0 { UNIX_EPOCH.checked_sub(distance) } else { UNIX_EPOCH.checked_add(distance) };
    time.unwrap_or(UNIX_EPOCH)
}

/// A duration in whole milliseconds, as the tables of this crate store it.
pub(crate) fn saturating_millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_survives_the_way_through_milliseconds() {
        for stored in [-5_000, 0, 1_790_000_000_123] {
            assert_eq!(millis(from_millis(stored)), stored);
        }
    }
}

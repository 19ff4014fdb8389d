//! What time it is for a handle: the system's clock, unless a test has given it another.
//!
//! In a build without the feature `testing` there is no other, and nothing of this is left. Times that somebody outside sees (of
//! spans, events, records, exemplars, readings) and durations that are measured come from here; waiting, time-outs and deadlines
//! stay the system's, so that a clock that stands still stops nothing.

use std::time::{Duration, Instant, SystemTime};

#[cfg(feature = "testing")]
use given::Given;

/// Tells the time to one handle, in tests; see [`Builder::clock`](crate::Builder::clock).
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use waypost_telemetry::testing::{Clock, TestTelemetry};
///
/// #[derive(Debug)]
/// struct Noon;
///
/// impl Clock for Noon {
///     fn now(&self) -> SystemTime {
///         SystemTime::UNIX_EPOCH + Duration::from_hours(12)
///     }
/// }
///
/// let settings = TestTelemetry::settings("order-service");
/// let telemetry = TestTelemetry::build(waypost_telemetry::Builder::new(settings).clock(Noon));
/// telemetry.span("place").in_scope(|| ());
/// assert_eq!(telemetry.only_span("place").start(), Noon.now());
/// ```
#[cfg(feature = "testing")]
pub trait Clock: std::fmt::Debug + Send + Sync + 'static {
    /// The time now. Asked on any thread, once for each time that is recorded.
    fn now(&self) -> SystemTime;
}

/// The clock of a handle. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct HandleClock {
    #[cfg(feature = "testing")]
    given: Option<Given>,
}

impl HandleClock {
    /// One that a test gives.
    #[cfg(feature = "testing")]
    pub(crate) fn given(clock: impl Clock) -> Self {
        Self { given: Some(Given::new(clock)) }
    }

    #[inline]
    #[cfg_attr(not(feature = "testing"), expect(clippy::unused_self, reason = "there is none to ask then"))]
    pub(crate) fn now(&self) -> SystemTime {
        #[cfg(feature = "testing")]
        if let Some(given) = &self.given {
            return given.now();
        }
        SystemTime::now()
    }

    /// Whether a test has given it.
    #[inline]
    #[cfg_attr(not(feature = "testing"), expect(clippy::unused_self, reason = "there is none to ask then"))]
    pub(crate) fn is_given(&self) -> bool {
        #[cfg(feature = "testing")]
        {
            self.given.is_some()
        }
        #[cfg(not(feature = "testing"))]
        {
            false
        }
    }

    /// Begins to measure how long something takes.
    #[inline]
    pub(crate) fn timer(&self) -> Timer {
        Timer { begun: self.instant(), clock: self.clone() }
    }

    #[inline]
    #[cfg_attr(not(feature = "testing"), expect(clippy::unused_self, reason = "there is none to ask then"))]
    fn instant(&self) -> Instant {
        #[cfg(feature = "testing")]
        if let Some(given) = &self.given {
            return given.instant();
        }
        Instant::now()
    }
}

/// Measures how long something takes, by the clock of its handle.
#[derive(Clone, Debug)]
pub(crate) struct Timer {
    begun: Instant,
    clock: HandleClock,
}

impl Timer {
    /// Since it was made; never negative.
    #[inline]
    pub(crate) fn elapsed(&self) -> Duration {
        self.clock.instant().saturating_duration_since(self.begun)
    }
}

#[cfg(feature = "testing")]
mod given {
    use std::sync::Arc;
    use std::time::{Duration, Instant, SystemTime};

    use super::Clock;

    /// A clock of a test, and the instant that stands for its first time.
    #[derive(Clone, Debug)]
    pub(super) struct Given {
        clock: Arc<dyn Clock>,
        first: SystemTime,
        first_instant: Instant,
    }

    impl Given {
        pub(super) fn new(clock: impl Clock) -> Self {
            let first = clock.now();
            Self { clock: Arc::new(clock), first, first_instant: Instant::now() }
        }

        pub(super) fn now(&self) -> SystemTime {
            self.clock.now()
        }

        /// A time before the first one is the first one.
        pub(super) fn instant(&self) -> Instant {
            let since = self.clock.now().duration_since(self.first).unwrap_or(Duration::ZERO);
            self.first_instant.checked_add(since).unwrap_or(self.first_instant)
        }
    }
}

//! Refuses what is too much of one caller.
//!
//! GCRA, a bucket that refills all the time, for each key: a principal or an address. [`Limiter::check`] decides,
//! and says what the IETF draft's headers need (draft-ietf-httpapi-ratelimit-headers, the text of September 2025).
//!
//! Invariants: the number of keys is bounded, so that random keys cannot use up the memory; keys whose bucket is
//! full again are forgotten. While the table is full the keys that do not fit share one bucket: an attacker who
//! fills it is limited hard, and those who were there before notice nothing.

mod store;

use std::{
    num::NonZeroU32,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use governor::{
    Quota, RateLimiter,
    clock::{Clock, DefaultClock},
    middleware::StateInformationMiddleware,
};
use http::{HeaderName, HeaderValue};
use waypost_telemetry::{
    Telemetry,
    opentelemetry::{KeyValue, metrics::Counter},
};

use store::BoundedStore;

/// `RateLimit-Policy`: what the rule is.
pub const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
/// `RateLimit`: what is left of it.
pub const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// How much one key may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The rule's name in headers and metrics: lower-case letters, digits and `-`.
    pub name: &'static str,
    /// Requests in a window; all of them may come at once.
    pub limit: NonZeroU32,
    /// How long an empty bucket takes to be full again.
    pub window: Duration,
    /// Most keys that have a bucket of their own.
    pub max_keys: usize,
}

impl Default for Settings {
    /// 100 requests in 10 s, for up to 100,000 keys.
    fn default() -> Self {
        Self {
            name: "default",
            limit: NonZeroU32::MIN.saturating_add(99),
            window: Duration::from_secs(10),
            max_keys: 100_000,
        }
    }
}

/// What the limiter says to one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Whether the request may go on.
    pub is_allowed: bool,
    /// Requests in a window.
    pub limit: u32,
    /// Requests that may come now, after this one.
    pub remaining: u32,
    /// The time until the bucket is full again.
    pub reset: Duration,
    /// When refused, the time until one request may come.
    pub retry_after: Option<Duration>,
    name: &'static str,
    window: Duration,
}

impl Decision {
    /// The headers `RateLimit-Policy` and `RateLimit`.
    pub fn headers(&self) -> [(HeaderName, HeaderValue); 2] {
        let Self { name, limit, remaining, .. } = self;
        let policy = format!("\"{name}\";q={limit};w={}", whole_seconds(self.window));
        let state = format!("\"{name}\";r={remaining};t={}", whole_seconds(self.reset));
        // Names are of the program and the rest are digits; a name that is no header value is left out.
        let value = |text: String| HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""));
        [(RATE_LIMIT_POLICY, value(policy)), (RATE_LIMIT, value(state))]
    }

    /// The value of `Retry-After` for a refusal.
    pub fn retry_after_header(&self) -> Option<HeaderValue> {
        self.retry_after.map(|wait| HeaderValue::from(whole_seconds(wait).max(1)))
    }
}

/// Rounded up: a client that waits so long is not too early.
fn whole_seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

/// A limit for each key. Shared by reference or `Arc`.
///
/// ```
/// use std::{num::NonZeroU32, time::Duration};
/// use waypost_resilience::rate_limit::{Limiter, Settings};
/// # use waypost_telemetry::Telemetry;
///
/// let settings = Settings { limit: NonZeroU32::MIN, window: Duration::from_secs(60), ..Settings::default() };
/// let limiter = Limiter::new(&Telemetry::disabled(), settings);
/// assert!(limiter.check("user123").is_allowed);
/// let refused = limiter.check("user123");
/// assert!(!refused.is_allowed);
/// assert_eq!(refused.headers()[0].1, "\"default\";q=1;w=60");
/// assert!(limiter.check("user456").is_allowed);
/// ```
#[derive(Debug)]
pub struct Limiter<C: Clock = DefaultClock> {
    buckets: RateLimiter<Box<str>, BoundedStore, C, StateInformationMiddleware>,
    settings: Settings,
    /// Checks since idle keys were last looked for.
    checks: AtomicUsize,
    limited: Counter<u64>,
}

impl Limiter {
    /// A limiter on the process's clock.
    pub fn new(telemetry: &Telemetry, settings: Settings) -> Self {
        Self::with_clock(telemetry, settings, DefaultClock::default())
    }
}

impl<C: Clock> Limiter<C> {
    /// A limiter on a clock that is handed in.
    pub fn with_clock(telemetry: &Telemetry, settings: Settings, clock: C) -> Self {
        // A window of no length would allow everything; a nanosecond a request is as good.
        let quota = Quota::with_period(settings.window / settings.limit.get())
            .unwrap_or_else(|| Quota::per_second(NonZeroU32::MAX))
            .allow_burst(settings.limit);
        let buckets = RateLimiter::new(quota, BoundedStore::new(settings.max_keys), clock);
        let limited = telemetry
            .meter()
            .u64_counter("waypost.rate_limit.requests")
            .with_description("Requests refused because their caller had sent too many")
            .with_unit("{request}")
            .build();
        Self { buckets, settings, checks: AtomicUsize::new(0), limited }
    }

    /// Takes one request of a key into account and says whether it may go on.
    pub fn check(&self, key: &str) -> Decision {
        self.forget_idle_keys();
        let key: Box<str> = key.into();
        match self.buckets.check_key(&key) {
            Ok(state) => self.decision(state.remaining_burst_capacity(), None),
            Err(refused) => {
                self.limited.add(1, &[KeyValue::new("waypost.rate_limit.policy", self.settings.name)]);
                self.decision(0, Some(refused.wait_time_from(self.buckets.clock().now())))
            }
        }
    }

    /// Keys that have a bucket of their own at the moment.
    pub fn keys(&self) -> usize {
        self.buckets.len()
    }

    fn decision(&self, remaining: u32, retry_after: Option<Duration>) -> Decision {
        let Settings { name, limit, window, .. } = self.settings;
        let limit = limit.get();
        let missing = limit.saturating_sub(remaining);
        Decision {
            is_allowed: retry_after.is_none(),
            limit,
            remaining,
            reset: window.mul_f64(f64::from(missing) / f64::from(limit)),
            retry_after,
            name,
            window,
        }
    }

    /// Looks through all keys after as many checks as there are keys, so that it costs each check the same
    /// little, and the table is never larger than what one window's worth of checks puts there.
    fn forget_idle_keys(&self) {
        // Relaxed: the number stands for itself; two sweeps at once do no harm.
        let checks = self.checks.fetch_add(1, Ordering::Relaxed);
        if checks >= self.buckets.len().max(64) {
            self.checks.store(0, Ordering::Relaxed);
            self.buckets.retain_recent();
        }
    }
}

#[cfg(test)]
mod tests;

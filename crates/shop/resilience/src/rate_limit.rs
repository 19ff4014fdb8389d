//! Refuses what is too much of one caller.
//!
//! A bucket that refills all the time (GCRA) for each key: a principal or an address. A [`RateStore`] keeps the buckets:
//! [`Buckets`], in this process's memory, or one that several processes share. [`Limiter::check`] asks it, counts, and
//! says what the IETF draft's headers need (draft-ietf-httpapi-ratelimit-headers, the text of September 2025).
//!
//! Left out: what becomes of a request while the store is away. Whoever asks decides, as only it knows whether to be
//! open matters more than to be fair.

mod buckets;
mod store;

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::{num::NonZeroU32, sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use http::{HeaderName, HeaderValue};
use waypost_telemetry::{
    Telemetry,
    opentelemetry::{KeyValue, metrics::Counter},
};

pub use buckets::Buckets;

/// `RateLimit-Policy`: what the rule is.
pub const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
/// `RateLimit`: what is left of it.
pub const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// How much one key may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Its name in headers and metrics, and in a shared store: lower-case letters, digits and `-`.
    pub name: &'static str,
    /// Requests in a window; all of them may come at once.
    pub limit: NonZeroU32,
    /// How long an empty bucket takes to be full again.
    pub window: Duration,
}

impl Default for Rule {
    /// 100 requests in 10 s.
    fn default() -> Self {
        Self { name: "default", limit: NonZeroU32::MIN.saturating_add(99), window: Duration::from_secs(10) }
    }
}

/// Where the buckets of one rule are kept.
///
/// [`Buckets`] keeps them for one process. A store that several processes share makes the rule hold for all of them
/// together; one that does not gives each process the whole rate.
///
/// What an implementation owes:
/// - a look and the taking are one step, so that requests side by side, of any process, are never more than the rule;
/// - a refusal takes nothing;
/// - the store's clock judges, not that of the process that asks;
/// - what it keeps is bounded, and keys whose bucket is full again are forgotten;
/// - it answers within a time-out of its own that is short beside a request's budget, or it is [`Away`].
pub trait RateStore: fmt::Debug + Send + Sync + 'static {
    /// The rule.
    fn rule(&self) -> &Rule;

    /// Takes one request of a key into account, if its bucket has room for one.
    ///
    /// # Errors
    /// [`Away`] when the store cannot say; the request may have been taken into account all the same.
    ///
    /// Cancel safety: dropped, it may or may not have taken the request into account.
    fn take<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Taken, Away>>;
}

/// What a store says to one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// There was room.
    Room {
        /// Requests that may come now, after this one.
        remaining: u32,
    },
    /// There was none.
    Full {
        /// The time until one request may come.
        retry_after: Duration,
    },
}

/// The store could not be asked, or did not answer in time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the store of rates is away: {reason}")]
pub struct Away {
    /// What is wrong, for the log.
    pub reason: String,
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
    fn new(rule: &Rule, taken: Taken) -> Self {
        let (remaining, retry_after) = match taken {
            Taken::Room { remaining } => (remaining, None),
            Taken::Full { retry_after } => (0, Some(retry_after)),
        };
        let Rule { name, limit, window } = *rule;
        let limit = limit.get();
        let missing = limit.saturating_sub(remaining);
        Self {
            is_allowed: retry_after.is_none(),
            limit,
            remaining,
            reset: window.mul_f64(f64::from(missing) / f64::from(limit)),
            retry_after,
            name,
            window,
        }
    }

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
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// use std::{num::NonZeroU32, sync::Arc, time::Duration};
/// use waypost_resilience::rate_limit::{Buckets, Limiter, Rule};
/// # use waypost_telemetry::Telemetry;
///
/// let rule = Rule { limit: NonZeroU32::MIN, window: Duration::from_secs(60), ..Rule::default() };
/// let limiter = Limiter::new(&Telemetry::disabled(), Arc::new(Buckets::new(rule)));
/// assert!(limiter.check("user123").await?.is_allowed);
/// let refused = limiter.check("user123").await?;
/// assert!(!refused.is_allowed);
/// assert_eq!(refused.headers()[0].1, "\"default\";q=1;w=60");
/// assert!(limiter.check("user456").await?.is_allowed);
/// # Ok::<(), waypost_resilience::rate_limit::Away>(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
pub struct Limiter {
    store: Arc<dyn RateStore>,
    limited: Counter<u64>,
    uncounted: Counter<u64>,
    is_away: AtomicBool,
}

impl Limiter {
    /// A limiter by the rule of a store.
    pub fn new(telemetry: &Telemetry, store: Arc<dyn RateStore>) -> Self {
        let counter = |name, description| {
            telemetry.meter().u64_counter(name).with_description(description).with_unit("{request}").build()
        };
        let limited =
            counter("waypost.rate_limit.requests", "Requests refused because their caller had sent too many");
        let uncounted = counter(
            "waypost.rate_limit.uncounted",
            "Requests whose rate is not known, as its store was away",
        );
        Self { store, limited, uncounted, is_away: AtomicBool::new(false) }
    }

    /// Takes one request of a key into account and says whether it may go on.
    ///
    /// # Errors
    /// [`Away`] when the store cannot say. It is counted, and logged once until the store is back.
    pub async fn check(&self, key: &str) -> Result<Decision, Away> {
        let rule = self.store.rule();
        let policy = [KeyValue::new("waypost.rate_limit.policy", rule.name)];
        let taken = self.store.take(key).await;
        // Relaxed: the flag stands for itself; a line too many does no harm.
        let was_away = self.is_away.load(Ordering::Relaxed);
        match taken {
            Ok(taken) => {
                if was_away && self.is_away.swap(false, Ordering::Relaxed) {
                    tracing::info!(policy = rule.name, "the store of rates is back");
                }
                if matches!(taken, Taken::Full { .. }) {
                    self.limited.add(1, &policy);
                }
                Ok(Decision::new(rule, taken))
            }
            Err(away) => {
                if !was_away && !self.is_away.swap(true, Ordering::Relaxed) {
                    tracing::warn!(policy = rule.name, "{away}");
                }
                self.uncounted.add(1, &policy);
                Err(away)
            }
        }
    }
}

#[cfg(test)]
mod tests;

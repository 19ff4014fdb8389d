//! Buckets in this process's memory.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::BoxFuture;
use governor::{
    Quota, RateLimiter,
    clock::{Clock, DefaultClock},
    middleware::StateInformationMiddleware,
};

use super::store::BoundedStore;
use super::{Away, RateStore, Rule, Taken};

/// Keys that have a bucket of their own, unless said otherwise.
const MAX_KEYS: usize = 100_000;

/// A store of rates for one process. It is never away.
///
/// Invariants: the number of keys is bounded, so that random keys cannot use up the memory; keys whose bucket is
/// full again are forgotten. While the table is full the keys that do not fit share one bucket: an attacker who
/// fills it is limited hard, and those who were there before notice nothing.
#[derive(Debug)]
pub struct Buckets<C: Clock = DefaultClock> {
    limiter: RateLimiter<Box<str>, BoundedStore, C, StateInformationMiddleware>,
    rule: Rule,
    /// Takings since idle keys were last looked for.
    takings: AtomicUsize,
}

impl Buckets {
    /// Buckets for up to 100,000 keys, on the process's clock.
    pub fn new(rule: Rule) -> Self {
        Self::with_clock(rule, MAX_KEYS, DefaultClock::default())
    }
}

impl<C: Clock> Buckets<C> {
    /// Buckets for up to so many keys, on a clock that is handed in.
    pub fn with_clock(rule: Rule, max_keys: usize, clock: C) -> Self {
        // A window of no length would allow everything; a nanosecond a request is as good.
        let quota = Quota::with_period(rule.window / rule.limit.get())
            .unwrap_or_else(|| Quota::per_second(NonZeroU32::MAX))
            .allow_burst(rule.limit);
        let limiter = RateLimiter::new(quota, BoundedStore::new(max_keys), clock);
        Self { limiter, rule, takings: AtomicUsize::new(0) }
    }

    /// Keys that have a bucket of their own at the moment.
    pub fn keys(&self) -> usize {
        self.limiter.len()
    }

    fn take_now(&self, key: &str) -> Taken {
        self.forget_idle_keys();
        let key: Box<str> = key.into();
        match self.limiter.check_key(&key) {
            Ok(state) => Taken::Room { remaining: state.remaining_burst_capacity() },
            Err(full) => Taken::Full { retry_after: full.wait_time_from(self.limiter.clock().now()) },
        }
    }

    /// Looks through all keys after as many takings as there are keys, so that it costs each the same little, and the
    /// table is never larger than what one window's worth of takings puts there.
    fn forget_idle_keys(&self) {
        // Relaxed: the number stands for itself; two sweeps at once do no harm.
        let takings = self.takings.fetch_add(1, Ordering::Relaxed);
        if takings >= self.limiter.len().max(64) {
            self.takings.store(0, Ordering::Relaxed);
            self.limiter.retain_recent();
        }
    }
}

impl<C: Clock + fmt::Debug + Send + Sync + 'static> RateStore for Buckets<C>
where
    C::Instant: Send + Sync,
{
    fn rule(&self) -> &Rule {
        &self.rule
    }

    fn take<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Taken, Away>> {
        Box::pin(async move { Ok(self.take_now(key)) })
    }
}

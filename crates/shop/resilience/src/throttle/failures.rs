//! Failures in this process's memory.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use moka::future::Cache;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::{Attempt, Away, FailureStore, Leave, Outcome, Place, Rule};

/// Keys that are counted; beyond that the least used are forgotten.
const MAX_KEYS: u64 = 100_000;

/// A store of failures for one process. It is never away.
#[derive(Clone)]
pub struct Failures {
    rule: Rule,
    keys: Cache<Box<str>, Arc<Counted>>,
}

impl Failures {
    /// Nothing has failed yet.
    pub fn new(rule: Rule) -> Self {
        let keys = Cache::builder().max_capacity(MAX_KEYS).time_to_idle(rule.window).build();
        Self { rule, keys }
    }

    async fn leave(&self, key: &str) -> Leave {
        let counted = self.keys.get_with(key.into(), async { Arc::default() }).await;
        loop {
            // Before the look, so that an attempt that ends in between is not missed.
            let mut ended = std::pin::pin!(counted.ended.notified());
            ended.as_mut().enable();
            let verdict = counted.counts().admit(&self.rule, Instant::now());
            match verdict {
                Verdict::Begin => return Leave::Given(Attempt::new(Box::new(Running(Arc::clone(&counted))))),
                Verdict::Queue => ended.await,
                Verdict::Wait(time) => return Leave::Wait(time),
            }
        }
    }
}

impl fmt::Debug for Failures {
    /// Shows no key: it may be of a person.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Failures").field("rule", &self.rule).finish_non_exhaustive()
    }
}

impl FailureStore for Failures {
    fn rule(&self) -> &Rule {
        &self.rule
    }

    fn begin<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Leave, Away>> {
        Box::pin(async move { Ok(self.leave(key).await) })
    }
}

/// One of the attempts that are under way.
#[derive(Debug)]
struct Running(Arc<Counted>);

impl Place for Running {
    fn end(self: Box<Self>, outcome: Outcome) -> BoxFuture<'static, Result<(), Away>> {
        self.0.counts().end(outcome, Instant::now());
        self.0.ended.notify_waiters();
        Box::pin(std::future::ready(Ok(())))
    }
}

/// One key.
#[derive(Debug, Default)]
struct Counted {
    counts: Mutex<Counts>,
    ended: Notify,
}

impl Counted {
    fn counts(&self) -> MutexGuard<'_, Counts> {
        // Whole between any two statements, so a panic elsewhere does not spoil it.
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug, Default)]
struct Counts {
    failures: u32,
    running: u32,
    last_failure: Option<Instant>,
}

#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// It may be attempted now.
    Begin,
    /// It depends on those that are under way.
    Queue,
    /// It has to wait so long.
    Wait(Duration),
}

impl Counts {
    fn admit(&mut self, rule: &Rule, now: Instant) -> Verdict {
        let since = self.last_failure.map(|last| now.saturating_duration_since(last));
        if since.is_some_and(|since| since >= rule.window) {
            self.forget();
        }
        let free = rule.free.get();
        if self.failures.saturating_add(self.running) >= free {
            if self.running > 0 {
                return Verdict::Queue;
            }
            let doublings = self.failures - free;
            let wait = rule.first_wait.saturating_mul(2_u32.saturating_pow(doublings)).min(rule.window);
            let left = wait.saturating_sub(since.unwrap_or(wait));
            if !left.is_zero() {
                return Verdict::Wait(left);
            }
        }
        self.running += 1;
        Verdict::Begin
    }

    fn end(&mut self, outcome: Outcome, now: Instant) {
        self.running -= 1;
        match outcome {
            Outcome::Success => self.forget(),
            Outcome::Failure => {
                self.failures = self.failures.saturating_add(1);
                self.last_failure = Some(now);
            }
            Outcome::Neither => {}
        }
    }

    fn forget(&mut self) {
        self.failures = 0;
        self.last_failure = None;
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    const RULE: Rule = Rule {
        name: "login",
        free: NonZeroU32::MIN.saturating_add(2),
        first_wait: Duration::from_secs(1),
        window: Duration::from_secs(10),
    };

    /// An attempt that fails at once.
    fn fail(counts: &mut Counts, now: Instant) -> Verdict {
        let verdict = counts.admit(&RULE, now);
        if verdict == Verdict::Begin {
            counts.end(Outcome::Failure, now);
        }
        verdict
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn each_failure_beyond_the_free_ones_waits_twice_as_long() {
        let (mut counts, start) = (Counts::default(), Instant::now());
        for _ in 0..3 {
            assert_eq!(fail(&mut counts, start), Verdict::Begin);
        }
        let mut now = start;
        for wait in [1, 2, 4, 8] {
            assert_eq!(fail(&mut counts, now), Verdict::Wait(seconds(wait)));
            now += seconds(wait);
            assert_eq!(fail(&mut counts, now), Verdict::Begin);
        }
        assert_eq!(fail(&mut counts, now), Verdict::Wait(RULE.window), "never longer than the window");
    }

    #[test]
    fn failures_are_forgotten_after_the_window_or_a_success() {
        let (mut counts, start) = (Counts::default(), Instant::now());
        for _ in 0..3 {
            fail(&mut counts, start);
        }
        assert_eq!(fail(&mut counts, start + RULE.window), Verdict::Begin);
        assert_eq!(counts.failures, 1);
        assert_eq!(counts.admit(&RULE, start), Verdict::Begin);
        counts.end(Outcome::Success, start);
        assert_eq!(counts.failures, 0);
    }

    #[test]
    fn attempts_side_by_side_are_at_most_as_many_as_are_free() {
        let (mut counts, start) = (Counts::default(), Instant::now());
        for _ in 0..3 {
            assert_eq!(counts.admit(&RULE, start), Verdict::Begin);
        }
        assert_eq!(counts.admit(&RULE, start), Verdict::Queue);
        counts.end(Outcome::Success, start);
        assert_eq!(counts.admit(&RULE, start), Verdict::Begin, "one succeeded");
        counts.end(Outcome::Failure, start);
        assert_eq!(counts.admit(&RULE, start), Verdict::Queue, "one failed");
    }
}

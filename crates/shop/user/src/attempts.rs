//! Wrong passwords, counted by account and the address that they came from.
//!
//! Whoever guesses is slowed down: after a number of wrong passwords each further attempt has to wait, twice as long
//! every time. Nobody else is: the owner comes from another address, and a right password counts as nothing.
//!
//! Invariants: guesses side by side are no more than guesses one after the other; any number of right passwords side by
//! side are all answered; what is kept is bounded.
//!
//! Counted by this process alone, on purpose: what waits for what is decided under one lock, which no shared counter gives.
//! With several user services an address has as many times the free attempts; the gateways' rate of logins bounds what it
//! can do with them.
//!
//! Left out: guesses at one account from many addresses, each of which has its own free attempts. A lock would stop
//! those, and would let anybody lock anybody out.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use moka::future::Cache;
use tokio::sync::Notify;
use tokio::time::Instant;
use waypost_api::UserId;
use waypost_service::one_holder;

/// Pairs that are counted; beyond that the least used are forgotten.
const MAX_PAIRS: u64 = 100_000;

/// The wait after the first wrong password that is not free.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// Attempts of all accounts. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Attempts {
    rule: Rule,
    pairs: Cache<(UserId, Option<IpAddr>), Arc<Pair>>,
}

#[derive(Clone, Copy, Debug)]
struct Rule {
    /// Wrong passwords without a wait.
    free: u32,
    /// After so long a time without another one they are forgotten; also the longest wait.
    window: Duration,
}

impl Attempts {
    pub(crate) fn new(free: u32, window: Duration) -> Attempts {
        let pairs = Cache::builder().max_capacity(MAX_PAIRS).time_to_idle(window).build();
        Attempts { rule: Rule { free: free.max(1), window }, pairs }
    }

    /// Leave to check one password, perhaps after those of the same pair that are being checked; or the time to wait.
    pub(crate) async fn begin(&self, account: UserId, address: Option<IpAddr>) -> Result<Attempt, Duration> {
        let key = (account, address.map(one_holder));
        let pair = self.pairs.get_with(key, async { Arc::default() }).await;
        loop {
            // Before the look, so that an attempt that ends in between is not missed.
            let mut ended = std::pin::pin!(pair.ended.notified());
            ended.as_mut().enable();
            let verdict = pair.counts().admit(&self.rule, Instant::now());
            match verdict {
                Verdict::Begin => return Ok(Attempt { pair: Arc::clone(&pair), is_counted: false }),
                Verdict::Queue => ended.await,
                Verdict::Wait(time) => return Err(time),
            }
        }
    }
}

/// A password that is being checked. Dropped without an outcome, it counts as nothing.
#[derive(Debug)]
pub(crate) struct Attempt {
    pair: Arc<Pair>,
    is_counted: bool,
}

impl Attempt {
    /// The password was right: the wrong ones before it are forgotten.
    pub(crate) fn was_right(mut self) {
        self.end(Counts::right);
    }

    /// The password was wrong.
    pub(crate) fn was_wrong(mut self) {
        self.end(|counts| counts.wrong(Instant::now()));
    }

    fn end(&mut self, count: impl FnOnce(&mut Counts)) {
        self.is_counted = true;
        let mut counts = self.pair.counts();
        counts.running -= 1;
        count(&mut counts);
        drop(counts);
        self.pair.ended.notify_waiters();
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if !self.is_counted {
            self.end(|_| {});
        }
    }
}

/// One account and one address.
#[derive(Debug, Default)]
struct Pair {
    counts: Mutex<Counts>,
    ended: Notify,
}

impl Pair {
    fn counts(&self) -> MutexGuard<'_, Counts> {
        // Whole between any two statements, so a panic elsewhere does not spoil it.
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug, Default)]
struct Counts {
    wrong: u32,
    running: u32,
    last_wrong: Option<Instant>,
}

#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// It may be checked now.
    Begin,
    /// It depends on those that are being checked.
    Queue,
    /// It has to wait so long.
    Wait(Duration),
}

impl Counts {
    fn admit(&mut self, rule: &Rule, now: Instant) -> Verdict {
        let since = self.last_wrong.map(|last| now.saturating_duration_since(last));
        if since.is_some_and(|since| since >= rule.window) {
            self.right();
        }
        if self.wrong.saturating_add(self.running) >= rule.free {
            if self.running > 0 {
                return Verdict::Queue;
            }
            let doublings = self.wrong - rule.free;
            let pause = FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(doublings)).min(rule.window);
            let left = pause.saturating_sub(since.unwrap_or(pause));
            if !left.is_zero() {
                return Verdict::Wait(left);
            }
        }
        self.running += 1;
        Verdict::Begin
    }

    fn right(&mut self) {
        self.wrong = 0;
        self.last_wrong = None;
    }

    fn wrong(&mut self, now: Instant) {
        self.wrong = self.wrong.saturating_add(1);
        self.last_wrong = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: Rule = Rule { free: 3, window: Duration::from_secs(10) };

    /// A wrong password, begun and checked.
    fn guess(counts: &mut Counts, now: Instant) -> Verdict {
        let verdict = counts.admit(&RULE, now);
        if verdict == Verdict::Begin {
            counts.running -= 1;
            counts.wrong(now);
        }
        verdict
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn each_wrong_password_beyond_the_free_ones_waits_twice_as_long() {
        let (mut counts, start) = (Counts::default(), Instant::now());
        for _ in 0..3 {
            assert_eq!(guess(&mut counts, start), Verdict::Begin);
        }
        let mut now = start;
        for wait in [1, 2, 4, 8] {
            assert_eq!(guess(&mut counts, now), Verdict::Wait(seconds(wait)));
            now += seconds(wait);
            assert_eq!(guess(&mut counts, now), Verdict::Begin);
        }
        assert_eq!(guess(&mut counts, now), Verdict::Wait(RULE.window), "never longer than the window");
    }

    #[test]
    fn wrong_passwords_are_forgotten_after_the_window_or_a_right_one() {
        let (mut counts, start) = (Counts::default(), Instant::now());
        for _ in 0..3 {
            guess(&mut counts, start);
        }
        assert_eq!(guess(&mut counts, start + RULE.window), Verdict::Begin);
        assert_eq!(counts.wrong, 1);
        counts.right();
        assert_eq!(counts.wrong, 0);
    }

    #[test]
    fn attempts_side_by_side_are_at_most_as_many_as_are_free() {
        let (mut counts, start) = (Counts::default(), Instant::now());
        for _ in 0..3 {
            assert_eq!(counts.admit(&RULE, start), Verdict::Begin);
        }
        assert_eq!(counts.admit(&RULE, start), Verdict::Queue);
        counts.running -= 1;
        assert_eq!(counts.admit(&RULE, start), Verdict::Begin, "one was right");
        counts.running -= 1;
        counts.wrong(start);
        assert_eq!(counts.admit(&RULE, start), Verdict::Queue, "one was wrong");
    }
}

//! How a receiver is: well, or in trouble and asked by one request at a time with growing pauses.
//!
//! Shared by all requests of one lane, so that a receiver's wish to be left alone holds for all of them: it is never
//! shortened, neither by a later failure nor by the success of a request that was under way.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout_at};

const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// A process asks a receiver in trouble less often than one that is well, and loses little once the trouble is over: a queue that is
/// full loses what comes in until the next try.
const MAX_PAUSE: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
pub(crate) struct Health {
    state: Mutex<State>,
    /// Held by whoever asks a receiver in trouble.
    probe: tokio::sync::Mutex<()>,
    hurried: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// Failures in a row. Requests that were under way at the same time fail once, not each.
    failures: u32,
    last_failure: Option<Instant>,
    /// The own pause after a failure; a success ends it.
    backoff: Option<Instant>,
    /// The receiver asked not to be asked before this.
    asked: Option<Instant>,
    is_hurrying: bool,
    is_given_up: bool,
}

/// The right to send one request.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    began: Instant,
    /// Nobody else asks a receiver in trouble meanwhile.
    _probe: Option<tokio::sync::MutexGuard<'a, ()>>,
}

impl Health {
    pub(crate) fn is_well(&self) -> bool {
        self.state().failures == 0
    }

    /// Waits for the right to ask the receiver; `None` if that does not come before `give_up`. With a receiver that
    /// is well there is nothing to wait for.
    pub(super) async fn turn(&self, give_up: Instant) -> Option<Turn<'_>> {
        if self.is_well() && self.pause().is_none() {
            return Some(Turn { began: Instant::now(), _probe: None });
        }
        let probe = timeout_at(give_up, self.probe.lock()).await.ok()?;
        loop {
            let hurried = self.hurried.notified();
            if self.is_given_up() {
                return None;
            }
            let Some(pause) = self.pause() else { break };
            if pause >= give_up {
                return None;
            }
            tokio::select! {
                () = sleep_until(pause) => {}
                () = hurried => {}
            }
        }
        Some(Turn { began: Instant::now(), _probe: (!self.is_well()).then_some(probe) })
    }

    /// When the receiver may be asked again, if that lies ahead.
    pub(crate) fn pause(&self) -> Option<Instant> {
        let state = self.state();
        state.backoff.max(state.asked).filter(|until| *until > Instant::now())
    }

    /// The receiver answered.
    pub(super) fn recovered(&self) {
        let mut state = self.state();
        (state.failures, state.last_failure, state.backoff) = (0, None, None);
    }

    /// The receiver could not be reached, or asked to be left alone for `wait`. False if whoever asked should give
    /// up now.
    pub(super) fn failed(
        &self,
        turn: &Turn<'_>,
        wait: Option<Duration>,
        is_unreached: bool,
        give_up: Instant,
    ) -> bool {
        let now = Instant::now();
        let mut state = self.state();
        let is_new = state.last_failure.is_none_or(|last| last <= turn.began);
        if is_new {
            let pause = FIRST_PAUSE.saturating_mul(1 << state.failures.min(10)).min(MAX_PAUSE);
            state.failures = state.failures.saturating_add(1);
            state.last_failure = Some(now);
            state.backoff = Some(now + pause.mul_f64(0.5 + 0.5 * fastrand::f64()));
        }
        // A wish to be asked again at once would be no pause at all.
        if let Some(wait) = wait.filter(|wait| !wait.is_zero()) {
            state.backoff = None;
            state.asked = state.asked.max(now.checked_add(wait));
        }
        if is_unreached && state.is_hurrying {
            state.is_given_up = true;
            return false;
        }
        state.backoff.max(state.asked).is_none_or(|until| until < give_up)
    }

    /// The end is near: the own pause is over, and a receiver that is not reached from now on is given up.
    pub(crate) fn hurry(&self) {
        let mut state = self.state();
        state.is_hurrying = true;
        state.backoff = None;
        drop(state);
        self.hurried.notify_waiters();
    }

    pub(crate) fn is_given_up(&self) -> bool {
        self.state().is_given_up
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    async fn turn(health: &Health) -> Turn<'_> {
        health.turn(Instant::now() + 1_000 * SECOND).await.unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn requests_that_fail_together_count_as_one_failure() {
        let health = Health::default();
        let turns = [turn(&health).await, turn(&health).await, turn(&health).await];
        tokio::time::advance(SECOND).await;
        for turn in &turns {
            assert!(health.failed(turn, None, false, Instant::now() + SECOND));
        }
        assert!(health.pause().unwrap() <= Instant::now() + FIRST_PAUSE);
    }

    #[tokio::test(start_paused = true)]
    async fn a_wish_is_shortened_by_nothing() {
        let health = Health::default();
        let (first, second, third) = (turn(&health).await, turn(&health).await, turn(&health).await);
        let until = Instant::now() + 10 * SECOND;
        health.failed(&first, Some(10 * SECOND), false, until + SECOND);
        health.failed(&second, Some(2 * SECOND), false, until + SECOND);
        health.failed(&third, None, false, until + SECOND);
        health.recovered();
        health.hurry();
        assert_eq!(health.pause(), Some(until));
        assert_eq!(turn(&health).await.began, until);
        assert!(health.is_well());
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_grow_and_end_with_a_success() {
        let health = Health::default();
        for failures in 0..8 {
            let turn = turn(&health).await;
            health.failed(&turn, None, false, Instant::now() + SECOND);
            let longest = (FIRST_PAUSE * (1 << failures)).min(MAX_PAUSE);
            let pause = health.pause().unwrap() - Instant::now();
            assert!(pause >= longest / 2 && pause <= longest, "{pause:?} after {failures}");
        }
        health.recovered();
        assert_eq!(health.pause(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn at_the_end_a_pause_is_cut_short_once() {
        let health = Health::default();
        let first = turn(&health).await;
        health.failed(&first, None, false, Instant::now() + SECOND);
        drop(first);
        health.hurry();
        let second = turn(&health).await;
        assert!(health.failed(&second, None, false, Instant::now() + 10 * SECOND), "it was reached");
        assert!(health.pause().is_some(), "a receiver in trouble is not asked without a pause");
        assert!(!health.failed(&second, None, true, Instant::now() + 10 * SECOND));
        drop(second);
        assert!(health.is_given_up() && health.turn(Instant::now() + SECOND).await.is_none());
    }
}

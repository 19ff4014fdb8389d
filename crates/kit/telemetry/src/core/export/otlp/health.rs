//! How a receiver is: well, or in trouble and asked by one request at a time with growing pauses.
//!
//! Shared by all requests of one lane, so that a receiver's wish to be left alone holds for all of them.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{MutexGuard, Notify};
use tokio::time::{Instant, sleep_until, timeout_at};

const FIRST_PAUSE: Duration = Duration::from_millis(200);
const MAX_PAUSE: Duration = Duration::from_secs(5);

#[derive(Debug, Default)]
pub(crate) struct Health {
    /// Failures in a row.
    failures: AtomicU32,
    /// Not before this.
    paused_until: Mutex<Option<Instant>>,
    /// Held by whoever asks a receiver in trouble.
    probe: tokio::sync::Mutex<()>,
    is_hurrying: AtomicBool,
    hurried: Notify,
    is_given_up: AtomicBool,
}

impl Health {
    pub(crate) fn is_well(&self) -> bool {
        self.failures.load(Ordering::Acquire) == 0
    }

    /// Waits for the right to ask the receiver; `None` if that does not come before `give_up`. With a receiver that
    /// is well there is nothing to wait for.
    pub(super) async fn turn(&self, give_up: Instant) -> Option<Option<MutexGuard<'_, ()>>> {
        if self.is_well() && self.pause().is_none() {
            return Some(None);
        }
        let turn = timeout_at(give_up, self.probe.lock()).await.ok()?;
        while let Some(pause) = self.pause() {
            if pause >= give_up {
                return None;
            }
            let hurried = self.hurried.notified();
            if self.is_hurrying.load(Ordering::Acquire) {
                break;
            }
            tokio::select! {
                () = sleep_until(pause) => {}
                () = hurried => {}
            }
        }
        Some((!self.is_well()).then_some(turn))
    }

    /// The end of the pause, if it lies ahead.
    fn pause(&self) -> Option<Instant> {
        let paused_until = *self.paused_until.lock().unwrap_or_else(PoisonError::into_inner);
        paused_until.filter(|until| *until > Instant::now())
    }

    /// The receiver answered.
    pub(super) fn recovered(&self) {
        self.failures.store(0, Ordering::Release);
        *self.paused_until.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// The receiver could not be reached, or asked to be left alone for `wait`. False if whoever asked should give
    /// up now.
    pub(super) fn failed(&self, wait: Option<Duration>, is_unreached: bool, give_up: Instant) -> bool {
        let failures = self.failures.fetch_add(1, Ordering::AcqRel);
        let pause = FIRST_PAUSE.saturating_mul(1 << failures.min(10)).min(MAX_PAUSE);
        let wait = wait.unwrap_or_else(|| pause.mul_f64(0.5 + 0.5 * fastrand::f64()));
        let until = Instant::now() + wait;
        *self.paused_until.lock().unwrap_or_else(PoisonError::into_inner) = Some(until);
        if is_unreached && self.is_hurrying.load(Ordering::Acquire) {
            self.is_given_up.store(true, Ordering::Release);
            return false;
        }
        until < give_up
    }

    pub(crate) fn hurry(&self) {
        self.is_hurrying.store(true, Ordering::Release);
        self.hurried.notify_waiters();
    }

    pub(crate) fn is_given_up(&self) -> bool {
        self.is_given_up.load(Ordering::Acquire)
    }
}

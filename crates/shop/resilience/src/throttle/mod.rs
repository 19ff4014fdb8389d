//! Slows down whoever fails again and again, such as somebody who guesses a password.
//!
//! After a number of failures under one key each further attempt has to wait, twice as long every time. A success forgets
//! the failures before it. A [`FailureStore`] counts: [`Failures`], in this process's memory, or one that several processes
//! share. Whoever wants to attempt something asks for an [`Attempt`] first and says afterwards how it ended.
//!
//! Invariants: failures side by side are no more than failures one after the other; any number of successes side by side
//! are all let through; what is kept is bounded.
//!
//! Left out: what becomes of an attempt while the store is away. Whoever asks decides.

mod failures;

use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

pub use failures::Failures;

/// How much failure is free, and what further failure costs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Its name in a shared store: lower-case letters, digits and `-`.
    pub name: &'static str,
    /// Failures without a wait; as many attempts may be under way at once.
    pub free: NonZeroU32,
    /// The wait after the last free failure. It doubles with each further one.
    pub first_wait: Duration,
    /// After so long a time without another failure they are forgotten; also the longest wait.
    pub window: Duration,
}

/// Counts failures by key, for one rule.
///
/// [`Failures`] counts for one process. A store that several processes share makes the rule hold for all of them together.
///
/// What an implementation owes:
/// - a look and the taking of a place are one step, so that attempts side by side, of any process, are never more than the
///   rule has free;
/// - an attempt that depends on those under way waits for their end;
/// - the store's clock judges, not that of the process that asks;
/// - what it keeps is bounded, and ends by itself; also the place of an attempt whose process has died;
/// - it answers each question within a time-out of its own that is short beside a request's budget, or it is [`Away`].
pub trait FailureStore: fmt::Debug + Send + Sync + 'static {
    /// The rule.
    fn rule(&self) -> &Rule;

    /// Leave for one attempt under a key, perhaps after those under way; or the time to wait.
    ///
    /// # Errors
    /// [`Away`] when the store cannot say.
    ///
    /// Cancel safety: dropped, it may have taken a place, which counts as no failure and ends by itself.
    fn begin<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Leave, Away>>;
}

/// What a store says to one who wants to attempt something.
#[derive(Debug)]
pub enum Leave {
    /// The attempt may begin.
    Given(Attempt),
    /// It has to wait so long, and ask again then.
    Wait(Duration),
}

/// A place among the attempts under way, as its store knows it.
pub trait Place: fmt::Debug + Send + Sync {
    /// Gives it back.
    ///
    /// Cancel safety: dropped, the outcome may not be counted, and the place ends by itself.
    fn end(self: Box<Self>, outcome: Outcome) -> BoxFuture<'static, Result<(), Away>>;
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It succeeded: the failures before it are forgotten.
    Success,
    /// It failed.
    Failure,
    /// It was given up, which counts as nothing.
    Neither,
}

/// An attempt under way. Dropped without an outcome, it counts as nothing.
#[derive(Debug)]
#[must_use = "an attempt that nobody keeps is over"]
pub struct Attempt {
    place: Option<Box<dyn Place>>,
}

impl Attempt {
    /// The attempt that has this place.
    pub fn new(place: Box<dyn Place>) -> Self {
        Self { place: Some(place) }
    }

    /// Says how it ended.
    ///
    /// # Errors
    /// [`Away`] when the store could not be told; the attempt then counts as nothing.
    ///
    /// Cancel safety: dropped, the outcome may not be counted.
    pub async fn end(mut self, outcome: Outcome) -> Result<(), Away> {
        match self.place.take() {
            Some(place) => place.end(outcome).await,
            None => Ok(()),
        }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        let Some(place) = self.place.take() else { return };
        let mut ending = place.end(Outcome::Neither);
        // In memory that is all. Another store is told beside the request, which is over.
        if (&mut ending).now_or_never().is_none() && tokio::runtime::Handle::try_current().is_ok() {
            waypost_telemetry::spawn(ending);
        }
    }
}

/// The store could not be asked, or did not answer in time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the store of failures is away: {reason}")]
pub struct Away {
    /// What is wrong, for the log.
    pub reason: String,
}

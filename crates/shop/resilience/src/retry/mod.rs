//! Repeats a call that surely did nothing, a few times, within the deadline and on a budget.
//!
//! A call is repeated in a closure around the typed client, because tonic's request bodies cannot be cloned; so
//! each attempt makes its own request and is a CLIENT span of its own. Retry at ONE layer only: two layers of
//! three attempts are nine.
//!
//! What is repeated (gRFC A6): by default only a call that never left, because no connection could be made. A
//! policy of a method that is [`Policy::idempotent`] repeats every `UNAVAILABLE`, and what an overloaded server
//! refused with a time to wait. How long to wait is the server's to say, by `grpc-retry-pushback-ms`.
//!
//! ```
//! use waypost_resilience::retry::{Attempt, Budget, Policy};
//! # use waypost_telemetry::Telemetry;
//! # async fn call(request: tonic::Request<()>) -> Result<tonic::Response<u32>, tonic::Status> {
//! #     if request.metadata().contains_key("grpc-previous-rpc-attempts") { Ok(tonic::Response::new(7)) }
//! #     else { Err(tonic::Status::unavailable("not yet")) }
//! # }
//! # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(async {
//! let budget = Budget::new(&Telemetry::disabled(), "inventory");
//! let policy = Policy::new().idempotent();
//! let answer = policy.call(&budget, |attempt: Attempt| call(attempt.request(()))).await?;
//! assert_eq!(answer.into_inner(), 7);
//! # Ok::<_, tonic::Status>(())
//! # }).unwrap();
//! ```

mod budget;

use std::{error::Error, future::Future, time::Duration};

use tonic::{Code, Status, metadata::MetadataValue};
use waypost_errors::RETRY_PUSHBACK_METADATA;

pub use budget::Budget;
use budget::Verdict;

use crate::{
    backoff::{Backoff, Random},
    breaker::Refused,
    deadline,
    grpc::NoReplica,
};

/// The metadata that tells a server how often a call was tried before (gRFC A6).
pub const PREVIOUS_ATTEMPTS_METADATA: &str = "grpc-previous-rpc-attempts";

/// Which calls are repeated, how often and after how long.
#[derive(Debug, Clone)]
pub struct Policy {
    max_attempts: u32,
    is_idempotent: bool,
    backoff: Backoff,
    random: Random,
}

impl Policy {
    /// At most this many attempts, whatever is asked for: more only make an overload worse.
    pub const MAX_ATTEMPTS: u32 = 3;

    /// Three attempts, 50 ms to 1 s apart with full jitter, of calls that never left.
    pub fn new() -> Self {
        Self {
            max_attempts: Self::MAX_ATTEMPTS,
            is_idempotent: false,
            backoff: Backoff::new(Duration::from_millis(50), Duration::from_secs(1)),
            random: Random::system(),
        }
    }

    /// Says that the method has the effect of once however often it is called, because it reads or carries a key.
    #[must_use]
    pub fn idempotent(mut self) -> Self {
        self.is_idempotent = true;
        self
    }

    /// Attempts in all, 1 to [`Policy::MAX_ATTEMPTS`].
    #[must_use]
    pub fn max_attempts(mut self, attempts: u32) -> Self {
        self.max_attempts = attempts.clamp(1, Self::MAX_ATTEMPTS);
        self
    }

    /// How long to wait between attempts, where the server does not say.
    #[must_use]
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }

    /// Where the jitter comes from.
    #[must_use]
    pub fn random(mut self, random: Random) -> Self {
        self.random = random;
        self
    }

    /// Makes a call, and makes it again where that may help. Gives the first success or the last failure.
    ///
    /// Cancel safety: dropping it drops the attempt under way and makes no more.
    pub async fn call<T, F, Fut>(&self, budget: &Budget, mut operation: F) -> Result<T, Status>
    where
        F: FnMut(Attempt) -> Fut,
        Fut: Future<Output = Result<T, Status>>,
    {
        budget.deposit();
        let mut attempt = Attempt { number: 1 };
        loop {
            let status = match operation(attempt).await {
                Ok(answer) => return Ok(answer),
                Err(status) => status,
            };
            let Some(wait) = self.wait_before_next(&status, attempt, budget) else {
                return Err(status);
            };
            tokio::time::sleep(wait).await;
            attempt.number += 1;
        }
    }

    /// How long to wait before the next attempt, if there is to be one.
    fn wait_before_next(&self, status: &Status, attempt: Attempt, budget: &Budget) -> Option<Duration> {
        let pushback = Pushback::of(status);
        if !self.may_repeat(status, pushback) {
            return None;
        }
        let wait = match pushback {
            Pushback::Wait(wait) => wait,
            Pushback::Silent | Pushback::Never => self.backoff.full_jitter(attempt.previous(), &self.random),
        };
        let verdict = if attempt.number >= self.max_attempts {
            Verdict::NoAttemptsLeft
        } else if deadline::remaining().is_some_and(|left| left <= wait) {
            Verdict::NoTimeLeft
        } else if !budget.withdraw() {
            Verdict::NoBudgetLeft
        } else {
            Verdict::Repeated
        };
        budget.record(verdict);
        (verdict == Verdict::Repeated).then_some(wait)
    }

    fn may_repeat(&self, status: &Status, pushback: Pushback) -> bool {
        // A shut breaker has said that asking again soon is in vain.
        if pushback == Pushback::Never || was_refused(status) {
            return false;
        }
        match status.code() {
            Code::Unavailable => self.is_idempotent || has_no_connection(status),
            Code::ResourceExhausted => self.is_idempotent && matches!(pushback, Pushback::Wait(_)),
            _ => false,
        }
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self::new()
    }
}

/// One try of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt {
    number: u32,
}

impl Attempt {
    /// 1 for the first.
    pub fn number(self) -> u32 {
        self.number
    }

    /// How many there were before.
    pub fn previous(self) -> u32 {
        self.number - 1
    }

    /// Wraps a message into a request that says how often it was tried before.
    pub fn request<T>(self, message: T) -> tonic::Request<T> {
        let mut request = tonic::Request::new(message);
        if self.previous() > 0 {
            request.metadata_mut().insert(PREVIOUS_ATTEMPTS_METADATA, MetadataValue::from(self.previous()));
        }
        request
    }
}

/// What the server says about trying again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pushback {
    Silent,
    Wait(Duration),
    Never,
}

impl Pushback {
    fn of(status: &Status) -> Self {
        let Some(value) = status.metadata().get(RETRY_PUSHBACK_METADATA) else {
            return Self::Silent;
        };
        // gRFC A6: what cannot be read as a time to wait, such as a negative number, means not to try again.
        let millis = value.to_str().ok().and_then(|text| text.parse::<u32>().ok());
        millis.map_or(Self::Never, |millis| Self::Wait(Duration::from_millis(millis.into())))
    }
}

/// How long to wait at least with the next try of a call that surely did not leave this process, because the breaker is
/// shut or no connection could be made. `None` when it may have left.
pub fn not_sent(status: &Status) -> Option<Duration> {
    let sources = || std::iter::successors(status.source(), |error| (*error).source());
    let refused = sources().find_map(|error| error.downcast_ref::<Refused>());
    match refused {
        Some(refused) => Some(refused.retry_in),
        None => has_no_connection(status).then_some(Duration::ZERO),
    }
}

fn has_no_connection(status: &Status) -> bool {
    has_source::<tonic::ConnectError>(status) || has_source::<NoReplica>(status)
}

/// True when a shut breaker refused the call.
pub(crate) fn was_refused(status: &Status) -> bool {
    has_source::<Refused>(status)
}

fn has_source<E: Error + 'static>(status: &Status) -> bool {
    std::iter::successors(status.source(), |error| (*error).source()).any(<dyn Error>::is::<E>)
}

#[cfg(test)]
mod tests;

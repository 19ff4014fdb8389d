//! How long an answer is still worth having, carried from hop to hop.
//!
//! The edge sets a deadline; every hop reads it from `grpc-timeout` ([`ServerLayer`]), keeps it in a task-local
//! ([`current`]) and sends on what is left less a margin ([`crate::grpc::Channel`]). gRPC itself has no default
//! deadline, and tonic covers only the response's head and answers `CANCELLED`; here the whole call is covered,
//! body included, and the answer is `DEADLINE_EXCEEDED`.
//!
//! Invariant: nested deadlines only get shorter. The exception is on purpose and has a name: [`scope`] lets work
//! that outlives its caller run under a deadline of its own, or none.
//!
//! A spawned task does not inherit the deadline, as it does not end with its caller.

mod body;
mod client;
mod header;
mod server;

use std::{borrow::Cow, future::Future, time::Duration};

use tokio::{
    task::futures::TaskLocalFuture,
    time::{Instant, timeout_at},
};
use waypost_errors::{Error, ErrorCode};
use waypost_telemetry::{ErrorType, error::ErrorClass};

pub(crate) use client::ClientLayer;
pub use server::{ServerFuture, ServerLayer, ServerService};

pub use body::ServerBody;

tokio::task_local! {
    static DEADLINE: Option<Instant>;
}

/// The deadline passed before the work was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the deadline passed before the work was done")]
pub struct Expired;

impl ErrorType for Expired {
    fn error_type(&self) -> Cow<'static, str> {
        Cow::Borrowed(ErrorCode::DeadlineExceeded.as_str())
    }

    fn class(&self) -> ErrorClass {
        ErrorClass::Timeout
    }
}

impl From<Expired> for Error {
    fn from(_: Expired) -> Self {
        Error::of(ErrorCode::DeadlineExceeded)
    }
}

impl From<Expired> for tonic::Status {
    fn from(expired: Expired) -> Self {
        Error::from(expired).into()
    }
}

/// The deadline of the work that is being done here, if it has one.
pub fn current() -> Option<Instant> {
    DEADLINE.try_with(|deadline| *deadline).ok().flatten()
}

/// The time until the deadline; zero when it has passed, nothing when there is none.
pub fn remaining() -> Option<Duration> {
    current().map(|deadline| deadline.saturating_duration_since(Instant::now()))
}

/// Runs a future until it is done or the deadline passes, and lets it see the deadline. A deadline that is
/// already in force stays in force when it is earlier.
///
/// Cancel safety: the future is dropped at the deadline, as it is when this one is dropped.
///
/// ```
/// use std::time::Duration;
/// use tokio::time::{Instant, sleep};
/// use waypost_resilience::deadline::{Expired, within};
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(async {
/// let deadline = Instant::now() + Duration::from_secs(2);
/// assert_eq!(within(deadline, async { 7 }).await, Ok(7));
/// assert_eq!(within(deadline, sleep(Duration::from_secs(3))).await, Err(Expired));
/// # });
/// ```
pub async fn within<F: Future>(deadline: Instant, future: F) -> Result<F::Output, Expired> {
    let deadline = earlier(Some(deadline), current()).unwrap_or(deadline);
    if Instant::now() >= deadline {
        return Err(Expired);
    }
    timeout_at(deadline, scope(Some(deadline), future)).await.map_err(|_| Expired)
}

/// Runs a future under exactly this deadline, or none, whatever deadline is in force here. It is not cut off;
/// what it calls is.
///
/// For work that must go on after its caller has left: `scope(None, settle_the_order())`.
pub fn scope<F: Future>(deadline: Option<Instant>, future: F) -> TaskLocalFuture<Option<Instant>, F> {
    DEADLINE.scope(deadline, future)
}

fn earlier(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_nested_deadline_only_gets_shorter() {
        let outer = Instant::now() + Duration::from_secs(1);
        let later = outer + Duration::from_secs(9);
        let seen = within(outer, async { within(later, async { current() }).await }).await;
        assert_eq!(seen, Ok(Ok(Some(outer))));
    }

    #[tokio::test(start_paused = true)]
    async fn work_whose_deadline_has_passed_is_not_begun() {
        let now = Instant::now();
        let begun = within(now, async { panic!("begun") }).await;
        assert_eq!(begun, Err::<(), _>(Expired));
    }

    #[tokio::test(start_paused = true)]
    async fn a_scope_of_its_own_outlives_the_callers_deadline() {
        let deadline = Instant::now() + Duration::from_secs(1);
        let seen = within(deadline, scope(None, async { (current(), remaining()) })).await;
        assert_eq!(seen, Ok((None, None)));
    }

    #[tokio::test]
    async fn outside_of_everything_there_is_no_deadline() {
        assert_eq!(current(), None);
        assert_eq!(remaining(), None);
    }
}

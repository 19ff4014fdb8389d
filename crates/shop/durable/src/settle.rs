//! Units whose caller has to know what became of them.
//!
//! For callers that would take a failure for "nothing was written" and give up: an order would be answered as refused
//! and yet be there, or a saga would stand still until its lease runs out.

use std::future::Future;

use crate::Error;

/// How often a unit runs that keeps losing against others.
const MAX_RUNS: u32 = 5;

/// An error of a store, as far as [`settle`] needs to know it.
pub trait StoreError {
    /// What the database said, if it is at fault.
    fn database(&self) -> Option<&Error>;
}

impl StoreError for Error {
    fn database(&self) -> Option<&Error> {
        Some(self)
    }
}

/// Runs a unit until it is known what became of it.
///
/// One that lost against another ([`Error::Conflict`]) is run again, five times in all at most. When the commit was not
/// acknowledged ([`Error::OutcomeUnknown`]), `look` tells what can be seen: `Some` is the unit's answer, and with `None`
/// the error is returned. Any other error is returned as it is: nothing was written.
///
/// Cancel safety: as the unit's own.
pub async fn settle<T, E, Run, Look>(
    mut unit: impl FnMut() -> Run,
    look: impl FnOnce() -> Look,
) -> Result<T, E>
where
    E: StoreError,
    Run: Future<Output = Result<T, E>>,
    Look: Future<Output = Result<Option<T>, E>>,
{
    let mut result = unit().await;
    for _ in 1..MAX_RUNS {
        match &result {
            Err(error) if matches!(error.database(), Some(Error::Conflict(_))) => result = unit().await,
            _ => break,
        }
    }
    match result {
        Err(error) if matches!(error.database(), Some(Error::OutcomeUnknown(_))) => {
            look().await?.ok_or(error)
        }
        settled => settled,
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future::ready;
    use std::sync::Arc;

    use super::*;
    use crate::Cause;

    fn cause() -> Cause {
        Cause::new("40001", std::io::Error::other("could not serialize access"))
    }

    fn unknown() -> Error {
        Error::OutcomeUnknown(Arc::new(Error::Io(cause())))
    }

    /// A unit that fails so often in this way before it succeeds, and how often it ran.
    async fn settled(failures: u32, how: impl Fn() -> Error, seen: Option<&'static str>) -> (bool, u32) {
        let runs = Cell::new(0);
        let unit = || {
            runs.set(runs.get() + 1);
            ready(if runs.get() > failures { Ok("ran") } else { Err(how()) })
        };
        let result = settle(unit, || ready(Ok(seen))).await;
        (result.is_ok(), runs.get())
    }

    #[tokio::test]
    async fn a_unit_that_lost_is_run_again_but_not_for_ever() {
        let conflict = || Error::Conflict(cause());
        assert_eq!(settled(2, conflict, None).await, (true, 3));
        assert_eq!(settled(9, conflict, None).await, (false, MAX_RUNS));
    }

    #[tokio::test]
    async fn a_unit_whose_commit_is_not_known_is_looked_for_and_not_run_again() {
        assert_eq!(settled(1, unknown, Some("found")).await, (true, 1));
        assert_eq!(settled(1, unknown, None).await, (false, 1));
    }

    #[tokio::test]
    async fn a_unit_that_failed_otherwise_is_not_looked_for() {
        assert_eq!(settled(1, || Error::Closed("order"), Some("found")).await, (false, 1));
    }
}

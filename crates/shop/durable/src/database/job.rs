//! A unit on its way to a database thread: its code, its span, its caller's answer.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use rusqlite::Connection;
use tokio::sync::oneshot;
use waypost_telemetry::ErrorType;
use waypost_telemetry::sql::Operation;

use super::Shared;
use super::unit::{AfterCommit, Unit};
use crate::Error;

/// What a database thread receives.
pub(super) enum Message {
    /// A unit to run.
    Run(Box<dyn Job>),
    /// This database is closed: finish what waits of it. Its readers end; the writer does when no other database is in its
    /// file.
    Close(Arc<Shared>),
}

/// A unit with its types forgotten.
pub(super) trait Job: Send {
    /// Runs the unit's code. False: what it did must be rolled back.
    fn run(&mut self, connection: &Connection) -> bool;

    /// The database that it is for.
    fn database(&self) -> &Shared;

    /// The last statement of the unit that failed, and why.
    fn failure(&self) -> Option<Error>;

    /// Ends the span and answers the caller: with what the unit returned, or, when nothing of it is durable, with the
    /// error. `Ok` carries the number of units of the commit, 0 for a query.
    fn settle(self: Box<Self>, commit: Result<usize, Error>);
}

/// Makes a job and the receiver of its answer.
pub(super) fn new<T, E, F>(
    database: Arc<Shared>,
    name: &'static str,
    operation: Operation,
    unit: F,
) -> (Box<dyn Job>, oneshot::Receiver<Result<T, E>>)
where
    T: Send + 'static,
    E: From<Error> + ErrorType + Send + 'static,
    F: FnOnce(&mut Unit<'_>) -> Result<T, E> + Send + 'static,
{
    let (answer, receiver) = oneshot::channel();
    let job = TypedJob {
        database,
        name,
        operation,
        submitted: Instant::now(),
        unit: Some(unit),
        outcome: None,
        after_commit: Vec::new(),
        failure: None,
        answer,
    };
    (Box::new(job), receiver)
}

struct TypedJob<T, E, F> {
    database: Arc<Shared>,
    name: &'static str,
    operation: Operation,
    submitted: Instant,
    unit: Option<F>,
    outcome: Option<Result<T, E>>,
    after_commit: Vec<AfterCommit>,
    failure: Option<Error>,
    answer: oneshot::Sender<Result<T, E>>,
}

impl<T, E, F> Job for TypedJob<T, E, F>
where
    T: Send + 'static,
    E: From<Error> + ErrorType + Send + 'static,
    F: FnOnce(&mut Unit<'_>) -> Result<T, E> + Send + 'static,
{
    fn run(&mut self, connection: &Connection) -> bool {
        self.operation.waited(self.submitted.elapsed());
        let Some(code) = self.unit.take() else { return false };
        let mut unit = Unit::new(
            connection,
            &self.database,
            &mut self.operation,
            &mut self.after_commit,
            &mut self.failure,
        );
        // What a panicking unit has touched is either rolled back (the database) or dropped with it (its captures).
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let outcome = code(&mut unit);
            unit.finish();
            outcome
        }))
        .unwrap_or_else(|panic| {
            Err(E::from(Error::Panicked { operation: self.name, message: panic_message(&*panic) }))
        });
        let keep = outcome.is_ok();
        self.outcome = Some(outcome);
        keep
    }

    fn database(&self) -> &Shared {
        &self.database
    }

    fn failure(&self) -> Option<Error> {
        self.failure.clone()
    }

    fn settle(self: Box<Self>, commit: Result<usize, Error>) {
        let TypedJob { name, mut operation, outcome, after_commit, answer, .. } = *self;
        let result = match (commit, outcome) {
            (Ok(units), Some(outcome)) => {
                if units > 0 {
                    operation.batch_units(units);
                }
                outcome
            }
            // A unit that had refused already keeps its own reason.
            (Err(_), Some(Err(refusal))) => Err(refusal),
            (Err(error), _) => Err(E::from(error)),
            (Ok(_), None) => return,
        };
        match &result {
            Ok(_) => {
                operation.succeed();
                for then in after_commit {
                    // The unit is committed and its caller must hear so, whatever a callback does.
                    if catch_unwind(AssertUnwindSafe(then)).is_err() {
                        tracing::error!(operation = name, "a callback panicked after the commit");
                    }
                }
            }
            Err(error) => operation.fail(error),
        }
        // The caller may be gone; the unit stays done.
        let _ = answer.send(result);
    }
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    if let Some(message) = panic.downcast_ref::<&str>() {
        (*message).to_owned()
    } else if let Some(message) = panic.downcast_ref::<String>() {
        message.clone()
    } else {
        "no message".to_owned()
    }
}

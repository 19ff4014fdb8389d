//! PostgreSQL: a schema on a server behind a pool of connections.
//!
//! For stores of processes that share a server with their replicas. A unit of work is an async function that runs in a task
//! of its own, inside one transaction: there is no handle to hold over a network call, and a caller that goes away changes
//! nothing. The functions of [`idempotency`], [`inbox`] and [`outbox`] are those of the embedded form with other statements;
//! their rules are the same code.
//!
//! Isolation is read committed. A unit says by row locks, unique keys and conditions of its statements what it needs beyond;
//! the traits of the stores list it. One that loses all the same (SQLSTATE 40001, 40P01) is run again after a random pause,
//! five times at most, so its code may run more than once and changes nothing outside of the unit.
//!
//! Units of one kind that are ready together can share a transaction and its statements: [`group`].
//!
//! Time is `waypost_now()`, a function of the schema that is the server's `now()`: the same for everything in one unit.
//!
//! Left out: statements that are built at run time, and a pooler that takes sessions apart (transaction pooling).

mod error;
pub mod group;
pub mod idempotency;
pub mod inbox;
mod listening;
mod migration;
pub mod outbox;
mod pool;
mod server;
#[cfg(feature = "testing")]
pub mod testing;
mod unit;
mod values;

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use waypost_telemetry::opentelemetry::Context;
use waypost_telemetry::{ErrorType, Telemetry, sql};

use crate::{Backoff, Error, Migration};
use error::of_commit;
pub use listening::Heard;
pub use migration::PostgresMigrator;
pub(crate) use migration::connect as open_session;
use pool::Pool;
pub(crate) use pool::close as close_session;
pub use server::{Address, Password, Server, Tls, TlsMode, parse_url};
pub use unit::Unit;
pub use values::{At, Params, Row, millis_of};

pub use crate::postgres_params as params;

/// How often a unit runs that keeps losing against others, or whose connection was gone before it wrote anything, and how often
/// one asks for a connection that is cut while it is made.
const MAX_RUNS: u32 = 5;

/// The pauses before a unit runs again: random, so that two that lost against each other do not meet again.
const PAUSE: Backoff = Backoff { first: Duration::from_millis(5), max: Duration::from_millis(80) };

/// How much longer than the server's own time-out an answer is waited for.
const GRACE: Duration = Duration::from_secs(2);

/// The schema of one service. Cheap to clone; all clones share one pool.
///
/// [`Database::close`] ends it.
#[derive(Clone)]
pub struct Database {
    spans: sql::Database,
    is_traced: bool,
    shared: Arc<Shared>,
}

/// What all handles of one schema have in common.
pub(crate) struct Shared {
    name: &'static str,
    server: Server,
    pool: Arc<Pool>,
    tasks: TaskTracker,
    /// How long an answer is waited for.
    max_wait: Duration,
    /// Rises with each commit of this process that appended to the outbox.
    appended: Arc<watch::Sender<u64>>,
    closing: CancellationToken,
}

/// What a unit is to the server.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Mode {
    /// A transaction that writes, with the lock that it begins with.
    Write(Option<String>),
    /// A transaction that writes for several units, with the lock of each; see [`group`].
    Group(Vec<String>),
    /// A transaction that reads one state of all tables.
    Snapshot,
    /// One statement that writes, a transaction by itself.
    Statement,
    /// Statements that read, a transaction each.
    Single,
}

/// When a unit runs again whose connection broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Again {
    /// As long as it was not asked to commit, so that nothing of it is written.
    IfNothingIsWritten,
    /// Also when the answer to its commit was lost: run again, its code finds what it has done and answers that. `may_be_done`
    /// says that it was in a group to which that has happened.
    ItFindsWhatItDid { may_be_done: bool },
}

/// The code of a unit: it is lent the inside of the unit and what it works on, and may be run more than once.
pub trait Work<A, T, E>:
    for<'u> Fn(&'u mut Unit, &'u A) -> BoxFuture<'u, Result<T, E>> + Send + Sync + 'static
{
}

impl<A, T, E, F> Work<A, T, E> for F where
    F: for<'u> Fn(&'u mut Unit, &'u A) -> BoxFuture<'u, Result<T, E>> + Send + Sync + 'static
{
}

/// What a unit may fail with: its service's error, which an error of the database can become.
pub trait UnitError: From<Error> + ErrorType + Send + 'static {}

impl<E: From<Error> + ErrorType + Send + 'static> UnitError for E {}

impl Database {
    /// Connects, makes the schema when it is missing, and applies the migrations that it lacks.
    ///
    /// `name` is that of the service: of its schema, in spans and in messages.
    ///
    /// # Errors
    /// [`Error::Server`] with what to do about it, or [`Error::Migration`].
    pub async fn open(
        server: &Server,
        name: &'static str,
        telemetry: &Telemetry,
        migrations: &'static [Migration],
    ) -> Result<Database, Error> {
        let server = server.clone();
        // In a task: a start that is given up does not leave the schema half-way.
        let opening = {
            let server = server.clone();
            waypost_telemetry::spawn(async move { migration::apply(&server, name, migrations).await })
        };
        opening.await.map_err(|error| panicked("open", &error))??;
        let options = server.connect_options(name);
        let pool = Pool::new(name, &server, options, telemetry);
        let spans = telemetry
            .sql("postgresql", server.namespace(name))
            .server(server.address.host.clone(), server.address.port);
        let shared = Arc::new(Shared {
            name,
            max_wait: server.statement_timeout + GRACE,
            server,
            pool,
            tasks: TaskTracker::new(),
            appended: Arc::new(watch::Sender::new(0)),
            closing: CancellationToken::new(),
        });
        Ok(Database { spans, is_traced: true, shared })
    }

    /// The same schema without spans and measurements: for polling and other background work, whose operations belong to no
    /// request.
    #[must_use]
    pub fn untraced(&self) -> Database {
        Database {
            spans: Telemetry::disabled().sql("postgresql", self.shared.server.namespace(self.shared.name)),
            is_traced: false,
            ..self.clone()
        }
    }

    /// Runs a unit of work in one transaction and answers after its commit.
    ///
    /// `operation` names it in messages; the span's name is made from its statements. `args` is what the unit works on; it
    /// is lent to each run. An `Err` of the unit rolls back what it did.
    ///
    /// Cancel safety: once the future has been polled, the unit runs to its end whether or not the future is still there.
    pub async fn write<A, T, E>(
        &self,
        operation: &'static str,
        args: A,
        unit: impl Work<A, T, E>,
    ) -> Result<T, E>
    where
        A: Send + Sync + 'static,
        T: Send + 'static,
        E: UnitError,
    {
        self.run(Mode::Write(None), operation, args, unit).await
    }

    /// As [`Database::write`]; of the units of this schema that name the same lock one runs at a time. What the unit reads is
    /// what those before it have left, since its statements begin when it has the lock. Taken in the round trip that begins
    /// the transaction and let go when that ends; a wait longer than `lock_timeout` is [`Error::Busy`].
    ///
    /// Cancel safety: as [`Database::write`].
    pub async fn write_locked<A, T, E>(
        &self,
        operation: &'static str,
        lock: String,
        args: A,
        unit: impl Work<A, T, E>,
    ) -> Result<T, E>
    where
        A: Send + Sync + 'static,
        T: Send + 'static,
        E: UnitError,
    {
        self.run(Mode::Write(Some(lock)), operation, args, unit).await
    }

    /// Runs a unit of work that is one statement, without the two round trips of a transaction around it. A second statement
    /// would not commit with the first.
    ///
    /// Cancel safety: as [`Database::write`].
    pub async fn statement<A, T, E>(
        &self,
        operation: &'static str,
        args: A,
        unit: impl Work<A, T, E>,
    ) -> Result<T, E>
    where
        A: Send + Sync + 'static,
        T: Send + 'static,
        E: UnitError,
    {
        self.run(Mode::Statement, operation, args, unit).await
    }

    /// Runs a query of one statement.
    ///
    /// Cancel safety: as [`Database::write`].
    pub async fn read<A, T, E>(
        &self,
        operation: &'static str,
        args: A,
        query: impl Work<A, T, E>,
    ) -> Result<T, E>
    where
        A: Send + Sync + 'static,
        T: Send + 'static,
        E: UnitError,
    {
        self.run(Mode::Single, operation, args, query).await
    }

    /// Runs a query of several statements, which all see one state. Statements that write are refused.
    ///
    /// Cancel safety: as [`Database::write`].
    pub async fn snapshot<A, T, E>(
        &self,
        operation: &'static str,
        args: A,
        query: impl Work<A, T, E>,
    ) -> Result<T, E>
    where
        A: Send + Sync + 'static,
        T: Send + 'static,
        E: UnitError,
    {
        self.run(Mode::Snapshot, operation, args, query).await
    }

    /// Refuses new work, finishes what runs and closes the connections. Repeating it waits for the same end.
    pub async fn close(&self) {
        self.shared.closing.cancel();
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
        self.shared.pool.close().await;
    }

    /// The name given when it was opened.
    pub fn name(&self) -> &'static str {
        self.shared.name
    }

    /// The schema that it is.
    pub fn schema(&self) -> String {
        self.shared.server.schema(self.shared.name)
    }

    /// Fails when the server does not answer, or takes no writes.
    ///
    /// Cancel safety: nothing is written.
    pub async fn ping(&self) -> Result<(), Error> {
        let is_read_only = self.read("ping", (), |unit, ()| {
            Box::pin(async move {
                let asked = "SELECT current_setting('transaction_read_only')::boolean";
                unit.query_row(asked, Params::new(), |row| row.get::<bool>(0)).await
            })
        });
        if is_read_only.await? { Err(error::read_only()) } else { Ok(()) }
    }

    async fn run<A, T, E>(
        &self,
        mode: Mode,
        operation: &'static str,
        args: A,
        unit: impl Work<A, T, E>,
    ) -> Result<T, E>
    where
        A: Send + Sync + 'static,
        T: Send + 'static,
        E: UnitError,
    {
        let shared = Arc::clone(&self.shared);
        if shared.tasks.is_closed() {
            return Err(E::from(Error::Closed(shared.name)));
        }
        let span = self.span(operation);
        let again = Again::IfNothingIsWritten;
        let running = run_until_settled(Arc::clone(&shared), mode, again, span, args, unit);
        let task = waypost_telemetry::spawn(shared.tasks.track_future(running));
        match task.await {
            Ok(result) => result,
            Err(error) => Err(E::from(panicked(operation, &error))),
        }
    }

    fn span(&self, operation: &'static str) -> sql::Operation {
        if self.is_traced {
            self.spans.start(operation)
        } else {
            // An empty context, because the current one may carry a handle that records.
            self.spans.start_within(&Context::new(), operation)
        }
    }
}

/// Runs a unit, again as long as that is right and it can succeed.
async fn run_until_settled<A, T, E>(
    shared: Arc<Shared>,
    mode: Mode,
    again: Again,
    mut span: sql::Operation,
    args: A,
    unit: impl Work<A, T, E>,
) -> Result<T, E>
where
    A: Send + Sync + 'static,
    T: Send + 'static,
    E: UnitError,
{
    let submitted = Instant::now();
    let mut may_be_done = again == Again::ItFindsWhatItDid { may_be_done: true };
    for runs_left in (0..MAX_RUNS).rev() {
        let lease = match shared.pool.take().await {
            Ok(lease) => lease,
            // What broke the connection before has broken this one while it was made, and may have ended by now.
            Err(error) if runs_left > 0 && error::was_cut(&error) => {
                pause(runs_left).await;
                continue;
            }
            Err(error) => return fail(span, opened(error, may_be_done)),
        };
        span.waited(submitted.elapsed());
        let mut running = Unit::new(lease, Arc::clone(&shared), span, may_be_done);
        let outcome = match running.begin(&mode).await {
            Ok(()) => unit(&mut running, &args).await,
            Err(error) => Err(E::from(error)),
        };
        let failure = running.failure.clone();
        let keep = outcome.is_ok() && failure.is_none();
        let (operation, ended) = running.end(&mode, keep).await;
        span = operation;
        let lost = match (ended, failure) {
            (Ok(after_commit), None) => {
                match &outcome {
                    Ok(_) => {
                        span.succeed();
                        for then in after_commit {
                            then();
                        }
                    }
                    Err(refusal) => span.fail(refusal),
                }
                return outcome;
            }
            // A unit that had refused already keeps its own reason.
            (Err(_), None) if outcome.is_err() => return settle(span, outcome),
            (Err(error), None) if matches!(mode, Mode::Write(_) | Mode::Group(_)) => of_commit(error),
            // The statement may have been carried out, and its own commit with it.
            (_, Some(error @ Error::Unavailable(_))) if mode == Mode::Statement => of_commit(error),
            (Err(error), None) | (_, Some(error)) => error,
        };
        if matches!(lost, Error::Unavailable(_) | Error::OutcomeUnknown(_)) {
            // What broke this one has most likely broken those that lie idle.
            shared.pool.forget();
        }
        let may_succeed = match lost {
            Error::Conflict(_) | Error::Unavailable(_) => true,
            Error::OutcomeUnknown(_) => matches!(again, Again::ItFindsWhatItDid { .. }),
            _ => false,
        };
        may_be_done |= matches!(lost, Error::OutcomeUnknown(_));
        if runs_left == 0 || !may_succeed {
            if let Some(code) = error::sqlstate(&lost) {
                span.status_code(code);
            }
            // What the unit made of it tells more than what the server said, unless what it was about may be done.
            let keeps_its_own = outcome.is_err() && !may_be_done;
            return if keeps_its_own { settle(span, outcome) } else { fail(span, opened(lost, may_be_done)) };
        }
        pause(runs_left).await;
    }
    fail(span, Error::Closed(shared.name))
}

/// The failure of a run, when one before it may have been committed: nobody has found out.
fn opened(error: Error, may_be_done: bool) -> Error {
    match error {
        Error::OutcomeUnknown(_) => error,
        error if may_be_done => Error::OutcomeUnknown(Arc::new(error)),
        error => error,
    }
}

/// Waits before a unit runs again that may do so this often.
async fn pause(runs_left: u32) {
    tokio::time::sleep(PAUSE.delay(MAX_RUNS - runs_left)).await;
}

fn settle<T, E: ErrorType>(span: sql::Operation, outcome: Result<T, E>) -> Result<T, E> {
    if let Err(error) = &outcome {
        span.fail(error);
    }
    outcome
}

fn fail<T, E: From<Error> + ErrorType>(span: sql::Operation, error: Error) -> Result<T, E> {
    settle(span, Err(E::from(error)))
}

fn panicked(operation: &'static str, error: &tokio::task::JoinError) -> Error {
    Error::Panicked { operation, message: error.to_string() }
}

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Database")
            .field("name", &self.shared.name)
            .field("server", &self.shared.server.place())
            .finish_non_exhaustive()
    }
}

//! Units that are ready together share a transaction: one commit, and each statement for all of them.
//!
//! A unit of its own is a handful of round trips and a sync of the log, whatever it writes. So units of one kind, of which a
//! busy service always has several at once, are collected while those before them run, and then carried out by statements
//! that take arrays. Nothing waits for time to pass: a group is closed when everybody in this process has had a turn who could
//! have one, so that those share it who are set off by the same answer, and a unit that comes alone begins at once.
//!
//! What is promised of a unit stays as it is. It is whole or not at all and is answered after the commit that holds it. A
//! group judges only the plain cases; a unit that is none runs by itself, after the group and by the code that knows every
//! case. So does every unit of a group that a statement failed, be it for one of them: none is refused for another's sake.
//! A group whose connection breaks before its commit was sent has done nothing and runs again. So it does when the answer to
//! its commit is lost, or to a statement that commits by itself: a unit that is done is no plain case any more, and is settled
//! by itself, where it finds what it has done.
//! Units about the same subject are never in one group, so that none has to see what its neighbour writes.
//!
//! A group waits for the locks of others for a moment only, and others begin beside one that is held up: whoever holds a lock
//! for long holds up whoever wants that lock, and nobody else.

mod queue;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::sync::oneshot;
use tokio::task::yield_now;
use tokio::time::sleep;
use waypost_telemetry::opentelemetry::Context;
use waypost_telemetry::{sql, with_context};

use super::error::sqlstate;
use super::{Again, Database, Mode, Unit, UnitError, run_until_settled};
use crate::Error;
use queue::{Member, Queue, Work};

/// Most units of one group.
const MOST_UNITS: usize = 64;

/// Most groups of one kind at once.
const MOST_GROUPS: usize = 4;

/// A group that has run for so long is held up, and the next one begins beside it.
const PATIENCE: Duration = Duration::from_millis(100);

/// How often a group lets others run before it is closed.
const MAX_YIELDS: u32 = 16;

/// It is closed sooner when nobody has come while the others ran so often.
const QUIET_YIELDS: u32 = 3;

/// How long a statement of a group waits for a lock before its units run by themselves. In milliseconds; functions that take
/// locks have it in their migration.
pub const LOCK_PATIENCE: u32 = 250;

/// What became of a unit in its group.
#[derive(Debug)]
pub enum Grouped<T, E> {
    /// It is done when the group is committed.
    Done(T),
    /// It is refused, and the group has written nothing for it.
    Refused(E),
    /// The group has written nothing for it, because it is no plain case: it is to run by itself.
    Alone,
}

/// What a kind of unit is to the server.
pub enum Way<R> {
    /// A transaction that has the lock of each of its units, as [`Database::write_locked`].
    Locked(fn(&R) -> String),
    /// One statement that takes the lock of each of its units and then writes: a function of the schema, since only the
    /// statements inside of one see what was committed while it waited for a lock. One message in place of three. It says
    /// itself how long it waits ([`LOCK_PATIENCE`]).
    LockedStatement(fn(&R) -> String),
    /// A transaction.
    Transaction,
    /// One statement that writes, as [`Database::statement`].
    Statement,
    /// One statement that reads.
    Read,
}

/// The code of a whole group: one outcome for each request, in their order. It may run again after a commit whose answer was
/// lost: a unit that it has done is then no plain case, or answered as it would have been then, or fails the statement.
pub type Together<R, T, E> =
    for<'u> fn(&'u mut Unit, &'u [R]) -> BoxFuture<'u, Result<Vec<Grouped<T, E>>, Error>>;

/// The code of a unit by itself. It may run again after a commit whose answer was lost, be it that of its group
/// ([`Unit::may_be_done`]): then it finds what it has done already and answers as it would have then.
pub type Alone<R, T, E> = for<'u> fn(&'u mut Unit, &'u R) -> BoxFuture<'u, Result<T, E>>;

/// What a unit is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Name {
    /// In messages.
    pub operation: &'static str,
    /// As the span of a unit that ran in a group, whose statements are of many parts, so that what is read out of their texts is
    /// no name. Verbs and tables, joined by `; ` as those of several statements are.
    pub summary: &'static str,
}

/// A kind of unit that is run in groups.
pub struct Kind<R, T, E> {
    /// What it is called. Those that are done in different ways may have different names.
    pub name: fn(&R) -> Name,
    /// What a request is about. Those of a group are sorted by it, so that groups take rows in one order.
    pub subject: fn(&R) -> String,
    /// What it is to the server.
    pub way: Way<R>,
    /// Runs a group.
    pub together: Together<R, T, E>,
    /// Runs one that is no plain case.
    pub alone: Alone<R, T, E>,
}

/// Runs units of one kind in groups. Cheap to clone; all clones share the queue.
pub struct Group<R, T, E>(Arc<Inner<R, T, E>>);

struct Inner<R, T, E> {
    database: Database,
    /// For the group itself, which belongs to no request.
    untraced: Database,
    kind: Kind<R, T, E>,
    queue: Queue<R, T, E>,
}

impl Database {
    /// A queue of units of this kind.
    pub fn group<R, T, E>(&self, kind: Kind<R, T, E>) -> Group<R, T, E> {
        Group(Arc::new(Inner {
            database: self.clone(),
            untraced: self.untraced(),
            kind,
            queue: Queue::default(),
        }))
    }
}

impl<R, T, E> Group<R, T, E>
where
    R: Clone + Send + Sync + 'static,
    T: Send + 'static,
    E: UnitError,
{
    /// Runs a unit, with those that are ready at the same time, and answers after the commit.
    ///
    /// Cancel safety: as [`Database::write`]. Must be called inside a tokio runtime.
    pub async fn run(&self, request: R) -> Result<T, E> {
        let Inner { database, kind, queue, .. } = &*self.0;
        let shared = &database.shared;
        if shared.tasks.is_closed() {
            return Err(E::from(Error::Closed(shared.name)));
        }
        let (answer, answered) = oneshot::channel();
        let Name { operation, .. } = (kind.name)(&request);
        let span = database.span(operation);
        let member = Member::new(request, span, answer, shared.tasks.token());
        if queue.push(member, MOST_UNITS, MOST_GROUPS) {
            Inner::start(&self.0);
        }
        match answered.await {
            Ok(result) => result,
            Err(gone) => {
                let message = gone.to_string();
                Err(E::from(Error::Panicked { operation, message }))
            }
        }
    }
}

impl<R, T, E> Inner<R, T, E>
where
    R: Clone + Send + Sync + 'static,
    T: Send + 'static,
    E: UnitError,
{
    /// Begins to run what waits; the queue has counted it.
    fn start(inner: &Arc<Self>) {
        let working: BoxFuture<'static, ()> = Box::pin(Self::work(Arc::clone(inner)));
        // An empty context: it runs the units of many requests.
        waypost_telemetry::spawn(with_context(Context::new(), working));
    }

    /// Runs groups as long as anybody waits.
    async fn work(inner: Arc<Self>) {
        let mut work = Work::begun(&inner.queue);
        inner.gather().await;
        while let Some(members) = work.next(MOST_UNITS, inner.kind.subject) {
            // One that panics takes its own units with it, whose callers are told, and nobody else's.
            let group = AssertUnwindSafe(Self::run_group(&inner, members)).catch_unwind();
            let mut running = std::pin::pin!(group);
            loop {
                tokio::select! {
                    _ = &mut running => break,
                    () = sleep(PATIENCE) => {
                        if inner.queue.begins_beside(MOST_GROUPS) {
                            Self::start(&inner);
                        }
                    }
                }
            }
            inner.gather().await;
        }
    }

    /// Lets those come that are about to: whatever can run in this process runs first. Answers of one commit set off the next
    /// calls of many requests, whose units then come one by one within a moment; the first of them would have a group for
    /// itself. When nothing else can run this takes no time.
    async fn gather(&self) {
        let (mut waiting, mut quiet) = (self.queue.waiting(), 0);
        for _ in 0..MAX_YIELDS {
            yield_now().await;
            let now = self.queue.waiting();
            quiet = if now > waiting { 0 } else { quiet + 1 };
            if quiet == QUIET_YIELDS || now >= MOST_UNITS {
                break;
            }
            waiting = now;
        }
    }

    async fn run_group(inner: &Arc<Self>, members: Vec<Member<R, T, E>>) {
        let Kind { name, way, together, .. } = inner.kind;
        let requests: Vec<R> = members.iter().map(|member| member.request.clone()).collect();
        let mode = match way {
            Way::Locked(lock) => Mode::Group(requests.iter().map(lock).collect()),
            Way::Transaction => Mode::Group(Vec::new()),
            Way::LockedStatement(_) | Way::Statement => Mode::Statement,
            Way::Read => Mode::Single,
        };
        let shared = Arc::clone(&inner.database.shared);
        let span = inner.untraced.span("group");
        let again = Again::ItFindsWhatItDid { may_be_done: false };
        let run = run_until_settled(shared, mode, again, span, requests, move |unit, requests| {
            run_together(unit, requests, together)
        });
        let units = members.len();
        match run.await {
            Ok(Ran { outcomes, statements, may_be_done }) => {
                for (member, outcome) in members.into_iter().zip(outcomes) {
                    match outcome {
                        Grouped::Done(answer) => member.end(Ok(answer), name, &statements, units),
                        Grouped::Refused(refusal) if !may_be_done => {
                            member.end(Err(refusal), name, &statements, units);
                        }
                        Grouped::Refused(_) | Grouped::Alone => Self::run_alone(inner, member, may_be_done),
                    }
                }
            }
            Err(error) if may_be_of_one(&error) => {
                for member in members {
                    Self::run_alone(inner, member, false);
                }
            }
            // Each finds out by itself whether it is done.
            Err(Error::OutcomeUnknown(_)) => {
                for member in members {
                    Self::run_alone(inner, member, true);
                }
            }
            Err(error) => {
                for member in members {
                    member.end(Err(E::from(error.clone())), name, &[], units);
                }
            }
        }
    }

    /// Runs a unit by itself, beside all others. It may be done already if its group may be.
    fn run_alone(inner: &Arc<Self>, member: Member<R, T, E>, may_be_done: bool) {
        let Kind { way, alone, .. } = inner.kind;
        let mode = match way {
            Way::Locked(lock) | Way::LockedStatement(lock) => Mode::Write(Some(lock(&member.request))),
            Way::Transaction | Way::Statement => Mode::Write(None),
            Way::Read => Mode::Single,
        };
        let shared = Arc::clone(&inner.database.shared);
        let Member { request, span, answer, token, .. } = member;
        let again = Again::ItFindsWhatItDid { may_be_done };
        let running = async move {
            // Nobody listens any more: the unit has run all the same.
            let _ = answer.send(run_until_settled(shared, mode, again, span, request, alone).await);
            drop(token);
        };
        waypost_telemetry::spawn(with_context(Context::new(), running));
    }
}

/// What a group came to.
struct Ran<T, E> {
    outcomes: Vec<Grouped<T, E>>,
    statements: Vec<&'static str>,
    /// Whether a run before this one may have been committed.
    may_be_done: bool,
}

/// Runs a group, and tells by which statements.
fn run_together<'u, R, T, E>(
    unit: &'u mut Unit,
    requests: &'u [R],
    together: Together<R, T, E>,
) -> BoxFuture<'u, Result<Ran<T, E>, Error>>
where
    R: Sync,
    T: Send + 'u,
    E: Send + 'u,
{
    Box::pin(async move {
        let outcomes = together(unit, requests).await?;
        if outcomes.len() != requests.len() {
            return Err(Error::Malformed { what: "outcomes of a group" });
        }
        let statements = std::mem::take(&mut unit.statements);
        Ok(Ran { outcomes, statements, may_be_done: unit.may_be_done() })
    })
}

/// Whether the failure may be that of one unit, so that the others are not to share it: what the server said of a statement,
/// and a lock that was not to be had in time.
fn may_be_of_one(error: &Error) -> bool {
    match error {
        Error::Constraint { .. }
        | Error::Statement(_)
        | Error::Conflict(_)
        | Error::Malformed { .. }
        | Error::Fenced { .. } => true,
        // lock_not_available, query_canceled
        Error::Busy(_) => matches!(sqlstate(error).as_deref(), Some("55P03" | "57014")),
        _ => false,
    }
}

impl<R, T, E> Member<R, T, E>
where
    E: UnitError,
{
    /// Ends the unit's span and answers its caller.
    fn end(self, result: Result<T, E>, name: fn(&R) -> Name, statements: &[&'static str], units: usize) {
        let mut span: sql::Operation = self.span;
        span.waited(self.waited);
        for statement in statements {
            span.statement(*statement);
        }
        span.summary(name(&self.request).summary);
        span.batch_units(units);
        match &result {
            Ok(_) => span.succeed(),
            Err(error) => span.fail(error),
        }
        // Nobody listens any more: the unit was carried out all the same.
        let _ = self.answer.send(result);
        drop(self.token);
    }
}

impl<R> Clone for Way<R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<R> Copy for Way<R> {}

impl<R> std::fmt::Debug for Way<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Way::Locked(_) => "Locked",
            Way::LockedStatement(_) => "LockedStatement",
            Way::Transaction => "Transaction",
            Way::Statement => "Statement",
            Way::Read => "Read",
        })
    }
}

impl<R, T, E> Clone for Kind<R, T, E> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<R, T, E> Copy for Kind<R, T, E> {}

impl<R, T, E> std::fmt::Debug for Kind<R, T, E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kind").field("way", &self.way).finish_non_exhaustive()
    }
}

impl<R, T, E> Clone for Group<R, T, E> {
    fn clone(&self) -> Self {
        Group(Arc::clone(&self.0))
    }
}

impl<R, T, E> std::fmt::Debug for Group<R, T, E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Group").field("kind", &self.0.kind).finish_non_exhaustive()
    }
}

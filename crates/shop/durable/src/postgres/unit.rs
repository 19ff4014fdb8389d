//! What the code of a unit may do: run statements, each prepared once a connection and noted on the unit's span.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::TryStreamExt as _;
use sqlx::{Executor as _, Row as _};
use tokio::time::timeout;
use waypost_telemetry::sql::Operation;

use super::error::unanswered;
use super::group::LOCK_PATIENCE;
use super::pool::Lease;
use super::values::{Params, Row};
use super::{Mode, Shared};
use crate::Error;
use crate::clock::from_millis;

/// What runs once the unit's commit is durable.
type AfterCommit = Box<dyn FnOnce() + Send>;

/// The inside of a unit of work or of a query.
pub struct Unit {
    lease: Lease,
    shared: Arc<Shared>,
    pub(super) operation: Operation,
    after_commit: Vec<AfterCommit>,
    /// Why a statement failed. The server takes no further one in the same transaction.
    pub(super) failure: Option<Error>,
    rows: u64,
    now: Option<SystemTime>,
    may_be_done: bool,
    /// What has run, for those who share it.
    pub(super) statements: Vec<&'static str>,
}

/// What each connection is told once, so that [`Unit::begin`] takes one round trip and the server plans nothing for it.
pub(super) const PREPARED: &str = "\
    PREPARE waypost_time AS SELECT (extract(epoch FROM waypost_now()) * 1000)::bigint; \
    PREPARE waypost_lock (text) AS SELECT pg_advisory_xact_lock(hashtextextended(current_schema() || $1, 0)); \
    PREPARE waypost_locks (text[]) AS SELECT pg_advisory_xact_lock(key) FROM ( \
      SELECT hashtextextended(current_schema() || name, 0) AS key FROM unnest($1) AS name ORDER BY 1 OFFSET 0) AS keys";

impl Unit {
    pub(super) fn new(lease: Lease, shared: Arc<Shared>, operation: Operation, may_be_done: bool) -> Unit {
        Unit {
            lease,
            shared,
            operation,
            after_commit: Vec::new(),
            failure: None,
            rows: 0,
            now: None,
            may_be_done,
            statements: Vec::new(),
        }
    }

    /// Begins what the mode says, with the lock of a unit that has one, and learns the time.
    pub(super) async fn begin(&mut self, mode: &Mode) -> Result<(), Error> {
        let sql = match mode {
            Mode::Write(None) => "BEGIN ISOLATION LEVEL READ COMMITTED; EXECUTE waypost_time".to_owned(),
            Mode::Write(Some(lock)) => format!(
                "BEGIN ISOLATION LEVEL READ COMMITTED; EXECUTE waypost_lock({}); EXECUTE waypost_time",
                literal(lock)?
            ),
            Mode::Group(locks) => {
                let take = if locks.is_empty() {
                    String::new()
                } else {
                    let names: Result<Vec<String>, Error> = locks.iter().map(|lock| literal(lock)).collect();
                    format!("EXECUTE waypost_locks(ARRAY[{}]); ", names?.join(","))
                };
                format!(
                    "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL lock_timeout = {LOCK_PATIENCE}; \
                     {take}EXECUTE waypost_time"
                )
            }
            Mode::Snapshot => {
                "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; EXECUTE waypost_time".to_owned()
            }
            Mode::Statement | Mode::Single => return Ok(()),
        };
        let began = async {
            let rows = self.lease.connection.fetch_all(sqlx::raw_sql(sqlx::AssertSqlSafe(sql))).await?;
            rows.last().ok_or(sqlx::Error::RowNotFound)?.try_get::<i64, _>(0)
        };
        let began = within(self.shared.max_wait, began).await;
        let millis = began.inspect_err(|error| self.failure = Some(error.clone()))?;
        self.now = Some(from_millis(millis));
        Ok(())
    }

    /// Takes a lock as [`Database::write_locked`](super::Database::write_locked) does, when the unit has to read first which.
    pub async fn lock(&mut self, lock: &str) -> Result<(), Error> {
        let sql = "SELECT pg_advisory_xact_lock(hashtextextended(current_schema() || $1, 0))";
        self.execute(sql, super::params![lock]).await?;
        Ok(())
    }

    /// Whether a run of it before this one, be it in a group, may have been committed, as the answer to its commit was lost.
    /// What it is to do may then be there already.
    pub fn may_be_done(&self) -> bool {
        self.may_be_done
    }

    /// The time by the server's clock; the same for everything in one unit. In a query of one statement it is asked for
    /// when it is wanted; such a statement had better say `waypost_now()` itself.
    pub async fn now(&mut self) -> Result<SystemTime, Error> {
        if let Some(now) = self.now {
            return Ok(now);
        }
        let now = self.query_row("SELECT waypost_now()", Params::new(), |row| row.time(0)).await?;
        Ok(*self.now.insert(now))
    }

    /// The time so long ago by the server's clock; 1970 when that is before what there is.
    pub async fn ago(&mut self, age: Duration) -> Result<SystemTime, Error> {
        Ok(self.now().await?.checked_sub(age).unwrap_or(UNIX_EPOCH))
    }

    /// Runs a statement that returns no rows and tells how many rows it changed.
    pub async fn execute(&mut self, sql: &'static str, params: Params) -> Result<u64, Error> {
        self.note(sql);
        let query = sqlx::query_with(sql, params.into_arguments()?);
        let done = within(self.shared.max_wait, self.lease.connection.execute(query)).await;
        self.noted(done).map(|done| done.rows_affected())
    }

    /// Runs a statement and returns its first row. No row is an error: [`Error::Statement`].
    pub async fn query_row<T>(
        &mut self,
        sql: &'static str,
        params: Params,
        map: impl FnOnce(&Row) -> Result<T, Error> + Send,
    ) -> Result<T, Error> {
        match self.query_optional(sql, params, map).await? {
            Some(row) => Ok(row),
            None => Err(Error::from(sqlx::Error::RowNotFound)),
        }
    }

    /// Runs a statement and returns its first row, if there is one.
    pub async fn query_optional<T>(
        &mut self,
        sql: &'static str,
        params: Params,
        map: impl FnOnce(&Row) -> Result<T, Error> + Send,
    ) -> Result<Option<T>, Error> {
        self.note(sql);
        let query = sqlx::query_with(sql, params.into_arguments()?);
        let found = within(self.shared.max_wait, self.lease.connection.fetch_optional(query)).await;
        let found = self.noted(found)?;
        self.rows += u64::from(found.is_some());
        found.map(|row| map(&Row(row))).transpose()
    }

    /// Runs a statement and returns all its rows.
    pub async fn query_all<T>(
        &mut self,
        sql: &'static str,
        params: Params,
        mut map: impl FnMut(&Row) -> Result<T, Error> + Send,
    ) -> Result<Vec<T>, Error>
    where
        T: Send,
    {
        self.note(sql);
        let query = sqlx::query_with(sql, params.into_arguments()?);
        let rows = self.lease.connection.fetch(query).try_collect::<Vec<_>>();
        let rows = within(self.shared.max_wait, rows).await;
        let rows = self.noted(rows)?;
        self.rows += rows.len() as u64;
        rows.into_iter().map(|row| map(&Row(row))).collect()
    }

    /// Runs `then` once the unit's commit is durable, before its caller is answered; never when it is rolled back. It must
    /// be short and must not block.
    pub fn after_commit(&mut self, then: impl FnOnce() + Send + 'static) {
        self.after_commit.push(Box::new(then));
    }

    /// Tells the relay, once the unit is committed, that an event waits.
    pub(super) fn wake_relay(&mut self) {
        let appended = Arc::clone(&self.shared.appended);
        self.after_commit(move || appended.send_modify(|version| *version = version.wrapping_add(1)));
    }

    fn note(&mut self, sql: &'static str) {
        self.operation.statement(sql);
        self.statements.push(sql);
    }

    /// Keeps the failure: a unit whose statement failed does not commit, whatever its code makes of it.
    fn noted<T>(&mut self, result: Result<T, Error>) -> Result<T, Error> {
        result.inspect_err(|error| {
            self.failure.get_or_insert_with(|| error.clone());
        })
    }

    /// Ends the transaction. The connection is put back when the server says that it is over.
    pub(super) async fn end(
        mut self,
        mode: &Mode,
        keep: bool,
    ) -> (Operation, Result<Vec<AfterCommit>, Error>) {
        if self.rows > 0 {
            self.operation.rows(self.rows);
        }
        let is_lost = matches!(self.failure, Some(Error::Unavailable(_)));
        let sql = match mode {
            Mode::Statement | Mode::Single => {
                if !is_lost {
                    self.lease.give_back();
                }
                return (self.operation, Ok(self.after_commit));
            }
            Mode::Write(_) | Mode::Group(_) if keep => "COMMIT",
            Mode::Write(_) | Mode::Group(_) | Mode::Snapshot => "ROLLBACK",
        };
        if is_lost {
            return (self.operation, Ok(Vec::new()));
        }
        let ended = within(self.shared.max_wait, self.lease.connection.execute(sqlx::raw_sql(sql))).await;
        match ended {
            Ok(_) => {
                self.lease.give_back();
                (self.operation, Ok(self.after_commit))
            }
            Err(error) => (self.operation, Err(error)),
        }
    }
}

/// Text as a literal of a server with `standard_conforming_strings`, which every connection sets.
fn literal(text: &str) -> Result<String, Error> {
    // The protocol ends a statement there.
    if text.contains('\0') {
        return Err(Error::Malformed { what: "the name of a lock" });
    }
    Ok(format!("'{}'", text.replace('\'', "''")))
}

/// The answer of a statement, unless the server is silent.
pub(super) async fn within<T>(
    max_wait: Duration,
    answer: impl Future<Output = Result<T, sqlx::Error>> + Send,
) -> Result<T, Error> {
    match timeout(max_wait, answer).await {
        Ok(answer) => answer.map_err(Error::from),
        Err(_) => Err(unanswered()),
    }
}

impl std::fmt::Debug for Unit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Unit").field("database", &self.shared.name).finish_non_exhaustive()
    }
}

//! What the code of a unit may do: run statements, each prepared once a connection and noted on the unit's span.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, Params, Row};
use tokio::sync::watch;
use waypost_telemetry::sql::Operation;

use super::Shared;
use crate::Error;

/// What runs once the unit's commit is durable.
pub(super) type AfterCommit = Box<dyn FnOnce() + Send>;

/// The inside of a unit of work or of a query.
pub struct Unit<'a> {
    connection: &'a Connection,
    shared: &'a Shared,
    operation: &'a mut Operation,
    after_commit: &'a mut Vec<AfterCommit>,
    failure: &'a mut Option<Error>,
    /// Whether its statements stand on the span.
    is_noted: bool,
    rows: u64,
    now: Option<SystemTime>,
}

impl<'a> Unit<'a> {
    pub(super) fn new(
        connection: &'a Connection,
        shared: &'a Shared,
        operation: &'a mut Operation,
        after_commit: &'a mut Vec<AfterCommit>,
        failure: &'a mut Option<Error>,
    ) -> Unit<'a> {
        Unit { connection, shared, operation, after_commit, failure, is_noted: true, rows: 0, now: None }
    }

    /// The time by the database's clock; the same for everything in one unit.
    pub fn now(&mut self) -> SystemTime {
        *self.now.get_or_insert_with(|| self.shared.clock.now())
    }

    /// The time so long ago by the database's clock; 1970 when that is before what there is.
    pub fn ago(&mut self, age: Duration) -> SystemTime {
        self.now().checked_sub(age).unwrap_or(UNIX_EPOCH)
    }

    /// Runs a statement that returns no rows and tells how many rows it changed.
    pub fn execute(&mut self, sql: &'static str, params: impl Params) -> Result<usize, Error> {
        self.note(sql);
        let connection = self.connection;
        self.noted((|| connection.prepare_cached(sql)?.execute(params))())
    }

    /// Runs a statement and returns its first row. No row is an error: [`Error::Statement`].
    pub fn query_row<T>(
        &mut self,
        sql: &'static str,
        params: impl Params,
        map: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, Error> {
        match self.query_optional(sql, params, map)? {
            Some(row) => Ok(row),
            None => Err(Error::from(rusqlite::Error::QueryReturnedNoRows)),
        }
    }

    /// Runs a statement and returns its first row, if there is one. Later rows are not looked at.
    pub fn query_optional<T>(
        &mut self,
        sql: &'static str,
        params: impl Params,
        map: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>, Error> {
        self.note(sql);
        let connection = self.connection;
        let found =
            self.noted((|| connection.prepare_cached(sql)?.query(params)?.next()?.map(map).transpose())())?;
        self.rows += u64::from(found.is_some());
        Ok(found)
    }

    /// Runs a statement and returns all its rows.
    pub fn query_all<T>(
        &mut self,
        sql: &'static str,
        params: impl Params,
        map: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, Error> {
        self.note(sql);
        let connection = self.connection;
        let found: Vec<T> =
            self.noted((|| connection.prepare_cached(sql)?.query_map(params, map)?.collect())())?;
        self.rows += found.len() as u64;
        Ok(found)
    }

    /// Runs a part of this unit as one of another database of the same file: with that one's clock and signals.
    pub(super) fn of<T>(
        &mut self,
        shared: &Shared,
        is_noted: bool,
        part: impl FnOnce(&mut Unit<'_>) -> T,
    ) -> T {
        let mut unit = Unit {
            connection: self.connection,
            shared,
            operation: &mut *self.operation,
            after_commit: &mut *self.after_commit,
            failure: &mut *self.failure,
            is_noted: self.is_noted && is_noted,
            rows: 0,
            now: None,
        };
        let done = part(&mut unit);
        if unit.is_noted {
            self.rows += unit.rows;
        }
        done
    }

    /// Runs `then` once the unit's commit is durable, before its caller is answered; never when it is rolled back.
    /// `then` runs on the writer's thread, so it must be short and must not block.
    pub fn after_commit(&mut self, then: impl FnOnce() + Send + 'static) {
        self.after_commit.push(Box::new(then));
    }

    /// The signal that outbox rows were committed.
    pub(crate) fn appended(&self) -> Arc<watch::Sender<u64>> {
        Arc::clone(&self.shared.appended)
    }

    fn note(&mut self, sql: &'static str) {
        if self.is_noted {
            self.operation.statement(sql);
        }
    }

    /// Keeps the failure, in case it took the whole transaction down and others must be told why.
    fn noted<T>(&mut self, result: rusqlite::Result<T>) -> Result<T, Error> {
        result.map_err(|error| {
            let error = Error::from(error);
            *self.failure = Some(error.clone());
            error
        })
    }

    /// Notes the rows that were read; called once, at the end.
    pub(super) fn finish(self) {
        if self.rows > 0 {
            self.operation.rows(self.rows);
        }
    }
}

impl std::fmt::Debug for Unit<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Unit").field("database", &self.shared.name).finish_non_exhaustive()
    }
}

//! What stands in the place of a connection.

use std::fmt;
use std::sync::Arc;

use rusqlite::{Params, Result, Row, TransactionBehavior};

use super::super::running::Running;
use super::super::target::Target;
use super::statement::{Held, Statement, observed};
use super::{Holder, HolderMut, Savepoint, Transaction};

/// A connection, a transaction or a savepoint whose statements are spans. Made by [`Rusqlite::wrap`](super::Rusqlite::wrap).
///
/// Its methods are those of `rusqlite::Connection` that run statements; [`inner`](Self::inner) leads to the others. A function
/// that takes `&Traced<impl Holder>` takes connections and transactions.
///
/// ```
/// use waypost_telemetry::rusqlite::{Holder, Traced};
///
/// fn rename(database: &Traced<impl Holder>, id: i64, owner: &str) -> rusqlite::Result<usize> {
///     database.execute("UPDATE orders SET owner = ?1 WHERE id = ?2", (owner, id))
/// }
///
/// let telemetry = waypost_telemetry::testing::TestTelemetry::new("order-service");
/// let mut connection = telemetry.rusqlite().wrap(rusqlite::Connection::open_in_memory()?);
/// connection.execute_batch("CREATE TABLE orders (id INTEGER PRIMARY KEY, owner TEXT)")?;
/// let transaction = connection.transaction()?;
/// rename(&transaction, 1, "ann")?;
/// transaction.commit()?;
///
/// let spans = telemetry.finished_spans();
/// let names: Vec<&str> = spans.iter().map(|span| span.name()).collect();
/// assert_eq!(names, ["CREATE TABLE orders", "BEGIN", "UPDATE orders", "COMMIT"]);
/// # Ok::<(), rusqlite::Error>(())
/// ```
pub struct Traced<C> {
    pub(super) target: Arc<Target>,
    pub(super) inner: C,
}

impl<C> Traced<C> {
    pub(super) fn new(target: Arc<Target>, inner: C) -> Self {
        Self { target, inner }
    }

    /// What is inside, without spans: for what runs no statement, and for code that wants exactly this type.
    pub fn inner(&self) -> &C {
        &self.inner
    }

    /// As [`inner`](Self::inner), to change it.
    pub fn inner_mut(&mut self) -> &mut C {
        &mut self.inner
    }

    /// What is inside.
    pub fn into_inner(self) -> C {
        self.inner
    }
}

impl<C: Holder> Traced<C> {
    /// How many rows were changed. As `Connection::execute`.
    ///
    /// # Errors
    /// Those of SQLite; that the statement returns rows.
    pub fn execute(&self, sql: &str, params: impl Params) -> Result<usize> {
        self.prepare(sql)?.execute(params)
    }

    /// Statements without parameters, as one span. As `Connection::execute_batch`.
    ///
    /// # Errors
    /// Those of SQLite. What came before the statement that failed is done.
    pub fn execute_batch(&self, sql: &str) -> Result<()> {
        let running = Running::start(&self.target, sql, false);
        observed(running, || self.inner.connection().execute_batch(sql))
    }

    /// What `map` makes of the first row. As `Connection::query_row`.
    ///
    /// # Errors
    /// Those of SQLite and of `map`; `QueryReturnedNoRows`, which is no failure of the span.
    pub fn query_row<T>(
        &self,
        sql: &str,
        params: impl Params,
        map: impl FnOnce(&Row<'_>) -> Result<T>,
    ) -> Result<T> {
        self.prepare(sql)?.query_row(params, map)
    }

    /// What `map` makes of the only row. As `Connection::query_one`.
    ///
    /// # Errors
    /// As [`query_row`](Self::query_row); `QueryReturnedMoreThanOneRow`, which is no failure of the span either.
    pub fn query_one<T>(
        &self,
        sql: &str,
        params: impl Params,
        map: impl FnOnce(&Row<'_>) -> Result<T>,
    ) -> Result<T> {
        self.prepare(sql)?.query_one(params, map)
    }

    /// Prepares a statement, which has no span unless it fails. As `Connection::prepare`.
    ///
    /// # Errors
    /// Those of SQLite, with a span.
    pub fn prepare(&self, sql: &str) -> Result<Statement<'_>> {
        self.prepared(sql, self.inner.connection().prepare(sql).map(Held::Own))
    }

    /// As [`prepare`](Self::prepare), from the connection's cache of statements. As `Connection::prepare_cached`.
    ///
    /// # Errors
    /// Those of SQLite, with a span.
    pub fn prepare_cached(&self, sql: &str) -> Result<Statement<'_>> {
        self.prepared(sql, self.inner.connection().prepare_cached(sql).map(Held::Cached))
    }

    /// Begins a transaction on a connection that is shared: a span `BEGIN`. As `Connection::unchecked_transaction`.
    ///
    /// # Errors
    /// Those of SQLite; that there is one already.
    pub fn unchecked_transaction(&self) -> Result<Transaction<'_>> {
        let running = Running::start(&self.target, "BEGIN DEFERRED", false);
        let inner = observed(running, || self.inner.connection().unchecked_transaction())?;
        Ok(Transaction::new(Arc::clone(&self.target), inner))
    }

    /// As `Connection::last_insert_rowid`.
    pub fn last_insert_rowid(&self) -> i64 {
        self.inner.connection().last_insert_rowid()
    }

    /// How many rows the last statement changed. As `Connection::changes`.
    pub fn changes(&self) -> u64 {
        self.inner.connection().changes()
    }

    fn prepared<'c>(&self, sql: &str, prepared: Result<Held<'c>>) -> Result<Statement<'c>> {
        match prepared {
            Ok(held) => Ok(Statement::new(&self.target, sql, held)),
            Err(error) => {
                Running::start(&self.target, sql, false).end(Err(&error));
                Err(error)
            }
        }
    }
}

impl<C: HolderMut> Traced<C> {
    /// Begins a transaction: a span `BEGIN`. As `Connection::transaction`.
    ///
    /// # Errors
    /// Those of SQLite.
    pub fn transaction(&mut self) -> Result<Transaction<'_>> {
        self.transaction_with_behavior(TransactionBehavior::Deferred)
    }

    /// As [`transaction`](Self::transaction), with another behavior: `BEGIN IMMEDIATE` waits here for who is writing.
    ///
    /// # Errors
    /// Those of SQLite.
    pub fn transaction_with_behavior(&mut self, behavior: TransactionBehavior) -> Result<Transaction<'_>> {
        let text = match behavior {
            TransactionBehavior::Immediate => "BEGIN IMMEDIATE",
            TransactionBehavior::Exclusive => "BEGIN EXCLUSIVE",
            _ => "BEGIN DEFERRED",
        };
        let target = Arc::clone(&self.target);
        let connection = self.inner.connection_mut();
        let running = Running::start(&target, text, false);
        let inner = observed(running, || connection.transaction_with_behavior(behavior))?;
        Ok(Transaction::new(target, inner))
    }

    /// Sets a savepoint outside of a transaction: a span `SAVEPOINT`. As `Connection::savepoint`.
    ///
    /// # Errors
    /// Those of SQLite.
    pub fn savepoint(&mut self) -> Result<Savepoint<'_>> {
        Savepoint::set(&self.target, None, self.inner.connection_mut(), rusqlite::Connection::savepoint)
    }

    /// As [`savepoint`](Self::savepoint), of this name. As `Connection::savepoint_with_name`.
    ///
    /// # Errors
    /// Those of SQLite.
    pub fn savepoint_with_name(&mut self, name: &str) -> Result<Savepoint<'_>> {
        let connection = self.inner.connection_mut();
        Savepoint::set(&self.target, Some(name), connection, |connection| {
            connection.savepoint_with_name(name)
        })
    }
}

impl<C> fmt::Debug for Traced<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Traced").field("database", &self.target.database).finish_non_exhaustive()
    }
}

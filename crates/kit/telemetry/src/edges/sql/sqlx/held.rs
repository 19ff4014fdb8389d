//! Connections and transactions that were taken from a traced pool.

use std::fmt;
use std::future::Future;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use sqlx::pool::PoolConnection;
use sqlx::{Acquire as _, Database, Error};

use super::super::open_transaction::OpenTransaction;
use super::super::running::Running;
use super::Shared;
use super::traced::Traced;
use crate::core::spawn::with_context;

/// A connection whose statements are spans. `&mut *connection` is the `Executor`, as with sqlx's own; dropped, it returns
/// to the pool.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let telemetry = waypost_telemetry::testing::TestTelemetry::new("order-service");
/// let pool = telemetry.sqlx().wrap(sqlx::SqlitePool::connect("sqlite::memory:").await?);
/// let mut connection = pool.acquire().await?;
/// sqlx::query("PRAGMA foreign_keys = ON").execute(&mut *connection).await?;
/// telemetry.tree().assert_matches("PRAGMA foreign_keys CLIENT order-service");
/// # Ok::<(), sqlx::Error>(())
/// # }).unwrap();
/// ```
pub struct Connection<DB: Database> {
    traced: Traced<PoolConnection<DB>>,
}

impl<DB: Database> Connection<DB> {
    pub(super) fn new(traced: Traced<PoolConnection<DB>>) -> Self {
        Self { traced }
    }

    /// Begins a transaction on this connection: a span `BEGIN`.
    pub async fn begin(&mut self) -> Result<Transaction<'_, DB>, Error> {
        let shared = Arc::clone(&self.traced.shared);
        let inner = said(&shared, "BEGIN", self.traced.inner.begin()).await?;
        Ok(Transaction::new(Traced::new(shared, inner), 1))
    }

    /// The connection without spans. It still returns to the pool.
    pub fn into_inner(self) -> PoolConnection<DB> {
        self.traced.inner
    }
}

/// A transaction or a savepoint whose statements are spans. `&mut *transaction` is the `Executor`, as with sqlx's own.
///
/// Dropped without [`commit`](Self::commit) or [`rollback`](Self::rollback) it is rolled back when its connection is used
/// next or returns to its pool; the span that is current then has the event `waypost.db.transaction.dropped`.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let telemetry = waypost_telemetry::testing::TestTelemetry::new("order-service");
/// let pool = telemetry.sqlx().wrap(sqlx::SqlitePool::connect("sqlite::memory:").await?);
/// let mut transaction = pool.begin().await?;
/// let savepoint = transaction.begin().await?;
/// savepoint.rollback().await?;
/// transaction.commit().await?;
///
/// let spans = telemetry.finished_spans();
/// let names: Vec<&str> = spans.iter().map(|span| span.name()).collect();
/// assert_eq!(names, ["BEGIN", "SAVEPOINT", "ROLLBACK", "COMMIT"]);
/// # Ok::<(), sqlx::Error>(())
/// # }).unwrap();
/// ```
#[must_use = "a transaction that is dropped is rolled back"]
pub struct Transaction<'c, DB: Database> {
    traced: Traced<sqlx::Transaction<'c, DB>>,
    /// 1 for a transaction, more for the savepoints in it.
    depth: usize,
    open: OpenTransaction,
}

impl<'c, DB: Database> Transaction<'c, DB> {
    pub(super) fn new(traced: Traced<sqlx::Transaction<'c, DB>>, depth: usize) -> Self {
        Self { traced, depth, open: OpenTransaction::begun() }
    }

    /// Sets a savepoint: a span `SAVEPOINT`.
    pub async fn begin(&mut self) -> Result<Transaction<'_, DB>, Error> {
        let (shared, depth) = (Arc::clone(&self.traced.shared), self.depth);
        let text = format!("SAVEPOINT _sqlx_savepoint_{depth}");
        let inner = said(&shared, &text, self.traced.inner.begin()).await?;
        Ok(Transaction::new(Traced::new(shared, inner), depth + 1))
    }

    /// Commits it, or releases the savepoint: a span `COMMIT` or `RELEASE`.
    pub async fn commit(self) -> Result<(), Error> {
        let Self { traced: Traced { shared, inner, in_use }, depth, open } = self;
        open.end();
        let text = match depth {
            1 => "COMMIT".to_owned(),
            _ => format!("RELEASE SAVEPOINT _sqlx_savepoint_{}", depth - 1),
        };
        let committed = said(&shared, &text, inner.commit()).await;
        drop(in_use);
        committed
    }

    /// Gives up what was done since it began: a span `ROLLBACK`.
    pub async fn rollback(self) -> Result<(), Error> {
        let Self { traced: Traced { shared, inner, in_use }, depth, open } = self;
        open.end();
        let text = match depth {
            1 => "ROLLBACK".to_owned(),
            _ => format!("ROLLBACK TO SAVEPOINT _sqlx_savepoint_{}", depth - 1),
        };
        let rolled_back = said(&shared, &text, inner.rollback()).await;
        drop(in_use);
        rolled_back
    }
}

/// Runs what a statement says inside its span.
async fn said<T>(
    shared: &Arc<Shared>,
    statement: &str,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let running = Running::start(&shared.target, statement, false);
    let result = with_context(running.context(), work).await;
    running.end(result.as_ref().map(|_| None));
    result
}

impl<DB: Database> Deref for Connection<DB> {
    type Target = Traced<PoolConnection<DB>>;

    fn deref(&self) -> &Self::Target {
        &self.traced
    }
}

impl<DB: Database> DerefMut for Connection<DB> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.traced
    }
}

impl<'c, DB: Database> Deref for Transaction<'c, DB> {
    type Target = Traced<sqlx::Transaction<'c, DB>>;

    fn deref(&self) -> &Self::Target {
        &self.traced
    }
}

impl<DB: Database> DerefMut for Transaction<'_, DB> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.traced
    }
}

impl<DB: Database> fmt::Debug for Connection<DB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Connection").field(&self.traced).finish()
    }
}

impl<DB: Database> fmt::Debug for Transaction<'_, DB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { traced, depth, .. } = self;
        f.debug_struct("Transaction").field("traced", traced).field("depth", depth).finish_non_exhaustive()
    }
}

//! What stands in the place of a pool.

use std::fmt;
use std::future::Future;
use std::ops::DerefMut;
use std::sync::Arc;
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::{Database, Error, Pool, SqlSafeStr, SqlStr};

use super::super::pool_metrics::InUse;
use super::super::running::Running;
use super::held::{Connection, Transaction};
use super::{Shared, Sqlx};
use crate::core::spawn::with_context;

/// A pool, a connection or a transaction whose statements are spans. Made by [`Sqlx::wrap`].
///
/// A reference to a pool is an `Executor`, as one to the pool inside is; so is an exclusive reference to what
/// [`Connection`] and [`Transaction`] lead to: `&pool`, `&mut *connection`, `&mut *transaction`.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let telemetry = waypost_telemetry::testing::TestTelemetry::new("order-service");
/// let pool = telemetry.sqlx().wrap(sqlx::SqlitePool::connect("sqlite::memory:").await?);
///
/// let mut transaction = pool.begin().await?;
/// sqlx::query("CREATE TABLE orders (id INTEGER)").execute(&mut *transaction).await?;
/// transaction.commit().await?;
///
/// let spans = telemetry.finished_spans();
/// let names: Vec<&str> = spans.iter().map(|span| span.name()).collect();
/// assert_eq!(names, ["BEGIN", "CREATE TABLE orders", "COMMIT"]);
/// # Ok::<(), sqlx::Error>(())
/// # }).unwrap();
/// ```
pub struct Traced<T> {
    pub(super) shared: Arc<Shared>,
    pub(super) inner: T,
    /// Of a connection that was taken from the pool.
    pub(super) in_use: Option<InUse>,
}

impl<T> Traced<T> {
    pub(super) fn new(shared: Arc<Shared>, inner: T) -> Self {
        Self { shared, inner, in_use: None }
    }

    /// What is inside, without spans: for what is no statement, and for code that wants exactly this type.
    pub fn inner(&self) -> &T {
        &self.inner
    }

    /// As [`inner`](Self::inner), to change it.
    pub fn inner_mut(&mut self) -> &mut T {
        &mut self.inner
    }
}

impl<DB: Database> Traced<Pool<DB>> {
    /// A pool whose operations are spans of the handle that is current now; the same as `telemetry.sqlx().wrap(pool)`.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// use waypost_telemetry::sqlx::Traced;
    ///
    /// let telemetry = waypost_telemetry::testing::TestTelemetry::new("order-service");
    /// let _attached = telemetry.context().attach();
    /// let pool = Traced::of(sqlx::SqlitePool::connect_lazy("sqlite::memory:")?);
    /// assert_eq!(pool.inner().size(), 0);
    /// # Ok::<(), sqlx::Error>(())
    /// # }).unwrap();
    /// ```
    pub fn of(pool: Pool<DB>) -> Self {
        Sqlx::new(&crate::core::handle::Telemetry::current()).wrap(pool)
    }

    /// Takes a connection from the pool, whose statements are spans. As `Pool::acquire`.
    pub async fn acquire(&self) -> Result<Connection<DB>, Error> {
        let (held, _) = take(&self.shared, &self.inner).await?;
        Ok(self.connection(held))
    }

    /// As `Pool::try_acquire`: a connection that is idle, if there is one.
    pub fn try_acquire(&self) -> Option<Connection<DB>> {
        let asked = self.shared.pool.ask();
        let connection = self.inner.try_acquire()?;
        let (in_use, _) = asked.served();
        Some(self.connection(Taken { connection, in_use }))
    }

    /// Takes a connection and begins a transaction: a span `BEGIN`, with the wait for the connection. As `Pool::begin`.
    pub async fn begin(&self) -> Result<Transaction<'static, DB>, Error> {
        self.begin_by(None).await
    }

    /// As [`begin`](Self::begin), by a statement of one's own, such as `BEGIN IMMEDIATE`. As `Pool::begin_with`.
    pub async fn begin_with(&self, statement: impl SqlSafeStr) -> Result<Transaction<'static, DB>, Error> {
        self.begin_by(Some(statement.into_sql_str())).await
    }

    /// Closes the pool and waits until its connections are. As `Pool::close`.
    pub async fn close(&self) {
        self.inner.close().await;
    }

    fn connection(&self, taken: Taken<DB>) -> Connection<DB> {
        let Taken { connection, in_use } = taken;
        let shared = Arc::clone(&self.shared);
        Connection::new(Traced { shared, inner: connection, in_use: Some(in_use) })
    }

    async fn begin_by(&self, statement: Option<SqlStr>) -> Result<Transaction<'static, DB>, Error> {
        let (inner, in_use) = begun(Arc::clone(&self.shared), self.inner.clone(), statement).await?;
        let shared = Arc::clone(&self.shared);
        Ok(Transaction::new(Traced { shared, inner, in_use: Some(in_use) }, 1))
    }
}

/// Takes a connection and begins a transaction on it, in a span `BEGIN`.
pub(super) async fn begun<'c, DB: Database>(
    shared: Arc<Shared>,
    pool: Pool<DB>,
    statement: Option<SqlStr>,
) -> Result<(sqlx::Transaction<'c, DB>, InUse), Error> {
    let text = statement.as_ref().map_or("BEGIN", SqlStr::as_str);
    let mut running = Running::start(&shared.target, text, false);
    let (context, waited) = (running.context(), &mut None);
    let beginning = async {
        let (taken, wait) = take(&shared, &pool).await?;
        *waited = Some(wait);
        let inner = sqlx::Transaction::begin(taken.connection, statement).await?;
        Ok((inner, taken.in_use))
    };
    let begun = with_context(context, beginning).await;
    if let Some(wait) = waited.take() {
        running.waited(wait);
    }
    running.end(begun.as_ref().map(|_| None));
    begun
}

/// A connection of a traced pool as code gets it that is written for sqlx's `Acquire`: its statements have no spans. How long
/// it was waited for and is used is measured.
pub struct Taken<DB: Database> {
    pub(super) connection: PoolConnection<DB>,
    pub(super) in_use: InUse,
}

impl<DB: Database> fmt::Debug for Taken<DB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Taken").finish_non_exhaustive()
    }
}

impl<DB: Database> std::ops::Deref for Taken<DB> {
    type Target = DB::Connection;

    fn deref(&self) -> &DB::Connection {
        &self.connection
    }
}

impl<DB: Database> DerefMut for Taken<DB> {
    fn deref_mut(&mut self) -> &mut DB::Connection {
        &mut self.connection
    }
}

/// A connection of the pool, and how long it was waited for.
pub(super) fn take<DB: Database>(
    shared: &Arc<Shared>,
    pool: &Pool<DB>,
) -> impl Future<Output = Result<(Taken<DB>, Duration), Error>> + Send + 'static + use<DB> {
    let (metrics, pool) = (Arc::clone(&shared.pool), pool.clone());
    async move {
        let asked = metrics.ask();
        // Boxed, as it is large and whatever holds this future is moved several times before it is polled.
        match Box::pin(pool.acquire()).await {
            Ok(connection) => {
                let (in_use, waited) = asked.served();
                Ok((Taken { connection, in_use }, waited))
            }
            Err(error) => {
                if matches!(error, Error::PoolTimedOut) {
                    asked.timed_out();
                }
                Err(error)
            }
        }
    }
}

impl<DB: Database> Clone for Traced<Pool<DB>> {
    fn clone(&self) -> Self {
        Self::new(Arc::clone(&self.shared), self.inner.clone())
    }
}

impl<T> fmt::Debug for Traced<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Traced").field("database", &self.shared.target.database).finish_non_exhaustive()
    }
}

//! A traced pool in the place of a pool that code takes connections from by sqlx's `Acquire`, as `sqlx::migrate!` does.
//!
//! sqlx names the types that come of it: its own transaction, and something that is the driver's connection. So BEGIN has a
//! span and the pool is measured, and the statements have none.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use sqlx::{Acquire, Database, Error, Pool};

use super::traced::{Taken, Traced, begun, take};

/// For code that is written for any `Acquire`. Of a transaction that begins so, BEGIN is a span, and neither its statements
/// nor its end are; [`Traced::begin`], which is what `pool.begin()` calls, gives one that is seen whole.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// use sqlx::{Acquire, Sqlite};
///
/// async fn count(database: impl Acquire<'_, Database = Sqlite>) -> Result<i64, sqlx::Error> {
///     let mut transaction = database.begin().await?;
///     sqlx::query_scalar("SELECT count(*) FROM sqlite_master").fetch_one(&mut *transaction).await
/// }
///
/// let telemetry = waypost_telemetry::testing::TestTelemetry::new("order-service");
/// let pool = telemetry.sqlx().wrap(sqlx::SqlitePool::connect("sqlite::memory:").await?);
/// assert_eq!(count(&pool).await?, 0);
/// telemetry.tree().assert_matches("BEGIN CLIENT order-service");
/// # Ok::<(), sqlx::Error>(())
/// # }).unwrap();
/// ```
impl<'a, DB: Database> Acquire<'a> for &'_ Traced<Pool<DB>> {
    type Database = DB;

    type Connection = Taken<DB>;

    fn acquire(self) -> BoxFuture<'a, Result<Taken<DB>, Error>> {
        let taking = take(&self.shared, &self.inner);
        Box::pin(async move {
            let (taken, _) = taking.await?;
            Ok(taken)
        })
    }

    fn begin(self) -> BoxFuture<'a, Result<sqlx::Transaction<'a, DB>, Error>> {
        let beginning = begun(Arc::clone(&self.shared), self.inner.clone(), None);
        Box::pin(async move {
            let (transaction, in_use) = beginning.await?;
            // The transaction is sqlx's own, and does not say when it ends.
            in_use.given_away();
            Ok(transaction)
        })
    }
}

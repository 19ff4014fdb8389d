//! Metrics of pools of deadpool, whatever they hold.
//!
//! [`MeasuredPool`] stands in the place of a `deadpool::managed::Pool` and shows the conventions' `db.client.connection.*`.
//! What is taken from the pool inside is counted and not timed. It makes no spans: those are of whoever wraps what the pool
//! hands out, for example [`crate::tokio_postgres`].
//!
//! ```
//! use deadpool::managed::{Manager, Metrics, Pool, RecycleResult};
//!
//! struct Connections;
//!
//! impl Manager for Connections {
//!     type Type = String;
//!     type Error = std::io::Error;
//!
//!     async fn create(&self) -> Result<String, std::io::Error> {
//!         Ok("a connection".to_owned())
//!     }
//!
//!     async fn recycle(&self, _: &mut String, _: &Metrics) -> RecycleResult<std::io::Error> {
//!         Ok(())
//!     }
//! }
//!
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
//! use waypost_telemetry::metrics::{render_prometheus, sample};
//!
//! let telemetry = waypost_telemetry::testing::TestTelemetry::new("order-service");
//! let pool = telemetry.deadpool("orders", Pool::<Connections>::builder(Connections).max_size(4).build()?);
//! let connection = pool.get().await?;
//! assert_eq!(*connection, "a connection");
//!
//! let page = render_prometheus(&[telemetry.handle().clone()]);
//! let used = [("db_client_connection_pool_name", "orders"), ("db_client_connection_state", "used")];
//! assert_eq!(sample(&page, "db_client_connection_count", &used), Some(1.0));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use deadpool::managed::{Manager, Object, Pool, PoolError, Timeouts};

use super::pool_metrics::{Counted, PoolMetrics};
pub use super::used::Used;
use crate::core::handle::Telemetry;

/// A pool that is measured for as long as this or a clone of it is there. Made by [`Telemetry::deadpool`].
pub struct MeasuredPool<M: Manager, W: From<Object<M>> = Object<M>> {
    metrics: Arc<PoolMetrics>,
    pool: Pool<M, W>,
}

impl Telemetry {
    /// A pool of deadpool that this handle measures. `name` is its `db.client.connection.pool.name`, which two pools of one
    /// process do not share; the conventions advise the server's address and the database, `db.internal:5432/shop`.
    pub fn deadpool<M, W>(&self, name: impl Into<Arc<str>>, pool: Pool<M, W>) -> MeasuredPool<M, W>
    where
        M: Manager + 'static,
        W: From<Object<M>> + 'static,
        Pool<M, W>: Send + Sync,
    {
        MeasuredPool { metrics: PoolMetrics::observed(self, name.into(), pool.clone()), pool }
    }
}

impl<M: Manager, W: From<Object<M>>> MeasuredPool<M, W> {
    /// Takes one from the pool, or makes one. As `Pool::get`.
    ///
    /// # Errors
    /// Those of the pool.
    pub async fn get(&self) -> Result<Used<W>, PoolError<M::Error>> {
        self.taken(self.pool.get()).await
    }

    /// As [`get`](Self::get), with other time-outs than the pool's. As `Pool::timeout_get`.
    ///
    /// # Errors
    /// Those of the pool.
    pub async fn timeout_get(&self, timeouts: &Timeouts) -> Result<Used<W>, PoolError<M::Error>> {
        self.taken(self.pool.timeout_get(timeouts)).await
    }

    /// The pool, for everything else. What is taken from it directly is not timed.
    pub fn inner(&self) -> &Pool<M, W> {
        &self.pool
    }

    async fn taken(
        &self,
        taking: impl Future<Output = Result<W, PoolError<M::Error>>>,
    ) -> Result<Used<W>, PoolError<M::Error>> {
        let asked = self.metrics.ask();
        match taking.await {
            Ok(taken) => Ok(Used::new(taken, asked)),
            Err(error) => {
                if matches!(error, PoolError::Timeout(_)) {
                    asked.timed_out();
                }
                Err(error)
            }
        }
    }
}

impl<M, W> Counted for Pool<M, W>
where
    M: Manager,
    W: From<Object<M>>,
    Self: Send + Sync,
{
    fn size(&self) -> i64 {
        whole(self.status().size)
    }

    fn idle(&self) -> i64 {
        whole(self.status().available)
    }

    fn max(&self) -> Option<i64> {
        Some(whole(self.status().max_size))
    }

    /// It makes none before somebody asks.
    fn min(&self) -> Option<i64> {
        Some(0)
    }
}

fn whole(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

impl<M: Manager, W: From<Object<M>>> Clone for MeasuredPool<M, W> {
    fn clone(&self) -> Self {
        Self { metrics: Arc::clone(&self.metrics), pool: self.pool.clone() }
    }
}

impl<M: Manager, W: From<Object<M>>> fmt::Debug for MeasuredPool<M, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MeasuredPool").field("metrics", &self.metrics).finish_non_exhaustive()
    }
}

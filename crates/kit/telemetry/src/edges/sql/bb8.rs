//! Metrics of pools of bb8, whatever they hold.
//!
//! [`MeasuredPool`] stands in the place of a `bb8::Pool` and shows the conventions' `db.client.connection.*`. What is taken
//! from the pool inside is counted and not timed. It makes no spans: those are of whoever wraps what the pool hands out, for
//! example [`crate::tokio_postgres`].
//!
//! ```
//! use bb8::{ManageConnection, Pool};
//!
//! struct Connections;
//!
//! impl ManageConnection for Connections {
//!     type Connection = String;
//!     type Error = std::io::Error;
//!
//!     async fn connect(&self) -> Result<String, std::io::Error> {
//!         Ok("a connection".to_owned())
//!     }
//!
//!     async fn is_valid(&self, _: &mut String) -> Result<(), std::io::Error> {
//!         Ok(())
//!     }
//!
//!     fn has_broken(&self, _: &mut String) -> bool {
//!         false
//!     }
//! }
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
//! use waypost_telemetry::metrics::{render_prometheus, sample};
//!
//! let telemetry = waypost_telemetry::testing::TestTelemetry::new("order-service");
//! let pool = telemetry.bb8("orders", Pool::builder().max_size(4).build(Connections).await?);
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

use bb8::{ManageConnection, Pool, PooledConnection, RunError};

use super::pool_metrics::{Counted, PoolMetrics};
pub use super::used::Used;
use crate::core::handle::Telemetry;

/// A pool that is measured for as long as this or a clone of it is there. Made by [`Telemetry::bb8`].
pub struct MeasuredPool<M: ManageConnection> {
    metrics: Arc<PoolMetrics>,
    pool: Pool<M>,
}

impl Telemetry {
    /// A pool of bb8 that this handle measures. `name` is its `db.client.connection.pool.name`, which two pools of one process
    /// do not share; the conventions advise the server's address and the database, `db.internal:5432/shop`.
    pub fn bb8<M: ManageConnection>(&self, name: impl Into<Arc<str>>, pool: Pool<M>) -> MeasuredPool<M> {
        MeasuredPool { metrics: PoolMetrics::observed(self, name.into(), pool.clone()), pool }
    }
}

impl<M: ManageConnection> MeasuredPool<M> {
    /// Takes a connection from the pool, or has one made. As `Pool::get`.
    ///
    /// # Errors
    /// Those of the pool.
    pub async fn get(&self) -> Result<Used<PooledConnection<'_, M>>, RunError<M::Error>> {
        self.taken(self.pool.get()).await
    }

    /// As [`get`](Self::get), without borrowing the pool. As `Pool::get_owned`.
    ///
    /// # Errors
    /// Those of the pool.
    pub async fn get_owned(&self) -> Result<Used<PooledConnection<'static, M>>, RunError<M::Error>> {
        self.taken(self.pool.get_owned()).await
    }

    /// The pool, for everything else. What is taken from it directly is not timed.
    pub fn inner(&self) -> &Pool<M> {
        &self.pool
    }

    async fn taken<C>(
        &self,
        taking: impl Future<Output = Result<C, RunError<M::Error>>>,
    ) -> Result<Used<C>, RunError<M::Error>> {
        let asked = self.metrics.ask();
        match taking.await {
            Ok(taken) => Ok(Used::new(taken, asked)),
            Err(error) => {
                if matches!(error, RunError::TimedOut) {
                    asked.timed_out();
                }
                Err(error)
            }
        }
    }
}

impl<M: ManageConnection> Counted for Pool<M> {
    fn size(&self) -> i64 {
        self.state().connections.into()
    }

    fn idle(&self) -> i64 {
        self.state().idle_connections.into()
    }

    fn max(&self) -> Option<i64> {
        Some(self.config().max_size.into())
    }

    fn min(&self) -> Option<i64> {
        Some(self.config().min_idle.unwrap_or_default().into())
    }
}

impl<M: ManageConnection> Clone for MeasuredPool<M> {
    fn clone(&self) -> Self {
        Self { metrics: Arc::clone(&self.metrics), pool: self.pool.clone() }
    }
}

impl<M: ManageConnection> fmt::Debug for MeasuredPool<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MeasuredPool").field("metrics", &self.metrics).finish_non_exhaustive()
    }
}

//! Spans and metrics of sqlx: a pool that is used as before, and everything over it is seen.
//!
//! [`Sqlx`] says what is shown; [`Sqlx::wrap`] puts a pool inside a [`Traced`] one, which is an `Executor` as the pool
//! is: `query(..).fetch_one(&pool)`, `query_as!`, `QueryBuilder` and `raw_sql` stay as they are. Each statement is one
//! CLIENT span and one measurement, BEGIN, COMMIT and ROLLBACK of transactions as well, and the pool itself is measured.
//! Where the database is comes from the pool's options. Parameters are never recorded.
//! Left out: what sqlx does by itself when it connects, `prepare` and `describe`, pings.
//!
//! ```
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! let telemetry = waypost_telemetry::testing::TestTelemetry::new("order-service");
//! let pool = sqlx::SqlitePool::connect("sqlite::memory:").await?;
//! let pool = telemetry.sqlx().wrap(pool);
//!
//! let sum: i64 = sqlx::query_scalar("SELECT ? + ?").bind(2).bind(3).fetch_one(&pool).await?;
//! assert_eq!(sum, 5);
//! telemetry.tree().assert_matches("SELECT CLIENT order-service db.query.text=\"SELECT ? + ?\"");
//! # Ok::<(), sqlx::Error>(())
//! # }).unwrap();
//! ```

mod acquire;
mod driver;
mod executor;
mod held;
mod origin;
mod query;
mod steps;
mod told;
mod traced;

use std::sync::Arc;
use std::time::Duration;

use sqlx::{Database, Pool};

use super::pool_metrics::PoolMetrics;
pub use super::target::QueryText;
use super::target::{Shown, Target};
use crate::core::handle::Telemetry;
pub use held::{Connection, Transaction};
use origin::Origin;
pub use traced::{Taken, Traced};

/// What is shown of a pool of sqlx, and how it is called. Cheap to clone.
///
/// ```
/// use std::time::Duration;
/// use waypost_telemetry::sqlx::QueryText;
///
/// let telemetry = waypost_telemetry::testing::TestTelemetry::new("order-service");
/// let sqlx = telemetry
///     .sqlx()
///     .server("db.internal", 6432)
///     .namespace("shop")
///     .pool_name("reports")
///     .query_text(QueryText::Obfuscated)
///     .slow_query(Duration::from_millis(200))
///     .require_parent(true);
/// assert!(format!("{sqlx:?}").contains("reports"));
/// ```
#[derive(Clone, Debug)]
pub struct Sqlx {
    telemetry: Telemetry,
    settings: Settings,
}

#[derive(Clone, Debug, Default)]
struct Settings {
    shown: Shown,
    comments: bool,
    pool_name: Option<Arc<str>>,
    namespace: Option<Arc<str>>,
    server: Option<(Arc<str>, u16)>,
}

/// What a pool, its connections and their transactions have in common.
struct Shared {
    target: Arc<Target>,
    comments: bool,
    pool: Arc<PoolMetrics>,
}

impl Sqlx {
    /// Pools whose operations are spans of this handle; the same as [`Telemetry::sqlx`].
    pub fn new(telemetry: &Telemetry) -> Self {
        Self { telemetry: telemetry.clone(), settings: Settings::default() }
    }

    /// What `db.query.text` shows. [`QueryText::Auto`] unless said.
    #[must_use]
    pub fn query_text(mut self, text: QueryText) -> Self {
        self.settings.shown.text = text;
        self
    }

    /// A statement that takes this long, the wait for its connection aside, adds the event `waypost.db.slow_query` to its
    /// span and writes a warning with the target `slow_query` to the log, with its summary and never with its text. Off
    /// unless said.
    #[must_use]
    pub fn slow_query(mut self, at_least: Duration) -> Self {
        self.settings.shown.slow = Some(at_least);
        self
    }

    /// Whether statements carry the `traceparent` of their span in a comment at their end, so that the database's own logs
    /// and views lead to the trace. Off unless said, for it costs: as each text is another one then, the server parses and
    /// plans it each time. Statements of spans that are not sampled stay as they are.
    #[must_use]
    pub fn sql_commenter(mut self, comments: bool) -> Self {
        self.settings.comments = comments;
        self
    }

    /// Whether an operation outside of any span has none of its own; it is measured all the same. For programs that ask
    /// the database all the time in the background, whose traces would be of one span each.
    #[must_use]
    pub fn require_parent(mut self, requires_parent: bool) -> Self {
        self.settings.shown.requires_parent = requires_parent;
        self
    }

    /// `db.client.connection.pool.name`, if it is not to be made of the database's address and name. Two pools of one
    /// database need a name each.
    #[must_use]
    pub fn pool_name(mut self, name: impl Into<Arc<str>>) -> Self {
        self.settings.pool_name = Some(name.into());
        self
    }

    /// `db.namespace`, if it is not the database that the pool's options name.
    #[must_use]
    pub fn namespace(mut self, namespace: impl Into<Arc<str>>) -> Self {
        self.settings.namespace = Some(namespace.into());
        self
    }

    /// `server.address` and `server.port`, if they are not those in the pool's options: behind a tunnel, for instance.
    #[must_use]
    pub fn server(mut self, address: impl Into<Arc<str>>, port: u16) -> Self {
        self.settings.server = Some((address.into(), port));
        self
    }

    /// A pool whose operations are spans, and which is measured for as long as it is used.
    pub fn wrap<DB: Database>(&self, pool: Pool<DB>) -> Traced<Pool<DB>> {
        let origin = Origin::of(&pool, &self.settings);
        let name = self.settings.pool_name.clone().unwrap_or_else(|| origin.pool_name());
        let metrics = PoolMetrics::observed(&self.telemetry, name, pool.clone());
        let Origin { system, namespace, server } = origin;
        let target = Target::new(&self.telemetry, system, namespace, server, self.settings.shown);
        let comments = self.settings.comments;
        Traced::new(Arc::new(Shared { target: Arc::new(target), comments, pool: metrics }), pool)
    }
}

impl Telemetry {
    /// Pools of sqlx whose operations are spans of this handle.
    pub fn sqlx(&self) -> Sqlx {
        Sqlx::new(self)
    }
}

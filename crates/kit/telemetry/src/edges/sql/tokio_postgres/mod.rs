//! Spans and metrics of tokio-postgres: a client that is used as before, and every statement over it is seen.
//!
//! [`TokioPostgres`] says which database it is and what is shown; [`TokioPostgres::wrap`] puts a client, one that was taken
//! from a pool, or a reference to one inside a [`Traced`], which has the methods of `tokio_postgres::Client`. Each statement
//! is one CLIENT span and one measurement, also PREPARE, BEGIN, COMMIT and ROLLBACK. Parameters are never recorded.
//! Left out: what the client sends by itself while it connects and asks for types, and the portals of transactions.
//!
//! ```no_run
//! # async fn example() -> Result<(), tokio_postgres::Error> {
//! let telemetry = waypost_telemetry::testing::TestTelemetry::new("order-service");
//! let config: tokio_postgres::Config = "postgres://waypost@db.internal/shop".parse()?;
//! let (client, connection) = config.connect(tokio_postgres::NoTls).await?;
//! tokio::spawn(connection);
//!
//! let client = telemetry.tokio_postgres().config(&config).wrap(client);
//! let row = client.query_one("SELECT owner FROM orders WHERE id = $1", &[&7_i64]).await?;
//! telemetry.tree().assert_matches("\"SELECT orders\" CLIENT order-service db.response.returned_rows=1");
//! # drop(row);
//! # Ok(())
//! # }
//! ```

mod copy;
mod holder;
mod rows;
mod statement;
mod told;
mod traced;
mod transaction;

use std::sync::Arc;
use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::Host;

use super::target::Description;
pub use super::target::QueryText;
use crate::core::handle::Telemetry;
pub use copy::CopyIn;
pub use holder::{Holder, HolderMut, Pooled};
pub use rows::{Counted, Rows};
pub use statement::{Sql, Statement};
pub use traced::Traced;
pub use transaction::{Transaction, TransactionBuilder};

/// A PostgreSQL as its clients see it, and what is shown of their statements. Cheap to clone; make it once and keep it.
///
/// ```
/// use std::time::Duration;
/// use waypost_telemetry::tokio_postgres::QueryText;
///
/// let telemetry = waypost_telemetry::testing::TestTelemetry::new("order-service");
/// let postgres = telemetry
///     .tokio_postgres()
///     .server("db.internal", 6432)
///     .namespace("shop")
///     .query_text(QueryText::Obfuscated)
///     .slow_query(Duration::from_millis(200))
///     .require_parent(true);
/// assert!(format!("{postgres:?}").contains("db.internal"));
/// ```
#[derive(Clone, Debug)]
pub struct TokioPostgres {
    description: Description,
}

impl TokioPostgres {
    /// Clients whose operations are spans of this handle; the same as [`Telemetry::tokio_postgres`].
    pub fn new(telemetry: &Telemetry) -> Self {
        Self { description: Description::new(telemetry, "postgresql") }
    }

    /// Where the database is and what it is called, as the configuration says it: `db.namespace`, and `server.address` and
    /// `server.port` if it names one host. Of several the client tells nobody which one it took.
    ///
    /// ```
    /// let telemetry = waypost_telemetry::testing::TestTelemetry::new("order-service");
    /// let config: tokio_postgres::Config = "postgres://ann:hunter2@db.internal:6432/shop".parse()?;
    /// let shown = format!("{:?}", telemetry.tokio_postgres().config(&config));
    /// assert!(shown.contains("db.internal") && !shown.contains("hunter2"));
    /// # Ok::<(), tokio_postgres::Error>(())
    /// ```
    #[must_use]
    pub fn config(mut self, config: &Config) -> Self {
        // The name of the user is what the server takes in place of that of the database.
        if let Some(name) = config.get_dbname().or(config.get_user()) {
            self.description = self.description.namespace(name.into());
        }
        if let [host] = config.get_hosts() {
            let port = config.get_ports().first().copied();
            let server = match host {
                Host::Tcp(name) => (Arc::from(name.as_str()), port),
                #[cfg(unix)]
                Host::Unix(folder) => (Arc::from(&*folder.to_string_lossy()), None),
            };
            self.description = self.description.server(server);
        }
        self
    }

    /// `server.address` and `server.port` of its operations; the port is left out when it is 5432.
    #[must_use]
    pub fn server(self, address: impl Into<Arc<str>>, port: u16) -> Self {
        Self { description: self.description.server((address.into(), Some(port))) }
    }

    /// `db.namespace`: the name of the database.
    #[must_use]
    pub fn namespace(self, namespace: impl Into<Arc<str>>) -> Self {
        Self { description: self.description.namespace(namespace.into()) }
    }

    /// What `db.query.text` shows. [`QueryText::Auto`] unless said.
    #[must_use]
    pub fn query_text(self, text: QueryText) -> Self {
        Self { description: self.description.shown(|shown| shown.text = text) }
    }

    /// A statement that takes this long adds the event `waypost.db.slow_query` to its span and writes a warning with the
    /// target `slow_query` to the log, with its summary and never with its text. Off unless said.
    #[must_use]
    pub fn slow_query(self, at_least: Duration) -> Self {
        Self { description: self.description.shown(|shown| shown.slow = Some(at_least)) }
    }

    /// Whether an operation outside of any span has none of its own; it is measured all the same.
    #[must_use]
    pub fn require_parent(self, requires_parent: bool) -> Self {
        Self { description: self.description.shown(|shown| shown.requires_parent = requires_parent) }
    }

    /// A client whose statements are spans: one that is owned, or a reference to one.
    pub fn wrap<C: Holder>(&self, client: C) -> Traced<C> {
        Traced::new(self.description.target(), client)
    }

    /// A client that was taken from a pool. For pools whose connections lead to another type that leads to the client, as
    /// those of `deadpool-postgres` do, wrap a reference: `postgres.wrap(&mut **taken)`.
    pub fn wrap_pooled<P>(&self, pooled: P) -> Traced<Pooled<P>>
    where
        Pooled<P>: Holder,
    {
        self.wrap(Pooled(pooled))
    }
}

impl Telemetry {
    /// A PostgreSQL whose statements over tokio-postgres are spans of this handle.
    pub fn tokio_postgres(&self) -> TokioPostgres {
        TokioPostgres::new(self)
    }
}

//! Spans and metrics of diesel 2, by its own hook: an `Instrumentation` that a connection is given.
//!
//! [`Diesel`] says which database it is and what is shown; [`Diesel::instrumentation`] gives what
//! `Connection::set_instrumentation` and `set_default_instrumentation` take. Each query is one CLIENT span and one measurement,
//! those with which diesel begins and ends transactions as well, and so is connecting. Binds are never recorded. No back end of
//! diesel is turned on by this.
//! diesel blocks its caller. From async code it belongs in [`crate::spawn_blocking`], which takes the current span along.
//! Left out, because the hook does not tell: how many rows came back, and the SQLSTATE of an error.
//!
//! ```
//! use diesel::connection::SimpleConnection as _;
//! use diesel::prelude::*;
//!
//! let telemetry = waypost_telemetry::testing::TestTelemetry::new("order-service");
//! let mut connection = SqliteConnection::establish(":memory:")?;
//! connection.set_instrumentation(telemetry.diesel("sqlite").namespace("orders").instrumentation());
//! connection.batch_execute("CREATE TABLE orders (id INTEGER PRIMARY KEY)")?;
//! telemetry.tree().assert_matches("\"CREATE TABLE orders\" CLIENT order-service db.namespace=orders");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod hook;
mod place;
mod told;

use std::sync::Arc;
use std::time::Duration;

use super::target::Description;
pub use super::target::QueryText;
use crate::core::handle::Telemetry;
pub use hook::Traced;

/// A database as the connections of diesel see it, and what is shown of their queries. Cheap to clone.
///
/// ```
/// use std::time::Duration;
/// use waypost_telemetry::diesel::QueryText;
///
/// let telemetry = waypost_telemetry::testing::TestTelemetry::new("order-service");
/// let diesel = telemetry
///     .diesel("postgresql")
///     .server("db.internal", 6432)
///     .namespace("shop")
///     .query_text(QueryText::Obfuscated)
///     .slow_query(Duration::from_millis(200))
///     .require_parent(true);
/// assert!(format!("{diesel:?}").contains("db.internal"));
/// ```
#[derive(Clone, Debug)]
pub struct Diesel {
    description: Description,
}

impl Diesel {
    /// Connections whose queries are spans of this handle; the same as [`Telemetry::diesel`]. `system` is a value of
    /// `db.system.name`: `sqlite`, `postgresql`, `mysql`.
    pub fn new(telemetry: &Telemetry, system: &'static str) -> Self {
        Self { description: Description::new(telemetry, system) }
    }

    /// `server.address` and `server.port`, if they are not those of the URL that a connection is established with.
    #[must_use]
    pub fn server(self, address: impl Into<Arc<str>>, port: u16) -> Self {
        Self { description: self.description.server((address.into(), Some(port))) }
    }

    /// `db.namespace`, if it is not the database that the URL names. A connection that is given the instrumentation when it
    /// is established already shows no URL any more.
    #[must_use]
    pub fn namespace(self, namespace: impl Into<Arc<str>>) -> Self {
        Self { description: self.description.namespace(namespace.into()) }
    }

    /// The URL that connections are established with, for those that are given the instrumentation afterwards: the name of
    /// the database, the server and its port are read, users and passwords are not.
    ///
    /// ```
    /// let telemetry = waypost_telemetry::testing::TestTelemetry::new("order-service");
    /// let diesel = telemetry.diesel("postgresql").url("postgres://ann:hunter2@db.internal:6432/shop");
    /// let shown = format!("{diesel:?}");
    /// assert!(shown.contains("db.internal") && shown.contains("shop") && !shown.contains("hunter2"));
    /// ```
    #[must_use]
    pub fn url(self, url: &str) -> Self {
        Self { description: place::described(self.description, url) }
    }

    /// What `db.query.text` shows. [`QueryText::Auto`] unless said.
    #[must_use]
    pub fn query_text(self, text: QueryText) -> Self {
        Self { description: self.description.shown(|shown| shown.text = text) }
    }

    /// A query that takes this long adds the event `waypost.db.slow_query` to its span and writes a warning with the target
    /// `slow_query` to the log, with its summary and never with its text. Off unless said.
    #[must_use]
    pub fn slow_query(self, at_least: Duration) -> Self {
        Self { description: self.description.shown(|shown| shown.slow = Some(at_least)) }
    }

    /// Whether an operation outside of any span has none of its own; it is measured all the same.
    #[must_use]
    pub fn require_parent(self, requires_parent: bool) -> Self {
        Self { description: self.description.shown(|shown| shown.requires_parent = requires_parent) }
    }

    /// What one connection is given.
    #[must_use]
    pub fn instrumentation(&self) -> Traced {
        Traced::new(self.description.clone())
    }
}

impl Telemetry {
    /// A database whose queries over diesel are spans of this handle. `system` is a value of `db.system.name`.
    pub fn diesel(&self, system: &'static str) -> Diesel {
        Diesel::new(self, system)
    }
}

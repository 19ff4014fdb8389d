//! Spans and metrics of rusqlite: a connection that is used as before, and every statement over it is seen.
//!
//! [`Rusqlite`] says what is shown; [`Rusqlite::wrap`] puts a connection, or a reference to one, inside a [`Traced`], which
//! has the methods of `rusqlite::Connection` that run statements. Each run is one CLIENT span and one measurement, BEGIN,
//! COMMIT, ROLLBACK and savepoints as well. The name of the database is that of its file. Parameters are never recorded.
//!
//! SQLite blocks its caller. From async code it belongs in [`crate::spawn_blocking`], which takes the current span along, so
//! that the statements are its children.
//!
//! Left out: preparing a statement, but for one that cannot be, and what is done by pragmas of `rusqlite::Connection`, backups
//! and blobs.
//!
//! ```
//! let telemetry = waypost_telemetry::testing::TestTelemetry::new("order-service");
//! let connection = telemetry.rusqlite().wrap(rusqlite::Connection::open_in_memory()?);
//! let sum: i64 = connection.query_row("SELECT ?1 + ?2", [2, 3], |row| row.get(0))?;
//! assert_eq!(sum, 5);
//! telemetry.tree().assert_matches("SELECT CLIENT order-service db.query.text=\"SELECT ?1 + ?2\"");
//! # Ok::<(), rusqlite::Error>(())
//! ```

mod holder;
mod rows;
mod statement;
mod told;
mod traced;
mod transaction;

use std::sync::Arc;
use std::time::Duration;

use super::target::Description;
pub use super::target::QueryText;
use crate::core::handle::Telemetry;
pub use holder::{Holder, HolderMut, Pooled};
pub use rows::{AndThenRows, MappedRows, Rows};
pub use statement::Statement;
pub use traced::Traced;
pub use transaction::{Savepoint, Transaction};

/// What a database without a file is called.
const IN_MEMORY: &str = ":memory:";

/// What is shown of the statements of SQLite databases. Cheap to clone; make it once and keep it.
///
/// ```
/// use std::time::Duration;
/// use waypost_telemetry::rusqlite::QueryText;
///
/// let telemetry = waypost_telemetry::testing::TestTelemetry::new("order-service");
/// let sqlite = telemetry
///     .rusqlite()
///     .namespace("orders")
///     .query_text(QueryText::Obfuscated)
///     .slow_query(Duration::from_millis(200))
///     .require_parent(true);
/// assert!(format!("{sqlite:?}").contains("orders"));
/// ```
#[derive(Clone, Debug)]
pub struct Rusqlite {
    description: Description,
}

impl Rusqlite {
    /// Connections whose operations are spans of this handle; the same as [`Telemetry::rusqlite`].
    pub fn new(telemetry: &Telemetry) -> Self {
        Self { description: Description::new(telemetry, "sqlite") }
    }

    /// `db.namespace`, if it is not the name of the database's file without its folders.
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

    /// A connection whose statements are spans: one that is owned, or a reference to one.
    pub fn wrap<C: Holder>(&self, connection: C) -> Traced<C> {
        let target = if self.description.has_namespace() {
            self.description.target()
        } else {
            let path = connection.connection().path().unwrap_or_default();
            // Without its folders, which tell of the machine.
            let file = path.rsplit(['/', '\\']).next().filter(|file| !file.is_empty());
            self.description.target_of(file.unwrap_or(IN_MEMORY))
        };
        Traced::new(target, connection)
    }

    /// A connection that was taken from a pool.
    pub fn wrap_pooled<P>(&self, pooled: P) -> Traced<Pooled<P>>
    where
        Pooled<P>: Holder,
    {
        self.wrap(Pooled(pooled))
    }
}

impl Telemetry {
    /// SQLite databases whose statements over rusqlite are spans of this handle.
    pub fn rusqlite(&self) -> Rusqlite {
        Rusqlite::new(self)
    }
}

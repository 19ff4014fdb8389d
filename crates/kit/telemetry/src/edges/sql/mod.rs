//! Spans and metrics of database work, for any driver.
//!
//! For the code that wraps a driver: it says when an operation starts, which statements ran and how it ended.
//! An [`Operation`] is one CLIENT span and one measurement; it may run several statements (a unit of work), may be
//! sent to another thread and ends there, and ends exactly once: dropped without a word it was cancelled.
//! The text of a statement with parameters is recorded as it stands and its parameters never are; of a text that holds
//! values ([`Operation::dynamic_statement`]) every literal is taken out first.
//! Left out: connection pools and the drivers themselves, but for those that have a module of their own, such as [`sqlx`].
//!
//! ```
//! use waypost_telemetry::testing::TestTelemetry;
//!
//! let telemetry = TestTelemetry::new("order-service");
//! let database = telemetry.sql("sqlite", "order");
//!
//! let mut operation = database.start("place-order");
//! operation.statement("INSERT INTO orders (id, status) VALUES (?1, ?2)");
//! operation.statement("INSERT INTO outbox (id, payload) VALUES (?1, ?2)");
//! operation.succeed();
//!
//! let spans = telemetry.finished_spans();
//! assert_eq!(spans[0].name(), "INSERT orders; INSERT outbox");
//! assert_eq!(spans[0].attribute("db.system.name").unwrap().as_str(), "sqlite");
//! ```

#[cfg(feature = "bb8")]
pub mod bb8;
#[cfg(feature = "deadpool")]
pub mod deadpool;
mod dialect;
#[cfg(feature = "diesel")]
pub mod diesel;
mod open_transaction;
mod operation;
mod pool_metrics;
mod reader;
mod running;
#[cfg(feature = "rusqlite")]
pub mod rusqlite;
mod sanitize;
#[cfg(feature = "sqlx")]
pub mod sqlx;
mod statement;
mod summary;
mod target;
mod tokens;
#[cfg(feature = "tokio-postgres")]
pub mod tokio_postgres;
mod unit;
#[cfg(any(feature = "bb8", feature = "deadpool"))]
mod used;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use opentelemetry::trace::SpanKind;
use opentelemetry::{Context, StringValue};

use crate::core::handle::Telemetry;
use crate::core::readings::database::operation_durations;
use crate::core::series::{DurationSeries, HistogramSeries};
use crate::core::span::SpanBuilder;
use dialect::Dialect;
pub use operation::Operation;
pub use summary::summarize;
pub use target::QueryText;

/// Bounds of counts of rows, as the conventions advise.
const ROWS: [f64; 13] =
    [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0, 5000.0, 10_000.0];

/// A database as its clients see it: the system, the namespace, and the instruments of both. Cheap to clone.
///
/// ```
/// let telemetry = waypost_telemetry::testing::TestTelemetry::new("order-service");
/// let database = telemetry.sql("postgresql", "shop");
/// database.start("sweep").succeed();
/// telemetry.tree().assert_matches("sweep CLIENT order-service db.system.name=postgresql db.namespace=shop");
/// ```
#[derive(Clone)]
pub struct Database {
    shared: Arc<Shared>,
}

#[derive(Clone)]
struct Shared {
    telemetry: Telemetry,
    system: &'static str,
    dialect: Dialect,
    namespace: StringValue,
    server: Option<Server>,
    duration: DurationSeries<operation::Labels>,
    returned_rows: HistogramSeries<operation::Labels, u64>,
}

/// Where a database is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Server {
    address: StringValue,
    /// `None` for the port that every client would try.
    port: Option<u16>,
}

impl Server {
    fn new(system: &str, address: StringValue, port: u16) -> Self {
        Self { address, port: Some(port).filter(|port| Dialect::default_port(system) != Some(*port)) }
    }
}

impl Database {
    /// A database of a telemetry handle; the same as [`Telemetry::sql`]. `system` is a value of `db.system.name`
    /// (`sqlite`, `postgresql`), `namespace` the name of the database.
    pub fn new(telemetry: &Telemetry, system: &'static str, namespace: impl Into<Arc<str>>) -> Self {
        let duration = operation_durations(telemetry.meter());
        let returned_rows = telemetry
            .meter()
            .u64_histogram("db.client.response.returned_rows")
            .with_unit("{row}")
            .with_description("The actual number of records returned by the database operation.")
            .with_boundaries(ROWS.into())
            .build();
        let namespace: Arc<str> = namespace.into();
        Self {
            shared: Arc::new(Shared {
                telemetry: telemetry.clone(),
                system,
                dialect: Dialect::of(system),
                namespace: namespace.into(),
                server: None,
                duration: DurationSeries::new(duration, telemetry),
                returned_rows: HistogramSeries::new(returned_rows, telemetry),
            }),
        }
    }

    /// The same database at this host: `server.address` and, unless it is the one that every client of the system
    /// tries by itself, `server.port` of its operations. For databases in other processes.
    ///
    /// ```
    /// use waypost_telemetry::testing::TestTelemetry;
    ///
    /// let telemetry = TestTelemetry::new("order-service");
    /// let database = telemetry.sql("postgresql", "shop").server("db.internal", 6432);
    /// database.start("ping").succeed();
    ///
    /// let spans = telemetry.finished_spans();
    /// assert_eq!(spans[0].attribute("server.address").unwrap().as_str(), "db.internal");
    /// assert_eq!(spans[0].attribute("server.port").unwrap().as_str(), "6432");
    /// ```
    #[must_use]
    pub fn server(&self, address: impl Into<Arc<str>>, port: u16) -> Self {
        let address: Arc<str> = address.into();
        let mut shared = Shared::clone(&self.shared);
        shared.server = Some(Server::new(shared.system, address.into(), port));
        Self { shared: Arc::new(shared) }
    }

    /// Starts an operation, child of the current span. `operation` says what it is for, in the program's words
    /// (`place-order`); it names the span until a statement does.
    pub fn start(&self, operation: &'static str) -> Operation {
        self.start_within(&Context::current(), operation)
    }

    /// Starts an operation as child of another context than the current one.
    ///
    /// ```
    /// let telemetry = waypost_telemetry::testing::TestTelemetry::new("order-service");
    /// let unit = telemetry.span("unit").start();
    /// telemetry.sql("sqlite", "order").start_within(unit.context(), "sweep").succeed();
    /// drop(unit);
    /// telemetry.tree().assert_matches("unit INTERNAL order-service\n  sweep CLIENT order-service");
    /// ```
    pub fn start_within(&self, parent: &Context, operation: &'static str) -> Operation {
        let mut span = self.span(parent, operation.into());
        span.put_text("waypost.db.operation", operation);
        Operation::new(self.clone(), operation, span.start())
    }

    /// A span with what all operations have in common.
    fn span(&self, parent: &Context, name: Cow<'static, str>) -> SpanBuilder {
        let shared = &self.shared;
        let mut span =
            SpanBuilder::new(shared.telemetry.clone(), parent.clone(), name).kind(SpanKind::Client).decided();
        if span.keeps() {
            span.put_text("db.system.name", shared.system);
            if !shared.namespace.as_str().is_empty() {
                span.put_text("db.namespace", shared.namespace.as_str());
            }
            if let Some(server) = &shared.server {
                span.put_text("server.address", server.address.as_str());
                if let Some(port) = server.port {
                    span.put("server.port", i64::from(port));
                }
            }
        }
        span
    }
}

impl Telemetry {
    /// A database whose operations are spans of this handle. `system` is a value of `db.system.name`.
    pub fn sql(&self, system: &'static str, namespace: impl Into<Arc<str>>) -> Database {
        Database::new(self, system, namespace)
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database")
            .field("system", &self.shared.system)
            .field("namespace", &self.shared.namespace)
            .field("server", &self.shared.server)
            .finish_non_exhaustive()
    }
}

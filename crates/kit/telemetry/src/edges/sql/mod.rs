//! Spans and metrics of database work, for any driver.
//!
//! For the code that wraps a driver: it says when an operation starts, which statements ran and how it ended.
//! An [`Operation`] is one CLIENT span and one measurement; it may run several statements (a unit of work), may be
//! sent to another thread and ends there, and ends exactly once: dropped without a word it was cancelled.
//! Statements are static text with parameters, so their text is recorded as it stands and parameters never are.
//! Left out: connection pools and the drivers themselves.
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

mod operation;
mod reader;
mod summary;
mod tokens;

use std::fmt;
use std::sync::Arc;

use opentelemetry::metrics::Histogram;
use opentelemetry::trace::SpanKind;
use opentelemetry::{Context, StringValue};

use crate::core::handle::Telemetry;
use crate::core::readings::{DATABASE_SECONDS, durations};
use crate::core::span::SpanBuilder;
pub use operation::Operation;
pub use summary::summarize;

/// A database as its clients see it: the system, the namespace, and the instruments of both. Cheap to clone.
#[derive(Clone)]
pub struct Database {
    shared: Arc<Shared>,
}

struct Shared {
    telemetry: Telemetry,
    system: &'static str,
    namespace: StringValue,
    duration: Histogram<f64>,
}

impl Database {
    /// A database of a telemetry handle; the same as [`Telemetry::sql`]. `system` is a value of `db.system.name`
    /// (`sqlite`, `postgresql`), `namespace` the name of the database.
    pub fn new(telemetry: &Telemetry, system: &'static str, namespace: impl Into<Arc<str>>) -> Self {
        let duration = durations(
            telemetry.meter(),
            "db.client.operation.duration",
            "Duration of database client operations.",
            &DATABASE_SECONDS,
        );
        let namespace: Arc<str> = namespace.into();
        let shared = Shared { telemetry: telemetry.clone(), system, namespace: namespace.into(), duration };
        Self { shared: Arc::new(shared) }
    }

    /// Starts an operation, child of the current span. `operation` says what it is for, in the program's words
    /// (`place-order`); it names the span until a statement does.
    pub fn start(&self, operation: &'static str) -> Operation {
        self.start_within(&Context::current(), operation)
    }

    /// Starts an operation as child of another context than the current one.
    pub fn start_within(&self, parent: &Context, operation: &'static str) -> Operation {
        let span = SpanBuilder::new(self.shared.telemetry.clone(), parent.clone(), operation.into())
            .kind(SpanKind::Client)
            .attr("db.system.name", self.shared.system)
            .attr("db.namespace", self.shared.namespace.clone())
            .attr("waypost.db.operation", operation)
            .start();
        Operation::new(self.clone(), operation, span)
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
            .finish_non_exhaustive()
    }
}

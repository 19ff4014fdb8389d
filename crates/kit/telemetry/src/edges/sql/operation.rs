//! One operation: its span, its statements, its measurement.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use opentelemetry::{KeyValue, StringValue};

use super::statement::Statements;
use super::{Database, Server};
use crate::base::attributes::ERROR_TYPE;
use crate::base::error::ErrorType;
use crate::core::clock::Timer;
use crate::core::readings::exemplars;
use crate::core::series;
use crate::core::span::{Outcome, SpanGuard};

/// An open database operation. Ends by [`succeed`](Self::succeed) or [`fail`](Self::fail), or when dropped, as
/// cancelled. Can be sent to and ended on another thread.
///
/// ```
/// use std::time::Duration;
///
/// let telemetry = waypost_telemetry::testing::TestTelemetry::new("order-service");
/// let mut find = telemetry.sql("postgresql", "shop").start("find-order");
/// find.statement("SELECT * FROM orders WHERE id = $1");
/// find.server("replica", 5_433);
/// find.peer(([10, 0, 0, 7], 5_433).into());
/// find.rows(1);
/// find.waited(Duration::from_millis(2));
/// find.batch_units(1);
/// find.status_code("00000");
/// find.succeed();
/// telemetry.tree().assert_matches("\"SELECT orders\" CLIENT order-service db.response.returned_rows=1");
/// ```
#[derive(Debug)]
#[must_use = "dropping the operation ends it as cancelled"]
pub struct Operation {
    database: Database,
    purpose: &'static str,
    timer: Timer,
    statements: Statements,
    /// Where this one ran, if it is not where all of the database do.
    server: Option<Server>,
    /// What its statements do in the program's words, if that was said.
    summary: Option<&'static str>,
    status_code: Option<Cow<'static, str>>,
    /// How many it returned, if it asked for any.
    rows: Option<u64>,
    /// Whether the span was started with its statement, and nothing is left to say of it.
    is_told: bool,
    /// Taken when it ends.
    span: Option<SpanGuard>,
}

impl Operation {
    pub(super) fn new(database: Database, purpose: &'static str, span: SpanGuard) -> Self {
        let (timer, statements) = (database.shared.telemetry.timer(), Statements::default());
        Self {
            database,
            purpose,
            timer,
            statements,
            server: None,
            summary: None,
            status_code: None,
            rows: None,
            is_told: false,
            span: Some(span),
        }
    }

    /// An operation that runs this one statement, whose span has been told of it.
    pub(super) fn told(database: Database, summary: Cow<'static, str>, span: SpanGuard) -> Self {
        let mut operation = Self::new(database, "", span);
        operation.statements.add_made(summary, String::new());
        operation.is_told = true;
        operation
    }

    /// The context that its work belongs in.
    pub(super) fn context(&self) -> opentelemetry::Context {
        self.span.as_ref().map_or_else(opentelemetry::Context::current, |span| span.context().clone())
    }

    /// Adds an event to its span.
    pub(super) fn event(&self, name: &'static str, attributes: Vec<KeyValue>) {
        if let Some(span) = self.span.as_ref().filter(|span| span.records()) {
            span.event(name, attributes);
        }
    }

    /// A statement that ran, with placeholders in place of values. It is recorded as it stands, so it must hold
    /// no values; [`Self::dynamic_statement`] is for one that may. A repeated one counts once, and at most 64 are
    /// remembered.
    pub fn statement(&mut self, sql: impl Into<Cow<'static, str>>) {
        self.statements.add(sql.into(), self.database.shared.dialect);
    }

    /// A statement that ran and may hold values: of its text every literal is replaced by `?`, comments are left
    /// out, and where it cannot be told what is a literal the text ends.
    ///
    /// ```
    /// use waypost_telemetry::testing::TestTelemetry;
    ///
    /// let telemetry = TestTelemetry::new("order-service");
    /// let mut operation = telemetry.sql("mysql", "shop").start("find-user");
    /// operation.dynamic_statement(r"select * from users where name = 'O\'Hara' and age > 30 -- Ann's");
    /// operation.succeed();
    ///
    /// let spans = telemetry.finished_spans();
    /// assert_eq!(spans[0].name(), "select users");
    /// let text = spans[0].attribute("db.query.text").unwrap().to_string();
    /// assert_eq!(text, "select * from users where name = ? and age > ? ");
    /// ```
    pub fn dynamic_statement(&mut self, sql: &str) {
        let wants_text = self.span.as_ref().is_some_and(SpanGuard::records);
        self.statements.add_dynamic(sql, self.database.shared.dialect, wants_text);
    }

    /// What its statements do, in place of what would be read out of their texts: for a statement of many parts, whose verbs
    /// and tables in the order of the text are no name that a reader knows again. Verbs and tables as in a summary that is
    /// made, one of few, without values. Names the span and is `db.query.summary`, also of metrics; without a statement it is
    /// passed over.
    ///
    /// ```
    /// use waypost_telemetry::testing::TestTelemetry;
    ///
    /// let telemetry = TestTelemetry::new("order-service");
    /// let mut operation = telemetry.sql("postgresql", "shop").start("move-orders");
    /// operation.statement(
    ///     "WITH found AS (SELECT * FROM orders WHERE id = ANY($1) FOR UPDATE), \
    ///      moved AS (UPDATE orders SET status = $2 FROM found WHERE orders.id = found.id RETURNING orders.id) \
    ///      INSERT INTO history (id) SELECT id FROM moved",
    /// );
    /// operation.summary("UPDATE orders; INSERT history");
    /// operation.succeed();
    /// telemetry.tree().assert_matches("\"UPDATE orders; INSERT history\" CLIENT order-service");
    /// ```
    pub fn summary(&mut self, summary: &'static str) {
        self.summary = Some(summary);
    }

    /// Where this operation ran, if that is not where all of the database do ([`Database::server`]): a replica, a
    /// shard. `server.address` and `server.port`.
    pub fn server(&mut self, address: impl Into<Arc<str>>, port: u16) {
        let address: Arc<str> = address.into();
        let server = Server::new(self.database.shared.system, StringValue::from(address), port);
        self.set("server.address", server.address.clone());
        if let Some(port) = server.port {
            self.set("server.port", i64::from(port));
        }
        self.server = Some(server);
    }

    /// The node that the operation's connection leads to: `network.peer.address` and `network.peer.port`.
    pub fn peer(&mut self, peer: SocketAddr) {
        self.set("network.peer.address", peer.ip().to_string());
        self.set("network.peer.port", i64::from(peer.port()));
    }

    /// Rows returned: `db.response.returned_rows`, and a value of the metric `db.client.response.returned_rows`.
    pub fn rows(&mut self, returned: u64) {
        self.rows = Some(returned);
        self.set("db.response.returned_rows", i64::try_from(returned).unwrap_or(i64::MAX));
    }

    /// How long the operation waited for its turn before it ran: `waypost.db.wait_duration`, in seconds.
    pub fn waited(&mut self, wait: Duration) {
        self.set("waypost.db.wait_duration", wait.as_secs_f64());
    }

    /// How many units of work shared the commit of this one: `waypost.db.commit.units`.
    pub fn batch_units(&mut self, units: usize) {
        self.set("waypost.db.commit.units", i64::try_from(units).unwrap_or(i64::MAX));
    }

    /// The status code the database answered with (a SQLSTATE, a result code): `db.response.status_code`.
    pub fn status_code(&mut self, code: impl Into<Cow<'static, str>>) {
        self.status_code = Some(code.into());
    }

    /// It did what it was asked to do.
    pub fn succeed(mut self) {
        self.end(Outcome::Ok);
    }

    /// It failed. An error that is no failure (`ErrorType::is_failure`) leaves the span's status unset: the
    /// database did its part and the answer was no.
    ///
    /// ```
    /// use waypost_telemetry::testing::TestTelemetry;
    ///
    /// let telemetry = TestTelemetry::new("order-service");
    /// let mut operation = telemetry.sql("sqlite", "order").start("find-order");
    /// operation.statement("SELECT * FROM orders WHERE id = ?1");
    /// operation.fail(&rusqlite::Error::QueryReturnedNoRows);
    /// telemetry.tree().assert_matches(
    ///     "\"SELECT orders\" CLIENT order-service ERROR error.type=query_returned_no_rows",
    /// );
    /// ```
    pub fn fail(mut self, failure: &dyn ErrorType) {
        self.end(if failure.is_failure() { Outcome::Error(failure.error_type()) } else { Outcome::Ok });
    }

    fn set(&mut self, key: &'static str, value: impl Into<opentelemetry::Value>) {
        if let Some(span) = &self.span {
            span.set(key, value);
        }
    }

    fn end(&mut self, outcome: Outcome) {
        let Some(mut span) = self.span.take() else { return };
        let is_measured = self.database.shared.duration.is_read();
        if is_measured || span.records() {
            let elapsed = self.timer.elapsed();
            let dialect = self.database.shared.dialect;
            let made = self.statements.summary(dialect);
            let summary = match self.summary {
                Some(said) if made.is_some() => Some(Cow::Borrowed(said)),
                _ => made,
            };
            if span.records() {
                let code =
                    self.status_code.clone().map(|code| KeyValue::new("db.response.status_code", code));
                if self.is_told {
                    span.set_each(code);
                } else {
                    span.rename(summary.clone().unwrap_or(Cow::Borrowed(self.purpose)));
                    let text = |summary: &Cow<'static, str>| {
                        let text = KeyValue::new("db.query.text", self.statements.text(dialect));
                        [KeyValue::new("db.query.summary", summary.clone()), text]
                    };
                    span.set_each(summary.as_ref().map(text).into_iter().flatten().chain(code));
                }
            }
            if is_measured {
                self.measure(&span, elapsed, summary, &outcome);
            }
            span.end_after(outcome, elapsed);
        }
    }

    fn measure(
        &self,
        span: &SpanGuard,
        elapsed: Duration,
        summary: Option<Cow<'static, str>>,
        outcome: &Outcome,
    ) {
        let shared = &self.database.shared;
        let labels = Labels {
            system: shared.system,
            namespace: shared.namespace.clone(),
            server: self.server.as_ref().or(shared.server.as_ref()).cloned(),
            summary,
            status_code: self.status_code.clone(),
            error_type: outcome.error_type(),
        };
        exemplars::within(span.context(), span.time_after(elapsed), || {
            if let Some(rows) = self.rows {
                shared.returned_rows.record(labels.clone(), rows);
            }
            shared.duration.record(labels, elapsed.as_secs_f64());
        });
    }
}

/// The labels of `db.client.operation.duration` and `db.client.response.returned_rows`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Labels {
    system: &'static str,
    namespace: StringValue,
    server: Option<Server>,
    summary: Option<Cow<'static, str>>,
    status_code: Option<Cow<'static, str>>,
    error_type: Option<Cow<'static, str>>,
}

impl series::Labels for Labels {
    fn build(&self) -> Vec<KeyValue> {
        let mut labels = Vec::with_capacity(7);
        labels.push(KeyValue::new("db.system.name", self.system));
        if !self.namespace.as_str().is_empty() {
            labels.push(KeyValue::new("db.namespace", self.namespace.clone()));
        }
        if let Some(server) = &self.server {
            labels.push(KeyValue::new("server.address", server.address.clone()));
            labels.extend(server.port.map(|port| KeyValue::new("server.port", i64::from(port))));
        }
        labels.extend(self.summary.clone().map(|summary| KeyValue::new("db.query.summary", summary)));
        labels.extend(self.status_code.clone().map(|code| KeyValue::new("db.response.status_code", code)));
        labels.extend(self.error_type.clone().map(|class| KeyValue::new(ERROR_TYPE, class)));
        labels
    }
}

impl Drop for Operation {
    fn drop(&mut self) {
        self.end(if std::thread::panicking() { Outcome::Panic } else { Outcome::Cancelled });
    }
}

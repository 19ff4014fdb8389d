//! One statement of a driver, from its start to its end.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use opentelemetry::trace::TraceContextExt as _;
use opentelemetry::{Context, KeyValue};

use super::operation::Operation;
use super::statement::MAX_TEXT;
use super::target::{QueryText, Target};
use super::{sanitize, summary};
use crate::base::error::ErrorType;
use crate::base::redact;
use crate::core::clock::Timer;
use crate::core::span::SpanGuard;

/// What a driver's error says of its statement.
pub(super) enum Meaning {
    /// It failed.
    Failure,
    /// There is no row: an answer, and no failure of the database.
    NoRow,
    /// There are not as many rows as the program wanted, which is an answer as well. Their number is not known.
    OtherRows,
}

/// The error of a driver.
pub(super) trait DriverError: ErrorType {
    /// The SQLSTATE or the result code that the database answered with.
    fn status_code(&self) -> Option<Cow<'static, str>>;

    /// What it says of its statement.
    fn meaning(&self) -> Meaning;
}

/// An open operation. Dropped without a word it was cancelled.
pub(super) struct Running {
    target: Arc<Target>,
    summary: Cow<'static, str>,
    operation: Operation,
    timer: Timer,
    waited: Duration,
}

impl Running {
    /// Starts the span of a statement, child of the current one. `is_bound` if its values come beside its text.
    pub(super) fn start(target: &Arc<Target>, sql: &str, is_bound: bool) -> Self {
        let dialect = target.database.shared.dialect;
        let summary =
            if is_bound { summary::of_template(sql, dialect) } else { summary::of(sql, dialect).into() };
        Self::start_as(target, summary, sql, is_bound)
    }

    /// Starts the span of something that is done with a statement and has a summary of its own.
    pub(super) fn start_as(
        target: &Arc<Target>,
        summary: Cow<'static, str>,
        sql: &str,
        is_bound: bool,
    ) -> Self {
        let parent = Context::current();
        let is_wanted = !target.shown.requires_parent || parent.span().span_context().is_valid();
        let span = if is_wanted {
            let system = Cow::Borrowed(target.database.shared.system);
            let name = if summary.is_empty() { system } else { summary.clone() };
            span(target, &parent, sql, is_bound, &summary, name)
        } else {
            SpanGuard::ended(parent)
        };
        Self {
            target: Arc::clone(target),
            operation: Operation::told(target.database.clone(), summary.clone(), span),
            summary,
            timer: target.database.shared.telemetry.timer(),
            waited: Duration::ZERO,
        }
    }

    /// The context that the work belongs in.
    pub(super) fn context(&self) -> Context {
        self.operation.context()
    }

    /// How long it waited for its connection.
    pub(super) fn waited(&mut self, wait: Duration) {
        self.waited = wait;
        self.operation.waited(wait);
    }

    /// It ended; with how many rows, if it asked for rows.
    pub(super) fn end(mut self, result: Result<Option<u64>, &impl DriverError>) {
        self.tell_if_slow();
        let rows = match result {
            Ok(rows) => rows,
            Err(error) => match error.meaning() {
                Meaning::NoRow => Some(0),
                Meaning::OtherRows => None,
                Meaning::Failure => {
                    if let Some(code) = error.status_code() {
                        self.operation.status_code(code);
                    }
                    return self.operation.fail(error);
                }
            },
        };
        if let Some(rows) = rows {
            self.operation.rows(rows);
        }
        self.operation.succeed();
    }

    fn tell_if_slow(&self) {
        let took = self.timer.elapsed().saturating_sub(self.waited);
        let Some(threshold) = self.target.shown.slow.filter(|threshold| took >= *threshold) else {
            return;
        };
        let threshold = KeyValue::new("waypost.db.slow_query.threshold", threshold.as_secs_f64());
        self.operation.event("waypost.db.slow_query", vec![threshold]);
        // A trace that nobody keeps has a slow statement, too.
        let _attached = self.operation.context().attach();
        // With a target of its own: events of the kit's own targets are not exported.
        tracing::warn!(
            target: "slow_query",
            statement = %self.summary,
            seconds = took.as_secs_f64(),
            "a statement took longer than it should"
        );
    }
}

fn span(
    target: &Target,
    parent: &Context,
    sql: &str,
    is_bound: bool,
    summary: &str,
    name: Cow<'static, str>,
) -> SpanGuard {
    let database = &target.database;
    let mut span = database.span(parent, name);
    if span.keeps() {
        if !summary.is_empty() {
            span.put_text("db.query.summary", summary);
        }
        match target.shown.text {
            // There is none: its statement was made elsewhere.
            _ if sql.is_empty() => {}
            QueryText::Off => {}
            QueryText::Auto | QueryText::Full if is_bound || target.shown.text == QueryText::Full => {
                span.put_text("db.query.text", redact::bounded_to(sql, MAX_TEXT));
            }
            QueryText::Auto | QueryText::Full | QueryText::Obfuscated => {
                let text = sanitize::sanitized(sql, database.shared.dialect, MAX_TEXT);
                span.put_text("db.query.text", &text);
            }
        }
    }
    span.start()
}

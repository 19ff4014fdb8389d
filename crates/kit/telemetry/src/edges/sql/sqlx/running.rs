//! One operation over sqlx, from its first poll to its end.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use opentelemetry::trace::TraceContextExt as _;
use opentelemetry::{Context, KeyValue};

use super::super::operation::Operation;
use super::super::statement::MAX_TEXT;
use super::super::{sanitize, summary};
use super::{QueryText, Shared};
use crate::base::redact;
use crate::core::span::SpanGuard;

/// An open operation. Dropped without a word it was cancelled.
pub(super) struct Running {
    shared: Arc<Shared>,
    summary: Cow<'static, str>,
    operation: Operation,
    started: Instant,
    waited: Duration,
}

impl Running {
    /// Starts the span of a statement, child of the current one. `is_bound` if its values come beside its text.
    pub(super) fn start(shared: &Arc<Shared>, sql: &str, is_bound: bool) -> Self {
        let dialect = shared.database.shared.dialect;
        let summary =
            if is_bound { summary::of_template(sql, dialect) } else { summary::of(sql, dialect).into() };
        let parent = Context::current();
        let is_wanted = !shared.settings.requires_parent || parent.span().span_context().is_valid();
        let span = if is_wanted {
            let system = Cow::Borrowed(shared.database.shared.system);
            let name = if summary.is_empty() { system } else { summary.clone() };
            span(shared, &parent, sql, is_bound, &summary, name)
        } else {
            SpanGuard::ended(parent)
        };
        Self {
            shared: Arc::clone(shared),
            operation: Operation::told(shared.database.clone(), summary.clone(), span),
            summary,
            started: Instant::now(),
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
    pub(super) fn end(mut self, result: Result<Option<u64>, &sqlx::Error>) {
        self.tell_if_slow();
        match result {
            Ok(rows) => {
                if let Some(rows) = rows {
                    self.operation.rows(rows);
                }
                self.operation.succeed();
            }
            // What was asked for is not there: that is an answer.
            Err(sqlx::Error::RowNotFound) => {
                self.operation.rows(0);
                self.operation.succeed();
            }
            Err(error) => {
                if let sqlx::Error::Database(said) = error
                    && let Some(code) = said.code()
                {
                    self.operation.status_code(code.into_owned());
                }
                self.operation.fail(error);
            }
        }
    }

    fn tell_if_slow(&self) {
        let took = self.started.elapsed().saturating_sub(self.waited);
        let Some(threshold) = self.shared.settings.slow.filter(|threshold| took >= *threshold) else {
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
    shared: &Shared,
    parent: &Context,
    sql: &str,
    is_bound: bool,
    summary: &str,
    name: Cow<'static, str>,
) -> SpanGuard {
    let database = &shared.database;
    let mut span = database.span(parent, name);
    if span.keeps() {
        if !summary.is_empty() {
            span.put_text("db.query.summary", summary);
        }
        match shared.settings.text {
            QueryText::Off => {}
            QueryText::Auto | QueryText::Full if is_bound || shared.settings.text == QueryText::Full => {
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

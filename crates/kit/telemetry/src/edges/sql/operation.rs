//! One operation: its span, its statements, its measurement.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use opentelemetry::KeyValue;

use super::{Database, summary};
use crate::base::attributes::ERROR_TYPE;
use crate::base::error::ErrorType;
use crate::base::redact;
use crate::core::span::{Outcome, SpanGuard};

/// The longest `db.query.text`, in bytes; longer text is cut.
const MAX_TEXT: usize = 4096;

/// An open database operation. Ends by [`succeed`](Self::succeed) or [`fail`](Self::fail), or when dropped, as
/// cancelled. Can be sent to and ended on another thread.
#[derive(Debug)]
#[must_use = "dropping the operation ends it as cancelled"]
pub struct Operation {
    database: Database,
    purpose: &'static str,
    started: Instant,
    statements: Vec<&'static str>,
    status_code: Option<Cow<'static, str>>,
    /// Taken when it ends.
    span: Option<SpanGuard>,
}

impl Operation {
    pub(super) fn new(database: Database, purpose: &'static str, span: SpanGuard) -> Self {
        let started = Instant::now();
        Self { database, purpose, started, statements: Vec::new(), status_code: None, span: Some(span) }
    }

    /// A statement that ran, with placeholders in place of values. A repeated one counts once.
    pub fn statement(&mut self, sql: &'static str) {
        if !self.statements.iter().any(|known| std::ptr::eq(*known, sql)) {
            self.statements.push(sql);
        }
    }

    /// Rows returned: `db.response.returned_rows`.
    pub fn rows(&mut self, returned: u64) {
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
    pub fn fail(mut self, failure: &dyn ErrorType) {
        self.end(if failure.is_failure() { Outcome::Error(failure.error_type()) } else { Outcome::Ok });
    }

    fn set(&mut self, key: &'static str, value: impl Into<opentelemetry::Value>) {
        if let Some(span) = &self.span {
            span.set(key, value);
        }
    }

    fn end(&mut self, outcome: Outcome) {
        let Some(span) = self.span.take() else { return };
        let elapsed = self.started.elapsed();
        let summary = self.summary();
        if span.is_recording() {
            span.rename(summary.clone().unwrap_or(Cow::Borrowed(self.purpose)));
            if let Some(summary) = &summary {
                span.set("db.query.summary", summary.clone());
                span.set("db.query.text", text(&self.statements));
            }
            if let Some(code) = &self.status_code {
                span.set("db.response.status_code", code.clone());
            }
        }
        self.measure(elapsed, summary, &outcome);
        span.end(outcome);
    }

    /// The summaries of the statements, in their order, each once.
    fn summary(&self) -> Option<Cow<'static, str>> {
        let mut summaries: Vec<Cow<'static, str>> = Vec::with_capacity(self.statements.len());
        for sql in &self.statements {
            let summary = summary::of_static(sql);
            if !summary.is_empty() && !summaries.contains(&summary) {
                summaries.push(summary);
            }
        }
        match summaries.len() {
            0 => None,
            1 => summaries.pop(),
            _ => Some(Cow::Owned(redact::bounded_to(&summaries.join("; "), summary::MAX_SUMMARY).to_owned())),
        }
    }

    fn measure(&self, elapsed: Duration, summary: Option<Cow<'static, str>>, outcome: &Outcome) {
        let shared = &self.database.shared;
        let mut labels = Vec::with_capacity(5);
        labels.push(KeyValue::new("db.system.name", shared.system));
        labels.push(KeyValue::new("db.namespace", shared.namespace.clone()));
        if let Some(summary) = summary {
            labels.push(KeyValue::new("db.query.summary", summary));
        }
        if let Some(code) = &self.status_code {
            labels.push(KeyValue::new("db.response.status_code", code.clone()));
        }
        match outcome {
            Outcome::Error(class) => labels.push(KeyValue::new(ERROR_TYPE, class.clone())),
            Outcome::Panic => labels.push(KeyValue::new(ERROR_TYPE, "panic")),
            Outcome::Ok | Outcome::Cancelled => {}
        }
        shared.duration.record(elapsed.as_secs_f64(), &labels);
    }
}

impl Drop for Operation {
    fn drop(&mut self) {
        self.end(if std::thread::panicking() { Outcome::Panic } else { Outcome::Cancelled });
    }
}

/// The statements as they stand: static text with placeholders is never masked.
fn text(statements: &[&'static str]) -> Cow<'static, str> {
    match statements {
        [only] => Cow::Borrowed(redact::bounded_to(only, MAX_TEXT)),
        several => {
            let mut text = several.join(";\n");
            text.truncate(redact::bounded_to(&text, MAX_TEXT).len());
            Cow::Owned(text)
        }
    }
}

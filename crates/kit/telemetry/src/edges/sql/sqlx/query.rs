//! A statement on its way to a driver.

use std::fmt;

use opentelemetry::Context;
use opentelemetry::trace::TraceContextExt as _;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sqlx::error::BoxDynError;
use sqlx::{Arguments as _, AssertSqlSafe, Database, Execute, SqlSafeStr as _, SqlStr};

use crate::core::propagation;

/// What stays as it is in a value of a comment.
const VALUE: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Everything that a driver takes from what was to be executed.
pub struct Query<DB: Database> {
    sql: SqlStr,
    statement: Option<DB::Statement>,
    arguments: Result<Option<DB::Arguments>, BoxDynError>,
    is_persistent: bool,
}

impl<DB: Database> Query<DB> {
    pub(super) fn of<'q>(mut query: impl Execute<'q, DB>) -> Self {
        let statement = query.statement().cloned();
        let arguments = query.take_arguments();
        let is_persistent = query.persistent();
        Self { sql: query.sql(), statement, arguments, is_persistent }
    }

    pub(super) fn text(&self) -> &str {
        self.sql.as_str()
    }

    /// Whether values come beside the text, so that it has none of its own.
    pub(super) fn is_bound(&self) -> bool {
        self.arguments.as_ref().is_ok_and(|bound| bound.as_ref().is_some_and(|bound| bound.len() > 0))
    }

    /// With the span of `context` in a comment at its end, if that is sampled.
    pub(super) fn commented(mut self, context: &Context) -> Self {
        let is_sampled = context.span().span_context().is_sampled();
        if let Some(parent) = propagation::traceparent(context).filter(|_| is_sampled) {
            // A text that is never the same again is not worth a place among the prepared statements.
            self.is_persistent = false;
            self.sql = AssertSqlSafe(commented(self.sql.as_str(), &parent)).into_sql_str();
        }
        self
    }
}

/// As the specification of SQL commenter has it, on a line of its own: the text may end in a comment.
fn commented(sql: &str, traceparent: &str) -> String {
    let value = utf8_percent_encode(traceparent, VALUE);
    let text = sql.trim_end();
    let separator = if text.contains("--") || text.contains('#') { '\n' } else { ' ' };
    format!("{text}{separator}/*traceparent='{value}'*/")
}

impl<DB: Database> fmt::Debug for Query<DB> {
    /// Without its arguments.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Query").finish_non_exhaustive()
    }
}

impl<DB: Database> Execute<'_, DB> for Query<DB> {
    fn sql(self) -> SqlStr {
        self.sql
    }

    fn statement(&self) -> Option<&DB::Statement> {
        self.statement.as_ref()
    }

    fn take_arguments(&mut self) -> Result<Option<DB::Arguments>, BoxDynError> {
        std::mem::replace(&mut self.arguments, Ok(None))
    }

    fn persistent(&self) -> bool {
        self.is_persistent
    }
}

#[cfg(test)]
mod tests {
    use super::commented;

    #[test]
    fn a_comment_stands_at_the_end_and_ends_no_other_comment() {
        let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(commented("SELECT 1;\n", parent), format!("SELECT 1; /*traceparent='{parent}'*/"));
        assert_eq!(
            commented("SELECT 1 -- why", parent),
            format!("SELECT 1 -- why\n/*traceparent='{parent}'*/")
        );
        assert_eq!(
            commented("SELECT 1", "*/ DROP 'x'"),
            "SELECT 1 /*traceparent='%2A%2F%20DROP%20%27x%27'*/"
        );
    }
}

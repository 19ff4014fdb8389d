//! The statements of one operation, as far as telemetry wants them.

use std::borrow::Cow;

use super::dialect::Dialect;
use super::{sanitize, summary};
use crate::base::redact;

/// The longest `db.query.text`, in bytes; longer text is cut.
pub(super) const MAX_TEXT: usize = 4096;

/// Distinct statements remembered of one operation.
const MAX_STATEMENTS: usize = 64;

/// Distinct statements, in the order in which they first ran.
#[derive(Debug, Default)]
pub(super) struct Statements {
    /// Most operations have one, which needs no list.
    first: Option<Statement>,
    further: Vec<Statement>,
}

#[derive(Debug, PartialEq, Eq)]
enum Statement {
    /// Text of the program, recorded as it stands.
    Static(&'static str),
    /// Summary and text, ready to be shown. There is no text where nobody is to see it.
    Made(Cow<'static, str>, String),
}

impl Statements {
    pub(super) fn add(&mut self, sql: Cow<'static, str>, dialect: Dialect) {
        match sql {
            Cow::Borrowed(sql) => {
                let is_known = |known: &Statement| matches!(known, Statement::Static(known) if std::ptr::eq(*known, sql));
                if !self.iter().any(is_known) {
                    self.push(Statement::Static(sql));
                }
            }
            Cow::Owned(sql) => {
                let text = redact::bounded_to(&sql, MAX_TEXT).to_owned();
                self.push_new(Statement::Made(summary::of(&sql, dialect).into(), text));
            }
        }
    }

    /// A text that holds values. `wants_text` is false where nobody will see it.
    pub(super) fn add_dynamic(&mut self, sql: &str, dialect: Dialect, wants_text: bool) {
        let text = if wants_text { sanitize::sanitized(sql, dialect, MAX_TEXT) } else { String::new() };
        self.push_new(Statement::Made(summary::of(sql, dialect).into(), text));
    }

    /// A statement of which both are made already.
    #[cfg(feature = "sqlx")]
    pub(super) fn add_made(&mut self, summary: Cow<'static, str>, text: String) {
        self.push_new(Statement::Made(summary, text));
    }

    fn push_new(&mut self, statement: Statement) {
        if !self.iter().any(|known| *known == statement) {
            self.push(statement);
        }
    }

    fn push(&mut self, statement: Statement) {
        if self.first.is_none() {
            self.first = Some(statement);
        } else if self.further.len() + 1 < MAX_STATEMENTS {
            self.further.push(statement);
        }
    }

    fn iter(&self) -> impl Iterator<Item = &Statement> {
        self.first.iter().chain(&self.further)
    }

    /// The summaries of the statements, in their order, each once.
    pub(super) fn summary(&self, dialect: Dialect) -> Option<Cow<'static, str>> {
        let summary = |statement: &Statement| match statement {
            Statement::Static(sql) => summary::of_static(sql, dialect),
            Statement::Made(summary, _) => summary.clone(),
        };
        if let (Some(only), []) = (&self.first, self.further.as_slice()) {
            return Some(summary(only)).filter(|summary| !summary.is_empty());
        }
        let mut summaries: Vec<Cow<'static, str>> = Vec::with_capacity(1 + self.further.len());
        for summary in self.iter().map(summary) {
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

    /// The texts of the statements.
    pub(super) fn text(&self) -> Cow<'static, str> {
        if let (Some(Statement::Static(only)), []) = (&self.first, self.further.as_slice()) {
            return Cow::Borrowed(redact::bounded_to(only, MAX_TEXT));
        }
        let texts: Vec<&str> = self.iter().map(Statement::text).collect();
        let mut text = texts.join(";\n");
        text.truncate(redact::bounded_to(&text, MAX_TEXT).len());
        Cow::Owned(text)
    }
}

impl Statement {
    fn text(&self) -> &str {
        match self {
            Self::Static(text) => text,
            Self::Made(_, text) => text,
        }
    }
}

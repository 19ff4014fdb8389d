//! The statements of one operation, as far as telemetry wants them.

use std::borrow::Cow;

use super::dialect::Dialect;
use super::unit::{self, Unit};
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
            if self.further.is_empty() {
                self.further.reserve(8);
            }
            self.further.push(statement);
        }
    }

    fn iter(&self) -> impl Iterator<Item = &Statement> + Clone {
        self.first.iter().chain(&self.further)
    }

    /// The summaries of the statements, in their order, each once.
    pub(super) fn summary(&self, dialect: Dialect) -> Option<Cow<'static, str>> {
        let summary = match (&self.first, self.further.as_slice(), self.unit(dialect)) {
            (Some(only), [], _) => only.summary(dialect),
            (_, _, Some(unit)) => Cow::Borrowed(unit.summary),
            (_, _, None) => self.joined_summary(dialect),
        };
        Some(summary).filter(|summary| !summary.is_empty())
    }

    /// What is kept of several statements of the program's text.
    fn unit(&self, dialect: Dialect) -> Option<&'static Unit> {
        let is_static = |statement: &Statement| matches!(statement, Statement::Static(_));
        if self.further.is_empty() || !self.iter().all(is_static) {
            return None;
        }
        let texts = self.iter().filter_map(|statement| match statement {
            Statement::Static(text) => Some(*text),
            Statement::Made(..) => None,
        });
        unit::of(dialect, &texts, || (self.joined_summary(dialect).into_owned(), self.joined_text()))
    }

    /// Empty if no statement has one.
    fn joined_summary(&self, dialect: Dialect) -> Cow<'static, str> {
        let mut summaries: Vec<Cow<'static, str>> = Vec::with_capacity(1 + self.further.len());
        for summary in self.iter().map(|statement| statement.summary(dialect)) {
            if !summary.is_empty() && !summaries.contains(&summary) {
                summaries.push(summary);
            }
        }
        match summaries.len() {
            0 | 1 => summaries.pop().unwrap_or_default(),
            _ => Cow::Owned(redact::bounded_to(&summaries.join("; "), summary::MAX_SUMMARY).to_owned()),
        }
    }

    /// The texts of the statements.
    pub(super) fn text(&self, dialect: Dialect) -> Cow<'static, str> {
        if let (Some(Statement::Static(only)), []) = (&self.first, self.further.as_slice()) {
            return Cow::Borrowed(redact::bounded_to(only, MAX_TEXT));
        }
        self.unit(dialect).map_or_else(|| Cow::Owned(self.joined_text()), |unit| Cow::Borrowed(unit.text))
    }

    fn joined_text(&self) -> String {
        let texts: Vec<&str> = self.iter().map(Statement::text).collect();
        let mut text = texts.join(";\n");
        text.truncate(redact::bounded_to(&text, MAX_TEXT).len());
        text
    }
}

impl Statement {
    fn summary(&self, dialect: Dialect) -> Cow<'static, str> {
        match self {
            Self::Static(text) => summary::of_static(text, dialect),
            Self::Made(summary, _) => summary.clone(),
        }
    }

    fn text(&self) -> &str {
        match self {
            Self::Static(text) => text,
            Self::Made(_, text) => text,
        }
    }
}

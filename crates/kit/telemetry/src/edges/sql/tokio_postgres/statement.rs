//! Statements that are known by their text.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use tokio_postgres::ToStatement;

/// What can be executed: a text, or a statement that was prepared.
pub trait Sql {
    /// As tokio-postgres knows it.
    type Raw: ToStatement + ?Sized;

    /// As tokio-postgres knows it.
    fn raw(&self) -> &Self::Raw;

    /// Its text; empty for a statement that was prepared behind the back of [`Traced`](super::Traced).
    fn text(&self) -> &str;
}

impl Sql for str {
    type Raw = str;

    fn raw(&self) -> &str {
        self
    }

    fn text(&self) -> &str {
        self
    }
}

impl Sql for String {
    type Raw = str;

    fn raw(&self) -> &str {
        self
    }

    fn text(&self) -> &str {
        self
    }
}

/// Its text is not known: its spans are named by the system and have none.
impl Sql for tokio_postgres::Statement {
    type Raw = Self;

    fn raw(&self) -> &Self {
        self
    }

    fn text(&self) -> &'static str {
        ""
    }
}

/// A prepared statement that knows its text. Leads to the one of tokio-postgres.
#[derive(Clone)]
pub struct Statement {
    text: Arc<str>,
    inner: tokio_postgres::Statement,
}

impl Statement {
    pub(super) fn new(text: &str, inner: tokio_postgres::Statement) -> Self {
        Self { text: text.into(), inner }
    }
}

impl Sql for Statement {
    type Raw = tokio_postgres::Statement;

    fn raw(&self) -> &tokio_postgres::Statement {
        &self.inner
    }

    fn text(&self) -> &str {
        &self.text
    }
}

impl Deref for Statement {
    type Target = tokio_postgres::Statement;

    fn deref(&self) -> &tokio_postgres::Statement {
        &self.inner
    }
}

impl fmt::Debug for Statement {
    /// Without its text, which may hold values.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Statement").finish_non_exhaustive()
    }
}

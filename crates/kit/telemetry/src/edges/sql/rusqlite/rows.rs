//! Rows as they are read.

use std::fmt;

use rusqlite::{Error, Result, Row};

use super::super::running::Running;

/// The rows of a query. Its span ends when all are read, at the first failure, or when this is dropped, which is no
/// cancellation: who has read enough goes.
#[must_use = "nothing is read unless asked for"]
pub struct Rows<'s> {
    inner: rusqlite::Rows<'s>,
    open: Open,
}

/// A query whose rows are being read.
struct Open {
    running: Option<Running>,
    rows: u64,
}

impl Open {
    fn end(&mut self, result: std::result::Result<(), &Error>) {
        if let Some(running) = self.running.take() {
            running.end(result.map(|()| Some(self.rows)));
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        // What panics ends its span as that, by itself.
        if !std::thread::panicking() {
            self.end(Ok(()));
        }
    }
}

impl<'s> Rows<'s> {
    pub(super) fn new(inner: rusqlite::Rows<'s>, running: Running) -> Self {
        Self { inner, open: Open { running: Some(running), rows: 0 } }
    }

    /// The next row, or `None` behind the last one. As `Rows::next` of rusqlite.
    ///
    /// # Errors
    /// Those of SQLite.
    #[expect(clippy::should_implement_trait, reason = "a row is borrowed from this, as with rusqlite")]
    pub fn next(&mut self) -> Result<Option<&Row<'s>>> {
        let Self { inner, open } = self;
        // A statement may wait here for who holds the file.
        let _attached = open.running.as_ref().map(|running| running.context().attach());
        match inner.next() {
            Ok(Some(row)) => {
                open.rows += 1;
                Ok(Some(row))
            }
            Ok(None) => {
                open.end(Ok(()));
                Ok(None)
            }
            Err(error) => {
                open.end(Err(&error));
                Err(error)
            }
        }
    }

    /// An iterator over what `map` makes of each row.
    pub fn mapped<T, F: FnMut(&Row<'_>) -> Result<T>>(self, map: F) -> MappedRows<'s, F> {
        MappedRows { rows: self, map }
    }

    /// As [`mapped`](Self::mapped), for a `map` with an error of its own.
    pub fn and_then<T, E, F: FnMut(&Row<'_>) -> std::result::Result<T, E>>(
        self,
        map: F,
    ) -> AndThenRows<'s, F> {
        AndThenRows { rows: self, map }
    }
}

/// An iterator over rows; made by `query_map`.
#[must_use = "iterators are lazy"]
pub struct MappedRows<'s, F> {
    rows: Rows<'s>,
    map: F,
}

impl<T, F: FnMut(&Row<'_>) -> Result<T>> Iterator for MappedRows<'_, F> {
    type Item = Result<T>;

    fn next(&mut self) -> Option<Self::Item> {
        let row = self.rows.next().transpose()?;
        Some(row.and_then(&mut self.map))
    }
}

/// An iterator over rows; made by `query_and_then`.
#[must_use = "iterators are lazy"]
pub struct AndThenRows<'s, F> {
    rows: Rows<'s>,
    map: F,
}

impl<T, E: From<Error>, F: FnMut(&Row<'_>) -> std::result::Result<T, E>> Iterator for AndThenRows<'_, F> {
    type Item = std::result::Result<T, E>;

    fn next(&mut self) -> Option<Self::Item> {
        let row = self.rows.next().transpose()?;
        Some(row.map_err(E::from).and_then(&mut self.map))
    }
}

impl fmt::Debug for Rows<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rows").field("rows", &self.open.rows).finish_non_exhaustive()
    }
}

impl<F> fmt::Debug for MappedRows<'_, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MappedRows").field("rows", &self.rows).finish_non_exhaustive()
    }
}

impl<F> fmt::Debug for AndThenRows<'_, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AndThenRows").field("rows", &self.rows).finish_non_exhaustive()
    }
}

//! Prepared statements.

use std::fmt;
use std::sync::Arc;

use rusqlite::{CachedStatement, Error, Params, Result, Row};

use super::super::running::Running;
use super::super::target::Target;
use super::{AndThenRows, MappedRows, Rows};

/// A prepared statement each run of which is a span.
pub struct Statement<'c> {
    target: Arc<Target>,
    text: Box<str>,
    /// Whether it has parameters.
    is_bound: bool,
    inner: Held<'c>,
}

/// A statement that ends with its holder, or that goes back to the connection's cache.
pub(super) enum Held<'c> {
    Own(rusqlite::Statement<'c>),
    Cached(CachedStatement<'c>),
}

impl<'c> Held<'c> {
    fn get(&self) -> &rusqlite::Statement<'c> {
        match self {
            Self::Own(statement) => statement,
            Self::Cached(statement) => statement,
        }
    }

    fn get_mut(&mut self) -> &mut rusqlite::Statement<'c> {
        match self {
            Self::Own(statement) => statement,
            Self::Cached(statement) => statement,
        }
    }
}

impl<'c> Statement<'c> {
    pub(super) fn new(target: &Arc<Target>, text: &str, inner: Held<'c>) -> Self {
        let is_bound = inner.get().parameter_count() > 0;
        Self { target: Arc::clone(target), text: text.into(), is_bound, inner }
    }

    /// How many rows were changed. As `Statement::execute` of rusqlite.
    ///
    /// # Errors
    /// Those of SQLite; that the statement returns rows.
    pub fn execute(&mut self, params: impl Params) -> Result<usize> {
        self.run(|statement| statement.execute(params))
    }

    /// The id of the row that was inserted. As `Statement::insert` of rusqlite.
    ///
    /// # Errors
    /// Those of SQLite; that it inserted another number of rows than one.
    pub fn insert(&mut self, params: impl Params) -> Result<i64> {
        self.run(|statement| statement.insert(params))
    }

    /// Rows as they are read. As `Statement::query` of rusqlite.
    ///
    /// # Errors
    /// That the parameters do not fit; all others come with the rows.
    pub fn query(&mut self, params: impl Params) -> Result<Rows<'_>> {
        let running = self.start();
        let context = running.context();
        let _attached = context.attach();
        match self.inner.get_mut().query(params) {
            Ok(rows) => Ok(Rows::new(rows, running)),
            Err(error) => {
                running.end(Err(&error));
                Err(error)
            }
        }
    }

    /// What `map` makes of each row. As `Statement::query_map` of rusqlite.
    ///
    /// # Errors
    /// As [`query`](Self::query).
    pub fn query_map<T, F>(&mut self, params: impl Params, map: F) -> Result<MappedRows<'_, F>>
    where
        F: FnMut(&Row<'_>) -> Result<T>,
    {
        Ok(self.query(params)?.mapped(map))
    }

    /// As [`query_map`](Self::query_map), for a `map` with an error of its own.
    ///
    /// # Errors
    /// As [`query`](Self::query).
    pub fn query_and_then<T, E, F>(&mut self, params: impl Params, map: F) -> Result<AndThenRows<'_, F>>
    where
        E: From<Error>,
        F: FnMut(&Row<'_>) -> std::result::Result<T, E>,
    {
        Ok(self.query(params)?.and_then(map))
    }

    /// What `map` makes of the first row. As `Statement::query_row` of rusqlite.
    ///
    /// # Errors
    /// Those of SQLite and of `map`; `QueryReturnedNoRows`, which is no failure of the span.
    pub fn query_row<T>(
        &mut self,
        params: impl Params,
        map: impl FnOnce(&Row<'_>) -> Result<T>,
    ) -> Result<T> {
        map(self.query(params)?.next()?.ok_or(Error::QueryReturnedNoRows)?)
    }

    /// What `map` makes of the only row. As `Statement::query_one` of rusqlite.
    ///
    /// # Errors
    /// As [`query_row`](Self::query_row); `QueryReturnedMoreThanOneRow`, which is no failure of the span either.
    pub fn query_one<T>(
        &mut self,
        params: impl Params,
        map: impl FnOnce(&Row<'_>) -> Result<T>,
    ) -> Result<T> {
        let mut rows = self.query(params)?;
        let value = map(rows.next()?.ok_or(Error::QueryReturnedNoRows)?)?;
        match rows.next()? {
            None => Ok(value),
            Some(_) => Err(Error::QueryReturnedMoreThanOneRow),
        }
    }

    /// Whether there is a row. As `Statement::exists` of rusqlite.
    ///
    /// # Errors
    /// Those of SQLite.
    pub fn exists(&mut self, params: impl Params) -> Result<bool> {
        Ok(self.query(params)?.next()?.is_some())
    }

    /// The statement of rusqlite, whose runs have no spans.
    pub fn inner_mut(&mut self) -> &mut rusqlite::Statement<'c> {
        self.inner.get_mut()
    }

    fn start(&self) -> Running {
        Running::start(&self.target, &self.text, self.is_bound)
    }

    fn run<T>(&mut self, work: impl FnOnce(&mut rusqlite::Statement<'c>) -> Result<T>) -> Result<T> {
        let running = self.start();
        observed(running, || work(self.inner.get_mut()))
    }
}

/// Does what a statement says inside its span.
pub(super) fn observed<T>(running: Running, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let attached = running.context().attach();
    let result = work();
    drop(attached);
    running.end(result.as_ref().map(|_| None));
    result
}

impl fmt::Debug for Statement<'_> {
    /// Without its text, which may hold values.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Statement").finish_non_exhaustive()
    }
}

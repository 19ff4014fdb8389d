//! What stands in the place of a client.

use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::sync::Arc;

use bytes::Buf;
use tokio_postgres::types::{BorrowToSql, FromSqlOwned, ToSql, Type};
use tokio_postgres::{
    CancelToken, Client, CopyOutStream, Error, Row, RowStream, SimpleQueryMessage, SimpleQueryStream,
};

use super::super::running::Running;
use super::super::target::Target;
use super::{CopyIn, Counted as _, Holder, HolderMut, Rows, Sql, Statement, Transaction, TransactionBuilder};
use crate::core::spawn::with_context;

/// Values beside a text, as tokio-postgres takes them.
type Parameters<'a> = [&'a (dyn ToSql + Sync)];

/// Values beside a text, with their types.
type Typed<'a> = [(&'a (dyn ToSql + Sync), Type)];

/// A client or a transaction whose statements are spans. Made by [`TokioPostgres::wrap`](super::TokioPostgres::wrap).
///
/// Its methods are those of `tokio_postgres::Client`, and as cancel safe: a statement whose future is dropped may be carried
/// out all the same, and its span ends as cancelled. A function that takes `&Traced<impl Holder>` takes clients and
/// transactions.
///
/// ```
/// use waypost_telemetry::tokio_postgres::{Holder, Traced};
///
/// async fn rename(database: &Traced<impl Holder>, id: i64, owner: &str) -> Result<u64, tokio_postgres::Error> {
///     database.execute("UPDATE orders SET owner = $1 WHERE id = $2", &[&owner, &id]).await
/// }
/// ```
pub struct Traced<C> {
    pub(super) target: Arc<Target>,
    pub(super) inner: C,
}

impl<C> Traced<C> {
    pub(super) fn new(target: Arc<Target>, inner: C) -> Self {
        Self { target, inner }
    }

    /// What is inside, without spans: for what is no statement, and for code that wants exactly this type.
    pub fn inner(&self) -> &C {
        &self.inner
    }

    /// As [`inner`](Self::inner), to change it.
    pub fn inner_mut(&mut self) -> &mut C {
        &mut self.inner
    }

    /// What is inside.
    pub fn into_inner(self) -> C {
        self.inner
    }
}

impl<C: Holder> Traced<C> {
    /// Prepares a statement: a span `PREPARE`. The statement knows its text.
    pub async fn prepare(&self, sql: &str) -> Result<Statement, Error> {
        self.prepare_typed(sql, &[]).await
    }

    /// As [`prepare`](Self::prepare), with the types of parameters.
    pub async fn prepare_typed(&self, sql: &str, types: &[Type]) -> Result<Statement, Error> {
        let running = Running::start_as(&self.target, Cow::Borrowed("PREPARE"), sql, false);
        let prepared = observed(running, self.client().prepare_typed(sql, types), |_| None).await?;
        Ok(Statement::new(sql, prepared))
    }

    /// All rows. As `Client::query`.
    pub async fn query<S: Sql + ?Sized>(
        &self,
        statement: &S,
        params: &Parameters<'_>,
    ) -> Result<Vec<Row>, Error> {
        let work = self.client().query(statement.raw(), params);
        observed(self.start(statement, params), work, |rows| Some(rows.len())).await
    }

    /// The one value of each row. As `Client::query_scalar`.
    pub async fn query_scalar<R: FromSqlOwned, S>(
        &self,
        statement: &S,
        params: &Parameters<'_>,
    ) -> Result<Vec<R>, Error>
    where
        S: Sql<Raw: fmt::Debug> + ?Sized,
    {
        let work = self.client().query_scalar(statement.raw(), params);
        observed(self.start(statement, params), work, |values| Some(values.len())).await
    }

    /// Exactly one row. As `Client::query_one`; its error for any other number of rows is no failure of the database.
    pub async fn query_one<S: Sql + ?Sized>(
        &self,
        statement: &S,
        params: &Parameters<'_>,
    ) -> Result<Row, Error> {
        let work = self.client().query_one(statement.raw(), params);
        observed(self.start(statement, params), work, |_| Some(1)).await
    }

    /// The one value of exactly one row. As `Client::query_one_scalar`.
    pub async fn query_one_scalar<R: FromSqlOwned, S>(
        &self,
        statement: &S,
        params: &Parameters<'_>,
    ) -> Result<R, Error>
    where
        S: Sql<Raw: fmt::Debug> + ?Sized,
    {
        let work = self.client().query_one_scalar(statement.raw(), params);
        observed(self.start(statement, params), work, |_| Some(1)).await
    }

    /// One row or none. As `Client::query_opt`.
    pub async fn query_opt<S: Sql + ?Sized>(
        &self,
        statement: &S,
        params: &Parameters<'_>,
    ) -> Result<Option<Row>, Error> {
        let work = self.client().query_opt(statement.raw(), params);
        observed(self.start(statement, params), work, |row| Some(usize::from(row.is_some()))).await
    }

    /// The one value of one row, or none. As `Client::query_opt_scalar`.
    pub async fn query_opt_scalar<R: FromSqlOwned, S>(
        &self,
        statement: &S,
        params: &Parameters<'_>,
    ) -> Result<Option<R>, Error>
    where
        S: Sql<Raw: fmt::Debug> + ?Sized,
    {
        let work = self.client().query_opt_scalar(statement.raw(), params);
        observed(self.start(statement, params), work, |row| Some(usize::from(row.is_some()))).await
    }

    /// Rows as they come. As `Client::query_raw`.
    pub async fn query_raw<S, P, I>(&self, statement: &S, params: I) -> Result<Rows<RowStream>, Error>
    where
        S: Sql + ?Sized,
        P: BorrowToSql,
        I: IntoIterator<Item = P>,
        I::IntoIter: ExactSizeIterator,
    {
        let params = params.into_iter();
        let running = Running::start(&self.target, statement.text(), params.len() > 0);
        streamed(running, self.client().query_raw(statement.raw(), params)).await
    }

    /// All rows of a statement that is not prepared. As `Client::query_typed`.
    pub async fn query_typed(&self, sql: &str, params: &Typed<'_>) -> Result<Vec<Row>, Error> {
        let work = self.client().query_typed(sql, params);
        observed(self.start_typed(sql, params), work, |rows| Some(rows.len())).await
    }

    /// As `Client::query_typed_one`.
    pub async fn query_typed_one(&self, sql: &str, params: &Typed<'_>) -> Result<Row, Error> {
        let work = self.client().query_typed_one(sql, params);
        observed(self.start_typed(sql, params), work, |_| Some(1)).await
    }

    /// As `Client::query_typed_opt`.
    pub async fn query_typed_opt(&self, sql: &str, params: &Typed<'_>) -> Result<Option<Row>, Error> {
        let work = self.client().query_typed_opt(sql, params);
        observed(self.start_typed(sql, params), work, |row| Some(usize::from(row.is_some()))).await
    }

    /// Rows as they come. As `Client::query_typed_raw`.
    pub async fn query_typed_raw<P, I>(&self, sql: &str, params: I) -> Result<Rows<RowStream>, Error>
    where
        P: BorrowToSql,
        I: IntoIterator<Item = (P, Type)>,
    {
        let params: Vec<(P, Type)> = params.into_iter().collect();
        let running = Running::start(&self.target, sql, !params.is_empty());
        streamed(running, self.client().query_typed_raw(sql, params)).await
    }

    /// How many rows were changed. As `Client::execute`.
    pub async fn execute<S: Sql + ?Sized>(
        &self,
        statement: &S,
        params: &Parameters<'_>,
    ) -> Result<u64, Error> {
        let work = self.client().execute(statement.raw(), params);
        observed(self.start(statement, params), work, |_| None).await
    }

    /// As `Client::execute_typed`.
    pub async fn execute_typed(&self, sql: &str, params: &Typed<'_>) -> Result<u64, Error> {
        let work = self.client().execute_typed(sql, params);
        observed(self.start_typed(sql, params), work, |_| None).await
    }

    /// As `Client::execute_raw`.
    pub async fn execute_raw<S, P, I>(&self, statement: &S, params: I) -> Result<u64, Error>
    where
        S: Sql + ?Sized,
        P: BorrowToSql,
        I: IntoIterator<Item = P>,
        I::IntoIter: ExactSizeIterator,
    {
        let params = params.into_iter();
        let running = Running::start(&self.target, statement.text(), params.len() > 0);
        observed(running, self.client().execute_raw(statement.raw(), params), |_| None).await
    }

    /// Statements without parameters, and what they return as text. As `Client::simple_query`.
    pub async fn simple_query(&self, sql: &str) -> Result<Vec<SimpleQueryMessage>, Error> {
        let running = Running::start(&self.target, sql, false);
        let rows = |told: &Vec<SimpleQueryMessage>| Some(told.iter().filter(|told| told.is_row()).count());
        observed(running, self.client().simple_query(sql), rows).await
    }

    /// As [`simple_query`](Self::simple_query), as it comes. As `Client::simple_query_raw`.
    pub async fn simple_query_raw(&self, sql: &str) -> Result<Rows<SimpleQueryStream>, Error> {
        let running = Running::start(&self.target, sql, false);
        streamed(running, self.client().simple_query_raw(sql)).await
    }

    /// Statements without parameters, as one span. As `Client::batch_execute`.
    pub async fn batch_execute(&self, sql: &str) -> Result<(), Error> {
        let running = Running::start(&self.target, sql, false);
        observed(running, self.client().batch_execute(sql), |()| None).await
    }

    /// COPY into a table: one span until it is finished. As `Client::copy_in`.
    pub async fn copy_in<S, U>(&self, statement: &S) -> Result<CopyIn<U>, Error>
    where
        S: Sql + ?Sized,
        U: Buf + Send + 'static,
    {
        let running = Running::start(&self.target, statement.text(), false);
        match with_context(running.context(), self.client().copy_in(statement.raw())).await {
            Ok(sink) => Ok(CopyIn::new(sink, running)),
            Err(error) => Err(failed(running, error)),
        }
    }

    /// COPY out of a table or a query: one span until everything is read. As `Client::copy_out`.
    pub async fn copy_out<S: Sql + ?Sized>(&self, statement: &S) -> Result<Rows<CopyOutStream>, Error> {
        let running = Running::start(&self.target, statement.text(), false);
        streamed(running, self.client().copy_out(statement.raw())).await
    }

    /// With which another connection can end what runs on this one. As `Client::cancel_token`.
    pub fn cancel_token(&self) -> CancelToken {
        self.client().cancel_token()
    }

    /// As `Client::is_closed`.
    pub fn is_closed(&self) -> bool {
        self.client().is_closed()
    }

    fn client(&self) -> &Client {
        self.inner.client()
    }

    fn start<S: Sql + ?Sized>(&self, statement: &S, params: &Parameters<'_>) -> Running {
        Running::start(&self.target, statement.text(), !params.is_empty())
    }

    fn start_typed(&self, sql: &str, params: &Typed<'_>) -> Running {
        Running::start(&self.target, sql, !params.is_empty())
    }
}

impl<C: HolderMut> Traced<C> {
    /// Begins a transaction: a span `BEGIN`. As `Client::transaction`.
    pub async fn transaction(&mut self) -> Result<Transaction<'_>, Error> {
        self.build_transaction().start().await
    }

    /// A transaction with settings. As `Client::build_transaction`.
    pub fn build_transaction(&mut self) -> TransactionBuilder<'_> {
        TransactionBuilder::new(Arc::clone(&self.target), self.inner.client_mut().build_transaction())
    }
}

/// Runs what a statement says inside its span; `rows` says how many came back, if any were asked for.
pub(super) async fn observed<T>(
    running: Running,
    work: impl Future<Output = Result<T, Error>>,
    rows: impl FnOnce(&T) -> Option<usize>,
) -> Result<T, Error> {
    let result = with_context(running.context(), work).await;
    let rows = |value| rows(value).map(|rows| u64::try_from(rows).unwrap_or(u64::MAX));
    running.end(result.as_ref().map(rows));
    result
}

async fn streamed<S>(
    running: Running,
    opening: impl Future<Output = Result<S, Error>>,
) -> Result<Rows<S>, Error> {
    match with_context(running.context(), opening).await {
        Ok(stream) => Ok(Rows::new(stream, running)),
        Err(error) => Err(failed(running, error)),
    }
}

fn failed(running: Running, error: Error) -> Error {
    running.end(Err(&error));
    error
}

impl<C> fmt::Debug for Traced<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Traced").field("database", &self.target.database).finish_non_exhaustive()
    }
}

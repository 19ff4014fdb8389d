//! sqlx's `Executor` around another one.

use std::future::Future;
use std::ops::DerefMut;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt as _, TryStreamExt as _};
use sqlx::pool::PoolConnection;
use sqlx::{Database, Describe, Error, Execute, Executor, Pool, SqlStr};

use super::super::running::Running;
use super::Shared;
use super::driver::{Driver, Step};
use super::query::Query;
use super::steps::Steps;
use super::traced::{Traced, take};
use crate::core::spawn::with_context;

/// Whether somebody counts the rows.
#[derive(Clone, Copy)]
enum Wants {
    Rows,
    Nothing,
}

/// What holds a connection: one of the pool, a transaction.
pub trait Holder: Send {
    /// The driver.
    type Database: Database;

    /// What it holds.
    fn connection(&mut self) -> &mut <Self::Database as Database>::Connection;
}

impl<DB: Database> Holder for PoolConnection<DB> {
    type Database = DB;

    fn connection(&mut self) -> &mut DB::Connection {
        self
    }
}

impl<DB: Database> Holder for sqlx::Transaction<'_, DB> {
    type Database = DB;

    fn connection(&mut self) -> &mut DB::Connection {
        self
    }
}

/// Runs a statement over the connection that `open` gives, with how long that was waited for.
fn run_many<'e, DB, H>(
    shared: Arc<Shared>,
    query: Query<DB>,
    wants: Wants,
    open: impl Future<Output = Result<(H, Option<Duration>), Error>> + Send + 'e,
) -> BoxStream<'e, Result<Step<DB>, Error>>
where
    DB: Driver,
    H: DerefMut<Target = DB::Connection> + Send + 'e,
{
    Box::pin(Steps::of(move |giver| async move {
        let mut running = Running::start(&shared.target, query.text(), query.is_bound());
        let context = running.context();
        let query = if shared.comments { query.commented(&context) } else { query };
        let (mut rows, mut waited) = (0, None);
        let work = async {
            let (mut held, wait) = open.await?;
            waited = wait;
            let mut steps = DB::fetch_many(&mut held, query);
            while let Some(step) = steps.try_next().await? {
                rows += u64::from(step.is_right());
                giver.give(step).await;
            }
            Ok(())
        };
        let result = with_context(context, work).await;
        if let Some(wait) = waited {
            running.waited(wait);
        }
        let rows = matches!(wants, Wants::Rows).then_some(rows);
        running.end(result.as_ref().map(|()| rows));
        result
    }))
}

/// As [`run_many`], for at most one row.
fn run_one<'e, DB, H>(
    shared: Arc<Shared>,
    query: Query<DB>,
    open: impl Future<Output = Result<(H, Option<Duration>), Error>> + Send + 'e,
) -> BoxFuture<'e, Result<Option<DB::Row>, Error>>
where
    DB: Driver,
    H: DerefMut<Target = DB::Connection> + Send + 'e,
{
    Box::pin(async move {
        let mut running = Running::start(&shared.target, query.text(), query.is_bound());
        let context = running.context();
        let query = if shared.comments { query.commented(&context) } else { query };
        let mut waited = None;
        let work = async {
            let (mut held, wait) = open.await?;
            waited = wait;
            DB::fetch_optional(&mut held, query).await
        };
        let result = with_context(context, work).await;
        if let Some(wait) = waited {
            running.waited(wait);
        }
        running.end(result.as_ref().map(|row| Some(u64::from(row.is_some()))));
        result
    })
}

fn results<DB: Database>(
    steps: BoxStream<'_, Result<Step<DB>, Error>>,
) -> BoxStream<'_, Result<DB::QueryResult, Error>> {
    steps.try_filter_map(|step| std::future::ready(Ok(step.left()))).boxed()
}

impl<DB: Database> Traced<Pool<DB>> {
    fn open(
        &self,
    ) -> impl Future<Output = Result<(super::traced::Taken<DB>, Option<Duration>), Error>> + Send + 'static + use<DB>
    {
        let taking = take(&self.shared, &self.inner);
        async move { taking.await.map(|(taken, wait)| (taken, Some(wait))) }
    }
}

impl<'p, DB: Driver> Executor<'p> for &Traced<Pool<DB>> {
    type Database = DB;

    fn execute_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, Result<DB::QueryResult, Error>>
    where
        'p: 'e,
        E: 'q + Execute<'q, DB>,
    {
        results::<DB>(run_many(Arc::clone(&self.shared), Query::of(query), Wants::Nothing, self.open()))
    }

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, Result<Step<DB>, Error>>
    where
        'p: 'e,
        E: 'q + Execute<'q, DB>,
    {
        run_many(Arc::clone(&self.shared), Query::of(query), Wants::Rows, self.open())
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<DB::Row>, Error>>
    where
        'p: 'e,
        E: 'q + Execute<'q, DB>,
    {
        run_one(Arc::clone(&self.shared), Query::of(query), self.open())
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [DB::TypeInfo],
    ) -> BoxFuture<'e, Result<DB::Statement, Error>>
    where
        'p: 'e,
    {
        let open = self.open();
        Box::pin(async move { DB::prepare_with(&mut open.await?.0, sql, parameters).await })
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<Describe<DB>, Error>>
    where
        'p: 'e,
    {
        let open = self.open();
        Box::pin(async move { DB::describe(&mut open.await?.0, sql).await })
    }
}

impl<'c, T: Holder<Database: Driver>> Executor<'c> for &'c mut Traced<T> {
    type Database = T::Database;

    fn execute_many<'e, 'q: 'e, E>(
        self,
        query: E,
    ) -> BoxStream<'e, Result<<T::Database as Database>::QueryResult, Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, T::Database>,
    {
        let (shared, held) = (Arc::clone(&self.shared), self.inner.connection());
        let open = std::future::ready(Ok((held, None)));
        results::<T::Database>(run_many(shared, Query::of(query), Wants::Nothing, open))
    }

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, Result<Step<T::Database>, Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, T::Database>,
    {
        let (shared, held) = (Arc::clone(&self.shared), self.inner.connection());
        run_many(shared, Query::of(query), Wants::Rows, std::future::ready(Ok((held, None))))
    }

    fn fetch_optional<'e, 'q: 'e, E>(
        self,
        query: E,
    ) -> BoxFuture<'e, Result<Option<<T::Database as Database>::Row>, Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, T::Database>,
    {
        let (shared, held) = (Arc::clone(&self.shared), self.inner.connection());
        run_one(shared, Query::of(query), std::future::ready(Ok((held, None))))
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [<T::Database as Database>::TypeInfo],
    ) -> BoxFuture<'e, Result<<T::Database as Database>::Statement, Error>>
    where
        'c: 'e,
    {
        T::Database::prepare_with(self.inner.connection(), sql, parameters)
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<Describe<T::Database>, Error>>
    where
        'c: 'e,
    {
        T::Database::describe(self.inner.connection(), sql)
    }
}

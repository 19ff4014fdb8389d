//! Drivers of sqlx, as one bound that can be asked of any.
//!
//! sqlx says "a driver whose connections run statements" by `for<'c> &'c mut DB::Connection: Executor<'c>`. Asked of an
//! implementation that is itself for `&mut` of something, that question leads to itself without end, in every crate that
//! has such code. Asked of the driver it does not.

use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use sqlx::{Database, Describe, Either, Error, Executor, SqlStr};

use super::query::Query;

/// What a driver gives while a statement runs.
pub(super) type Step<DB> = Either<<DB as Database>::QueryResult, <DB as Database>::Row>;

/// A driver whose connections run statements: every driver of sqlx.
pub trait Driver: Database {
    /// `Executor::fetch_many` of a connection.
    fn fetch_many(
        connection: &mut Self::Connection,
        query: Query<Self>,
    ) -> BoxStream<'_, Result<Step<Self>, Error>>;

    /// `Executor::fetch_optional` of a connection.
    fn fetch_optional(
        connection: &mut Self::Connection,
        query: Query<Self>,
    ) -> BoxFuture<'_, Result<Option<Self::Row>, Error>>;

    /// `Executor::prepare_with` of a connection.
    fn prepare_with<'e>(
        connection: &'e mut Self::Connection,
        sql: SqlStr,
        parameters: &'e [Self::TypeInfo],
    ) -> BoxFuture<'e, Result<Self::Statement, Error>>;

    /// `Executor::describe` of a connection.
    fn describe(
        connection: &mut Self::Connection,
        sql: SqlStr,
    ) -> BoxFuture<'_, Result<Describe<Self>, Error>>;
}

impl<DB: Database> Driver for DB
where
    for<'c> &'c mut DB::Connection: Executor<'c, Database = DB>,
{
    fn fetch_many(
        connection: &mut DB::Connection,
        query: Query<DB>,
    ) -> BoxStream<'_, Result<Step<DB>, Error>> {
        connection.fetch_many(query)
    }

    fn fetch_optional(
        connection: &mut DB::Connection,
        query: Query<DB>,
    ) -> BoxFuture<'_, Result<Option<DB::Row>, Error>> {
        connection.fetch_optional(query)
    }

    fn prepare_with<'e>(
        connection: &'e mut DB::Connection,
        sql: SqlStr,
        parameters: &'e [DB::TypeInfo],
    ) -> BoxFuture<'e, Result<DB::Statement, Error>> {
        connection.prepare_with(sql, parameters)
    }

    fn describe(connection: &mut DB::Connection, sql: SqlStr) -> BoxFuture<'_, Result<Describe<DB>, Error>> {
        connection.describe(sql)
    }
}

//! A row by its key, from SQLite in memory: through sqlx and through rusqlite.

use std::hint::black_box;

use ::rusqlite::Connection;
use ::sqlx::sqlite::{Sqlite, SqlitePoolOptions};
use ::sqlx::{Executor, Row as _};

use super::Calls;
use super::setup::Peer;

const TABLE: &str = "CREATE TABLE orders (id INTEGER PRIMARY KEY, amount INTEGER NOT NULL); \
                     INSERT INTO orders VALUES (17, 4999)";
const QUERY: &str = "SELECT amount FROM orders WHERE id = ?";

pub(super) async fn sqlx(peer: &Peer, calls: &mut Calls) -> anyhow::Result<()> {
    let pool = SqlitePoolOptions::new().max_connections(1).connect("sqlite::memory:").await?;
    ::sqlx::raw_sql(TABLE).execute(&pool).await?;
    match peer {
        Peer::Kit(kit) => {
            let pool = kit.sqlx().wrap(pool);
            calls.each(async || amount(&pool).await).await
        }
        Peer::Before(_) => {
            let pool = sqlx_otel::PoolBuilder::from(pool).build();
            calls.each(async || amount(&pool).await).await
        }
        Peer::Bare | Peer::Sdk(_) | Peer::Oxtel(_) => calls.each(async || amount(&pool).await).await,
    }
}

async fn amount<'a>(pool: impl Executor<'a, Database = Sqlite>) -> anyhow::Result<()> {
    let row = ::sqlx::query(QUERY).bind(17_i64).fetch_one(pool).await?;
    black_box(row.try_get::<i64, _>(0)?);
    Ok(())
}

pub(super) async fn rusqlite(peer: &Peer, calls: &mut Calls) -> anyhow::Result<()> {
    let connection = Connection::open_in_memory()?;
    connection.execute_batch(TABLE)?;
    if let Peer::Kit(kit) = peer {
        let connection = kit.rusqlite().wrap(connection);
        return calls
            .each(async || {
                black_box(connection.query_row(QUERY, [17_i64], |row| row.get::<_, i64>(0))?);
                Ok(())
            })
            .await;
    }
    if let Peer::Oxtel(_) = peer {
        oxtel_sql::rusqlite::instrument(&connection);
    }
    calls
        .each(async || {
            black_box(connection.query_row(QUERY, [17_i64], |row| row.get::<_, i64>(0))?);
            Ok(())
        })
        .await
}

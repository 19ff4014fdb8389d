//! A row by its key: SQLite in the process, PostgreSQL and a server of MongoDB's protocol as real servers.

use std::str::FromStr as _;

use diesel::Connection as _;
use diesel::connection::SimpleConnection as _;
use diesel::prelude::*;
use diesel::sql_types::BigInt;
use mongodb::bson::{Document, doc};
use mongodb::options::ClientOptions;
use rusqlite::Connection;
use sqlx::Executor;
use sqlx::sqlite::{Sqlite, SqlitePoolOptions};
use tokio_postgres::{Config, NoTls};
use waypost_telemetry::spawn;
use waypost_test_servers::{mongodb as own_mongodb, postgres};

use super::{Bench, assert_adds_at_most};

const TABLE: &str = "CREATE TABLE orders (id BIGINT PRIMARY KEY NOT NULL, amount BIGINT NOT NULL); \
                     INSERT INTO orders VALUES (17, 4999)";
const QUERY: &str = "SELECT amount FROM orders WHERE id = ?";

#[test]
fn a_query_of_sqlx() {
    async fn amount<'a>(pool: impl Executor<'a, Database = Sqlite>) {
        sqlx::query(QUERY).bind(17_i64).fetch_one(pool).await.unwrap();
    }
    let bench = Bench::new();
    let connect = || async {
        let pool = SqlitePoolOptions::new().max_connections(1).connect("sqlite::memory:").await.unwrap();
        sqlx::raw_sql(TABLE).execute(&pool).await.unwrap();
        pool
    };
    let pool = bench.runtime.block_on(connect());
    let bare = bench.least(async || amount(&pool).await);
    let pool = bench.telemetry.sqlx().wrap(bench.runtime.block_on(connect()));
    let traced = bench.least(async || amount(&pool).await);
    assert_adds_at_most(SQLX, bare, traced);
}

#[test]
fn a_query_of_rusqlite() {
    let bench = Bench::new();
    let connect = || {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(TABLE).unwrap();
        connection
    };
    let connection = connect();
    let bare = bench.least(async || {
        connection.query_row(QUERY, [17_i64], |row| row.get::<_, i64>(0)).unwrap();
    });
    let connection = bench.telemetry.rusqlite().wrap(connect());
    let traced = bench.least(async || {
        connection.query_row(QUERY, [17_i64], |row| row.get::<_, i64>(0)).unwrap();
    });
    assert_adds_at_most(RUSQLITE, bare, traced);
}

#[test]
fn a_query_of_diesel() {
    let bench = Bench::new();
    let connect = || {
        let mut connection = SqliteConnection::establish(":memory:").unwrap();
        connection.batch_execute(TABLE).unwrap();
        connection
    };
    let amount = |connection: &mut SqliteConnection| {
        diesel::sql_query(QUERY).bind::<BigInt, _>(17_i64).execute(connection).unwrap();
    };
    let mut connection = connect();
    let bare = bench.least(async || amount(&mut connection));
    let mut connection = connect();
    connection.set_instrumentation(bench.telemetry.diesel("sqlite").instrumentation());
    let traced = bench.least(async || amount(&mut connection));
    assert_adds_at_most(DIESEL, bare, traced);
}

#[test]
fn a_query_of_tokio_postgres() {
    let (bench, own) = (Bench::new(), postgres::Database::create());
    let config = Config::from_str(&own.url()).unwrap();
    let client = bench.runtime.block_on(async {
        let (client, connection) = config.connect(NoTls).await.unwrap();
        spawn(connection);
        client.batch_execute(TABLE).await.unwrap();
        client
    });
    let query = "SELECT amount FROM orders WHERE id = $1";
    let statement = bench.runtime.block_on(client.prepare(query)).unwrap();
    let bare = bench.least(async || drop(client.query_one(&statement, &[&17_i64]).await.unwrap()));
    let client = bench.telemetry.tokio_postgres().config(&config).wrap(client);
    let statement = bench.runtime.block_on(client.prepare(query)).unwrap();
    let traced = bench.least(async || drop(client.query_one(&statement, &[&17_i64]).await.unwrap()));
    assert_adds_at_most(TOKIO_POSTGRES, bare, traced);
}

#[test]
fn a_command_of_mongodb() {
    let (bench, own) = (Bench::new(), own_mongodb::Database::own());
    let orders = |is_traced| {
        let options = bench.runtime.block_on(async { ClientOptions::parse(own.url()).await.unwrap() });
        let options = if is_traced { bench.telemetry.mongodb().observe(options) } else { options };
        let client = bench.runtime.block_on(async { mongodb::Client::with_options(options).unwrap() });
        client.database(own.name()).collection::<Document>("orders")
    };
    let collection = orders(false);
    let bare = bench.least(async || drop(collection.find_one(doc! { "_id": 17 }).await.unwrap()));
    let collection = orders(true);
    let traced = bench.least(async || drop(collection.find_one(doc! { "_id": 17 }).await.unwrap()));
    assert_adds_at_most(MONGODB, bare, traced);
}

const SQLX: u64 = 6;
const RUSQLITE: u64 = 6;
const DIESEL: u64 = 10;
const TOKIO_POSTGRES: u64 = 6;
const MONGODB: u64 = 46;

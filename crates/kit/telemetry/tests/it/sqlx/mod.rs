//! sqlx: a pool that is used as before, over SQLite and a real PostgreSQL; each statement is one span and one measurement.

mod pools;
mod postgres;
mod texts;
mod transactions;

use sqlx::sqlite::SqlitePoolOptions;
use sqlx::{Database, Pool, Row as _, Sqlite};
use waypost_telemetry::opentelemetry::trace::SpanKind;
use waypost_telemetry::sqlx::{Sqlx, Traced};
use waypost_telemetry::testing::TestTelemetry;
use waypost_telemetry::testing::conventions::Conventions;
use waypost_telemetry::{FinishedSpan, span, with_context};

use crate::http_server::net::{attribute, attributes, metric, outcome, series, spans};

/// A traced pool of one connection to a SQLite in memory that has a table of two orders, and nothing seen of it yet.
async fn orders(settings: impl FnOnce(Sqlx) -> Sqlx) -> (TestTelemetry, Traced<Pool<Sqlite>>) {
    let pool = SqlitePoolOptions::new().max_connections(1).connect("sqlite::memory:").await.unwrap();
    sqlx::raw_sql("CREATE TABLE orders (id INTEGER PRIMARY KEY, owner TEXT NOT NULL); INSERT INTO orders VALUES (1, 'ann'), (2, 'bob')")
        .execute(&pool)
        .await
        .unwrap();
    let telemetry = TestTelemetry::new("order-service");
    let traced = settings(telemetry.sqlx()).wrap(pool);
    (telemetry, traced)
}

/// The names of the spans so far, in the order of their ends.
fn names(telemetry: &TestTelemetry) -> Vec<String> {
    telemetry.finished_spans().iter().map(|span| span.name().to_owned()).collect()
}

/// The attributes of a span, but for the time that it waited for its connection.
fn settled(span: &FinishedSpan) -> Vec<String> {
    let wait = attribute(span, "waypost.db.wait_duration").unwrap();
    assert!(wait.parse::<f64>().unwrap() >= 0.0, "{wait}");
    attributes(span).into_iter().filter(|line| !line.starts_with("waypost.db.wait_duration")).collect()
}

/// A function of a program that is written for any driver.
async fn count<DB: Database>(pool: &Traced<Pool<DB>>) -> i64
where
    for<'c> &'c mut DB::Connection: sqlx::Executor<'c, Database = DB>,
    for<'c> i64: sqlx::Decode<'c, DB> + sqlx::Type<DB>,
    usize: sqlx::ColumnIndex<DB::Row>,
    DB::Arguments: sqlx::IntoArguments<DB>,
{
    sqlx::query("SELECT count(*) FROM orders").fetch_one(pool).await.unwrap().get(0)
}

#[tokio::test]
async fn a_query_is_one_span_below_what_is_current() {
    let (telemetry, pool) = orders(|sqlx| sqlx).await;
    let work = async {
        let row =
            sqlx::query("SELECT owner FROM orders WHERE id = ?").bind(2).fetch_one(&pool).await.unwrap();
        row.get::<String, _>(0)
    };
    assert_eq!(with_context(telemetry.context(), span("unit").observe(work)).await, "bob");
    telemetry.tree().assert_matches(
        "unit INTERNAL order-service
           \"SELECT orders\" CLIENT order-service",
    );
    let select = telemetry.only_span("SELECT orders");
    assert_eq!((select.kind(), outcome(&select).as_str()), (SpanKind::Client, "ok"));
    assert_eq!(
        settled(&select),
        [
            "db.namespace=:memory:",
            "db.query.summary=SELECT orders",
            "db.query.text=SELECT owner FROM orders WHERE id = ?",
            "db.response.returned_rows=1",
            "db.system.name=sqlite",
        ]
    );
    let counts = series(&telemetry, "db_client_operation_duration_seconds_count");
    assert_eq!(counts.len(), 1, "{counts:?}");
    for label in
        ["db_system_name=\"sqlite\"", "db_namespace=\":memory:\"", "db_query_summary=\"SELECT orders\""]
    {
        assert!(counts[0].contains(label), "{label} in {counts:?}");
    }
    assert!(!format!("{:?}", telemetry.finished_spans()).contains("bob"), "no value anywhere");
}

#[tokio::test]
async fn every_way_to_ask_is_seen_once() {
    use futures_util::TryStreamExt as _;
    let (telemetry, pool) = orders(|sqlx| sqlx).await;
    let all = "SELECT id FROM orders WHERE id > ?";
    assert_eq!(sqlx::query(all).bind(0).fetch_all(&pool).await.unwrap().len(), 2);
    assert!(sqlx::query(all).bind(9).fetch_optional(&pool).await.unwrap().is_none());
    let streamed: Vec<i64> =
        sqlx::query_scalar::<Sqlite, i64>(all).bind(0).fetch(&pool).try_collect().await.unwrap();
    assert_eq!(streamed, [1, 2]);
    let owners: Vec<(String,)> = sqlx::query_as("SELECT owner FROM orders").fetch_all(&pool).await.unwrap();
    assert_eq!(owners.len(), 2);
    let mut builder = sqlx::QueryBuilder::<Sqlite>::new("DELETE FROM orders WHERE id IN (");
    builder.separated(", ").push_bind(1).push_bind(9);
    builder.push(")");
    assert_eq!(builder.build().execute(&pool).await.unwrap().rows_affected(), 1);
    let owner = "carol".to_owned();
    let insert = sqlx::query("INSERT INTO orders (id, owner) VALUES (?, ?)").bind(7).bind(owner);
    assert_eq!(insert.execute(&pool).await.unwrap().rows_affected(), 1);
    assert_eq!(count(&pool).await, 2);

    let seen: Vec<(String, Option<String>)> = telemetry
        .finished_spans()
        .iter()
        .map(|span| (span.name().to_owned(), attribute(span, "db.response.returned_rows")))
        .collect();
    let expected = [
        ("SELECT orders", Some("2")),
        ("SELECT orders", Some("0")),
        ("SELECT orders", Some("2")),
        ("SELECT orders", Some("2")),
        ("DELETE orders", None),
        ("INSERT orders", None),
        ("SELECT orders", Some("1")),
    ];
    assert_eq!(seen, expected.map(|(name, rows)| (name.to_owned(), rows.map(ToOwned::to_owned))));
    assert_eq!(metric(&telemetry, "db_client_operation_duration_seconds_count", &[]), 7);
    let rows = |statement: &str| {
        let summary = format!("db_query_summary=\"{statement}\"");
        let value =
            |name| metric(&telemetry, &format!("db_client_response_returned_rows_{name}"), &[&summary]);
        (value("count"), value("sum"))
    };
    assert_eq!(rows("SELECT orders"), (5, 7));
    assert_eq!(series(&telemetry, "db_client_response_returned_rows_count").len(), 1, "of those that fetch");
}

#[tokio::test]
async fn a_row_that_is_not_there_is_an_answer() {
    let (telemetry, pool) = orders(|sqlx| sqlx).await;
    let absent = sqlx::query("SELECT * FROM orders WHERE id = ?").bind(9).fetch_one(&pool).await;
    assert!(matches!(absent, Err(sqlx::Error::RowNotFound)));
    let select = telemetry.only_span("SELECT orders");
    assert_eq!(outcome(&select), "ok");
    assert_eq!(attribute(&select, "db.response.returned_rows").as_deref(), Some("0"));
}

#[tokio::test]
async fn a_failure_has_the_code_of_the_database() {
    let (telemetry, pool) = orders(|sqlx| sqlx).await;
    let twice = sqlx::query("INSERT INTO orders VALUES (?, ?)").bind(1).bind("ann").execute(&pool).await;
    assert!(twice.unwrap_err().as_database_error().unwrap().is_unique_violation());
    let insert = telemetry.only_span("INSERT orders");
    assert_eq!(outcome(&insert), "1555");
    assert_eq!(attribute(&insert, "db.response.status_code").as_deref(), Some("1555"));
    let labels =
        ["error_type=\"1555\"", "db_response_status_code=\"1555\"", "db_query_summary=\"INSERT orders\""];
    assert_eq!(metric(&telemetry, "db_client_operation_duration_seconds_count", &labels), 1);
}

#[tokio::test]
async fn a_stream_that_is_dropped_was_cancelled_and_one_that_nobody_polled_was_nothing() {
    use futures_util::TryStreamExt as _;
    let (telemetry, pool) = orders(|sqlx| sqlx).await;
    drop(sqlx::query("SELECT owner FROM orders").fetch(&pool));
    let mut rows = sqlx::query("SELECT id FROM orders").fetch(&pool);
    assert!(rows.try_next().await.unwrap().is_some());
    drop(rows);
    let only = spans(&telemetry, 1).await.remove(0);
    assert_eq!(outcome(&only), "cancelled");
    assert_eq!(attribute(&only, "db.query.text").as_deref(), Some("SELECT id FROM orders"));
    // The connection is back.
    assert_eq!(count(&pool).await, 2);
}

#[tokio::test]
async fn what_is_traced_follows_the_conventions() {
    let (telemetry, pool) = orders(|sqlx| sqlx).await;
    let mut transaction = pool.begin().await.unwrap();
    sqlx::query("UPDATE orders SET owner = ? WHERE id = ?")
        .bind("eve")
        .bind(1)
        .execute(&mut *transaction)
        .await
        .unwrap();
    transaction.commit().await.unwrap();
    sqlx::query("SELECT * FROM nowhere").execute(&pool).await.unwrap_err();
    // A SQLite has no address.
    let conventions = Conventions::current().exception("*/server.address", "the database is in the process");
    conventions.check(&[&telemetry]).assert_clean();
}

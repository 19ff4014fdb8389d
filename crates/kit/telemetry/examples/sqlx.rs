//! Orders in SQLite over a traced pool, and the spans and the pool's metrics of it.
//!
//! `cargo run -p waypost-telemetry --features sqlx,testing --example sqlx`
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use sqlx::sqlite::{SqlitePool, SqlitePoolOptions};
use waypost_telemetry::metrics::render_prometheus;
use waypost_telemetry::sqlx::Traced;
use waypost_telemetry::testing::{SpanTree, TestTelemetry};
use waypost_telemetry::{span, with_context};

/// Places an order and takes its goods from the stock; both or neither.
async fn place(pool: &Traced<SqlitePool>, order: i64, quantity: i64) -> sqlx::Result<()> {
    let mut transaction = pool.begin().await?;
    let insert = sqlx::query("INSERT INTO orders (id, quantity) VALUES (?, ?)").bind(order).bind(quantity);
    insert.execute(&mut *transaction).await?;
    let take = sqlx::query("UPDATE stock SET available = available - ?").bind(quantity);
    take.execute(&mut *transaction).await?;
    transaction.commit().await
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let pool = SqlitePoolOptions::new().max_connections(1).connect("sqlite::memory:").await?;
    // A handle in memory, so that the spans can be shown; a service has one of `waypost_telemetry::init`.
    let telemetry = TestTelemetry::new("order-service");
    // The only change: the pool is wrapped where it is made.
    let pool = telemetry.sqlx().wrap(pool);
    let tables = "CREATE TABLE orders (id INTEGER PRIMARY KEY, quantity INTEGER); \
                  CREATE TABLE stock (available INTEGER CHECK (available >= 0)); INSERT INTO stock VALUES (5)";
    sqlx::raw_sql(tables).execute(&pool).await?;

    for (order, quantity) in [(1, 3), (2, 3)] {
        let placed =
            with_context(telemetry.context(), span("place-order").run(place(&pool, order, quantity)));
        match placed.await {
            Ok(()) => println!("order {order} is placed"),
            Err(error) => println!("order {order} is refused: {error}"),
        }
    }
    for trace in SpanTree::all(&telemetry.finished_spans()) {
        println!("\n{}", trace.render_with(&["db.query.text", "db.response.status_code"]));
    }
    let page = render_prometheus(&[telemetry.handle().clone()]);
    for line in
        page.lines().filter(|line| line.starts_with("db_client_connection_") && !line.contains("_bucket"))
    {
        println!("{line}");
    }
    Ok(())
}

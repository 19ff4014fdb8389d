//! Transactions, savepoints and connections.

use super::*;

const RENAME: &str = "UPDATE orders SET owner = ? WHERE id = ?";

#[tokio::test]
async fn a_transaction_is_seen_from_begin_to_commit() {
    let (telemetry, pool) = orders(|sqlx| sqlx).await;
    let work = async {
        let mut transaction = pool.begin().await.unwrap();
        sqlx::query(RENAME).bind("eve").bind(1).execute(&mut *transaction).await.unwrap();
        let owner: String = sqlx::query_scalar("SELECT owner FROM orders WHERE id = ?")
            .bind(1)
            .fetch_one(&mut *transaction)
            .await
            .unwrap();
        transaction.commit().await.unwrap();
        owner
    };
    assert_eq!(with_context(telemetry.context(), span("unit").observe(work)).await, "eve");
    telemetry.tree().assert_matches(
        "unit INTERNAL order-service
           BEGIN CLIENT order-service db.query.text=BEGIN
           \"UPDATE orders\" CLIENT order-service
           \"SELECT orders\" CLIENT order-service
           COMMIT CLIENT order-service db.query.text=COMMIT",
    );
    // Only who takes a connection from the pool waits for it.
    let waited: Vec<bool> = telemetry
        .finished_spans()
        .iter()
        .map(|span| attribute(span, "waypost.db.wait_duration").is_some())
        .collect();
    assert_eq!(waited, [true, false, false, false, false]);
}

#[tokio::test]
async fn what_is_rolled_back_is_gone_and_seen() {
    let (telemetry, pool) = orders(|sqlx| sqlx).await;
    let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await.unwrap();
    sqlx::query(RENAME).bind("eve").bind(1).execute(&mut *transaction).await.unwrap();
    let mut savepoint = transaction.begin().await.unwrap();
    sqlx::query("DELETE FROM orders").execute(&mut *savepoint).await.unwrap();
    savepoint.rollback().await.unwrap();
    let savepoint = transaction.begin().await.unwrap();
    savepoint.commit().await.unwrap();
    transaction.rollback().await.unwrap();
    let first = telemetry.finished_spans().remove(0);
    assert_eq!(attribute(&first, "db.query.text").as_deref(), Some("BEGIN IMMEDIATE"));
    assert_eq!(
        names(&telemetry),
        [
            "BEGIN",
            "UPDATE orders",
            "SAVEPOINT",
            "DELETE orders",
            "ROLLBACK",
            "SAVEPOINT",
            "RELEASE",
            "ROLLBACK"
        ]
    );
    let owner: String =
        sqlx::query_scalar("SELECT owner FROM orders WHERE id = 1").fetch_one(&pool).await.unwrap();
    assert_eq!((owner.as_str(), count(&pool).await), ("ann", 2));
}

#[tokio::test]
async fn a_transaction_that_is_dropped_tells_who_dropped_it() {
    let (telemetry, pool) = orders(|sqlx| sqlx).await;
    let work = async {
        let mut transaction = pool.begin().await.unwrap();
        sqlx::query(RENAME).bind("eve").bind(1).execute(&mut *transaction).await.unwrap();
    };
    with_context(telemetry.context(), span("unit").observe(work)).await;
    let unit = telemetry.only_span("unit");
    let events: Vec<_> = unit.events().iter().map(waypost_telemetry::FinishedEvent::name).collect();
    assert_eq!(events, ["waypost.db.transaction.dropped"]);
    // And what ended has no such event.
    telemetry.forget();
    let work = async { pool.begin().await.unwrap().commit().await.unwrap() };
    with_context(telemetry.context(), span("unit").observe(work)).await;
    assert!(telemetry.only_span("unit").events().is_empty());
    let owner: String =
        sqlx::query_scalar("SELECT owner FROM orders WHERE id = 1").fetch_one(&pool).await.unwrap();
    assert_eq!(owner, "ann");
}

#[tokio::test]
async fn a_connection_shows_its_statements_and_begins_transactions() {
    let (telemetry, pool) = orders(|sqlx| sqlx).await;
    let mut connection = pool.acquire().await.unwrap();
    sqlx::query(RENAME).bind("eve").bind(1).execute(&mut *connection).await.unwrap();
    let mut transaction = connection.begin().await.unwrap();
    sqlx::query(RENAME).bind("eva").bind(1).execute(&mut *transaction).await.unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(names(&telemetry), ["UPDATE orders", "BEGIN", "UPDATE orders", "COMMIT"]);
    // Without spans: code that wants sqlx's own type.
    sqlx::query("SELECT 1").execute(&mut **connection.inner_mut()).await.unwrap();
    assert_eq!(telemetry.finished_spans().len(), 4);
}

#[tokio::test]
async fn a_transaction_that_cannot_begin_says_why() {
    let (telemetry, pool) = orders(|sqlx| sqlx).await;
    pool.close().await;
    assert!(matches!(pool.begin().await, Err(sqlx::Error::PoolClosed)));
    assert_eq!(outcome(&telemetry.only_span("BEGIN")), "pool_closed");
}

//! What the metrics say of a pool.

use std::time::Duration;

use super::*;

fn value(telemetry: &TestTelemetry, family: &str, labels: &[&str]) -> i64 {
    metric(telemetry, &format!("db_client_connection_{family}"), labels)
}

#[tokio::test]
async fn a_pool_shows_its_connections_and_its_bounds() {
    let pool = SqlitePoolOptions::new()
        .max_connections(3)
        .min_connections(1)
        .connect("sqlite::memory:")
        .await
        .unwrap();
    let telemetry = TestTelemetry::new("order-service");
    let pool = telemetry.sqlx().pool_name("reports").wrap(pool);
    let name = "db_client_connection_pool_name=\"reports\"";
    let held = pool.acquire().await.unwrap();
    assert_eq!(value(&telemetry, "max", &[name]), 3);
    assert_eq!(value(&telemetry, "idle_max", &[name]), 3);
    assert_eq!(value(&telemetry, "idle_min", &[name]), 1);
    assert_eq!(value(&telemetry, "count", &[name, "state=\"used\""]), 1);
    assert_eq!(value(&telemetry, "count", &[name, "state=\"idle\""]), 0);
    assert_eq!(value(&telemetry, "use_time_seconds_count", &[name]), 0);
    let second = pool.acquire().await.unwrap();
    drop((held, second));
    assert_eq!(value(&telemetry, "use_time_seconds_count", &[name]), 2);
    assert_eq!(value(&telemetry, "wait_time_seconds_count", &[name]), 2);
    // The first was there already.
    assert_eq!(value(&telemetry, "create_time_seconds_count", &[name]), 1);
    assert_eq!(value(&telemetry, "pending_requests", &[name]), 0);
    assert_eq!(series(&telemetry, "db_client_connection_wait_time_seconds_bucket").len(), 10);
    telemetry.conventions().assert_clean();
}

#[tokio::test]
async fn those_who_wait_and_those_who_waited_in_vain_are_counted() {
    let options = SqlitePoolOptions::new().max_connections(1).acquire_timeout(Duration::from_millis(300));
    let telemetry = TestTelemetry::new("order-service");
    let pool = telemetry.sqlx().wrap(options.connect("sqlite::memory:").await.unwrap());
    let held = pool.acquire().await.unwrap();
    let waiting = tokio::join!(sqlx::query("SELECT 1").execute(&pool), async {
        crate::http_server::net::eventually("somebody to wait", || {
            (value(&telemetry, "pending_requests", &[]) == 1).then_some(())
        })
        .await;
    });
    assert!(matches!(waiting.0, Err(sqlx::Error::PoolTimedOut)));
    assert_eq!(outcome(&telemetry.only_span("SELECT")), "pool_timed_out");
    let name = "db_client_connection_pool_name=\":memory:\"";
    assert_eq!(value(&telemetry, "timeouts_total", &[name]), 1);
    assert_eq!(value(&telemetry, "pending_requests", &[name]), 0);
    // Only the connection that is held was waited for with success.
    assert_eq!(value(&telemetry, "wait_time_seconds_count", &[name]), 1);
    drop(held);
}

#[tokio::test]
async fn a_pool_that_is_gone_is_not_shown() {
    let (telemetry, pool) = orders(|sqlx| sqlx).await;
    assert_eq!(series(&telemetry, "db_client_connection_max").len(), 1);
    drop(pool);
    assert_eq!(series(&telemetry, "db_client_connection_max").len(), 0);
}

/// A function of a program that takes whatever gives connections, as sqlx's own `migrate` does.
async fn counted(database: impl sqlx::Acquire<'_, Database = Sqlite>) -> i64 {
    let mut connection = database.acquire().await.unwrap();
    sqlx::query("SELECT count(*) FROM orders").fetch_one(&mut *connection).await.unwrap().get(0)
}

async fn emptied(database: impl sqlx::Acquire<'_, Database = Sqlite>) {
    let mut transaction = database.begin().await.unwrap();
    sqlx::query("DELETE FROM orders").execute(&mut *transaction).await.unwrap();
    transaction.commit().await.unwrap();
}

#[tokio::test]
async fn a_pool_is_taken_where_any_that_gives_connections_is() {
    let (telemetry, pool) = orders(|sqlx| sqlx).await;
    assert_eq!(counted(&pool).await, 2);
    assert_eq!(value(&telemetry, "wait_time_seconds_count", &[]), 1);
    assert_eq!(value(&telemetry, "use_time_seconds_count", &[]), 1);
    assert_eq!(names(&telemetry), [""; 0], "what sqlx's own types do is not seen");
    emptied(&pool).await;
    assert_eq!(names(&telemetry), ["BEGIN"]);
    assert_eq!(value(&telemetry, "wait_time_seconds_count", &[]), 2);
    assert_eq!(value(&telemetry, "use_time_seconds_count", &[]), 1, "of a transaction nobody knows it");
    assert_eq!(counted(&pool).await, 0);
}

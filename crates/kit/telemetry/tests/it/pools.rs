//! Pools of deadpool and bb8: what is counted and timed around them, and the spans of what they hand out, over a real
//! PostgreSQL.

#[path = "../../examples/pools.rs"]
#[allow(dead_code, reason = "its main is for those who run it")]
mod example;

use std::time::Duration;

use ::deadpool::managed::{PoolError, Timeouts};
use bb8_postgres::PostgresConnectionManager;
use deadpool_postgres::{Manager, Runtime};
use tokio_postgres::{Config, NoTls};
use waypost_telemetry::testing::TestTelemetry;
use waypost_telemetry::{ErrorType as _, bb8, deadpool, metrics, span, with_context};
use waypost_test_servers::postgres::Database;

use crate::http_server::net::{eventually, metric, series};

/// In the configuration of each pool, where nobody may see it.
const SECRET: &str = "hunter2";

fn config(own: &Database) -> Config {
    let mut config: Config = own.url().parse().unwrap();
    config.password(SECRET);
    config
}

fn of_deadpool(telemetry: &TestTelemetry, own: &Database, max: usize) -> deadpool::MeasuredPool<Manager> {
    let manager = Manager::new(config(own), NoTls);
    let pool = deadpool_postgres::Pool::builder(manager).max_size(max).runtime(Runtime::Tokio1);
    telemetry.deadpool("orders", pool.build().unwrap())
}

async fn of_bb8(
    telemetry: &TestTelemetry,
    own: &Database,
    max: u32,
    patience: Duration,
) -> bb8::MeasuredPool<PostgresConnectionManager<NoTls>> {
    let manager = PostgresConnectionManager::new(config(own), NoTls);
    let pool = ::bb8::Pool::builder().max_size(max).min_idle(1).connection_timeout(patience);
    telemetry.bb8("orders", pool.build(manager).await.unwrap())
}

/// A value of the one pool that there is.
fn value(telemetry: &TestTelemetry, family: &str, labels: &[&str]) -> i64 {
    let name = "db_client_connection_pool_name=\"orders\"";
    let labels: Vec<&str> = labels.iter().copied().chain([name]).collect();
    metric(telemetry, &format!("db_client_connection_{family}"), &labels)
}

fn assert_no_secret(telemetry: &TestTelemetry, pool: &impl std::fmt::Debug) {
    let page = metrics::render_prometheus(&[telemetry.handle().clone()]);
    let exported = format!("{page}{pool:?}{:?}", telemetry.finished_spans());
    assert!(exported.contains("orders") && !exported.contains(SECRET), "{exported}");
}

#[tokio::test]
async fn a_pool_of_deadpool_shows_its_connections_and_its_bounds() {
    let (telemetry, own) = (TestTelemetry::new("order-service"), Database::create());
    let pool = of_deadpool(&telemetry, &own, 3);
    let (first, second) = (pool.get().await.unwrap(), pool.get().await.unwrap());
    assert_eq!((value(&telemetry, "max", &[]), value(&telemetry, "idle_max", &[])), (3, 3));
    assert_eq!(value(&telemetry, "count", &["state=\"used\""]), 2);
    drop(first);
    assert_eq!(value(&telemetry, "count", &["state=\"used\""]), 1);
    assert_eq!(value(&telemetry, "count", &["state=\"idle\""]), 1);
    drop(second);
    drop(pool.get().await.unwrap());
    assert_eq!(value(&telemetry, "wait_time_seconds_count", &[]), 3);
    assert_eq!(value(&telemetry, "use_time_seconds_count", &[]), 3);
    assert_eq!(value(&telemetry, "create_time_seconds_count", &[]), 2, "the third was there already");
    assert_eq!(value(&telemetry, "pending_requests", &[]), 0);
    let taken = pool.get().await.unwrap().into_inner();
    drop(taken);
    assert_eq!(value(&telemetry, "use_time_seconds_count", &[]), 3, "nobody knows how long it was used");
    assert_no_secret(&telemetry, &pool);
    telemetry.conventions().assert_clean();
    drop(pool);
    assert_eq!(series(&telemetry, "db_client_connection_max").len(), 0, "it is gone");
}

#[tokio::test]
async fn those_who_wait_for_deadpool_in_vain_or_go_away_are_counted() {
    let (telemetry, own) = (TestTelemetry::new("order-service"), Database::create());
    let pool = of_deadpool(&telemetry, &own, 1);
    let held = pool.get().await.unwrap();
    let waiting = pool.get();
    let counted = async {
        eventually("somebody to wait", || (value(&telemetry, "pending_requests", &[]) == 1).then_some(()))
            .await;
    };
    tokio::select! {
        _ = waiting => panic!("there is none"),
        () = counted => {}
    }
    assert_eq!(value(&telemetry, "pending_requests", &[]), 0, "who is dropped waits no more");
    let at_once = Timeouts { wait: Some(Duration::ZERO), ..Timeouts::default() };
    let refused = pool.timeout_get(&at_once).await.unwrap_err();
    assert!(matches!(refused, PoolError::Timeout(_)));
    assert_eq!(refused.error_type(), "pool_timed_out");
    assert_eq!(value(&telemetry, "timeouts_total", &[]), 1);
    assert_eq!(
        value(&telemetry, "wait_time_seconds_count", &[]),
        1,
        "only the one that is held was waited for"
    );
    drop(held);
    pool.inner().close();
    let closed = pool.get().await.unwrap_err();
    assert_eq!(closed.error_type(), "pool_closed");
    assert_eq!(value(&telemetry, "timeouts_total", &[]), 1, "this was no time-out");
}

#[tokio::test]
async fn a_pool_of_bb8_shows_its_connections_and_its_bounds() {
    let (telemetry, own) = (TestTelemetry::new("order-service"), Database::create());
    let pool = of_bb8(&telemetry, &own, 3, Duration::from_secs(30)).await;
    let first = pool.get().await.unwrap();
    assert_eq!((value(&telemetry, "max", &[]), value(&telemetry, "idle_max", &[])), (3, 3));
    assert_eq!(value(&telemetry, "idle_min", &[]), 1);
    assert_eq!(value(&telemetry, "count", &["state=\"used\""]), 1);
    let second = pool.get_owned().await.unwrap();
    assert_eq!(value(&telemetry, "count", &["state=\"used\""]), 2);
    drop((first, second));
    assert_eq!(value(&telemetry, "count", &["state=\"used\""]), 0);
    assert_eq!(value(&telemetry, "wait_time_seconds_count", &[]), 2);
    assert_eq!(value(&telemetry, "use_time_seconds_count", &[]), 2);
    assert_no_secret(&telemetry, &pool);
    telemetry.conventions().assert_clean();
    drop(pool);
    assert_eq!(series(&telemetry, "db_client_connection_max").len(), 0, "it is gone");
}

#[tokio::test]
async fn those_who_wait_for_bb8_in_vain_are_counted() {
    let (telemetry, own) = (TestTelemetry::new("order-service"), Database::create());
    let pool = of_bb8(&telemetry, &own, 1, Duration::from_secs(5)).await;
    let held = pool.get().await.unwrap();
    let (refused, ()) = tokio::join!(pool.get(), async {
        eventually("somebody to wait", || (value(&telemetry, "pending_requests", &[]) == 1).then_some(()))
            .await;
    });
    assert_eq!(refused.unwrap_err().error_type(), "pool_timed_out");
    assert_eq!(value(&telemetry, "timeouts_total", &[]), 1);
    assert_eq!(value(&telemetry, "pending_requests", &[]), 0);
    drop(held);
}

#[tokio::test]
async fn a_server_that_is_away_is_the_error_of_the_connection() {
    let telemetry = TestTelemetry::new("order-service");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut config = Config::new();
    config.host("127.0.0.1").port(listener.local_addr().unwrap().port()).user("ann").password(SECRET);
    drop(listener);
    let pool = deadpool_postgres::Pool::builder(Manager::new(config, NoTls)).max_size(1).build().unwrap();
    let pool = telemetry.deadpool("orders", pool);
    let refused = pool.get().await.unwrap_err();
    assert_eq!(refused.error_type(), "connection_refused");
    assert_eq!(value(&telemetry, "wait_time_seconds_count", &[]), 0);
    assert!(!format!("{refused:?}").contains(SECRET));
}

#[tokio::test]
async fn what_a_pool_hands_out_makes_spans() {
    let (telemetry, own) = (TestTelemetry::new("order-service"), Database::create());
    let postgres = telemetry.tokio_postgres().config(&config(&own));
    let (one, other) =
        (of_deadpool(&telemetry, &own, 1), of_bb8(&telemetry, &own, 1, Duration::from_secs(30)).await);
    let work = async {
        let mut taken = one.get().await.unwrap();
        let mut client = postgres.wrap(&mut **taken);
        let transaction = client.transaction().await.unwrap();
        transaction.execute("CREATE TABLE orders (id bigint)", &[]).await.unwrap();
        transaction.commit().await.unwrap();
        let mut client = postgres.wrap_pooled(other.get().await.unwrap());
        client.transaction().await.unwrap().rollback().await.unwrap();
        assert!(client.query_opt("SELECT id FROM orders", &[]).await.unwrap().is_none());
    };
    with_context(telemetry.context(), span("unit").observe(work)).await;
    telemetry.tree().assert_matches(
        "unit INTERNAL order-service
           BEGIN CLIENT order-service
           \"CREATE TABLE orders\" CLIENT order-service
           COMMIT CLIENT order-service
           BEGIN CLIENT order-service
           ROLLBACK CLIENT order-service
           \"SELECT orders\" CLIENT order-service",
    );
}

#[tokio::test]
async fn the_example_shows_who_waits() {
    let own = Database::create();
    let told = example::story(&own.url()).await.unwrap();
    for part in ["SELECT CLIENT", "db_client_connection_timeouts_total", "pool_name=\"orders\""] {
        assert!(told.contains(part), "{part} in {told}");
    }
}

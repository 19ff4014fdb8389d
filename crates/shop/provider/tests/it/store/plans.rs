//! How the statements of the hot path find their rows, on tables of many.

use std::time::Duration;

use waypost_api::Amount;
use waypost_durable::Migration;
use waypost_durable::postgres::{Server, testing};
use waypost_provider::domain::Operation;
use waypost_provider::store::{PostgresStore, Store};
use waypost_telemetry::Telemetry;
use waypost_test_servers::explain;
use waypost_test_servers::postgres::Database;

use super::{charge, command, run};

/// Charges that were taken long ago, and the answers of their keys.
const MANY: &str = "
    INSERT INTO charges (id, reference, payment_method, currency, amount, status, captured, created_at)
    SELECT 'old-' || n, 'old-' || n || ':authorize:1', 'pm', 'USD', 5, 'captured', 5, to_timestamp(n * 2e4)
    FROM generate_series(1, 20000) AS n;
    INSERT INTO ledger (charge_id, kind, amount, at)
    SELECT 'old-' || n, 'capture', 5, to_timestamp(n * 2e4) FROM generate_series(1, 20000) AS n;
    INSERT INTO requests (key, fingerprint, charge_id, answer, at)
    SELECT 'old-' || n, '', 'old-' || n, '{}', to_timestamp(n * 2e4) FROM generate_series(1, 20000) AS n;
    ANALYZE";

/// What is older is forgotten here.
const AGE: Duration = Duration::from_hours(24 * 365 * 40);

/// The schema of the version before.
const BEFORE: &[Migration] =
    &[Migration::new("0001_charges", include_str!("../../../migrations/postgres/0001_charges.sql"))];

/// Tables that grow with the orders.
const TABLES: &[&str] = &["charges", "ledger", "requests"];

/// What a shop asks of the store for every order.
async fn hot_path(server: &Server) {
    let store = PostgresStore::open(server, &Telemetry::disabled()).await.unwrap();
    for number in 0..20 {
        let id = format!("ch-{number}");
        let key = |step: &str| format!("{id}-{step}");
        run(&store, &key("charge"), charge(&id, 999_900)).await.unwrap();
        assert!(store.execute(command(&key("charge"), charge(&id, 999_900))).await.unwrap().is_replay);
        run(&store, &key("capture"), Operation::Capture { id: id.clone() }).await.unwrap();
        let amount = Amount::from_ten_thousandths(100_000);
        run(&store, &key("refund"), Operation::Refund { id: id.clone(), amount }).await.unwrap();
        let late = command(&key("late"), charge(&format!("late-{number}"), 999_900));
        assert!(store.put_off(late, Duration::from_secs(1)).await.unwrap());
        assert!(store.work_off(key("late")).await.unwrap().is_some());
        store.charge(id.clone()).await.unwrap().unwrap();
        assert_eq!(store.by_reference(format!("{id}:authorize:1")).await.unwrap().len(), 1);
        assert!(store.forget_requests(AGE).await.unwrap() > 0);
    }
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_statement_of_the_hot_path_reads_a_table_of_many_rows() {
    let database = Database::create();
    let server = testing::server(&database.url());
    // The rows are of the version before, whose schema is brought up to date by the first that opens it.
    let telemetry = Telemetry::disabled();
    let before = waypost_durable::postgres::Database::open(&server, "provider", &telemetry, BEFORE);
    before.await.unwrap().close().await;
    testing::assert_nothing_is_scanned(&server, "provider", MANY, TABLES, hot_path(&server)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a million rows take minutes; benches/README.md has what it printed"]
async fn plans_of_the_hot_path_on_a_million_rows() {
    let own = explain::start();
    let server = testing::server(&own.url());
    PostgresStore::open(&server, &Telemetry::disabled()).await.unwrap().close().await;
    testing::fill_with_a_million(&server, "provider", MANY);
    hot_path(&server).await;
    // Of few rows it reads all, as that is less than to look for each.
    let store = PostgresStore::open(&server, &Telemetry::disabled()).await.unwrap();
    assert!(store.forget_charges(AGE).await.unwrap() > 0);
    store.close().await;
    println!("{}", explain::assert_no_scans(&own.log(), TABLES));
}

//! How the statements of the hot path find their rows, on tables of many.

use crate::world::{first, order, product, request};
use std::time::Duration;
use waypost_durable::{
    Epoch, Migration,
    postgres::{Server, testing},
};
use waypost_inventory::{
    domain::{Generation, NewReservation},
    store::{PostgresStore, Store},
};
use waypost_telemetry::Telemetry;
use waypost_test_servers::explain;
use waypost_test_servers::postgres::Database;

/// Holds that ended long ago, of many products.
const MANY: &str = "
    INSERT INTO products SELECT 'p-' || n, 'p', 499950, 'USD' FROM generate_series(1, 5000) AS n;
    INSERT INTO stock SELECT 'p-' || n, 1000, 0 FROM generate_series(1, 5000) AS n;
    INSERT INTO reservations SELECT 'old-' || n, 1, 'committed', now(), now(), now(), 1 FROM generate_series(1, 20000) AS n;
    INSERT INTO reservation_lines SELECT 'old-' || n, 1, 'p-' || (1 + n % 5000), 1 FROM generate_series(1, 20000) AS n;
    INSERT INTO stock_movements (product_id, kind, quantity, order_id, generation, at)
    SELECT 'p-' || (1 + n % 5000), 'committed', 1, 'old-' || n, 1, now() FROM generate_series(1, 20000) AS n;
    ANALYZE";

/// The schema of the version before.
const BEFORE: &[Migration] =
    &[Migration::new("0001_stock", include_str!("../../../migrations/postgres/0001_stock.sql"))];

/// Tables that grow with the orders.
const TABLES: &[&str] = &["products", "stock", "reservations", "reservation_lines", "stock_movements"];

/// What a shop asks of the store for every order.
async fn hot_path(server: &Server) {
    let store = PostgresStore::open(server, &Telemetry::disabled()).await.unwrap();
    for number in 0..20 {
        let name = format!("order-{number}");
        store.product(product("p-7")).await.unwrap().unwrap();
        let held =
            NewReservation { lasts: Duration::from_mins(1), ..request(&name, &[("p-1", 1), ("p-2", 1)]) };
        store.reserve(held.clone()).await.unwrap();
        store.reserve(held.clone()).await.unwrap();
        store.reserve(NewReservation { generation: Generation::new(2), ..held }).await.unwrap();
        if number % 2 == 0 {
            store.commit(order(&name), Epoch::FIRST.next()).await.unwrap();
        } else {
            store.release(order(&name), Generation::new(2), Epoch::FIRST).await.unwrap();
        }
        let over =
            NewReservation { lasts: Duration::ZERO, ..request(&format!("over-{number}"), &[("p-3", 1)]) };
        store.reserve(over).await.unwrap();
        assert!(store.has_run_out().await.unwrap());
        assert_eq!(store.expire(10).await.unwrap(), 1);
        store.release(order(&format!("never-{number}")), first(), Epoch::FIRST).await.unwrap();
    }
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_statement_of_the_hot_path_reads_a_table_of_many_rows() {
    let database = Database::create();
    let server = testing::server(&database.url());
    // The rows are of the version before, whose schema is brought up to date by the first that opens it.
    let telemetry = Telemetry::disabled();
    let before = waypost_durable::postgres::Database::open(&server, "inventory", &telemetry, BEFORE);
    before.await.unwrap().close().await;
    testing::assert_nothing_is_scanned(&server, "inventory", MANY, TABLES, hot_path(&server)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a million rows take minutes; benches/README.md has what it printed"]
async fn plans_of_the_hot_path_on_a_million_rows() {
    let own = explain::start();
    let server = testing::server(&own.url());
    PostgresStore::open(&server, &Telemetry::disabled()).await.unwrap().close().await;
    testing::fill_with_a_million(&server, "inventory", MANY);
    hot_path(&server).await;
    println!("{}", explain::assert_no_scans(&own.log(), TABLES));
}

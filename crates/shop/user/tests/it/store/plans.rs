//! How the statements of the hot path find their rows, on a table of many.

use super::ada;
use waypost_durable::postgres::{Server, testing};
use waypost_telemetry::Telemetry;
use waypost_test_servers::explain;
use waypost_test_servers::postgres::Database;
use waypost_user::store::{PostgresStore, Store};

/// Users that nobody asks for.
const MANY: &str = "
    INSERT INTO users (user_id, name, email, password_hash, is_admin, is_active, payment_method, tenant_id)
    SELECT 'old-' || n, 'Old', 'old@example.com', 'hash', false, true, 'pm', 'demo' FROM generate_series(1, 20000) AS n;
    ANALYZE";

/// Tables that grow with the orders.
const TABLES: &[&str] = &["users"];

/// What a shop asks of the store for every order.
async fn hot_path(server: &Server) {
    let store = PostgresStore::open(server, &Telemetry::disabled()).await.unwrap();
    for number in 0..20 {
        store.add_users(vec![ada("Ada")]).await.unwrap();
        store.user("ada".parse().unwrap()).await.unwrap().unwrap();
        store.account(format!("old-{number}").parse().unwrap()).await.unwrap();
        store.ping().await.unwrap();
    }
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_statement_of_the_hot_path_reads_a_table_of_many_rows() {
    let database = Database::create();
    let server = testing::server(&database.url());
    PostgresStore::open(&server, &Telemetry::disabled()).await.unwrap().close().await;
    testing::assert_nothing_is_scanned(&server, "user", MANY, TABLES, hot_path(&server)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a million rows take minutes; benches/README.md has what it printed"]
async fn plans_of_the_hot_path_on_a_million_rows() {
    let own = explain::start();
    let server = testing::server(&own.url());
    PostgresStore::open(&server, &Telemetry::disabled()).await.unwrap().close().await;
    testing::fill_with_a_million(&server, "user", MANY);
    hot_path(&server).await;
    println!("{}", explain::assert_no_scans(&own.log(), TABLES));
}

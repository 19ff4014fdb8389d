//! How the statements of the hot path find their rows, on tables of many.

use super::{at, confirmed, ended, key, lease, order, placement, viewer};
use std::time::Duration;
use waypost_durable::{
    Epoch,
    postgres::{Server, testing},
    saga::Ending,
};
use waypost_order::{
    domain::Cursor,
    store::{Placed, Placement, PostgresStore, Store},
};
use waypost_telemetry::Telemetry;
use waypost_test_servers::explain;
use waypost_test_servers::postgres::Database;

/// Orders of many users that ended long ago, with all that belongs to them.
const MANY: &str = "
    INSERT INTO orders (order_id, user_id, product_id, quantity, unit_price, amount, currency, payment_method, status,
        created_at, updated_at, version, phase, journal_rows, runner, lease_until, ended_at)
    SELECT 'old-' || n, 'user-' || n % 1000, 'prod456', 1, 1, 1, 'USD', 'pm_card_ok', 'completed',
        to_timestamp(n), to_timestamp(n), 3, 'ended', 5, 'one', to_timestamp(n), to_timestamp(n)
    FROM generate_series(1, 20000) AS n;
    INSERT INTO order_history (order_id, version, status, at)
    SELECT 'old-' || n, 1, 'pending', to_timestamp(n) FROM generate_series(1, 20000) AS n;
    INSERT INTO order_journal (order_id, row, facts, at)
    SELECT 'old-' || n, 1, '[]', to_timestamp(n) FROM generate_series(1, 20000) AS n;
    INSERT INTO idempotency (principal, route, key, fingerprint, fence, lease_until, result, created_at)
    SELECT 'user-' || n % 1000, 'create', 'key-' || n, '', 1, now(), convert_to('old-' || n, 'UTF8'), now()
    FROM generate_series(1, 20000) AS n;
    INSERT INTO outbox (event_id, topic, key, kind, payload, headers, appended_at, published_at)
    SELECT 'event-' || n, 't', 'old-' || n, 'k', '', '', now(), now() FROM generate_series(1, 20000) AS n;
    ANALYZE";

/// Tables that grow with the orders.
const TABLES: &[&str] = &["orders", "order_history", "order_journal", "idempotency", "outbox"];

/// What a shop asks of the store for every order.
async fn hot_path(server: &Server) {
    let store = PostgresStore::open(server, &Telemetry::disabled()).await.unwrap();
    let outbox = store.outbox();
    for number in 0..20 {
        let placed = order(&format!("order-{number}"), number);
        let with_key = Placement { key: Some(key(&format!("k-{number}"), 1)), ..placement(placed.clone()) };
        assert_eq!(store.place(with_key.clone()).await.unwrap(), Placed::New);
        assert!(matches!(store.place(with_key).await.unwrap(), Placed::Before(_)));
        store.placed_before(key(&format!("k-{number}"), 1)).await.unwrap();
        store.find(placed.id.clone(), viewer("user123")).await.unwrap().unwrap();
        store.renew(vec![(placed.id.clone(), Epoch::FIRST)], Duration::from_secs(9)).await.unwrap();
        if number % 2 == 0 {
            assert!(store.advance(confirmed(&placed, number + 1)).await.unwrap());
        } else {
            store.cancel(placed.id.clone(), viewer("user123")).await.unwrap().unwrap();
            assert!(store.advance(ended(&placed, 2, &Ending::Cancelled, number + 1)).await.unwrap());
        }
        store.reload(placed.id.clone(), Epoch::FIRST).await.unwrap().unwrap();
        store.history(placed.id.clone()).await.unwrap();
        let after = Cursor { created_at: at(number), id: placed.id.clone() };
        store.page("user123".parse().unwrap(), viewer("user123"), Some(after), 5).await.unwrap();
        store.page("user-7".parse().unwrap(), viewer("user-admin"), None, 5).await.unwrap();
        store.unfinished(10).await.unwrap();
        store.take_over(placed.id, lease("two", 1).runner, Duration::from_secs(1)).await.unwrap();
        store.end_leases("another".to_owned()).await.unwrap();
        let pending = outbox.pending(10).await.unwrap();
        let positions = pending.iter().map(|event| event.position).collect();
        outbox.mark_published(positions, Duration::from_hours(1)).await.unwrap();
        outbox.parked().await.unwrap();
        store.operator().count_parked().await.unwrap();
    }
    drop(outbox);
    // What a session has counted is told at its end.
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_statement_of_the_hot_path_reads_a_table_of_many_rows() {
    let database = Database::create();
    let server = testing::server(&database.url());
    PostgresStore::open(&server, &Telemetry::disabled()).await.unwrap().close().await;
    testing::assert_nothing_is_scanned(&server, "order", MANY, TABLES, hot_path(&server)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a million rows take minutes; benches/README.md has what it printed"]
async fn plans_of_the_hot_path_on_a_million_rows() {
    let own = explain::start();
    let server = testing::server(&own.url());
    PostgresStore::open(&server, &Telemetry::disabled()).await.unwrap().close().await;
    testing::fill_with_a_million(&server, "order", MANY);
    hot_path(&server).await;
    println!("{}", explain::assert_no_scans(&own.log(), TABLES));
}

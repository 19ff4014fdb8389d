//! How the statements of the hot path find their rows, on tables of many.

use crate::world::{AMOUNT, charge, dollars, first, intent, order};
use waypost_durable::{
    Epoch, Migration,
    postgres::{Server, testing},
};
use waypost_payment::{
    domain::{ChargeStatus, Finding, NewRefund, ReviewTimes},
    store::{PostgresStore, RefundOutcome, Store},
};
use waypost_telemetry::Telemetry;
use waypost_test_servers::explain;
use waypost_test_servers::postgres::Database;

/// Payments that were taken long ago.
const MANY: &str = "
    INSERT INTO payments (order_id, generation, payment_id, step_key, user_id, payment_method, amount, currency, state,
        captured, transaction_id, version, created_at, updated_at)
    SELECT 'old-' || n, 1, 'pay-' || n, 'key-' || n, 'user', 'pm', 5, 'USD', 'captured', 5, 'ch-' || n, 3, now(), now()
    FROM generate_series(1, 20000) AS n;
    INSERT INTO refunds (step_key, order_id, generation, amount, state, created_at, updated_at)
    SELECT 'refund-' || n, 'old-' || n, 1, 1, 'rejected', now(), now() FROM generate_series(1, 20000) AS n;
    INSERT INTO ledger_entries (order_id, generation, version, posting, account, debit, credit, currency, at)
    SELECT 'old-' || n, 1, 3, 'capture', 'sales', 0, 5, 'USD', now() FROM generate_series(1, 20000) AS n;
    INSERT INTO voided_orders SELECT 'void-' || n, 1, now(), 1 FROM generate_series(1, 20000) AS n;
    ANALYZE";

/// The schema of the version before.
const BEFORE: &[Migration] =
    &[Migration::new("0001_payments", include_str!("../../../migrations/postgres/0001_payments.sql"))];

/// Tables that grow with the orders.
const TABLES: &[&str] = &["payments", "refunds", "ledger_entries", "voided_orders"];

/// What a shop asks of the store for every order.
async fn hot_path(server: &Server) {
    let store = PostgresStore::open(server, &Telemetry::disabled(), ReviewTimes::default()).await.unwrap();
    for number in 0..20 {
        let name = format!("order-{number}");
        let payment = store.begin(intent(&name, 1)).await.unwrap().payment;
        store.begin(intent(&name, 1)).await.unwrap();
        store.admit(order(&name), Epoch::FIRST).await.unwrap();
        let taken = Finding::Charge(charge(&payment, ChargeStatus::Captured, 0));
        store.record_of(payment.clone(), taken.clone()).await.unwrap();
        store.record(order(&name), first(), taken).await.unwrap();
        store.newest(order(&name)).await.unwrap().unwrap();
        let request =
            NewRefund { order: order(&name), key: format!("{name}:refund"), amount: dollars(AMOUNT) };
        store.begin_refund(request.clone(), Some(Epoch::FIRST)).await.unwrap();
        store.end_refund(request.key.clone(), 1, RefundOutcome::NoAnswer).await.unwrap();
        let back = RefundOutcome::Done(charge(&payment, ChargeStatus::Refunded, AMOUNT));
        store.end_refund(request.key, 1, back).await.unwrap();
        store.give_up(order(&format!("never-{number}")), first(), Epoch::FIRST).await.unwrap();
        store.due(10).await.unwrap();
    }
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_statement_of_the_hot_path_reads_a_table_of_many_rows() {
    let database = Database::create();
    let server = testing::server(&database.url());
    // The rows are of the version before, whose schema is brought up to date by the first that opens it.
    let telemetry = Telemetry::disabled();
    let before = waypost_durable::postgres::Database::open(&server, "payment", &telemetry, BEFORE);
    before.await.unwrap().close().await;
    testing::assert_nothing_is_scanned(&server, "payment", MANY, TABLES, hot_path(&server)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a million rows take minutes; benches/README.md has what it printed"]
async fn plans_of_the_hot_path_on_a_million_rows() {
    let own = explain::start();
    let server = testing::server(&own.url());
    PostgresStore::open(&server, &Telemetry::disabled(), ReviewTimes::default()).await.unwrap().close().await;
    testing::fill_with_a_million(&server, "payment", MANY);
    hot_path(&server).await;
    println!("{}", explain::assert_no_scans(&own.log(), TABLES));
}

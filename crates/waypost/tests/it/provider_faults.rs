//! A payment provider that loses, delays, repeats and refuses a share of all calls: every order ends, and nothing stays
//! paid or set aside that no completed order owes (I7, I8, I10, I14, I15).

use rusqlite::{Connection, OpenFlags};
use std::{path::Path, time::Duration};
use tokio::task::JoinSet;
use waypost_testkit::{Shop, until};

const ORDERS: usize = 60;
const BODY: &str = r#"{"user_id":"user123","product_id":"prod456","quantity":2,"amount":99.99}"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_the_provider_does_nothing_is_taken_that_is_not_owed() {
    let folder = tempfile::tempdir().unwrap();
    let mut builder = Shop::of(env!("CARGO_BIN_EXE_waypost")).data(folder.path());
    let shares = ["lost_before", "lost_after", "late", "repeated", "conflict", "unauthorized", "not_found"];
    for fault in shares {
        builder = builder.set(&format!("provider.faults.{fault}_rate"), 0.07);
    }
    let shop = builder
        .set("provider.faults.error_rate", 0.07)
        // Longer than an order waits for its payment, so that what is late comes after the order has been given up.
        .set("provider.faults.late", "5s")
        .set("provider.faults.hang", "2s")
        .set("payment.provider.timeout", "200ms")
        .set("payment.review.interval", "100ms")
        .set("payment.review.unknown_after", "500ms")
        .set("payment.review.authorized_after", "1s")
        .set("payment.review.late_charge_after", "1s")
        .set("payment.review.late_for", "15s")
        .set("payment.review.max_pause", "1s")
        .set("order.steps.budget", "2s")
        .set("order.steps.max_pause", "200ms")
        .set("order.stuck_retry", "500ms")
        .set("order.sweep_interval", "100ms")
        .start()
        .await
        .unwrap();

    let gateway = shop.client("gateway");
    let mut clients = JoinSet::new();
    for number in 0..ORDERS {
        let gateway = gateway.clone();
        clients.spawn(async move {
            let key = format!("order-{number}");
            gateway.post("/api/orders", &[("idempotency-key", &key)], BODY).await.unwrap().status
        });
    }
    let answers = clients.join_all().await;
    println!("answers: {answers:?}");

    let rows = Rows(folder.path());
    until("every order has ended", async || rows.open_orders() == 0).await;
    until("nothing of a payment is open", async || rows.open_payments() == 0).await;
    until("no charge lies at the provider", async || rows.open_charges() == 0).await;
    let placed = rows.count("order", "SELECT COUNT(*) FROM orders");
    let owed = rows.count("order", "SELECT COALESCE(SUM(amount), 0) FROM orders WHERE status = 'completed'");
    let held = rows.count("inventory", "SELECT COALESCE(SUM(reserved), 0) FROM stock");
    let ours = rows.count("payment", "SELECT COALESCE(SUM(captured - refunded), 0) FROM payments");
    let theirs = rows.count("provider", "SELECT COALESCE(SUM(captured - refunded), 0) FROM charges");
    println!("{placed} orders; owed {owed}, we think we have {ours}, the provider has taken {theirs}");
    assert_eq!((owed, owed, 0), (ours, theirs, held), "owed, by our books, at the provider; held");
    assert!(owed > 0, "some order must have been completed");
    let stopped = shop.stop().await.unwrap();
    assert!(stopped.status.success(), "{}", stopped.output);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_provider_does_late_it_does_after_a_crash_as_well() {
    let folder = tempfile::tempdir().unwrap();
    let shop = |late_rate: f64| {
        Shop::of(env!("CARGO_BIN_EXE_waypost"))
            .data(folder.path())
            .set("provider.faults.late_rate", late_rate)
            .set("provider.faults.late", "3s")
            .set("payment.provider.timeout", "200ms")
            .set("payment.review.interval", "100ms")
            .set("payment.review.unknown_after", "500ms")
            .set("payment.review.late_charge_after", "1s")
    };
    let running = shop(1.0).start().await.unwrap();
    let gateway = running.client("gateway");
    let placing = waypost_telemetry::spawn(async move {
        // Killed under it.
        gateway.post("/api/orders", &[("idempotency-key", "late")], BODY).await.is_ok()
    });
    let rows = Rows(folder.path());
    let put_off = || rows.count("provider", "SELECT COUNT(*) FROM late_work");
    until("a charge that is put off", async || put_off() == 1).await;
    running.kill().await.unwrap();
    placing.await.unwrap();
    assert_eq!((put_off(), rows.count("provider", "SELECT COUNT(*) FROM charges")), (1, 0));

    let shop = shop(0.0).start().await.unwrap();
    until("the late work to be done", async || put_off() == 0).await;
    assert_eq!(rows.count("provider", "SELECT COUNT(*) FROM charges"), 1);
    until("the order has ended", async || rows.open_orders() == 0).await;
    until("nothing of a payment is open", async || rows.open_payments() == 0).await;
    until("no charge lies at the provider", async || rows.open_charges() == 0).await;
    let owed = rows.count("order", "SELECT COALESCE(SUM(amount), 0) FROM orders WHERE status = 'completed'");
    let theirs = rows.count("provider", "SELECT COALESCE(SUM(captured - refunded), 0) FROM charges");
    assert_eq!(owed, theirs);
    assert!(shop.stop().await.unwrap().status.success());
}

/// The databases of the shop, read while it runs.
struct Rows<'a>(&'a Path);

impl Rows<'_> {
    fn count(&self, database: &str, sql: &str) -> i64 {
        let path = waypost_testkit::database(self.0, database);
        let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
        connection.busy_timeout(Duration::from_secs(5)).unwrap();
        connection.query_row(sql, [], |row| row.get(0)).unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    fn open_orders(&self) -> i64 {
        self.count("order", "SELECT COUNT(*) FROM orders WHERE status IN ('pending', 'confirmed')")
    }

    fn open_payments(&self) -> i64 {
        let reviews = self.count("payment", "SELECT COUNT(*) FROM payments WHERE review_at IS NOT NULL");
        reviews + self.count("payment", "SELECT COUNT(*) FROM refunds WHERE state = 'pending'")
    }

    fn open_charges(&self) -> i64 {
        self.count("provider", "SELECT COUNT(*) FROM charges WHERE status = 'authorized'")
    }
}

//! A shop whose files are locked or damaged under it.

use std::path::Path;

use rusqlite::Connection;
use tempfile::tempdir;
use waypost_testkit::{Shop, ShopBuilder, database, until};

const ORDER: &str = r#"{"user_id": "user123", "product_id": "prod456", "quantity": 2, "amount": 99.99}"#;

fn shop(folder: &Path) -> ShopBuilder {
    Shop::of(env!("CARGO_BIN_EXE_waypost")).data(folder)
}

fn number(file: &Connection, sql: &str) -> i64 {
    file.query_row(sql, (), |row| row.get(0)).unwrap()
}

async fn place_order(shop: &Shop) -> String {
    let answer = shop.client("gateway").post("/api/orders", &[], ORDER).await.unwrap();
    assert_eq!(answer.status, 201, "{:?}", answer.json);
    answer.json["order_id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_locked_database_makes_no_dead_letters() {
    let folder = tempdir().unwrap();
    // A lock on the one file of all roles would let nobody place an order.
    let shop = shop(folder.path())
        .set("storage.files", "per-role")
        .set("notification.attempts", 1)
        .set("health.interval", "50ms")
        .start()
        .await
        .unwrap();
    let (admin, data) = (shop.client("admin"), folder.path());
    let notifications = Connection::open(data.join("notification.db")).unwrap();
    notifications.execute_batch("BEGIN EXCLUSIVE").unwrap();
    place_order(&shop).await;
    place_order(&shop).await;
    until("readiness tells that the consumer waits", async || {
        let answer = admin.get("/readyz?verbose").await.unwrap();
        let report = String::from_utf8_lossy(&answer.bytes).into_owned();
        answer.status == 503 && report.contains("failed notification/notification-consumer")
    })
    .await;
    notifications.execute_batch("ROLLBACK").unwrap();
    until("both orders are told of", async || {
        number(&notifications, "SELECT count(*) FROM notifications") == 2
    })
    .await;
    until("readiness comes back", async || admin.get("/readyz").await.unwrap().status == 200).await;
    let broker = Connection::open(data.join("broker.db")).unwrap();
    let dead = "SELECT coalesce(sum(next_offset), 0) FROM broker_partitions WHERE topic LIKE '%dead-letter'";
    assert_eq!(number(&broker, dead), 0);
    assert!(shop.stop().await.unwrap().status.success());
}

#[tokio::test]
async fn a_bad_event_is_parked_alone() {
    let folder = tempdir().unwrap();
    let shop = shop(folder.path()).set("broker.record_size", "64KiB").start().await.unwrap();
    let orders = Connection::open(database(folder.path(), "order")).unwrap();
    orders.busy_timeout(std::time::Duration::from_secs(10)).unwrap();
    let bad = "INSERT INTO outbox (event_id, topic, key, kind, payload, headers, appended_at) VALUES
        ('damaged', 'order-events', 'order-a', 'order.completed', x'00', x'ff', 0),
        ('too-large', 'order-events', 'order-b', 'order.completed', zeroblob(100000), x'', 0),
        ('behind', 'order-events', 'order-b', 'order.completed', x'7b7d', x'', 0)";
    orders.execute(bad, ()).unwrap();

    // The events of other orders go on.
    let order = place_order(&shop).await;
    let notifications = Connection::open(database(folder.path(), "notification")).unwrap();
    until("the order is told of", async || number(&notifications, "SELECT count(*) FROM notifications") == 1)
        .await;
    until("both bad events are parked", async || {
        number(&orders, "SELECT count(*) FROM outbox WHERE parked_at IS NOT NULL") == 2
    })
    .await;
    let reason = |id: &str| -> String {
        let reason = "SELECT parked_reason FROM outbox WHERE event_id = ?1";
        orders.query_row(reason, [id], |row| row.get(0)).unwrap()
    };
    assert!(reason("damaged").contains("headers"), "{}", reason("damaged"));
    assert!(reason("too-large").contains("100007 bytes"), "{}", reason("too-large"));
    let parked_with = |id: &str| -> (String, u32) {
        let with = "SELECT parked_error_type, parked_attempts FROM outbox WHERE event_id = ?1";
        orders.query_row(with, [id], |row| Ok((row.get(0)?, row.get(1)?))).unwrap()
    };
    assert_eq!(parked_with("damaged"), ("unreadable_event".to_owned(), 0), "it was never sent");
    assert_eq!(parked_with("too-large"), ("broker_refused".to_owned(), 1));
    // What comes after one of them in the order of its key waits behind it.
    let waiting = "SELECT count(*) FROM outbox WHERE published_at IS NULL AND parked_at IS NULL";
    until("only that one waits", async || number(&orders, waiting) == 1).await;
    let metrics = shop.client("admin").get("/metrics").await.unwrap();
    let metrics = String::from_utf8_lossy(&metrics.bytes).into_owned();
    assert!(
        metrics.lines().any(|line| line.starts_with("waypost_outbox_parked") && line.ends_with(" 2")),
        "{metrics}"
    );
    assert!(!order.is_empty());
    assert!(shop.stop().await.unwrap().status.success());
}

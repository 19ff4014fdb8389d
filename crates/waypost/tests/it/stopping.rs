//! How the process ends while something is under way.

use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags};
use tempfile::tempdir;
use waypost_testkit::{Shop, ShopBuilder, until};

const ORDER: &str = r#"{"user_id": "user123", "product_id": "prod456", "quantity": 2, "amount": 99.99}"#;

/// Nobody listens there.
const DEAD: &str = "http://127.0.0.1:1";

fn shop(folder: &Path) -> ShopBuilder {
    Shop::of(env!("CARGO_BIN_EXE_waypost")).data(folder)
}

/// How many rows there are; none while the file or the table is not there yet.
fn rows(folder: &Path, database: &str, table: &str) -> i64 {
    let path = waypost_testkit::database(folder, database);
    let count = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)
        .and_then(|file| file.query_row(&format!("SELECT count(*) FROM {table}"), (), |row| row.get(0)));
    count.unwrap_or_default()
}

#[tokio::test]
async fn an_order_that_waits_does_not_hold_up_the_end() {
    let folder = tempdir().unwrap();
    let mut waiting = shop(folder.path())
        .set("payment.provider.url", DEAD)
        .set("order.steps.attempts", 1000)
        .set("order.steps.budget", "1h")
        .set("order.steps.first_pause", "10m")
        .set("order.steps.max_pause", "10m")
        .start()
        .await
        .unwrap();
    let gateway = waiting.client("gateway");
    let answer = waypost_telemetry::spawn(async move { gateway.post("/api/orders", &[], ORDER).await });
    until("the payment is begun", async || rows(folder.path(), "payment", "payments") == 1).await;

    let told = Instant::now();
    waiting.process().signal("TERM").unwrap();
    let answer = answer.await.unwrap().unwrap();
    let ended = waiting.ended().await.unwrap();
    let took = told.elapsed();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.output);
    assert!(took < Duration::from_secs(3), "it took {took:?}");
    assert_eq!((answer.status.as_u16(), answer.json["status"].as_str()), (202, Some("pending")));

    // The order goes on at the next start.
    let order = answer.json["order_id"].as_str().unwrap();
    let healed = shop(folder.path()).start().await.unwrap();
    let gateway = healed.client("gateway");
    until("the order is completed", async || {
        let answer = gateway.get(&format!("/api/orders/{order}")).await.unwrap();
        answer.json["status"] == "completed"
    })
    .await;
    assert!(healed.stop().await.unwrap().status.success());
}

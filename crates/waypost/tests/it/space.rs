//! What is not needed any more goes: seen in the files of a shop that runs.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};
use tempfile::tempdir;
use waypost_testkit::{Shop, ShopBuilder, until};

const ORDER: &str = r#"{"user_id": "user123", "product_id": "prod456", "quantity": 2, "amount": 99.99}"#;

fn shop(folder: &Path) -> ShopBuilder {
    Shop::of(env!("CARGO_BIN_EXE_waypost")).data(folder)
}

/// A database of a shop that runs, seen from outside.
struct File(PathBuf);

impl File {
    fn of(folder: &Path, database: &str) -> File {
        File(folder.join(format!("{database}.db")))
    }

    fn number(&self, sql: &str) -> i64 {
        let file = Connection::open_with_flags(&self.0, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
        file.query_row(sql, (), |row| row.get(0)).unwrap()
    }
}

/// Places so many orders that succeed.
async fn place_orders(shop: &Shop, count: usize) {
    let gateway = shop.client("gateway");
    for _ in 0..count {
        let answer = gateway.post("/api/orders", &[], ORDER).await.unwrap();
        assert_eq!(answer.status, 201, "{:?}", answer.json);
    }
}

#[tokio::test]
async fn records_that_every_group_has_read_leave_the_broker() {
    let folder = tempdir().unwrap();
    let shop = shop(folder.path())
        .set("broker.retention", "1ms")
        .set("broker.retention_interval", "20ms")
        .start()
        .await
        .unwrap();
    place_orders(&shop, 5).await;
    let broker = File::of(folder.path(), "broker");
    until("five records are read and deleted", async || {
        let read = broker.number("SELECT coalesce(sum(next_offset), 0) FROM broker_progress");
        read == 5 && broker.number("SELECT count(*) FROM broker_records") == 0
    })
    .await;
    assert_eq!(File::of(folder.path(), "notification").number("SELECT count(*) FROM notifications"), 5);
    assert!(shop.stop().await.unwrap().status.success());
}

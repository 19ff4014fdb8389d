//! What is not needed any more goes: seen in the files of a shop that runs.

use std::path::{Path, PathBuf};
use std::process::Command;

use rusqlite::{Connection, OpenFlags};
use tempfile::tempdir;
use waypost_telemetry::metrics::sample;
use waypost_testkit::{Client, Process, Shop, ShopBuilder, left_out, program, until};

const ORDER: &str = r#"{"user_id": "user123", "product_id": "prod456", "quantity": 2, "amount": 99.99}"#;

fn shop(folder: &Path) -> ShopBuilder {
    Shop::of(env!("CARGO_BIN_EXE_waypost")).data(folder)
}

/// A database of a shop that runs, seen from outside.
struct File(PathBuf);

impl File {
    fn of(folder: &Path, database: &str) -> File {
        File(waypost_testkit::database(folder, database))
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

#[tokio::test]
async fn published_events_leave_the_outbox_while_orders_come() {
    let folder = tempdir().unwrap();
    let shop = shop(folder.path()).set("order.outbox_retention", "1ms").start().await.unwrap();
    let outbox = File::of(folder.path(), "order");
    let mut max = 0;
    for _ in 0..20 {
        place_orders(&shop, 2).await;
        max = max.max(outbox.number("SELECT count(*) FROM outbox"));
    }
    assert!(max < 20, "{max} of 40 events were in the outbox at once");
    until("the last ones are gone", async || outbox.number("SELECT count(*) FROM outbox") == 0).await;
    assert!(shop.stop().await.unwrap().status.success());
}

#[tokio::test]
async fn journals_of_ended_orders_go_and_the_orders_stay() {
    let folder = tempdir().unwrap();
    let shop = shop(folder.path())
        .set("order.journal_retention", "1ms")
        .set("order.retention_interval", "20ms")
        .start()
        .await
        .unwrap();
    place_orders(&shop, 5).await;
    let file = File::of(folder.path(), "order");
    until("no journal is left", async || file.number("SELECT count(*) FROM order_journal") == 0).await;
    assert_eq!(file.number("SELECT count(*) FROM orders WHERE status = 'completed'"), 5);
    assert_eq!(file.number("SELECT count(*) FROM order_history"), 15);
    assert!(shop.stop().await.unwrap().status.success());
}

#[tokio::test]
async fn what_other_roles_remember_goes_as_well() {
    let folder = tempdir().unwrap();
    let shop = shop(folder.path())
        .set("provider.request_retention", "1ms")
        .set("provider.retention_interval", "20ms")
        .set("notification.inbox_retention", "1ms")
        .set("notification.inbox_purge_interval", "20ms")
        .set("notification.retention", "1ms")
        .set("inventory.hold_retention", "1ms")
        .set("inventory.retention_interval", "20ms")
        .set("notification.retention_interval", "20ms")
        .start()
        .await
        .unwrap();
    place_orders(&shop, 3).await;
    let (provider, notification) =
        (File::of(folder.path(), "provider"), File::of(folder.path(), "notification"));
    assert_eq!(provider.number("SELECT count(*) FROM charges"), 3);
    let broker = File::of(folder.path(), "broker");
    let read = "SELECT coalesce(sum(next_offset), 0) FROM broker_progress";
    until("three events are handled", async || broker.number(read) == 3).await;
    let inventory = File::of(folder.path(), "inventory");
    until("no hold is left", async || inventory.number("SELECT count(*) FROM reservations") == 0).await;
    assert_eq!(inventory.number("SELECT sum(committed) FROM stock_brought_forward"), 6);
    until("no request is left", async || provider.number("SELECT count(*) FROM requests") == 0).await;
    until("no event is left", async || notification.number("SELECT count(*) FROM inbox") == 0).await;
    until("no message is left", async || notification.number("SELECT count(*) FROM notifications") == 0)
        .await;
    assert!(shop.stop().await.unwrap().status.success());
}

/// On a file system of its own, in memory, that nobody else writes to.
#[tokio::test]
async fn the_room_on_the_disk_of_the_data_is_a_metric() {
    const MEBIBYTE: f64 = 1_048_576.0;
    let allowed = Command::new("unshare").args(["-rm", "true"]).status();
    if !allowed.is_ok_and(|status| status.success()) {
        left_out("the room on a disk", "this system gives no mount namespace");
        return;
    }
    let folder = tempdir().unwrap();
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let mut command = program::command("unshare", folder.path());
    let script = "mount -t tmpfs -o size=64m tmpfs data && exec \"$0\" \"$@\"";
    command.args(["-rm", "sh", "-c", script, env!("CARGO_BIN_EXE_waypost"), "run", "inventory"]);
    command.args(["--data", "data", "--set", "telemetry.logs.format=json", "--set", "drain.notice=0s"]);
    let mut process = Process::start(program::on_free_ports(&mut command)).unwrap();
    let admin = Client::new(program::address_of(&mut process, "admin").await.unwrap());
    let reads = async |name: &str| {
        let page = admin.get("/metrics").await.unwrap().text().to_owned();
        let value = sample(&page, name, &[("service_name", "inventory-service")]);
        value.unwrap_or_else(|| panic!("no {name} in\n{page}"))
    };
    let size = reads("waypost_data_filesystem_size_bytes").await;
    assert!((size - 64.0 * MEBIBYTE).abs() < 1.0, "{size}");
    let before = reads("waypost_data_filesystem_available_bytes").await;
    assert!(before > 33.0 * MEBIBYTE && before < size, "{before}");

    let inside = Path::new("/proc").join(process.id().to_string()).join("root");
    let ballast = inside.join(data.strip_prefix("/").unwrap()).join("ballast");
    std::fs::write(ballast, vec![1; 32 << 20]).unwrap();
    let after = reads("waypost_data_filesystem_available_bytes").await;
    assert!(after <= before - 32.0 * MEBIBYTE, "{after} after {before}");
    assert!(process.interrupt().await.unwrap().status.success());
}

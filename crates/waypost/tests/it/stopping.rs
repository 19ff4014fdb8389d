//! How the process ends while something is under way.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags};
use rustix::fs::OFlags;
use tempfile::tempdir;
use waypost_testkit::{Process, Shop, ShopBuilder, program, until};

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

/// A pipe with a name, which the test holds open and does not read.
fn pipe(folder: &Path) -> File {
    let path = folder.join("pipe");
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    // At both ends, or opening it would wait for the program, which waits for the test.
    File::options()
        .read(true)
        .write(true)
        .custom_flags(OFlags::NONBLOCK.bits().cast_signed())
        .open(path)
        .unwrap()
}

/// Until nothing more goes in.
fn fill(mut pipe: &File) {
    while pipe.write(b".").is_ok_and(|written| written > 0) {}
}

/// The program with its log in the pipe, and the rest of what it says where the test reads it.
fn into_pipe(log: u8, arguments: &[&str], folder: &Path) -> Process {
    let mut command = program::command("/bin/sh", folder);
    let shell = format!(r#"exec "$@" {log}>pipe"#);
    command.args(["-c", &shell, "sh", env!("CARGO_BIN_EXE_waypost")]).args(arguments);
    for listener in ["viewer", "otlp-grpc", "otlp-http", "zipkin"] {
        if arguments[0] != "run" {
            command.args([&format!("--{listener}"), "127.0.0.1:0"]);
        }
    }
    match arguments[0] {
        "viewer" => command.args(["--admin", "127.0.0.1:0"]),
        _ => program::on_free_ports(&mut command),
    };
    Process::start(command.args(["--data", "data"])).unwrap()
}

#[tokio::test]
async fn a_log_that_nobody_reads_does_not_hold_up_the_end() {
    // Each with a file that is there once the program listens to signals.
    for (log, arguments, made) in [
        (2, &["up", "--no-first-order"][..], "data/waypost.db"),
        (1, &["run", "order", "inventory", "--set", "drain.notice=0s"], "data/order.db"),
        (1, &["viewer"], "data/viewer"),
    ] {
        for has_reader in [true, false] {
            let folder = tempdir().unwrap();
            let pipe = pipe(folder.path());
            fill(&pipe);
            let process = into_pipe(log, arguments, folder.path());
            until("the program runs", async || folder.path().join(made).exists()).await;
            let reader = has_reader.then_some(pipe);
            process.signal("TERM").unwrap();
            let ended = process.ended().await.unwrap();
            // 130 where the signal came before it was ready.
            assert!([0, 130].contains(&ended.code), "{arguments:?}, {has_reader}: {ended:?}");
            drop(reader);
        }
    }
}

/// What found no room is counted where a reader that has fallen behind sees it.
#[tokio::test]
async fn a_reader_that_fell_behind_is_told_what_it_missed() {
    let folder = tempdir().unwrap();
    let pipe = pipe(folder.path());
    fill(&pipe);
    let arguments = ["up", "--no-first-order", "--set", "telemetry.logs.filter=trace"];
    let mut process = into_pipe(2, &arguments, folder.path());
    // Its page comes after much that it logged.
    process.line("the page", |line| line.starts_with("Ctrl-C").then_some(())).await.unwrap();
    let mut read = String::new();
    let mut read_all = || {
        let mut part = vec![0; 65_536];
        while let Ok(length) = (&pipe).read(&mut part) {
            read.push_str(&String::from_utf8_lossy(&part[..length]));
        }
        read.contains(" lines are missing]")
    };
    read_all();
    process.signal("TERM").unwrap();
    until("the reader is told", async || read_all()).await;
    assert!(process.ended().await.unwrap().status.success());
}

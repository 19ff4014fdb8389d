//! A store that is full: files go, those of the noisy service, and everything that went is accounted for.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};
use waypost_testkit::{Client, Viewer, until};

use crate::otlp::{ago, noise, post, service, span, text};
use crate::{BINARY, account};

/// As small as a store is of use, with blocks that are soon full.
const SETTINGS: [(&str, &str); 3] = [
    ("viewer.store.budget", "1MiB"),
    ("viewer.store.head_spans", "64"),
    ("viewer.store.sync", "every-second"),
];
const BUDGET: u64 = 1 << 20;
const QUIET: u64 = 12;
/// A trace of the noisy service with one span in the first file and one in the last.
const SPLIT: u128 = 0x5911;

/// A span that hardly packs: 64 of them are more than a file takes, so that each request becomes a file of its own.
fn bulky(trace: u128, number: u64) -> Value {
    let mut span = span(trace, number, 0, "step", 1, ago(1_000), 1_000);
    span["attributes"] = json!([text("noise", &noise(number, 2_500))]);
    span
}

/// Sends spans as a sender does that is asked to come back, and returns how many were refused meanwhile: so small a store
/// is soon behind.
async fn send(otlp: &Client, resource_spans: &[Value], spans: u64) -> u64 {
    let mut refused = 0;
    until("room for a request", async || {
        let answer = post(otlp, resource_spans).await;
        let is_kept = answer.status == 200;
        assert!(is_kept || answer.status == 429, "{}", answer.json);
        refused += if is_kept { 0 } else { spans };
        is_kept
    })
    .await;
    refused
}

fn files(data: &Path) -> BTreeSet<String> {
    let paths = std::fs::read_dir(data.join("viewer/blocks")).unwrap().map(|entry| entry.unwrap().path());
    let files = paths.filter(|path| path.extension().is_some_and(|extension| extension == "db"));
    files.map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect()
}

async fn account_of(ui: &Client, service: &str) -> Value {
    account::of(&account::balanced(ui).await, service).clone()
}

/// The ledger has what was kept and what was refused of it.
fn assert_sent(account: &Value, kept: u64, refused: u64) {
    assert_eq!(account["received"], kept + refused);
    assert_eq!(account["refused"]["overloaded"].as_u64().unwrap_or(0), refused, "{account}");
}

/// The number in the name of the newest file, `<chain>-<number>.db`.
fn newest(data: &Path) -> u64 {
    let number = |name: &String| name.trim_end_matches(".db").rsplit_once('-')?.1.parse().ok();
    files(data).iter().filter_map(number).max().unwrap_or(0)
}

/// What the ledger calls stored is what can be read, once nothing is dropped any more.
async fn assert_readable(ui: &Client) {
    until("as many spans as the ledger says", async || {
        let spans: u64 = account::traces(ui, "service=noisy")
            .await
            .iter()
            .flat_map(|line| line["services"].as_array().unwrap())
            .filter(|service| service["name"] == "noisy")
            .map(|service| service["spans"].as_u64().unwrap())
            .sum();
        account_of(ui, "noisy").await["stored"] == spans
    })
    .await;
}

async fn assert_quiet_is_whole(ui: &Client) {
    let kept = json!({"received": QUIET, "stored": QUIET, "refused": {}, "evicted": {}});
    assert_eq!(account::after(ui, "quiet", QUIET).await, kept);
    let found: BTreeSet<String> = account::found(ui, "service=quiet").await.into_iter().collect();
    assert_eq!(found, (1..=QUIET).map(|number| format!("{number:032x}")).collect());
}

#[tokio::test]
async fn a_noisy_service_makes_room_by_its_own_spans_and_what_went_is_told() {
    let data = tempfile::tempdir().unwrap();
    let viewer = Viewer::start(BINARY, data.path(), &SETTINGS).await.unwrap();
    let (otlp, ui) = (viewer.client("otlp-http"), viewer.client("viewer"));
    // One head: most of it is of the noisy one, so that it gets files of its own.
    let quiet: Vec<Value> = (1..=QUIET).map(|number| bulky(u128::from(number), number)).collect();
    let mut noisy: Vec<Value> = (1001..=1051).map(|number| bulky(0x1000, number)).collect();
    noisy.push(bulky(SPLIT, 1));
    assert_eq!(post(&otlp, &[service("quiet", &quiet), service("noisy", &noisy)]).await.status, 200);
    let (mut sent, mut refused, mut last_file) = (52, 0, 2);
    let split = format!("/api/v1/traces/{SPLIT:x}");
    let mut first: BTreeSet<String> = BTreeSet::new();
    until("the first file has gone", async || {
        let (trace, from) = (u128::from(0x1_0000 + sent), 2_000 + sent);
        let spans: Vec<Value> = (from..from + 64).map(|number| bulky(trace, number)).collect();
        refused += send(&otlp, &[service("noisy", &spans)], 64).await;
        sent += 64;
        // In step with the store: how many spans of which trace went is known of the last files only.
        last_file += 1;
        until("its file is written", async || newest(data.path()) >= last_file).await;
        if first.is_empty() {
            first = files(data.path()).into_iter().filter(|name| name.starts_with("own")).collect();
        }
        ui.get(&split).await.unwrap().status == 404
    })
    .await;
    // It is taken out of the store, then off the disk.
    until("a file of the noisy one is gone from the disk", async || !first.is_subset(&files(data.path())))
        .await;
    let account = account_of(&ui, "noisy").await;
    assert_sent(&account, sent, refused);
    assert!(
        account["evicted"]["size"].as_u64() > Some(0) && account["stored"].as_u64() > Some(64),
        "{account}"
    );
    assert_quiet_is_whole(&ui).await;

    // The trace of which one span went gets another one.
    refused += send(&otlp, &[service("noisy", &[bulky(SPLIT, 2)])], 1).await;
    sent += 1;
    let completeness = json!({"complete": false, "orphans": 0, "refused": {}, "evicted": 1, "dropped": 0});
    let trace = ui.get(&split).await.unwrap().json;
    assert_eq!((&trace["spans"], &trace["completeness"]), (&json!(1), &completeness));
    let legacy = ui.get(&format!("/api/traces/{SPLIT:x}")).await.unwrap().json;
    assert_eq!(legacy["data"][0]["warnings"].as_array().map(Vec::len), Some(1), "{legacy}");
    assert_readable(&ui).await;

    let evicted = account_of(&ui, "noisy").await["evicted"]["size"].as_u64().unwrap();
    assert!(viewer.stop().await.unwrap().status.success());
    let viewer = Viewer::start(BINARY, data.path(), &SETTINGS).await.unwrap();
    let ui = viewer.client("viewer");
    let status = account::balanced(&ui).await;
    assert!(status["usage"]["bytes"].as_u64().unwrap() <= BUDGET, "{}", status["usage"]);
    assert_eq!(status["usage"]["files"], files(data.path()).len());
    let account = account::of(&status, "noisy");
    assert_sent(account, sent, refused);
    // The end writes the last head to a block, which may cost another file.
    assert!(account["evicted"]["size"].as_u64().unwrap() >= evicted, "{account}");
    assert_quiet_is_whole(&ui).await;
    assert_readable(&ui).await;
    let trace = ui.get(&split).await.unwrap().json;
    assert_eq!((&trace["spans"], &trace["completeness"]), (&json!(1), &completeness));
}

#[tokio::test]
async fn what_is_older_than_the_store_keeps_goes_and_is_told() {
    let data = tempfile::tempdir().unwrap();
    let settings = [("viewer.store.keep", "200ms")];
    let viewer = Viewer::start(BINARY, data.path(), &settings).await.unwrap();
    // By arrival: a clock that is far ahead does not keep a span for ever.
    let ahead = span(1, 1, 0, "in 2100", 1, 4_102_444_800_000_000_000, 1_000);
    assert_eq!(post(&viewer.client("otlp-http"), &[service("old", &[ahead])]).await.status, 200);
    let ui = viewer.client("viewer");
    until("the span has gone", async || ui.get("/api/v1/traces/1").await.unwrap().status == 404).await;
    assert_eq!(
        account::after(&ui, "old", 1).await,
        json!({"received": 1, "stored": 0, "refused": {}, "evicted": {"age": 1}})
    );
    until("its file has gone", async || files(data.path()).is_empty()).await;
}

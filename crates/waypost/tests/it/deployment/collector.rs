//! The Collector that keeps some traces and counts all spans, run with its configuration as it stands.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tempfile::tempdir;
use waypost_testkit::{Client, Process, Shop, until};

use super::{deploy, list};

const ORDER: &str = r#"{"user_id":"user123","product_id":"prod456","quantity":2,"amount":99.99}"#;
const SOLD_OUT: &str = r#"{"user_id":"user123","product_id":"prod-soldout","quantity":1,"amount":89.00}"#;
const PLACED: usize = 60;
const REFUSED: usize = 5;

/// An address of loopback that no other process of these tests has: the ports of the configuration are fixed.
fn own_address() -> String {
    let [_, high, middle, low] = std::process::id().to_be_bytes();
    format!("127.{}.{middle}.{low}", 128 | high)
}

/// Runs `gateway.yaml` with nobody to send to but a file, and with counts that come at once.
fn start(program: &str, address: &str, file: &Path) -> Process {
    let mut command = Command::new(program);
    command.arg("--config").arg(deploy("collector/gateway.yaml"));
    for set in [
        "connectors::spanmetrics::metrics_flush_interval=200ms",
        "connectors::servicegraph::metrics_flush_interval=200ms",
    ] {
        command.args(["--set", set]);
    }
    let nobody = format!("{address}:1");
    command.env("POD_IP", address).env("TRACE_FILE", file).env("LOKI_ENDPOINT", format!("http://{nobody}"));
    for receiver in ["JAEGER", "TEMPO", "VIEWER"] {
        command.env(format!("{receiver}_ENDPOINT"), &nobody);
    }
    Process::start(&mut command).unwrap()
}

/// The spans of the file by trace.
fn kept(file: &Path) -> BTreeMap<String, Vec<Value>> {
    let mut traces: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    let text = std::fs::read_to_string(file).unwrap_or_default();
    // The last line may be half written.
    let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    for line in lines {
        let resources = list(&line["resourceSpans"]).iter();
        let scopes = resources.flat_map(|resource| list(&resource["scopeSpans"]));
        for span in scopes.flat_map(|scope| list(&scope["spans"])) {
            traces.entry(span["traceId"].as_str().unwrap().to_owned()).or_default().push(span.clone());
        }
    }
    traces
}

fn is_refused(trace: &[Value]) -> bool {
    let is_failed = |attribute: &Value| {
        attribute["key"] == "order.status" && attribute["value"]["stringValue"] == "failed"
    };
    trace.iter().flat_map(|span| list(&span["attributes"])).any(is_failed)
}

/// Whether every span's parent is there too.
fn is_whole(trace: &[Value]) -> bool {
    let ids: HashSet<&str> = trace.iter().filter_map(|span| span["spanId"].as_str()).collect();
    let parents = trace.iter().filter_map(|span| span["parentSpanId"].as_str());
    parents.filter(|parent| !parent.is_empty()).all(|parent| ids.contains(parent))
}

/// How many requests for orders the Collector has counted.
async fn counted(metrics: &Client) -> usize {
    let Ok(page) = metrics.get("/metrics").await else { return 0 };
    let is_it = |line: &&str| {
        line.starts_with("traces_span_metrics_calls_total{")
            && line.contains("span_name=\"POST /api/orders\"")
            && line.contains("span_kind=\"SPAN_KIND_SERVER\"")
    };
    let text = page.text();
    text.lines().filter(is_it).filter_map(|line| line.rsplit(' ').next()?.parse::<usize>().ok()).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_collector_counts_all_spans_and_keeps_every_order_that_was_refused() {
    let Ok(program) = std::env::var("TEST_COLLECTOR") else {
        eprintln!("LEFT OUT: TEST_COLLECTOR is not set; `cargo xtask test` sets it where there is Go");
        return;
    };
    let folder = tempdir().unwrap();
    let (address, file) = (own_address(), folder.path().join("traces.jsonl"));
    let mut collector = start(&program, &address, &file);
    collector.line("that it runs", |line| line.contains("Everything is ready").then_some(())).await.unwrap();
    let endpoint = format!("http://{address}:4317");
    let shop = Shop::of(env!("CARGO_BIN_EXE_waypost"))
        .environment("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint)
        .start()
        .await
        .unwrap();
    let gateway = shop.client("gateway");
    for number in 0..PLACED {
        let key = format!("placed-{number}");
        let answer = gateway.post("/api/orders", &[("idempotency-key", &key)], ORDER).await.unwrap();
        assert!(answer.status.is_success(), "{answer:?}");
    }
    for number in 0..REFUSED {
        let key = format!("refused-{number}");
        let answer = gateway.post("/api/orders", &[("idempotency-key", &key)], SOLD_OUT).await.unwrap();
        assert_eq!(answer.json["code"], "out_of_stock", "{answer:?}");
    }
    // What is still to be told and sent is, by then.
    shop.stop().await.unwrap();

    let metrics = Client::new(format!("{address}:8889").parse().unwrap());
    until("a count of all requests", async || counted(&metrics).await == PLACED + REFUSED).await;
    let refused = |traces: &BTreeMap<String, Vec<Value>>| {
        traces.values().filter(|trace| is_refused(trace) && is_whole(trace)).count()
    };
    until("all refused orders", async || refused(&kept(&file)) == REFUSED).await;
    // It ends with what it still has: nothing is decided afterwards.
    let ended = collector.interrupt().await.unwrap();
    assert!(ended.status.success(), "{ended:?}");
    let kept = kept(&file);
    assert_eq!(refused(&kept), REFUSED);
    assert!(kept.values().all(|trace| is_whole(trace)), "{kept:?}");
    // One in twenty of those that are like all others; all of them would be the sampling that does not sample.
    assert!(kept.len() < PLACED, "{} traces of {}", kept.len(), PLACED + REFUSED);
}

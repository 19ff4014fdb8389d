//! The viewer inside `waypost up`: what the roles send is seen at once, what the viewer does is not, and orders do not
//! notice when it is gone.

use std::collections::BTreeSet;
use std::time::Instant;

use serde_json::Value;
use waypost_testkit::{Behaviour, Client, Collector, Shop, Viewer, until};

use crate::BINARY;

pub(crate) const ORDER: &str = r#"{"user_id":"user123","product_id":"prod456","quantity":2,"amount":99.99}"#;
pub(crate) const SERVICES: [&str; 7] = [
    "api-gateway",
    "inventory-service",
    "notification-service",
    "order-service",
    "payment-provider",
    "payment-service",
    "user-service",
];

/// Places an order and returns its trace.
pub(crate) async fn order(shop: &Shop) -> String {
    let answer = shop.client("gateway").post("/api/orders", &[], ORDER).await.unwrap();
    assert_eq!(answer.status, 201, "{}", answer.json);
    answer.json["trace_id"].as_str().unwrap().to_owned()
}

/// Waits until the viewer has the whole trace and returns it.
pub(crate) async fn whole_trace(viewer: &Client, trace_id: &str) -> Value {
    let mut trace = Value::Null;
    until("the whole trace in the viewer", async || {
        trace = viewer.get(&format!("/api/v1/traces/{trace_id}")).await.unwrap().json;
        is_whole(&trace)
    })
    .await;
    trace
}

/// Whether it reaches its end, no parent is missing, and every call between roles has its other side. A role sends a span
/// after those within it, so that nothing else can be missing.
fn is_whole(trace: &Value) -> bool {
    let rows = &trace["rows"];
    let names = rows["name"].as_array().into_iter().flatten().map(|name| &trace["names"][place(name)]);
    let names: Vec<&str> = names.map(|name| name.as_str().unwrap()).collect();
    let is_answered = |row: usize| {
        let is_call = rows["kind"][row] == "client" && names[row].contains('/');
        !is_call || rows["descendants"][row] != 0
    };
    names.contains(&"process order-events")
        && trace["completeness"]["complete"] == true
        && (0..names.len()).all(is_answered)
}

/// A place in a list, as JSON has it.
pub(crate) fn place(number: &Value) -> usize {
    usize::try_from(number.as_u64().unwrap()).unwrap()
}

/// Waits until a trace has a log record, and returns the trace.
pub(crate) async fn trace_with_log(viewer: &Client, trace_id: &str) -> Value {
    let mut trace = Value::Null;
    until("a log record in the trace", async || {
        trace = whole_trace(viewer, trace_id).await;
        trace["rows"]["logs"].as_array().unwrap().iter().any(|logs| *logs != 0)
    })
    .await;
    trace
}

#[tokio::test]
async fn an_order_is_seen_whole_with_its_critical_path_and_its_logs() {
    let shop = Shop::of(BINARY).viewer().start().await.unwrap();
    let viewer = shop.client("viewer");
    let trace_id = order(&shop).await;
    let answered = Instant::now();
    let trace = whole_trace(&viewer, &trace_id).await;
    println!("the whole trace was seen {} ms after the order's answer", answered.elapsed().as_millis());

    let services: BTreeSet<&str> =
        trace["services"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    assert_eq!(services, BTreeSet::from(SERVICES));
    assert_eq!((&trace["roots"], &trace["errors"]), (&serde_json::json!([0]), &serde_json::json!(0)));

    let path = &trace["critical_path"];
    let root = place(&path["root"]);
    let sum: u64 = path["parts"].as_array().unwrap().iter().map(|part| part["time"].as_u64().unwrap()).sum();
    assert_eq!(Value::from(sum), trace["rows"]["duration"][root], "the parts add up to the root's duration");

    let found =
        viewer.get("/api/v1/search?service=api-gateway&attr=http.route%3D/api/orders").await.unwrap().json;
    assert_eq!(found["traces"][0]["trace_id"], trace_id.as_str());
    assert_eq!(found["traces"][0]["root"]["name"], "POST /api/orders");
}

#[tokio::test]
async fn looking_at_traces_makes_no_traces() {
    let shop = Shop::of(BINARY).viewer().start().await.unwrap();
    let viewer = shop.client("viewer");
    let trace_id = order(&shop).await;
    whole_trace(&viewer, &trace_id).await;
    for path in [
        "/",
        "/api/v1/search",
        "/api/v1/services",
        "/api/v1/map",
        "/api/services",
        "/api/traces?service=api-gateway",
        "/api/v3/services",
        "/zipkin/api/v2/services",
    ] {
        assert_eq!(viewer.get(path).await.unwrap().status, 200, "{path}");
    }
    // A second order comes after whatever the queries could have caused.
    let second = order(&shop).await;
    whole_trace(&viewer, &second).await;
    let services = viewer.get("/api/v1/names/services").await.unwrap().json;
    assert_eq!(services["names"], serde_json::json!(SERVICES));
    let traces = viewer.get("/api/v1/search?root=true&limit=200").await.unwrap().json;
    let roots: BTreeSet<&str> = traces["traces"]
        .as_array()
        .unwrap()
        .iter()
        .map(|trace| trace["root"]["name"].as_str().unwrap())
        .collect();
    assert!(!roots.iter().any(|name| name.contains("/api/v1") || name.contains("zipkin")), "{roots:?}");
    assert!(roots.contains("POST /api/orders"), "{roots:?}");
}

#[tokio::test]
async fn with_an_exporter_both_the_viewer_and_the_collector_get_every_span() {
    let collector = Collector::start(Behaviour::Takes).unwrap();
    let shop = Shop::of(BINARY).viewer().export_to(&collector).start().await.unwrap();
    let trace_id = order(&shop).await;
    until("the same spans in the collector", async || {
        let trace = whole_trace(&shop.client("viewer"), &trace_id).await;
        let mut seen: Vec<String> = trace["rows"]["id"]
            .as_array()
            .unwrap()
            .iter()
            .map(|id| id.as_str().unwrap().to_owned())
            .collect();
        seen.sort_unstable();
        let mut sent: Vec<String> =
            collector.trace(&trace_id).iter().map(|span| span.span_context().span_id().to_string()).collect();
        sent.sort_unstable();
        sent == seen
    })
    .await;
}

#[tokio::test]
async fn orders_do_not_notice_a_viewer_that_hangs_or_dies() {
    let data = tempfile::tempdir().unwrap();
    let mut viewer = Viewer::start(BINARY, data.path(), &[]).await.unwrap();
    let endpoint = format!("http://{}", viewer.address("otlp-http"));
    let shop = Shop::of(BINARY)
        .environment("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint)
        .environment("OTEL_BSP_SCHEDULE_DELAY", "20")
        .start()
        .await
        .unwrap();
    let before = order(&shop).await;
    whole_trace(&viewer.client("viewer"), &before).await;
    viewer.process().signal("STOP").unwrap();
    for _ in 0..20 {
        order(&shop).await;
    }
    viewer.kill().await.unwrap();
    for _ in 0..20 {
        order(&shop).await;
    }
}

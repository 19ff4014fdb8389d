//! Many orders at once: every acknowledged one is exactly one connected trace.

use std::collections::BTreeSet;

use waypost_telemetry::testing::checks;
use waypost_testkit::until;

use crate::{Traced, seed_order, trace_of};

const ORDERS: usize = 1000;
const AT_ONCE: usize = 50;
/// Spans of an order whose user and product are in memory.
const LEAST_SPANS: usize = 40;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_orders_are_a_thousand_whole_traces() {
    let traced = Traced::start().await;
    let gateway = traced.shop.client("gateway");
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..AT_ONCE {
        let gateway = gateway.clone();
        clients.spawn(async move {
            let mut traces = Vec::new();
            for _ in 0..ORDERS / AT_ONCE {
                let answer = gateway.post("/api/orders", &[], &seed_order()).await.unwrap();
                assert!(matches!(answer.status.as_u16(), 201 | 202), "{} {}", answer.status, answer.json);
                traces.push(trace_of(&answer));
            }
            traces
        });
    }
    let traces: BTreeSet<String> = clients.join_all().await.into_iter().flatten().collect();
    assert_eq!(traces.len(), ORDERS, "one trace an order");

    until("a message span of every order", async || {
        traced.collector.count_of("process order-events") >= ORDERS
    })
    .await;
    // The last spans end after the messages: the relay's marks, the servers' own.
    let mut open = traces.clone();
    until("whole traces", async || {
        open.retain(|trace| {
            let spans = traced.collector.trace(trace);
            spans.len() < LEAST_SPANS || !checks::problems(&spans).is_empty()
        });
        open.is_empty()
    })
    .await;
    assert!(
        traced.collector.duplicate_attributes().is_empty(),
        "{:?}",
        traced.collector.duplicate_attributes()
    );

    let admin = traced.shop.client("admin");
    let mut text = String::new();
    until("every span's end", async || {
        let metrics = admin.get("/metrics").await.unwrap();
        text = String::from_utf8_lossy(&metrics.bytes).into_owned();
        let live: Vec<&str> = text.lines().filter(|line| line.starts_with("otel_sdk_span_live{")).collect();
        !live.is_empty() && live.iter().all(|line| line.ends_with(" 0"))
    })
    .await;
    let lost: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("otel_sdk_") && line.contains("error_type"))
        .filter(|line| !line.ends_with(" 0"))
        .collect();
    assert!(lost.is_empty(), "spans were dropped: {lost:?}");
}

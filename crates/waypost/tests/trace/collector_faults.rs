//! A collector that is down, refuses or hangs changes nothing but a counter and a line a minute.

use futures_util::{StreamExt as _, stream};
use waypost_test_servers::free_port;
use waypost_testkit::{Behaviour, Collector, Shop, until};

use crate::seed_order;

async fn orders_go_on(shop: Shop, what: &str) {
    let gateway = shop.client("gateway");
    for _ in 0..20 {
        let answer = gateway.post("/api/orders", &[], &seed_order()).await.unwrap();
        assert_eq!(answer.status, 201, "{what}: {}", answer.json);
    }
    let admin = shop.client("admin");
    if what != "hangs" {
        until(&format!("a count of failed exports ({what})"), async || {
            let metrics = admin.get("/metrics").await.unwrap();
            String::from_utf8_lossy(&metrics.bytes).lines().any(|line| {
                line.starts_with("otel_sdk_exporter_span_exported_total") && line.contains("error_type")
            })
        })
        .await;
    }
    let stopped = shop.stop().await.unwrap();
    assert!(stopped.status.success(), "{what}: {}", stopped.output);
    // Seven roles have a handle each, and each may complain once in the minute that this test takes at most.
    let complaints =
        stopped.output.lines().filter(|line| line.contains("WARN") || line.contains("ERROR")).count();
    assert!(complaints <= 14, "{what}: {complaints} lines:\n{}", stopped.output);
}

#[tokio::test]
async fn orders_do_not_notice_a_collector_that_is_down() {
    let port = free_port();
    let shop = Shop::of(env!("CARGO_BIN_EXE_waypost"))
        .set("telemetry.otlp.endpoint", format!("http://127.0.0.1:{port}"))
        .environment("OTEL_BSP_SCHEDULE_DELAY", "50");
    orders_go_on(shop.start().await.unwrap(), "down").await;
}

#[tokio::test]
async fn orders_do_not_notice_a_collector_that_refuses() {
    let collector = Collector::start(Behaviour::Refuses).unwrap();
    let shop = Shop::of(env!("CARGO_BIN_EXE_waypost")).export_to(&collector);
    orders_go_on(shop.start().await.unwrap(), "refuses").await;
}

#[tokio::test]
async fn orders_do_not_notice_a_collector_that_hangs() {
    let collector = Collector::start(Behaviour::Hangs).unwrap();
    let shop = Shop::of(env!("CARGO_BIN_EXE_waypost")).export_to(&collector);
    orders_go_on(shop.start().await.unwrap(), "hangs").await;
}

/// Spans that each handle keeps at most.
const QUEUE: u64 = 256;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_orders_at_once_do_not_notice_a_collector_that_hangs() {
    let collector = Collector::start(Behaviour::Hangs).unwrap();
    let shop = Shop::of(env!("CARGO_BIN_EXE_waypost"))
        .export_to(&collector)
        .environment("OTEL_BSP_MAX_QUEUE_SIZE", &QUEUE.to_string());
    let shop = shop.start().await.unwrap();
    let gateway = shop.client("gateway");
    let orders = stream::iter(0..300).map(async |_| {
        let answer = gateway.post("/api/orders", &[], &seed_order()).await.unwrap();
        answer.status.as_u16()
    });
    let answers: Vec<u16> = orders.buffer_unordered(30).collect().await;
    // 202: taken, and carried on after the answer.
    assert!(answers.iter().all(|status| matches!(status, 201 | 202)), "{answers:?}");

    // What nobody takes is not kept: each queue is within its bound, and what is beyond it is counted.
    let metrics = shop.client("admin").get("/metrics").await.unwrap();
    let text = String::from_utf8_lossy(&metrics.bytes);
    let values = |name: &str, label: &str| -> Vec<u64> {
        let lines = text.lines().filter(|line| line.starts_with(name) && line.contains(label));
        lines.map(|line| line.rsplit_once(' ').unwrap().1.parse().unwrap()).collect()
    };
    let sizes = values("otel_sdk_processor_span_queue_size", "");
    assert!(!sizes.is_empty() && sizes.iter().all(|size| *size <= QUEUE), "{sizes:?}");
    let dropped: u64 = values("otel_sdk_processor_span_processed_total", "error_type").iter().sum();
    assert!(dropped > 0, "so few orders prove nothing");
}

//! A collector that is down, refuses or hangs changes nothing but a counter and a line a minute.

use std::net::TcpListener;

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
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
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

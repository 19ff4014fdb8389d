//! Too much at once: what is refused, and what is not held up by it.

use crate::{
    http::{Reply, ReplyExt as _, Request, read_to_end, send},
    shop::{Shop, in_time, order_body},
};
use serde_json::json;
use std::time::Duration;
use tokio::{io::AsyncWriteExt as _, net::TcpStream, task::JoinHandle};
use waypost_settings::{ByteSize, Duration as Setting};

/// Orders that wait behind the gateway until the gate is opened.
pub(crate) async fn hold_orders(shop: &Shop, count: usize) -> Vec<JoinHandle<Reply>> {
    let mut held = Vec::new();
    for _ in 0..count {
        let gated = Request::post("/api/orders").json(order_body(&json!({"product_id": "prod-gated"})));
        held.push(waypost_telemetry::spawn(send(gated, shop.address)));
        in_time(shop.services.arrived.acquire()).await.unwrap().forget();
    }
    held
}

/// The head of an order and the first byte of its body.
async fn begin_order(shop: &Shop, length: usize) -> TcpStream {
    let head = format!(
        "POST /api/orders HTTP/1.1\r\nhost: test\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{{"
    );
    let mut stream = TcpStream::connect(shop.address).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

#[tokio::test]
async fn requests_above_the_limit_are_shed() {
    let shop = Shop::configured(|config| config.requests_at_once = 1);
    let held = hold_orders(&shop, 1).await;
    let refused = shop.get("/api/products/prod456").await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (503, "overloaded"));
    assert_eq!(refused.header("retry-after"), "1");
    shop.services.gate.add_permits(1);
    for order in held {
        assert_eq!(in_time(order).await.unwrap().status, 201);
    }
    assert_eq!(shop.get("/api/products/prod456").await.status, 200);
}

#[tokio::test]
async fn slow_orders_take_no_place_of_reads_and_cancellations() {
    let shop = Shop::configured(|config| config.requests_at_once = 8);
    let held = hold_orders(&shop, 7).await;
    let refused = shop.order(&json!({})).await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (503, "overloaded"));
    assert_eq!(shop.get("/api/orders/order-1").await.status, 200);
    assert_eq!(shop.get("/api/orders?user_id=user123").await.status, 200);
    assert_eq!(shop.send(Request::new("POST", "/api/orders/order-1/cancel")).await.status, 200);
    shop.services.gate.add_permits(7);
    for order in held {
        assert_eq!(in_time(order).await.unwrap().status, 201);
    }
}

#[tokio::test]
async fn the_gateways_health_is_told_when_nothing_else_is() {
    let shop = Shop::configured(|config| config.requests_at_once = 1);
    let held = hold_orders(&shop, 1).await;
    assert_eq!(shop.get("/api/health").await.status, 200);
    shop.services.gate.add_permits(1);
    for order in held {
        assert_eq!(in_time(order).await.unwrap().status, 201);
    }
}

#[tokio::test]
async fn bodies_that_trickle_hold_up_nobody_else() {
    let shop = Shop::configured(|config| config.requests_at_once = 4);
    let mut trickling = Vec::new();
    for _ in 0..32 {
        trickling.push(begin_order(&shop, 80).await);
    }
    for _ in 0..5 {
        assert_eq!(shop.order(&json!({})).await.status, 201);
        assert_eq!(shop.get("/api/orders/order-1").await.status, 200);
    }
    drop(trickling);
}

#[tokio::test]
async fn a_body_below_the_floor_is_given_up_before_its_time() {
    let shop = Shop::configured(|config| config.body_timeout = Setting::from_secs(600));
    let stream = begin_order(&shop, 60_000).await;
    let (mut reading, mut writing) = stream.into_split();
    let trickle = waypost_telemetry::spawn(async move {
        // Ends when the gateway has closed the connection.
        while writing.write_all(b" ").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    let mut answer = Vec::new();
    in_time(tokio::io::AsyncReadExt::read_to_end(&mut reading, &mut answer)).await.ok();
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("body_timeout"), "{answer}");
    trickle.abort();
}

#[tokio::test]
async fn bodies_that_find_no_room_together_are_refused() {
    let shop = Shop::configured(|config| config.bodies_size = ByteSize::kib(1));
    let large = shop.order(&json!({"note": "x".repeat(2000)})).await;
    assert_eq!((large.status.as_u16(), large.code().as_str()), (503, "overloaded"));
    assert_eq!(shop.order(&json!({})).await.status, 201, "the room is given back");

    let shop = Shop::configured(|config| config.bodies_at_once = 1);
    let mut first = begin_order(&shop, 80).await;
    let refused = in_time(async {
        loop {
            let reply = shop.order(&json!({})).await;
            if reply.status != 201 {
                return reply;
            }
        }
    });
    assert_eq!(refused.await.code(), "overloaded");
    first.shutdown().await.unwrap();
    read_to_end(&mut first).await;
    assert_eq!(shop.order(&json!({})).await.status, 201);
}

#[tokio::test]
async fn a_clients_short_time_does_not_make_the_service_look_broken() {
    let shop = Shop::open();
    for _ in 0..10 {
        let hurried = Request::post("/api/orders")
            .json(order_body(&json!({"product_id": "prod-gated"})))
            .header("x-waypost-timeout-ms", "400");
        let reply = shop.send(hurried).await;
        assert_eq!((reply.status.as_u16(), reply.code().as_str()), (504, "deadline_exceeded"));
    }
    // Ten failures in a row would shut the breaker for everybody.
    assert_eq!(shop.order(&json!({})).await.status, 201);
}

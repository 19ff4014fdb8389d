//! How the gateway ends.

use crate::{
    http::{Request, send},
    shop::{Shop, in_time, order_body},
};
use serde_json::json;
use tokio::net::TcpStream;

#[tokio::test]
async fn an_order_in_flight_is_answered_while_new_connections_are_refused() {
    let shop = Shop::open();
    let address = shop.address;
    let order = Request::post("/api/orders").json(order_body(&json!({"product_id": "prod-gated"})));
    let in_flight = waypost_telemetry::spawn(send(order, address));
    in_time(shop.services.arrived.acquire()).await.unwrap().forget();
    shop.drain();
    in_time(async { while TcpStream::connect(address).await.is_ok() {} }).await;
    shop.services.gate.add_permits(1);
    let reply = in_time(in_flight).await.unwrap();
    assert_eq!((reply.status.as_u16(), reply.header("connection")), (201, "close"));
    assert_eq!(shop.drained().await.cut_requests, 0);
}

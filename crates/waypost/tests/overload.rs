//! What keeps working while somebody asks for too much, and what a page of another site cannot reach.
#![expect(clippy::unwrap_used, reason = "what tests call is a test too")]

use std::convert::Infallible;
use std::net::SocketAddr;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http::{Method, Request};
use http_body_util::{BodyExt, Empty, StreamBody, combinators::BoxBody};

use hyper::body::Frame;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use waypost_testkit::{Shop, ShopBuilder};

const ORDER: &str = r#"{"user_id":"user123","product_id":"prod456","quantity":2,"amount":99.99}"#;

fn shop() -> ShopBuilder {
    Shop::of(env!("CARGO_BIN_EXE_waypost"))
}

type Body = BoxBody<Bytes, Infallible>;

/// An HTTP/2 connection to the gateway.
async fn http2(gateway: SocketAddr) -> SendRequest<Body> {
    let stream = TcpStream::connect(gateway).await.unwrap();
    let (sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    drop(waypost_telemetry::spawn(connection));
    sender
}

fn request(gateway: SocketAddr, method: Method, path: &str, body: Body) -> Request<Body> {
    let request = Request::builder().method(method).uri(format!("http://{gateway}{path}"));
    request.header("content-type", "application/json").body(body).unwrap()
}

/// A body that begins and does not go on.
fn trickling() -> Body {
    let first = stream::iter([Ok::<_, Infallible>(Frame::data(Bytes::from_static(b"{")))]);
    BodyExt::boxed(StreamBody::new(first.chain(stream::pending())))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_requests_are_answered_beside_1024_bodies_that_trickle() {
    const CONNECTIONS: usize = 8;
    const BODIES: usize = 128;
    // Without the floor, which would end them: here they stay.
    let shop = shop().set("gateway.body_rate", "0B").set("gateway.body_timeout", "5m").start().await.unwrap();
    let gateway = shop.address("gateway");
    let mut held = tokio::task::JoinSet::new();
    for number in 0..CONNECTIONS {
        let mut sender = http2(gateway).await;
        for _ in 0..BODIES {
            sender.ready().await.unwrap();
            // Logins need no token.
            let path = if number % 2 == 0 { "/api/login" } else { "/api/orders" };
            held.spawn(sender.send_request(request(gateway, Method::POST, path, trickling())));
        }
        // What comes after them on the same connection is answered, so they have arrived.
        sender.ready().await.unwrap();
        let after = request(gateway, Method::GET, "/api/health", Empty::new().boxed());
        assert_eq!(sender.send_request(after).await.unwrap().status(), 200);
        held.spawn(async move {
            // Keeps the connection.
            let _sender = sender;
            std::future::pending().await
        });
    }
    let client = shop.client("gateway");
    for _ in 0..20 {
        assert_eq!(client.get("/api/health").await.unwrap().status, 200);
        let placed = client.post("/api/orders", &[], ORDER).await.unwrap();
        assert_eq!(placed.status, 201, "{}", placed.json);
        let order = placed.json["order_id"].as_str().unwrap();
        assert_eq!(client.get(&format!("/api/orders/{order}")).await.unwrap().status, 200);
    }
    assert_eq!(held.try_join_next().map(|ended| format!("{ended:?}")), None, "all of them still trickle");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_demo_answers_programs_and_no_pages_of_other_sites() {
    let shop = shop().start().await.unwrap();
    let client = shop.client("gateway");
    let placed = client.post("/api/orders", &[], ORDER).await.unwrap();
    assert_eq!(placed.status, 201, "{}", placed.json);
    let path = format!("/api/orders/{}", placed.json["order_id"].as_str().unwrap());

    let rebound = client.send(Method::GET, &path, &[("host", "rebound.example")], None).await.unwrap();
    assert_eq!((rebound.status.as_u16(), rebound.json["code"].as_str()), (421, Some("unknown_host")));
    let form = [("origin", "http://evil.example"), ("content-type", "application/x-www-form-urlencoded")];
    let cancelled = client.send(Method::POST, &format!("{path}/cancel"), &form, Some("")).await.unwrap();
    assert_eq!((cancelled.status.as_u16(), cancelled.json["code"].as_str()), (403, Some("cross_site")));
    assert_eq!(client.get(&path).await.unwrap().status, 200);
    assert_eq!(client.get("/api/docs").await.unwrap().status, 200);
}

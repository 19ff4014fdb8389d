//! What keeps working while somebody asks for too much: normal orders beside slow charges, all requests beside bodies that
//! trickle, the owner's login beside a stranger's guesses.
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
use serde_json::Value;
use tokio::net::TcpStream;
use waypost_testkit::{Client, Process, Shop, ShopBuilder, program, until};

const ORDER: &str = r#"{"user_id":"user123","product_id":"prod456","quantity":2,"amount":99.99}"#;

fn shop() -> ShopBuilder {
    Shop::of(env!("CARGO_BIN_EXE_waypost"))
}

/// `waypost load` with a report as JSON.
fn load(gateway: SocketAddr, arguments: &[&str]) -> Process {
    let mut command = program::command(env!("CARGO_BIN_EXE_waypost"), &std::env::temp_dir());
    command.args(["load", "--json", "--target", &format!("http://{gateway}")]);
    Process::start(command.args(arguments)).unwrap()
}

async fn report(load: Process) -> Value {
    serde_json::from_str(&load.ended().await.unwrap().out).unwrap()
}

fn count(report: &Value, outcome: &str) -> u64 {
    report["outcomes"][outcome]["count"].as_u64().unwrap_or_default()
}

/// Charges that the provider has been asked for and has not answered, from the metrics of its HTTP server.
async fn charges_under_way(admin: &Client) -> u64 {
    let metrics = admin.get("/metrics").await.unwrap();
    let text = String::from_utf8_lossy(&metrics.bytes).into_owned();
    let active =
        |line: &&str| line.starts_with("http_server_active_requests{") && line.contains("payment-provider");
    let value = |line: &str| line.rsplit(' ').next()?.parse::<f64>().ok();
    let sum: f64 = text.lines().filter(active).filter_map(value).sum();
    format!("{sum:.0}").parse().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn normal_orders_are_completed_beside_600_slow_charges() {
    // Nearly as long as a call may take, so that most of them are under way at once.
    let shop = shop()
        .set("provider.faults.slow", "8s")
        .set("payment.provider.timeout", "9500ms")
        .set("order.steps.attempt_timeout", "9800ms")
        .set("gateway.budget", "9900ms")
        .start()
        .await
        .unwrap();
    let (gateway, admin) = (shop.address("gateway"), shop.client("admin"));
    let client = shop.client("gateway");
    // Warm: what is measured is the waiting and not the first connection.
    assert_eq!(client.post("/api/orders", &[], ORDER).await.unwrap().status, 201);

    let slow = load(gateway, &["--mix", "slow=1", "--orders", "600", "-n", "600"]);
    // More than the 256 that one connection could carry.
    until("the charges to be under way", async || charges_under_way(&admin).await > 280).await;
    let normal =
        report(load(gateway, &["--mix", "success=1", "--orders", "60", "--rate", "20", "-n", "60"])).await;
    assert!(charges_under_way(&admin).await > 0, "the slow charges were over too soon");
    let known = client.get("/api/orders?user_id=user123").await.unwrap();
    assert_eq!(known.status, 200, "{}", known.json);

    let completed = count(&normal, "completed");
    println!("{completed} of 60 normal orders completed: {normal}");
    assert!(completed * 100 >= 60 * 80, "{normal}");
    let slow = report(slow).await;
    println!("slow: {slow}");
    assert!(count(&slow, "completed") + count(&slow, "pending") >= 600 * 95 / 100, "{slow}");
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

async fn log_in(client: &Client, from: &str, password: &str) -> u16 {
    let body = format!(r#"{{"user_id":"user-admin","password":"{password}"}}"#);
    let answer = client.post("/api/login", &[("x-forwarded-for", from)], &body).await.unwrap();
    answer.status.as_u16()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_strangers_wrong_passwords_do_not_keep_the_owner_out() {
    let shop = shop()
        .set("gateway.auth", "required")
        .set("gateway.trusted_proxies", r#"["127.0.0.1"]"#)
        .start()
        .await
        .unwrap();
    let client = shop.client("gateway");
    let stranger = "203.0.113.7";
    let guesses = stream::iter(0..40).map(|_| log_in(&client, stranger, "guess")).buffer_unordered(8);
    let guesses: Vec<u16> = guesses.collect().await;
    // Ten at once; then one for each wait that ends meanwhile.
    let counted = |status: u16| guesses.iter().filter(|answer| **answer == status).count();
    assert!((10..=13).contains(&counted(401)), "{guesses:?}");
    assert_eq!(counted(401) + counted(429), 40, "{guesses:?}");

    let owners = async {
        for _ in 0..5 {
            assert_eq!(log_in(&client, "198.51.100.1", "waypost-demo").await, 200);
        }
    };
    let strangers = async {
        for _ in 0..5 {
            log_in(&client, stranger, "guess").await;
        }
    };
    tokio::join!(owners, strangers);

    let logins = stream::iter(0..11).map(|_| log_in(&client, "198.51.100.2", "waypost-demo"));
    let logins: Vec<u16> = logins.buffer_unordered(11).collect().await;
    assert_eq!(logins, [200; 11]);
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

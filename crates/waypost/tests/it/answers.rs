//! What the client of a whole shop is told: one definite answer to a key, whatever happens between and after.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;

use rusqlite::{Connection, params};
use serde_json::json;
use tempfile::tempdir;
use waypost_testkit::{Answer, Client, Process, Shop, ShopBuilder, program, until};

use super::program::PATIENCE;

const ORDER: &str = r#"{"user_id":"user123","product_id":"prod456","quantity":2,"amount":99.99}"#;
const DECLINED: &str = r#"{"user_id":"user-declined","product_id":"prod456","quantity":2,"amount":99.99}"#;
const SOLD_OUT: &str = r#"{"user_id":"user123","product_id":"prod-soldout","quantity":1,"amount":89.00}"#;

fn shop() -> ShopBuilder {
    Shop::of(env!("CARGO_BIN_EXE_waypost"))
}

async fn post(gateway: &Client, key: &str, body: &str) -> Answer {
    gateway.post("/api/orders", &[("idempotency-key", key)], body).await.unwrap()
}

fn header<'a>(answer: &'a Answer, name: &str) -> &'a str {
    answer.headers.get(name).map_or("", |value| value.to_str().unwrap())
}

/// I2: status and body are those of the first answer, and nothing asks to send it once more.
fn assert_is_replayed(first: &Answer, replay: &Answer) {
    assert_eq!(first.status, replay.status);
    assert_eq!(first.bytes, replay.bytes, "{} {}", first.json, replay.json);
    assert_eq!(header(first, "location"), header(replay, "location"));
    assert_eq!((header(replay, "idempotent-replayed"), header(replay, "retry-after")), ("true", ""));
}

fn database(data: &Path, role: &str) -> Connection {
    Connection::open(waypost_testkit::database(data, role)).unwrap()
}

#[tokio::test]
async fn a_replay_is_the_first_answer_byte_for_byte() {
    let shop = shop().start().await.unwrap();
    let gateway = shop.client("gateway");
    for (key, body, status) in [("ok", ORDER, 201), ("declined", DECLINED, 402), ("sold-out", SOLD_OUT, 409)]
    {
        let first = post(&gateway, key, body).await;
        assert_eq!((first.status.as_u16(), header(&first, "idempotent-replayed")), (status, ""));
        let trace = first.json["trace_id"].as_str().unwrap();
        assert!(header(&first, "traceresponse").contains(trace), "the trace of the first request");
        assert_is_replayed(&first, &post(&gateway, key, body).await);
    }
}

/// Every code of the table, from its documentation.
fn codes() -> Vec<&'static str> {
    let docs = include_str!("../../../../docs/errors.md");
    docs.lines().filter_map(|line| line.strip_prefix("### ")).collect()
}

/// The documented facts of a code: `HTTP 409, gRPC FailedPrecondition, not to be sent again.`
fn facts(code: &str) -> &'static str {
    let docs = include_str!("../../../../docs/errors.md");
    let section = docs.split("\n### ").find(|section| section.lines().next() == Some(code)).unwrap();
    section.lines().nth(2).unwrap()
}

#[tokio::test]
async fn no_failure_of_a_settled_order_asks_to_be_sent_again() {
    let folder = tempdir().unwrap();
    let running = shop().data(folder.path()).start().await.unwrap();
    let gateway = running.client("gateway");
    for code in codes() {
        assert_eq!(post(&gateway, code, DECLINED).await.status, 402);
    }
    running.stop().await.unwrap();
    let orders = database(folder.path(), "order");
    for code in codes() {
        let failed = "UPDATE orders SET failure_code = ?1, decline_code = NULL WHERE order_id = \
                      (SELECT CAST(result AS TEXT) FROM idempotency WHERE key = ?1)";
        assert_eq!(orders.execute(failed, params![code]).unwrap(), 1);
    }
    drop(orders);
    // Their user may not order any more either.
    let deactivated = "UPDATE users SET is_active = 0 WHERE user_id = 'user-declined'";
    assert_eq!(database(folder.path(), "user").execute(deactivated, ()).unwrap(), 1);

    let running = shop().data(folder.path()).start().await.unwrap();
    let gateway = running.client("gateway");
    for code in codes() {
        let replay = post(&gateway, code, DECLINED).await;
        let told = replay.json["code"].as_str().unwrap();
        assert_eq!(replay.json["failure_code"], code);
        assert!(replay.status.is_client_error(), "{code} is told as {}", replay.json);
        assert!(facts(told).ends_with("not to be sent again."), "{code} is told as {told}");
        let is_itself = ["out_of_stock", "price_changed", "payment_declined", "reservation_expired"];
        assert_eq!(told, if is_itself.contains(&code) { code } else { "order_failed" });
        assert_is_replayed(&replay, &post(&gateway, code, DECLINED).await);
    }
    let refused = post(&gateway, "a-new-key", DECLINED).await;
    assert_eq!((refused.status.as_u16(), &refused.json["code"]), (403, &json!("user_inactive")));
    assert_eq!(header(&refused, "idempotent-replayed"), "");
}

/// One process with these roles, and the address of the first one.
async fn role(folder: &Path, roles: &[&str], settings: &[(&str, String)]) -> (Process, SocketAddr) {
    let mut command = program::command(env!("CARGO_BIN_EXE_waypost"), folder);
    command.arg("run").args(roles).arg("--data").arg(folder.join("data"));
    program::on_free_ports(&mut command);
    command.args(settings.iter().flat_map(|(key, value)| ["--set".to_owned(), format!("{key}={value}")]));
    command.env("OTEL_TRACES_EXPORTER", "none").env("WAYPOST_TELEMETRY__LOGS__FORMAT", "json");
    let mut process = Process::start(&mut command).unwrap();
    let mut addresses = Vec::new();
    for role in roles {
        addresses.push(program::address_of(&mut process, role).await.unwrap());
    }
    program::is_ready(&mut process).await.unwrap();
    (process, addresses[0])
}

#[tokio::test]
async fn a_replay_needs_neither_user_nor_inventory_nor_payment() {
    let folder = tempdir().unwrap();
    let seed = |key: &'static str| [(key, "true".to_owned())];
    let (user, user_at) = role(folder.path(), &["user"], &seed("user.seed")).await;
    let (provider, provider_at) = role(folder.path(), &["provider"], &[]).await;
    let provider_url = [("payment.provider.url", format!("http://{provider_at}"))];
    let (payment, payment_at) = role(folder.path(), &["payment"], &provider_url).await;
    let (inventory, inventory_at) = role(folder.path(), &["inventory"], &seed("inventory.seed")).await;
    let targets = [
        ("order.inventory_target", format!("http://{inventory_at}")),
        ("order.payment_target", format!("http://{payment_at}")),
        ("order.price_time_to_live", "0s".to_owned()),
    ];
    let (_order, order_at) = role(folder.path(), &["order"], &targets).await;
    let targets = [
        ("gateway.auth", "demo".to_owned()),
        ("gateway.order_service", format!("http://{order_at}")),
        ("gateway.user_service", format!("http://{user_at}")),
        ("gateway.inventory_service", format!("http://{inventory_at}")),
    ];
    let (_gateway, gateway_at) = role(folder.path(), &["gateway"], &targets).await;
    let gateway = Client::new(gateway_at);
    let (placed, declined) = (post(&gateway, "k", ORDER).await, post(&gateway, "d", DECLINED).await);
    assert_eq!((placed.status.as_u16(), declined.status.as_u16()), (201, 402), "{}", placed.json);
    let again = async || {
        assert_is_replayed(&placed, &post(&gateway, "k", ORDER).await);
        assert_is_replayed(&declined, &post(&gateway, "d", DECLINED).await);
    };

    // Hung first, then gone.
    for process in [&inventory, &payment, &provider] {
        process.signal("STOP").unwrap();
    }
    again().await;
    user.signal("STOP").unwrap();
    again().await;
    for process in [user, inventory, payment, provider] {
        process.kill().await.unwrap();
    }
    again().await;
    let refused = post(&gateway, "new", ORDER).await;
    assert!(refused.status.is_server_error(), "{}", refused.json);
    assert_eq!(header(&refused, "idempotent-replayed"), "");
}

#[tokio::test]
async fn a_key_lives_a_day_from_its_orders_end() {
    let folder = tempdir().unwrap();
    let running = shop().data(folder.path()).start().await.unwrap();
    let gateway = running.client("gateway");
    let (kept, forgotten) = (post(&gateway, "kept", ORDER).await, post(&gateway, "forgotten", ORDER).await);
    assert_eq!((kept.status.as_u16(), forgotten.status.as_u16()), (201, 201));
    running.stop().await.unwrap();
    let orders = database(folder.path(), "order");
    // Both were placed two days ago; one of them ended only now.
    let placed = "UPDATE idempotency SET created_at = created_at - 172800000";
    assert_eq!(orders.execute(placed, ()).unwrap(), 2);
    let ended = "UPDATE orders SET ended_at = ended_at - 90000000 WHERE order_id = ?1";
    assert_eq!(orders.execute(ended, [forgotten.json["order_id"].as_str().unwrap()]).unwrap(), 1);
    drop(orders);

    let running = shop().data(folder.path()).set("order.key_purge_interval", "1s").start().await.unwrap();
    let gateway = running.client("gateway");
    until("the old key to be new again", async || {
        header(&post(&gateway, "forgotten", ORDER).await, "idempotent-replayed").is_empty()
    })
    .await;
    assert_is_replayed(&kept, &post(&gateway, "kept", ORDER).await);
}

#[tokio::test]
async fn a_page_token_is_read_for_its_own_list_only() {
    let folder = tempdir().unwrap();
    let running = shop().data(folder.path()).start().await.unwrap();
    let gateway = running.client("gateway");
    for body in [ORDER, ORDER, DECLINED, DECLINED] {
        // A plain request, as `up` takes it.
        gateway.post("/api/orders", &[], body).await.unwrap();
    }
    let page = async |gateway: &Client, user: &str, token: &str| {
        let path = format!("/api/orders?user_id={user}&limit=1&page_token={token}");
        gateway.get(&path).await.unwrap()
    };
    let first = page(&gateway, "user123", "").await.json;
    let token = first["next_page_token"].as_str().unwrap();
    let second = page(&gateway, "user123", token).await.json;
    assert_ne!(first["orders"][0]["order_id"], second["orders"][0]["order_id"]);
    let invented = "313739303030303030303030302f6f726465722d31.00000000000000000000000000000000";
    let places = token.split('.').next().unwrap();
    for (user, token) in [("user-declined", token), ("user123", invented), ("user123", places)] {
        let refused = page(&gateway, user, token).await;
        assert_eq!((refused.status.as_u16(), &refused.json["code"]), (400, &json!("invalid_page_token")));
    }
    running.stop().await.unwrap();
    let running = shop().data(folder.path()).start().await.unwrap();
    assert_eq!(page(&running.client("gateway"), "user123", token).await.json, second);
}

/// The status line that these bytes are answered with.
fn status_line(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap_or_default();
    answer.lines().next().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn every_http_listener_wants_one_host() {
    let shop = shop().viewer().start().await.unwrap();
    for listener in ["gateway", "provider", "admin", "viewer", "otlp-http", "zipkin"] {
        let answer = |hosts: &str| {
            let request = format!("GET /livez HTTP/1.1\r\n{hosts}connection: close\r\n\r\n");
            status_line(shop.address(listener), &request)
        };
        for hosts in ["", "host: localhost\r\nhost: localhost\r\n"] {
            assert_eq!(answer(hosts), "HTTP/1.1 400 Bad Request", "{listener} {hosts:?}");
        }
        let one = answer("host: localhost\r\n");
        assert!(one.starts_with("HTTP/1.1") && !one.contains("400"), "{listener}: {one}");
    }
}

#[tokio::test]
async fn a_coding_is_read_in_any_case() {
    let shop = shop().start().await.unwrap();
    let gateway = shop.client("gateway");
    let coded = async |coding| {
        gateway.post("/api/orders", &[("content-encoding", coding)], ORDER).await.unwrap().status.as_u16()
    };
    assert_eq!((coded("Identity").await, coded("identity").await), (201, 201));
    assert_eq!((coded("GZIP").await, coded("identity, gzip").await), (415, 415));
}

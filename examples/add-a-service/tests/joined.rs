//! Shipping beside the real shop, both as programs: over the embedded broker, and over Kafka.

#![expect(clippy::unwrap_used, reason = "what cannot be set up fails the test that asked for it")]

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde_json::json;
use tempfile::TempDir;
use waypost_telemetry::FinishedSpan;
use waypost_telemetry::testing::SpanTree;
use waypost_test_servers::own_kafka::OwnKafka;
use waypost_testkit::{Answer, Behaviour, Client, Collector, Process, Request, Shop, program, until};

const SHIPPING: &str = env!("CARGO_BIN_EXE_shipping");

/// The shop's program, which cargo puts beside ours when it builds the whole workspace.
fn waypost() -> PathBuf {
    let program = Path::new(SHIPPING).with_file_name("waypost");
    assert!(
        program.exists(),
        "{} is missing: run `cargo build -p waypost --features kafka`",
        program.display()
    );
    program
}

/// Where shipping finds the shop, and where it keeps its own.
struct Place<'a> {
    broker: String,
    order_url: String,
    folder: &'a Path,
    collector: &'a Collector,
}

impl Place<'_> {
    async fn start(&self) -> (Process, Client) {
        let mut command = program::command(SHIPPING, self.folder);
        command.envs([
            ("BROKER", self.broker.as_str()),
            ("ORDER_URL", &self.order_url),
            ("LISTEN", "127.0.0.1:0"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &self.collector.endpoint()),
            ("OTEL_BSP_SCHEDULE_DELAY", "20"),
        ]);
        let mut process = Process::start(&mut command).unwrap();
        let address = |line: &str| -> Option<SocketAddr> {
            let rest = line.split_once("Shipping listens")?.1;
            rest.split_once("address=")?.1.split_whitespace().next()?.parse().ok()
        };
        let address = process.line("its address", address).await.unwrap();
        (process, Client::new(address))
    }
}

async fn order(shop: &Shop) -> Answer {
    let body = json!({"user_id": "user123", "product_id": "prod456", "quantity": 2, "amount": 99.99});
    shop.client("gateway").request(Request::post("/api/orders").json(body)).await.unwrap()
}

async fn parcel(shipping: &Client, order: &str) -> Answer {
    shipping.request(Request::get(format!("/parcels/{order}"))).await.unwrap()
}

/// An order, and one more while shipping is away; the first one's trace, and the trace of asking for a parcel.
async fn orders_become_parcels(shop: Shop, place: Place<'_>) {
    let (process, shipping) = place.start().await;
    let placed = order(&shop).await;
    assert_eq!(placed.status, 201, "{placed:?}");
    let first = placed.json["order_id"].as_str().unwrap();
    until("the parcel", async || parcel(&shipping, first).await.status == 200).await;
    let answer = parcel(&shipping, first).await;
    let expected = json!({
        "order_id": first, "user_id": "user123", "product_id": "prod456", "quantity": 2, "order_status": "completed",
    });
    assert_eq!(answer.json, expected);
    let unknown = parcel(&shipping, "01890000-0000-7000-8000-000000000000").await;
    assert_eq!(
        (unknown.status.as_u16(), &unknown.json["code"]),
        (404, &json!("order_not_found")),
        "{unknown:?}"
    );

    // Both consumers are children of the one message of the order's trace, each with its own service's name.
    let trace = placed.json["trace_id"].as_str().unwrap();
    let consumed = |span: &&FinishedSpan| span.name() == "process order-events";
    until("both consumers", async || place.collector.trace(trace).iter().filter(consumed).count() == 2).await;
    let spans = place.collector.trace(trace);
    let mut services: Vec<&str> = spans.iter().filter(consumed).map(FinishedSpan::service_name).collect();
    services.sort_unstable();
    assert_eq!(services, ["notification-service", "shipping-service"]);
    let asked = |span: &FinishedSpan| {
        span.name() == "GET /parcels/{order}"
            && span.attribute("http.response.status_code") == Some(&200.into())
    };
    until("a question", async || place.collector.spans().iter().any(asked)).await;
    let asked = place.collector.spans().into_iter().find(asked).unwrap().trace_id().to_string();
    until("its trace", async || {
        place
            .collector
            .trace(&asked)
            .iter()
            .any(|span| span.service_name() == "order-service" && span.parent_id().is_some())
            && place.collector.trace(&asked).iter().any(|span| span.name() == "GET /parcels/{order}")
            && place.collector.trace(&asked).len() >= 5
    })
    .await;
    SpanTree::only(&place.collector.trace(&asked)).assert_matches(
        "GET /parcels/{order} SERVER shipping-service order.id=* http.response.status_code=200
           \"SELECT parcels\" CLIENT shipping-service db.system.name=sqlite
           waypost.order.v1.OrderService/GetOrder CLIENT shipping-service
             waypost.order.v1.OrderService/GetOrder SERVER order-service
               ...",
    );

    // While it is away its group's records wait.
    process.interrupt().await.unwrap();
    let placed = order(&shop).await;
    assert_eq!(placed.status, 201, "{placed:?}");
    let second = placed.json["order_id"].as_str().unwrap();
    let (process, shipping) = place.start().await;
    until("the second parcel", async || parcel(&shipping, second).await.status == 200).await;
    assert_eq!(parcel(&shipping, first).await.status, 200);
    process.interrupt().await.unwrap();
    shop.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_become_parcels_over_the_embedded_broker() {
    let (data, folder) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let collector = Collector::start(Behaviour::Takes).unwrap();
    let shop = Shop::of(waypost()).data(data.path()).set("broker.shared", true).export_to(&collector);
    let shop = shop.start().await.unwrap();
    let place = Place {
        broker: data.path().join("broker.db").display().to_string(),
        order_url: format!("http://{}", shop.address("order")),
        folder: folder.path(),
        collector: &collector,
    };
    orders_become_parcels(shop, place).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_become_parcels_over_kafka() {
    let folder = TempDir::new().unwrap();
    let kafka = OwnKafka::start();
    let collector = Collector::start(Behaviour::Takes).unwrap();
    let shop = Shop::of(waypost())
        .set("broker.kind", "kafka")
        .set("broker.kafka.brokers", kafka.address())
        .export_to(&collector);
    let shop = shop.start().await.unwrap();
    let place = Place {
        broker: format!("kafka://{}", kafka.address()),
        order_url: format!("http://{}", shop.address("order")),
        folder: folder.path(),
        collector: &collector,
    };
    orders_become_parcels(shop, place).await;
}

/// What shipping says of a broker that the shop, whose files are laid out so, keeps for itself.
async fn refused(files: &str) -> (String, bool) {
    let (data, folder) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let shop = Shop::of(waypost()).data(data.path()).set("storage.files", files).start().await.unwrap();
    let broker = data.path().join("broker.db");
    let mut command = program::command(SHIPPING, folder.path());
    command.env("BROKER", &broker).env("OTEL_TRACES_EXPORTER", "none").env("LISTEN", "127.0.0.1:0");
    let ended = Process::start(&mut command).unwrap().ended().await.unwrap();
    assert_eq!(ended.code, 1, "{ended:?}");
    shop.stop().await.unwrap();
    (ended.err, broker.exists())
}

#[tokio::test]
async fn a_broker_that_is_not_shared_is_named() {
    let (said, is_there) = refused("per-role").await;
    assert!(said.contains("opening the broker") && is_there, "{said}");
    // It is in the file of all roles: none must be made beside it.
    let (said, is_there) = refused("shared").await;
    assert!(said.contains("has the shop broker.shared = true?") && !is_there, "{said}");
}

#[test]
fn the_service_is_shorter_than_two_hundred_lines() {
    let lines =
        [include_str!("../src/lib.rs"), include_str!("../src/main.rs")].map(|file| file.lines().count());
    assert!(lines.iter().sum::<usize>() < 200, "{lines:?}");
}

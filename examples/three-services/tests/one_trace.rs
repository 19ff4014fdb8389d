//! The three services as they are started by hand, on free ports, with a collector beside them.

#![expect(clippy::unwrap_used, reason = "what cannot be set up fails the test that asked for it")]

use std::net::SocketAddr;
use std::process::Command;

use serde_json::json;
use tempfile::TempDir;
use waypost_telemetry::testing::SpanTree;
use waypost_test_process::Process;
use waypost_testkit::{Answer, Behaviour, Client, Collector, Request, until};

/// All three. Dropped, they are ended.
struct Services {
    _processes: [Process; 3],
    orders: Client,
    collector: Collector,
    _folder: TempDir,
}

async fn started(program: &str, service: &str, settings: &[(&str, &str)]) -> (Process, SocketAddr) {
    let mut process = Process::start(Command::new(program).envs(settings.iter().copied())).unwrap();
    let said = format!("{service} listens on ");
    let address = |line: &str| line.split_once(&said)?.1.split_whitespace().next()?.parse().ok();
    let address = process.line("its address", address).await.unwrap();
    (process, address)
}

impl Services {
    async fn start() -> Self {
        let collector = Collector::start(Behaviour::Takes).unwrap();
        let folder = TempDir::new().unwrap();
        let (endpoint, database) = (collector.endpoint(), folder.path().join("stock.db"));
        let database = format!("sqlite://{}", database.display());
        let common = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
            ("OTEL_BSP_SCHEDULE_DELAY", "20"),
            ("LISTEN", "127.0.0.1:0"),
        ];
        let (payments, charged) = started(env!("CARGO_BIN_EXE_payments"), "payments", &common).await;
        let kept = [&common[..], &[("DATABASE", &database)]].concat();
        let (stock, reserved) = started(env!("CARGO_BIN_EXE_stock"), "stock", &kept).await;
        let urls = [reserved, charged].map(|address| format!("http://{address}"));
        let asked = [&common[..], &[("STOCK_URL", &urls[0]), ("PAYMENTS_URL", &urls[1])]].concat();
        let (orders, address) = started(env!("CARGO_BIN_EXE_orders"), "orders", &asked).await;
        Self {
            _processes: [orders, payments, stock],
            orders: Client::new(address),
            collector,
            _folder: folder,
        }
    }

    async fn order(&self, product: &str, quantity: u32, card: &str) -> Answer {
        let body = json!({"product": product, "quantity": quantity, "card": card});
        self.orders.request(Request::post("/orders").json(body)).await.unwrap()
    }

    /// The only trace that there is, once it has this many spans.
    async fn trace(&self, spans: usize) -> SpanTree {
        until("the whole trace", async || self.collector.spans().len() >= spans).await;
        SpanTree::only(&self.collector.spans())
    }
}

#[tokio::test]
async fn an_order_is_one_trace_through_three_services() {
    let services = Services::start().await;
    let answer = services.order("lamp", 2, "4242424242424242").await;
    assert_eq!((answer.status.as_u16(), &answer.json["status"]), (201, &json!("paid")), "{answer:?}");
    services.trace(13).await.assert_matches(
        "POST /orders SERVER order-service order.id=* http.response.status_code=201
           \"reserve stock\" INTERNAL order-service
             shop.v1.Stock/Reserve CLIENT order-service
               shop.v1.Stock/Reserve SERVER stock-service order.id=*
                 ...
           \"take payment\" INTERNAL order-service
             shop.v1.Payments/Charge CLIENT order-service
               shop.v1.Payments/Charge SERVER payment-service order.id=* payment.cents=9990
                 authorise INTERNAL payment-service",
    );
    let sent = format!("{:?}", services.collector.spans());
    assert!(!sent.contains("4242424242424242"), "the card is in a span");
}

#[tokio::test]
async fn what_was_set_aside_is_given_back_when_the_card_is_refused() {
    let services = Services::start().await;
    let answer = services.order("chair", 2, "4000000000000002").await;
    assert_eq!((answer.status.as_u16(), &answer.json["reason"]), (409, &json!("the card was refused")));
    until("its end", async || services.collector.count_of("POST /orders") == 1).await;
    until("the way back", async || services.collector.count_of("give stock back") == 1).await;
    // Both chairs are there again; a third one is not.
    assert_eq!(services.order("chair", 2, "4242424242424242").await.status, 201);
    let sold_out = services.order("chair", 1, "4242424242424242").await;
    assert_eq!(
        (sold_out.status.as_u16(), &sold_out.json["reason"]),
        (409, &json!("there are not enough of them"))
    );
    assert_eq!(services.order("piano", 1, "4242424242424242").await.status, 404);
}

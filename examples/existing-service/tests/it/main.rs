//! One request through everything the service has: one trace, right parents, typed errors, correlated logs.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::sync::LazyLock;
use std::time::Duration;

use existing_service::{Shop, app, client, prepare};
use sqlx::sqlite::SqlitePoolOptions;
use tracing_subscriber::layer::SubscriberExt as _;
use waypost_telemetry::testing::{SpanTree, TestTelemetry, checks, wait_for};
use waypost_telemetry::{FinishedSpan, bridge, logs, spawn};

/// The service on a port of its own, and a client for it.
struct Running {
    telemetry: TestTelemetry,
    client: reqwest::Client,
    address: String,
}

/// The subscriber of the process, as in `main`; spans and logs find the handle of their test in the context.
///
/// One of a test's thread is not enough: the thread of the database holds the last handle to a span now and then, and
/// what is closed on a thread without the subscriber does not let go of the spans around it.
static SUBSCRIBER: LazyLock<()> = LazyLock::new(|| {
    let subscriber = tracing_subscriber::registry().with(logs::Records::new()).with(bridge::layer());
    tracing::subscriber::set_global_default(subscriber).unwrap();
});

impl Running {
    async fn start() -> Self {
        LazyLock::force(&SUBSCRIBER);
        let telemetry = TestTelemetry::new("shop");

        let orders = SqlitePoolOptions::new().max_connections(1).connect("sqlite::memory:").await.unwrap();
        let orders = telemetry.sqlx().wrap(orders);
        prepare(&orders).await.unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let client = client();
        let app = app(Shop { orders, client: client.clone(), stock: address.clone() }, &telemetry);
        #[expect(
            clippy::disallowed_methods,
            reason = "the ban is this workspace's, the service stands for others"
        )]
        spawn(async move { axum::serve(listener, app).await });
        Self { telemetry, client, address }
    }

    /// Places an order and gives the trace it left, of this many spans.
    async fn place(&self, id: u32, spans: usize) -> (reqwest::StatusCode, SpanTree) {
        self.telemetry.forget();
        let answer = self.client.post(format!("{}/orders/{id}", self.address)).send().await.unwrap();
        let status = answer.status();
        answer.bytes().await.unwrap();
        let is_enough = |found: &[FinishedSpan]| found.len() == spans;
        let finished = wait_for(&[&self.telemetry], Duration::from_secs(10), is_enough).await.unwrap();
        (status, SpanTree::only(&finished))
    }
}

#[tokio::test]
async fn a_request_is_one_trace_with_the_right_parents() {
    let running = Running::start().await;
    let (status, tree) = running.place(7, 10).await;
    assert_eq!(status, 201);
    tree.assert_matches(
        "POST /orders/{id} SERVER shop http.response.status_code=201
           request INTERNAL shop method=POST uri=/orders/7
             place INTERNAL shop
               ask_stock INTERNAL shop id=7 stock.left=3
                 GET /stock/{id} CLIENT shop
                   GET /stock/{id} SERVER shop http.response.status_code=200
                     request INTERNAL shop uri=/stock/7
                       stock INTERNAL shop
               save INTERNAL shop id=7 left=3
                 \"INSERT orders\" CLIENT shop db.system.name=sqlite",
    );
    checks::assert_sound(&[&running.telemetry]);

    let placed = running.telemetry.only_span("place");
    let logs = running.telemetry.finished_logs();
    let said = logs.iter().find(|log| log.body() == "the order is placed").unwrap();
    assert_eq!(said.span_context().span_id(), placed.span_id());
    assert_eq!(said.span_context().trace_id(), placed.trace_id());
    assert_eq!(said.attribute("uri").unwrap().as_str(), "/orders/7");
    let counted = logs.iter().find(|log| log.body() == "counting").unwrap();
    assert_eq!(counted.span_context().span_id(), running.telemetry.only_span("stock").span_id());
}

#[tokio::test]
async fn a_failure_of_the_database_has_its_code() {
    let running = Running::start().await;
    running.place(7, 10).await;
    let (status, tree) = running.place(7, 10).await;
    assert_eq!(status, 500);
    tree.assert_matches(
        "POST /orders/{id} SERVER shop ERROR http.response.status_code=500 error.type=500
           request INTERNAL shop ERROR
             place INTERNAL shop
               ask_stock INTERNAL shop
                 ...
               save INTERNAL shop
                 \"INSERT orders\" CLIENT shop ERROR error.type=1555 db.response.status_code=1555",
    );
    let text = "INSERT INTO orders (id, stock) VALUES (?, ?)";
    let insert = running.telemetry.only_span("INSERT orders");
    assert_eq!(insert.attribute("db.query.text"), Some(&text.into()));
}

#[tokio::test]
async fn a_failure_of_the_other_service_has_its_status() {
    let running = Running::start().await;
    let (status, tree) = running.place(404, 8).await;
    assert_eq!(status, 500);
    tree.assert_matches(
        "POST /orders/{id} SERVER shop ERROR error.type=500
           request INTERNAL shop ERROR
             place INTERNAL shop
               ask_stock INTERNAL shop
                 GET /stock/{id} CLIENT shop ERROR error.type=404
                   GET /stock/{id} SERVER shop http.response.status_code=404
                     request INTERNAL shop
                       stock INTERNAL shop",
    );
}

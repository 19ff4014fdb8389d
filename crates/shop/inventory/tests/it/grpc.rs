//! The gRPC interface over a real socket, with the traces it leaves.

use std::{net::SocketAddr, time::Duration};
use tonic::Code;
use waypost_api::{
    Currency, Error, ErrorCode, Money, MoneyMessage,
    inventory::v1::{
        CheckStockRequest, CommitRequest, Line, ReleaseRequest,
        ReservationState::{Committed, Held},
        ReserveRequest,
        inventory_service_client::InventoryServiceClient,
    },
};
use waypost_durable::Storage;
use waypost_inventory::{Config, Parts, build};
use waypost_service::health::Health;
use waypost_service::{Drain, DrainTrigger, Limits, bind, serve};
use waypost_telemetry::{
    grpc::TracedChannel,
    span,
    testing::{TestTelemetry, wait_for_tree},
    with_context,
};

struct Running {
    telemetry: TestTelemetry,
    client: InventoryServiceClient<TracedChannel>,
    _trigger: DrainTrigger,
}

async fn start() -> Running {
    let telemetry = TestTelemetry::new("inventory-service");
    let parts = Parts { telemetry: telemetry.handle().clone(), storage: Storage::ephemeral() };
    let app = build(&Config { seed: true, ..Config::default() }, parts).await.unwrap();
    telemetry.forget();
    let health = Health::default();
    health.add("inventory", app.checks.clone());
    health.started();
    health.check_once().await;
    assert!(health.is_ready(), "{}", health.report());
    assert!(telemetry.finished_spans().is_empty(), "a readiness check leaves no span");
    let listener = bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let target = listener.url();
    let (trigger, drain) = Drain::new();
    waypost_telemetry::spawn(serve(listener, app.router, Limits::default(), drain));
    let client = InventoryServiceClient::new(telemetry.grpc_channel(&target).unwrap());
    Running { telemetry, client, _trigger: trigger }
}

fn reserve(order: &str, product: &str, quantity: u32) -> ReserveRequest {
    ReserveRequest {
        order_id: order.to_owned(),
        key: format!("{order}:reserve:1"),
        lines: vec![Line { product_id: product.to_owned(), quantity, any_price: true, ..Line::default() }],
        time_to_live: None,
        lease_epoch: 1,
    }
}

#[expect(clippy::unnecessary_wraps, reason = "the form that a message takes")]
fn dollars(ten_thousandths: i64) -> Option<MoneyMessage> {
    Some(Money::new(ten_thousandths, Currency::USD).into())
}

/// A hold of one backpack at this price.
fn priced(unit_price: Option<MoneyMessage>) -> ReserveRequest {
    let line = Line { product_id: "prod456".to_owned(), quantity: 1, unit_price, any_price: false };
    ReserveRequest { lines: vec![line], ..reserve("order-1", "prod456", 1) }
}

fn commit(order: &str) -> CommitRequest {
    CommitRequest { order_id: order.to_owned(), key: format!("{order}:commit:1"), lease_epoch: 1 }
}

fn release(order: &str) -> ReleaseRequest {
    ReleaseRequest { order_id: order.to_owned(), key: format!("{order}:release:1"), lease_epoch: 1 }
}

#[tokio::test]
async fn the_demo_products_are_in_the_catalogue() {
    let mut running = start().await;
    let mut check = async |id: &str| {
        running
            .client
            .check_stock(CheckStockRequest { product_id: id.to_owned() })
            .await
            .map(tonic::Response::into_inner)
    };
    let backpack = check("prod456").await.unwrap();
    assert_eq!((backpack.name.as_str(), backpack.unit_price), ("Trail backpack", dollars(499_950)));
    assert_eq!(backpack.available, 1_000_000);
    assert_eq!(check("prod789").await.unwrap().unit_price, dollars(125_000));
    assert_eq!(check("prod-scarce").await.unwrap().available, 5);
    assert_eq!(check("prod-soldout").await.unwrap().available, 0);
    let unknown = check("prod-unknown").await.unwrap_err();
    assert_eq!(unknown.code(), Code::NotFound);
    assert_eq!(Error::from_status(&unknown).code, ErrorCode::ProductNotFound);
}

#[tokio::test]
async fn an_orders_stock_is_held_and_taken_and_the_trace_shows_how() {
    let mut running = start().await;
    let work = async {
        let held = running.client.reserve(reserve("order-1", "prod456", 2)).await.unwrap().into_inner();
        assert_eq!((held.state(), held.reservation_id.as_str()), (Held, "order-1.1"));
        let committed = running.client.commit(commit("order-1")).await.unwrap().into_inner();
        assert_eq!(committed.state(), Committed);
    };
    with_context(running.telemetry.context(), async { span("place-order").observe(work).await }).await;
    let trace = running.telemetry.only_span("place-order").trace_id().to_string();
    let expected = "
place-order INTERNAL inventory-service
  waypost.inventory.v1.InventoryService/Reserve CLIENT inventory-service
    waypost.inventory.v1.InventoryService/Reserve SERVER inventory-service order.id=order-1
      SELECT reservations; UPDATE stock; SELECT products; INSERT reservations; INSERT reservation_lines CLIENT inventory-service
  waypost.inventory.v1.InventoryService/Commit CLIENT inventory-service
    waypost.inventory.v1.InventoryService/Commit SERVER inventory-service order.id=order-1
      SELECT reservations; SELECT reservation_lines; UPDATE stock; INSERT stock_movements; UPDATE reservations CLIENT inventory-service
";
    wait_for_tree(&[&running.telemetry], &trace, expected, Duration::from_secs(10)).await;
}

#[tokio::test]
async fn a_refusal_names_its_reason_and_is_no_failure_of_ours() {
    let mut running = start().await;
    let refused = running.client.reserve(reserve("order-1", "prod-soldout", 1)).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    let error = Error::from_status(&refused);
    assert_eq!(error.code, ErrorCode::OutOfStock);
    assert_eq!(error.detail, "1 of prod-soldout were asked for, 0 are left");

    let none = running.client.commit(commit("order-1")).await.unwrap_err();
    assert_eq!(Error::from_status(&none).code, ErrorCode::ReservationNotFound);
    for (cents, currency) in [(1, "USD"), (499_950, "EUR")] {
        let price = Some(Money::new(cents, currency.parse().unwrap()).into());
        let changed = running.client.reserve(priced(price)).await.unwrap_err();
        assert_eq!(Error::from_status(&changed).code, ErrorCode::PriceChanged, "{currency}");
    }
    running.client.reserve(priced(dollars(499_950))).await.unwrap();
}

#[tokio::test]
async fn a_release_may_come_first_and_come_twice() {
    let mut running = start().await;
    for _ in 0..2 {
        assert!(!running.client.release(release("order-1")).await.unwrap().into_inner().released);
    }
    let late = running.client.reserve(reserve("order-1", "prod-scarce", 1)).await.unwrap_err();
    assert_eq!(Error::from_status(&late).code, ErrorCode::ReservationConflict);
    running.client.reserve(reserve("order-2", "prod-scarce", 5)).await.unwrap();
    assert!(running.client.release(release("order-2")).await.unwrap().into_inner().released);
    running.client.reserve(reserve("order-3", "prod-scarce", 5)).await.unwrap();
}

#[tokio::test]
async fn every_bad_field_is_named() {
    let mut running = start().await;
    let pointers = |status: tonic::Status| {
        let error = Error::from_status(&status);
        assert_eq!(error.code, ErrorCode::InvalidRequest);
        error.fields.into_iter().map(|field| field.pointer).collect::<Vec<_>>()
    };
    let empty = running.client.reserve(ReserveRequest::default()).await.unwrap_err();
    assert_eq!(pointers(empty), ["/order_id", "/key"]);
    let no_lines = ReserveRequest { lines: Vec::new(), ..reserve("order-1", "prod456", 1) };
    assert_eq!(pointers(running.client.reserve(no_lines).await.unwrap_err()), ["/lines"]);
    let bad_line = running.client.reserve(reserve("order-1", "prod 456", 1)).await.unwrap_err();
    assert_eq!(pointers(bad_line), ["/lines/0/product_id"]);
    let no_pieces = running.client.reserve(reserve("order-1", "prod456", 0)).await.unwrap_err();
    assert_eq!(pointers(no_pieces), ["/lines/0/quantity"]);
    // Never taken as "any price".
    assert_eq!(pointers(running.client.reserve(priced(None)).await.unwrap_err()), ["/lines/0/unit_price"]);
    let no_time = prost_types::Duration { seconds: -1, nanos: 0 };
    let no_time = ReserveRequest { time_to_live: Some(no_time), ..reserve("order-1", "prod456", 1) };
    assert_eq!(pointers(running.client.reserve(no_time).await.unwrap_err()), ["/time_to_live"]);
    let bad_key = CommitRequest { key: "no-generation".to_owned(), ..commit("order-1") };
    assert_eq!(pointers(running.client.commit(bad_key).await.unwrap_err()), ["/key"]);
}

#[tokio::test]
async fn a_runner_that_was_replaced_takes_and_gives_back_nothing() {
    let mut running = start().await;
    let stale = |status: tonic::Status| {
        assert_eq!(status.code(), Code::FailedPrecondition);
        assert_eq!(Error::from_status(&status).code, ErrorCode::StaleRunner);
    };
    running.client.reserve(reserve("order-1", "prod-scarce", 2)).await.unwrap();
    // A repetition by the second runner changes nothing, and is enough to be known.
    let second = ReserveRequest { lease_epoch: 2, ..reserve("order-1", "prod-scarce", 2) };
    running.client.reserve(second).await.unwrap();
    for lease_epoch in [0, 1] {
        let late = ReserveRequest { lease_epoch, ..reserve("order-1", "prod-scarce", 2) };
        stale(running.client.reserve(late).await.unwrap_err());
        stale(running.client.commit(CommitRequest { lease_epoch, ..commit("order-1") }).await.unwrap_err());
        stale(
            running.client.release(ReleaseRequest { lease_epoch, ..release("order-1") }).await.unwrap_err(),
        );
    }
    // Nothing of that had an effect: the stock is held still, and taken once by the one who has the order.
    let taken = running.client.commit(CommitRequest { lease_epoch: 2, ..commit("order-1") }).await.unwrap();
    assert_eq!(taken.into_inner().state(), Committed);

    // The second runner gives the hold of another order back; the first one's commit arrives after that.
    running.client.reserve(reserve("order-2", "prod-scarce", 1)).await.unwrap();
    let third = ReleaseRequest { lease_epoch: 3, ..release("order-2") };
    assert!(running.client.release(third).await.unwrap().into_inner().released);
    stale(running.client.commit(commit("order-2")).await.unwrap_err());
    let left = running.client.check_stock(CheckStockRequest { product_id: "prod-scarce".to_owned() }).await;
    assert_eq!(left.unwrap().into_inner().available, 3);
}

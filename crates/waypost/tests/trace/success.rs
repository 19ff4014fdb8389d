//! The order that goes well, and what is read about it.

use http::StatusCode;
use waypost_test_servers::postgres::Database;

use crate::{Traced, seed_order, trace_of};

/// What follows when the catalogue and the user are not in memory yet.
pub(crate) const FIRST_ORDER: &str = "
POST /api/orders SERVER api-gateway http.request.method=POST http.route=/api/orders http.response.status_code=201 url.path=/api/orders url.scheme=http order.status=completed
  check-user INTERNAL api-gateway user.id=user123
    waypost.user.v1.UserService/GetUser CLIENT api-gateway rpc.system.name=grpc rpc.method=waypost.user.v1.UserService/GetUser rpc.response.status_code=OK
      waypost.user.v1.UserService/GetUser SERVER user-service rpc.response.status_code=OK user.id=user123
        cache get INTERNAL user-service cache.hit=false
        SELECT users CLIENT user-service db.system.name=sqlite db.namespace=user
  waypost.order.v1.OrderService/CreateOrder CLIENT api-gateway rpc.response.status_code=OK
    waypost.order.v1.OrderService/CreateOrder SERVER order-service rpc.response.status_code=OK
      create-order INTERNAL order-service order.id=* order.status=completed user.id=user123 product.id=prod456
        validate-order INTERNAL order-service
          waypost.inventory.v1.InventoryService/CheckStock CLIENT order-service
            waypost.inventory.v1.InventoryService/CheckStock SERVER inventory-service product.id=prod456
              SELECT products stock CLIENT inventory-service
        save-order INTERNAL order-service
          INSERT orders; INSERT order_history; INSERT order_journal CLIENT order-service db.namespace=order waypost.db.wait_duration=* waypost.db.commit.units=*
        check-inventory INTERNAL order-service
          waypost.inventory.v1.InventoryService/Reserve CLIENT order-service rpc.response.status_code=OK
            waypost.inventory.v1.InventoryService/Reserve SERVER inventory-service order.id=*
              SELECT reservations; UPDATE stock; SELECT products; INSERT reservations; INSERT reservation_lines CLIENT inventory-service
        process-payment INTERNAL order-service payment.amount=99.99 payment.transaction_id=*
          waypost.payment.v1.PaymentService/Authorize CLIENT order-service rpc.response.status_code=OK
            waypost.payment.v1.PaymentService/Authorize SERVER payment-service order.id=*
              SELECT payments; SELECT voided_orders; INSERT payments CLIENT payment-service
              authorize-payment INTERNAL payment-service
                POST /v1/charges CLIENT payment-service http.response.status_code=201
                  POST /v1/charges SERVER payment-provider http.route=/v1/charges
                    SELECT requests; INSERT charges; INSERT requests CLIENT payment-provider
                SELECT payments; UPDATE payments CLIENT payment-service
        confirm-order INTERNAL order-service
          UPDATE orders; INSERT order_journal; INSERT order_history CLIENT order-service
        capture-payment INTERNAL order-service
          waypost.payment.v1.PaymentService/Capture CLIENT order-service
            waypost.payment.v1.PaymentService/Capture SERVER payment-service
              SELECT payments CLIENT payment-service
              capture-charge INTERNAL payment-service payment.amount=99.99 payment.transaction_id=*
                POST /v1/charges/{id}/capture CLIENT payment-service
                  POST /v1/charges/{id}/capture SERVER payment-provider
                    SELECT requests; SELECT charges; UPDATE charges; INSERT ledger; INSERT requests CLIENT payment-provider
                SELECT payments; UPDATE payments; INSERT ledger_entries CLIENT payment-service
        commit-stock INTERNAL order-service
          waypost.inventory.v1.InventoryService/Commit CLIENT order-service
            waypost.inventory.v1.InventoryService/Commit SERVER inventory-service
              SELECT reservations; SELECT reservation_lines; UPDATE stock; INSERT stock_movements; UPDATE reservations CLIENT inventory-service
        complete-order INTERNAL order-service
          UPDATE orders; INSERT order_journal; INSERT order_history; INSERT outbox CLIENT order-service
        send order-events PRODUCER order-service messaging.destination.name=order-events messaging.operation.type=send
          process order-events CONSUMER notification-service messaging.consumer.group.name=notification-service order.id=*
            INSERT inbox; INSERT notifications CLIENT notification-service db.namespace=notification
";

/// The same on a PostgreSQL server, where the statements of units that can share a transaction are of many parts and have
/// names of their own.
const ON_POSTGRES: &str = "
POST /api/orders SERVER api-gateway http.response.status_code=201 order.status=completed
  check-user INTERNAL api-gateway user.id=user123
    waypost.user.v1.UserService/GetUser CLIENT api-gateway
      waypost.user.v1.UserService/GetUser SERVER user-service
        cache get INTERNAL user-service cache.hit=false
        SELECT users CLIENT user-service db.system.name=postgresql db.namespace=*
  waypost.order.v1.OrderService/CreateOrder CLIENT api-gateway
    waypost.order.v1.OrderService/CreateOrder SERVER order-service
      create-order INTERNAL order-service order.status=completed
        validate-order INTERNAL order-service
          waypost.inventory.v1.InventoryService/CheckStock CLIENT order-service
            waypost.inventory.v1.InventoryService/CheckStock SERVER inventory-service
              SELECT products stock CLIENT inventory-service
        save-order INTERNAL order-service
          INSERT orders; INSERT order_history; INSERT order_journal CLIENT order-service db.system.name=postgresql waypost.db.operation=place waypost.db.wait_duration=* waypost.db.commit.units=1
        check-inventory INTERNAL order-service
          waypost.inventory.v1.InventoryService/Reserve CLIENT order-service
            waypost.inventory.v1.InventoryService/Reserve SERVER inventory-service
              INSERT reservations; INSERT reservation_lines; UPDATE stock CLIENT inventory-service waypost.db.operation=reserve
        process-payment INTERNAL order-service
          waypost.payment.v1.PaymentService/Authorize CLIENT order-service
            waypost.payment.v1.PaymentService/Authorize SERVER payment-service
              INSERT payments CLIENT payment-service waypost.db.operation=begin
              authorize-payment INTERNAL payment-service
                POST /v1/charges CLIENT payment-service
                  POST /v1/charges SERVER payment-provider
                    INSERT requests; INSERT charges; UPDATE charges; INSERT ledger CLIENT payment-provider waypost.db.operation=execute
                UPDATE payments; INSERT ledger_entries CLIENT payment-service waypost.db.operation=record
        confirm-order INTERNAL order-service
          UPDATE orders; INSERT order_journal CLIENT order-service waypost.db.operation=advance
        capture-payment INTERNAL order-service
          waypost.payment.v1.PaymentService/Capture CLIENT order-service
            waypost.payment.v1.PaymentService/Capture SERVER payment-service
              SELECT payments CLIENT payment-service waypost.db.operation=newest
              capture-charge INTERNAL payment-service
                POST /v1/charges/{id}/capture CLIENT payment-service
                  POST /v1/charges/{id}/capture SERVER payment-provider
                    INSERT requests; INSERT charges; UPDATE charges; INSERT ledger CLIENT payment-provider
                UPDATE payments; INSERT ledger_entries CLIENT payment-service
        commit-stock INTERNAL order-service
          waypost.inventory.v1.InventoryService/Commit CLIENT order-service
            waypost.inventory.v1.InventoryService/Commit SERVER inventory-service
              UPDATE reservations; INSERT stock_movements; UPDATE stock CLIENT inventory-service waypost.db.operation=commit
        complete-order INTERNAL order-service
          UPDATE orders; INSERT order_journal CLIENT order-service
        send order-events PRODUCER order-service
          process order-events CONSUMER notification-service
            INSERT inbox; INSERT notifications CLIENT notification-service waypost.db.operation=record
";

#[tokio::test]
async fn the_order_is_the_same_trace_with_its_data_on_postgres() {
    let database = Database::create();
    let traced = Traced::with(|shop| shop.on_postgres(&database.url())).await;
    let answer = traced.post("/api/orders", &[], &seed_order()).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.json);
    traced.assert_tree(&trace_of(&answer), ON_POSTGRES).await;
    drop(traced);
}

#[tokio::test]
async fn one_order_is_one_trace_from_the_gateway_to_the_notification() {
    let traced = Traced::start().await;
    let answer = traced.post("/api/orders", &[], &seed_order()).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.json);
    assert_eq!(answer.json["status"], "completed");
    assert_eq!(answer.json["amount"].to_string(), "99.99");
    let order = answer.json["order_id"].as_str().unwrap();
    assert_eq!(answer.headers["location"], format!("/api/orders/{order}").as_str());
    let trace = trace_of(&answer);
    traced.assert_tree(&trace, FIRST_ORDER).await;
    assert!(
        traced.collector.duplicate_attributes().is_empty(),
        "{:?}",
        traced.collector.duplicate_attributes()
    );
}

#[tokio::test]
async fn reading_listing_and_cancelling_are_traces_of_their_own() {
    let traced = Traced::start().await;
    let order =
        traced.post("/api/orders", &[], &seed_order()).await.json["order_id"].as_str().unwrap().to_owned();
    for (path, name, expected) in [
        (
            format!("/api/orders/{order}"),
            "GET /api/orders/{id}",
            "
GET /api/orders/{id} SERVER api-gateway http.response.status_code=200 http.route=/api/orders/{id} order.id=*
  waypost.order.v1.OrderService/GetOrder CLIENT api-gateway
    waypost.order.v1.OrderService/GetOrder SERVER order-service
      SELECT orders CLIENT order-service
",
        ),
        (
            "/api/orders?user_id=user123".to_owned(),
            "GET /api/orders",
            "
GET /api/orders SERVER api-gateway http.response.status_code=200 url.query=user_id=user123
  waypost.order.v1.OrderService/ListOrders CLIENT api-gateway
    waypost.order.v1.OrderService/ListOrders SERVER order-service
      SELECT orders CLIENT order-service
",
        ),
    ] {
        assert_eq!(traced.get(&path).await.status, StatusCode::OK);
        let trace = traced.trace_named(name).await;
        traced.assert_tree(&trace, expected).await;
    }

    let cancelled = traced.post(&format!("/api/orders/{order}/cancel"), &[], "").await;
    assert_eq!(cancelled.status, StatusCode::CONFLICT);
    assert_eq!(cancelled.json["code"], "order_not_cancellable");
    traced
        .assert_tree(
            &trace_of(&cancelled),
            "
POST /api/orders/{id}/cancel SERVER api-gateway http.response.status_code=409
  waypost.order.v1.OrderService/CancelOrder CLIENT api-gateway ERROR error.type=FAILED_PRECONDITION
    waypost.order.v1.OrderService/CancelOrder SERVER order-service rpc.response.status_code=FAILED_PRECONDITION
      request-cancel INTERNAL order-service
        UPDATE orders; SELECT orders CLIENT order-service
",
        )
        .await;
}

#[tokio::test]
async fn one_order_sent_twice_with_one_key_is_one_order_and_the_second_trace_links_to_the_first() {
    let traced = Traced::start().await;
    let key = [("idempotency-key", "0c5d8ab4-3b8e-4a2e-9d0c-53e2f1b5a001")];
    let first = traced.post("/api/orders", &key, &seed_order()).await;
    let second = traced.post("/api/orders", &key, &seed_order()).await;
    assert_eq!((first.status, second.status), (StatusCode::CREATED, StatusCode::CREATED));
    assert_eq!(first.bytes, second.bytes);
    assert_eq!(second.headers["idempotent-replayed"], "true");
    let list = traced.get("/api/orders?user_id=user123").await;
    assert_eq!(list.json["orders"].as_array().unwrap().len(), 1);

    let replay = traced.other_trace_named("POST /api/orders", &trace_of(&first)).await;
    traced
        .assert_tree(
            &replay,
            "
POST /api/orders SERVER api-gateway http.response.status_code=201
  check-user INTERNAL api-gateway
    waypost.user.v1.UserService/GetUser CLIENT api-gateway
      waypost.user.v1.UserService/GetUser SERVER user-service
        cache get INTERNAL user-service cache.hit=true
  waypost.order.v1.OrderService/CreateOrder CLIENT api-gateway
    waypost.order.v1.OrderService/CreateOrder SERVER order-service
      ...
",
        )
        .await;
    let links: Vec<String> = traced
        .collector
        .trace(&replay)
        .iter()
        .flat_map(|span| {
            span.links().iter().map(|link| link.span_context().trace_id().to_string()).collect::<Vec<_>>()
        })
        .collect();
    assert_eq!(links, [trace_of(&first)], "the replay links to the trace of the first request");
}

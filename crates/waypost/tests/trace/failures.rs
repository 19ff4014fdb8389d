//! Orders that fail show where and why; what is unknown becomes known and is never charged twice.

use http::StatusCode;
use serde_json::json;
use waypost_testkit::until;

use crate::{Traced, order_of, trace_of};

/// The trace of an order whose charge the provider declines.
pub(crate) const DECLINED: &str = "
POST /api/orders SERVER api-gateway http.response.status_code=402
  check-user INTERNAL api-gateway
    ...
  waypost.order.v1.OrderService/CreateOrder CLIENT api-gateway
    waypost.order.v1.OrderService/CreateOrder SERVER order-service
      create-order INTERNAL order-service order.status=failed
        validate-order INTERNAL order-service
          ...
        save-order INTERNAL order-service
          ...
        check-inventory INTERNAL order-service
          ...
        process-payment INTERNAL order-service ERROR error.type=payment_declined payment.provider_code=insufficient_funds
          waypost.payment.v1.PaymentService/Authorize CLIENT order-service ERROR error.type=FAILED_PRECONDITION
            waypost.payment.v1.PaymentService/Authorize SERVER payment-service
              ...
        compensate-order INTERNAL order-service
          UPDATE orders; INSERT order_journal CLIENT order-service
          release-stock INTERNAL order-service
            waypost.inventory.v1.InventoryService/Release CLIENT order-service
              waypost.inventory.v1.InventoryService/Release SERVER inventory-service
                ...
        fail-order INTERNAL order-service order.status=failed
          UPDATE orders; INSERT order_journal; INSERT order_history; INSERT outbox CLIENT order-service
        send order-events PRODUCER order-service
          process order-events CONSUMER notification-service
            INSERT inbox; INSERT notifications CLIENT notification-service
";

#[tokio::test]
async fn an_order_that_is_out_of_stock_fails_at_check_inventory_and_the_authorisation_is_voided() {
    let traced = Traced::start().await;
    let answer = traced.post("/api/orders", &[], &order_of("user123", "prod-soldout", 1, "89.00")).await;
    assert_eq!(
        (answer.status, &answer.json["code"]),
        (StatusCode::CONFLICT, &json!("out_of_stock")),
        "{}",
        answer.json
    );
    let trace = trace_of(&answer);
    traced
        .assert_tree(
            &trace,
            "
POST /api/orders SERVER api-gateway http.response.status_code=409 order.status=failed
  check-user INTERNAL api-gateway
    ...
  waypost.order.v1.OrderService/CreateOrder CLIENT api-gateway
    waypost.order.v1.OrderService/CreateOrder SERVER order-service
      create-order INTERNAL order-service order.status=failed
        validate-order INTERNAL order-service
          ...
        save-order INTERNAL order-service
          INSERT orders; INSERT order_history; INSERT order_journal CLIENT order-service
        check-inventory INTERNAL order-service ERROR error.type=out_of_stock
          waypost.inventory.v1.InventoryService/Reserve CLIENT order-service ERROR error.type=FAILED_PRECONDITION
            waypost.inventory.v1.InventoryService/Reserve SERVER inventory-service rpc.response.status_code=FAILED_PRECONDITION
              ...
        process-payment INTERNAL order-service
          ...
        compensate-order INTERNAL order-service
          UPDATE orders; INSERT order_journal CLIENT order-service
          void-payment INTERNAL order-service
            waypost.payment.v1.PaymentService/Void CLIENT order-service
              waypost.payment.v1.PaymentService/Void SERVER payment-service
                ...
          ...
        fail-order INTERNAL order-service order.status=failed
          UPDATE orders; INSERT order_journal; INSERT order_history; INSERT outbox CLIENT order-service
        send order-events PRODUCER order-service
          process order-events CONSUMER notification-service
            INSERT inbox; INSERT notifications CLIENT notification-service
",
        )
        .await;
}

#[tokio::test]
async fn a_declined_order_shows_the_providers_code_at_process_payment_and_the_stock_is_released() {
    let traced = Traced::start().await;
    let answer = traced.post("/api/orders", &[], &order_of("user-declined", "prod456", 2, "99.99")).await;
    assert_eq!(answer.status, StatusCode::PAYMENT_REQUIRED, "{}", answer.json);
    assert_eq!(
        (&answer.json["code"], &answer.json["provider_code"]),
        (&json!("payment_declined"), &json!("insufficient_funds"))
    );
    traced.assert_tree(&trace_of(&answer), DECLINED).await;
    let product = traced.get("/api/products/prod456").await;
    assert_eq!(product.json["available"], 1_000_000);
}

#[tokio::test]
async fn a_slow_provider_is_the_slowest_step_and_the_order_completes() {
    let traced = Traced::start().await;
    let answer = traced.post("/api/orders", &[], &order_of("user-slow", "prod456", 2, "99.99")).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.json);
    let spans = traced.trace_with(&trace_of(&answer), "process order-events").await;
    let took = |name: &str| spans.iter().find(|span| span.name() == name).unwrap().duration();
    assert!(took("process-payment") > took("POST /api/orders") / 2);
    assert!(took("POST /v1/charges") > took("process-payment") / 2);
}

#[tokio::test]
async fn a_charge_whose_answer_was_lost_is_found_again_and_made_once() {
    let traced = Traced::start().await;
    let body = order_of("user-timeout", "prod456", 2, "99.99");
    let answer = traced.post("/api/orders", &[("idempotency-key", "timeout-1")], &body).await;
    assert!(matches!(answer.status.as_u16(), 201 | 202), "{} {}", answer.status, answer.json);
    let path = format!("/api/orders/{}", answer.json["order_id"].as_str().unwrap());
    until("the order's end", async || traced.get(&path).await.json["status"] == "completed").await;
    let ledger = traced.shop.client("provider").get("/v1/ledger").await.unwrap();
    assert_eq!(ledger.json, json!({"charges": 1, "captured": 99.99, "refunded": 0}));

    let spans = traced.trace_with(&trace_of(&answer), "process order-events").await;
    let lost: Vec<_> = spans
        .iter()
        .filter(|span| {
            span.name() == "POST /v1/charges" && span.service_name() == "payment-service" && span.is_error()
        })
        .collect();
    assert_eq!(lost.len(), 1, "the call whose answer was lost is an error span");
    assert_eq!(lost[0].attribute("error.type").unwrap().to_string(), "timeout");
    // Only then has every span come: of one without children nothing tells that it is missing.
    assert!(traced.shop.stop().await.unwrap().status.success());
    let spans = traced.collector.trace(&trace_of(&answer));
    let charges = spans.iter().filter(|span| span.name().contains("INSERT charges")).count();
    assert_eq!(charges, 1, "one charge is written");
}

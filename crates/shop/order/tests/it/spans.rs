//! The traces: what an order looks like that goes well, and where those that do not show why.

use crate::{
    fakes::Act,
    shop::{PATIENCE, Shop, with_key},
};
use std::time::Duration;
use waypost_api::{ErrorCode, order::v1::OrderStatus};
use waypost_telemetry::testing::{checks::assert_sound, wait_for_tree};

impl Shop {
    async fn assert_tree(&self, trace_id: &str, expected: &str) {
        wait_for_tree(&self.handles(), trace_id, expected, PATIENCE).await;
        // The order's event may still be on its way to the broker.
        let ending = async {
            while self.handles().iter().any(|telemetry| telemetry.ledger().open() > 0) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, ending).await.expect("every span must end");
        assert_sound(&self.handles());
    }
}

#[tokio::test]
async fn an_order_that_succeeds_is_one_trace() {
    let shop = Shop::open().await;
    let order = shop.service.order().await;
    let transaction = &order.transaction_id;
    let id = &order.order_id;
    let expected = format!(
        "POST /api/orders INTERNAL api-gateway
  waypost.order.v1.OrderService/CreateOrder CLIENT api-gateway
    waypost.order.v1.OrderService/CreateOrder SERVER order-service order.id={id}
      create-order INTERNAL order-service order.id={id} order.status=completed user.id=user123 product.id=prod456
        validate-order INTERNAL order-service cache.hit=false
          waypost.inventory.v1.InventoryService/CheckStock CLIENT order-service
            waypost.inventory.v1.InventoryService/CheckStock SERVER inventory-service
        save-order INTERNAL order-service order.status=pending
          * CLIENT order-service db.system.name=sqlite db.namespace=order
        check-inventory INTERNAL order-service product.id=prod456
          waypost.inventory.v1.InventoryService/Reserve CLIENT order-service
            waypost.inventory.v1.InventoryService/Reserve SERVER inventory-service
        process-payment INTERNAL order-service payment.amount=99.99 payment.transaction_id={transaction}
          waypost.payment.v1.PaymentService/Authorize CLIENT order-service
            waypost.payment.v1.PaymentService/Authorize SERVER payment-service
        confirm-order INTERNAL order-service order.status=confirmed
          * CLIENT order-service
        capture-payment INTERNAL order-service payment.transaction_id={transaction}
          waypost.payment.v1.PaymentService/Capture CLIENT order-service
            waypost.payment.v1.PaymentService/Capture SERVER payment-service
        commit-stock INTERNAL order-service
          waypost.inventory.v1.InventoryService/Commit CLIENT order-service
            waypost.inventory.v1.InventoryService/Commit SERVER inventory-service
        complete-order INTERNAL order-service order.status=completed
          * CLIENT order-service
        send order-events PRODUCER order-service"
    );
    shop.assert_tree(&order.trace_id, &expected).await;
}

#[tokio::test]
async fn an_order_that_is_out_of_stock_shows_it_at_check_inventory() {
    let shop = Shop::open().await;
    shop.inventory().script.next("reserve", [Act::Refuse(ErrorCode::OutOfStock)]);
    let order = shop.service.order().await;
    let expected = "POST /api/orders INTERNAL api-gateway
  waypost.order.v1.OrderService/CreateOrder CLIENT api-gateway
    waypost.order.v1.OrderService/CreateOrder SERVER order-service
      create-order INTERNAL order-service order.status=failed
        validate-order INTERNAL order-service
          ...
        save-order INTERNAL order-service
          ...
        check-inventory INTERNAL order-service ERROR error.type=out_of_stock
          waypost.inventory.v1.InventoryService/Reserve CLIENT order-service ERROR error.type=FAILED_PRECONDITION
            waypost.inventory.v1.InventoryService/Reserve SERVER inventory-service
        process-payment INTERNAL order-service
          ...
        compensate-order INTERNAL order-service
          * CLIENT order-service db.namespace=order
          void-payment INTERNAL order-service
            waypost.payment.v1.PaymentService/Void CLIENT order-service
              waypost.payment.v1.PaymentService/Void SERVER payment-service
        fail-order INTERNAL order-service order.status=failed
          * CLIENT order-service
        send order-events PRODUCER order-service";
    shop.assert_tree(&order.trace_id, expected).await;
}

#[tokio::test]
async fn a_decline_shows_at_process_payment_with_the_providers_code() {
    let shop = Shop::open().await;
    shop.payments().script.next("authorize", [Act::Refuse(ErrorCode::PaymentDeclined)]);
    let order = shop.service.order().await;
    let expected = "POST /api/orders INTERNAL api-gateway
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
          waypost.payment.v1.PaymentService/Authorize CLIENT order-service ERROR
            waypost.payment.v1.PaymentService/Authorize SERVER payment-service
        compensate-order INTERNAL order-service
          * CLIENT order-service
          release-stock INTERNAL order-service
            waypost.inventory.v1.InventoryService/Release CLIENT order-service
              waypost.inventory.v1.InventoryService/Release SERVER inventory-service
        fail-order INTERNAL order-service
          * CLIENT order-service
        send order-events PRODUCER order-service";
    shop.assert_tree(&order.trace_id, expected).await;
}

#[tokio::test]
async fn a_lost_answer_shows_as_a_second_call_in_the_same_step() {
    let shop = Shop::open().await;
    shop.payments().script.next("authorize", [Act::LosesTheAnswer]);
    let order = shop.service.order().await;
    let expected = "POST /api/orders INTERNAL api-gateway
  waypost.order.v1.OrderService/CreateOrder CLIENT api-gateway
    waypost.order.v1.OrderService/CreateOrder SERVER order-service
      create-order INTERNAL order-service order.status=completed
        process-payment INTERNAL order-service waypost.saga.attempts=2
          waypost.payment.v1.PaymentService/Authorize CLIENT order-service ERROR
            waypost.payment.v1.PaymentService/Authorize SERVER payment-service ERROR
          waypost.payment.v1.PaymentService/Authorize CLIENT order-service
            waypost.payment.v1.PaymentService/Authorize SERVER payment-service
        ...";
    shop.assert_tree(&order.trace_id, expected).await;
}

#[tokio::test]
async fn an_order_that_was_parked_is_resumed_in_its_trace() {
    let shop = Shop::open().await;
    shop.inventory().script.next("reserve", [Act::Refuse(ErrorCode::OutOfStock)]);
    shop.payments().script.next("void", vec![Act::IsDown; 3]);
    let order = shop.service.order().await;
    shop.service.reaches(&order.order_id, OrderStatus::Failed).await;
    let expected = "POST /api/orders INTERNAL api-gateway
  waypost.order.v1.OrderService/CreateOrder CLIENT api-gateway
    waypost.order.v1.OrderService/CreateOrder SERVER order-service
      create-order INTERNAL order-service order.status=pending
        compensate-order INTERNAL order-service
          void-payment INTERNAL order-service ERROR error.type=unavailable
            ...
          ...
        resume-order INTERNAL order-service
          * CLIENT order-service
          compensate-order INTERNAL order-service
            void-payment INTERNAL order-service
              ...
          fail-order INTERNAL order-service
            * CLIENT order-service
        ...";
    shop.assert_tree(&order.trace_id, expected).await;
}

#[tokio::test]
async fn a_replay_links_to_the_trace_of_the_order() {
    let shop = Shop::open().await;
    shop.service.create(with_key("k1", 1)).await.unwrap();
    shop.service.create(with_key("k1", 1)).await.unwrap();
    shop.service.ended("replay-order", 1).await;
    let replay = shop.service.telemetry.only_span("replay-order");
    let expected = "POST /api/orders INTERNAL api-gateway
  waypost.order.v1.OrderService/CreateOrder CLIENT api-gateway
    waypost.order.v1.OrderService/CreateOrder SERVER order-service
      create-order INTERNAL order-service order.status=completed
        replay-order INTERNAL order-service -> create-order
        validate-order INTERNAL order-service cache.hit=true
        save-order INTERNAL order-service
          * CLIENT order-service";
    shop.assert_tree(&replay.trace_id().to_string(), expected).await;
}

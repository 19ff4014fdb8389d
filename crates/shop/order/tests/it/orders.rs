//! Orders that go well, orders that are refused, orders that turn back.

use crate::{
    fakes::{Act, Hold},
    shop::{PATIENCE, Service, Shop, code, order_for, usd, within},
};
use std::{sync::Arc, time::Duration};
use tokio::{sync::Semaphore, task::JoinSet};
use waypost_api::order::v1::OrderStatus::{Cancelled, Completed, Failed, Pending};
use waypost_api::payment::v1::PaymentState::{Captured, Voided};
use waypost_api::{ErrorCode, OrderStatus, order::v1::CreateOrderRequest};

#[tokio::test]
async fn an_order_that_succeeds_is_paid_once_and_has_its_stock() {
    let shop = Shop::open().await;
    let order = shop.service.order().await;
    assert_eq!((order.status(), order.version), (Completed, 3));
    assert_eq!(order.amount, Some(usd(999_900)));
    assert_eq!(order.trace_id.len(), 32);
    assert!(order.transaction_id.starts_with("ch_"));
    assert_eq!(shop.inventory().hold(&order.order_id), Some(Hold::Committed));
    let paid = shop.payments().paid(&order.order_id).unwrap();
    assert_eq!((paid.state, paid.amount, paid.captures), (Captured, 999_900, 1));
    assert_eq!(shop.payments().script.calls(), ["authorize authorize:1", "capture capture:1"]);

    let history = shop.service.store.history(order.order_id.parse().unwrap()).await.unwrap();
    let states: Vec<_> = history.iter().map(|moved| (moved.version, moved.to)).collect();
    let expected = [OrderStatus::Pending, OrderStatus::Confirmed, OrderStatus::Completed];
    assert_eq!(states, [(1, expected[0]), (2, expected[1]), (3, expected[2])]);
}

#[tokio::test]
async fn an_order_that_is_out_of_stock_has_its_payment_voided() {
    let shop = Shop::open().await;
    shop.inventory().script.next("reserve", [Act::Refuse(ErrorCode::OutOfStock)]);
    let order = shop.service.order().await;
    assert_eq!((order.status(), order.failure_code.as_str()), (Failed, "out_of_stock"));
    assert_eq!(shop.payments().paid(&order.order_id).unwrap().state, Voided);
    assert_eq!(shop.inventory().script.count("release"), 0, "what was refused needs no undo");
    assert_eq!(order.version, 2);
}

#[tokio::test]
async fn an_order_whose_payment_is_declined_has_its_stock_released() {
    let shop = Shop::open().await;
    shop.payments().script.next("authorize", [Act::Refuse(ErrorCode::PaymentDeclined)]);
    let order = shop.service.order().await;
    assert_eq!((order.status(), order.failure_code.as_str()), (Failed, "payment_declined"));
    assert_eq!(order.decline_code, "insufficient_funds");
    assert_eq!(shop.inventory().hold(&order.order_id), Some(Hold::Released));
    assert_eq!(shop.payments().charged(), 0);
}

#[tokio::test]
async fn a_price_that_changed_since_it_was_looked_up_fails_the_order() {
    let shop = Shop::open().await;
    shop.service.order().await;
    *shop.inventory().price.lock().unwrap() = 599_950;
    let order = shop.service.order().await;
    assert_eq!((order.status(), order.failure_code.as_str()), (Failed, "price_changed"));
    assert_eq!(shop.payments().charged(), 1);
}

#[tokio::test]
async fn a_client_that_knows_a_newer_price_than_the_cache_is_right() {
    let shop =
        Shop::with(|config| config.price_time_to_live = waypost_settings::Duration::from_secs(600)).await;
    shop.service.order().await;
    *shop.inventory().price.lock().unwrap() = 599_950;
    let newer = CreateOrderRequest { amount: Some(usd(1_199_900)), ..order_for("user123") };
    // The cached price is believed for a second; then a mismatch is a reason to look again.
    let retried = async {
        loop {
            match shop.service.create(newer.clone()).await {
                Ok(created) => return created.order.unwrap(),
                Err(refused) => assert_eq!(refused.code, ErrorCode::AmountMismatch),
            }
        }
    };
    let order = tokio::time::timeout(PATIENCE, retried).await.unwrap();
    assert_eq!(order.status(), Completed);
    assert_eq!(shop.inventory().script.count("check_stock"), 2);
}

#[tokio::test]
async fn orders_that_miss_the_same_price_at_once_ask_once() {
    const ORDERS: u64 = 20;
    let shop = Shop::open().await;
    let gate = Arc::new(Semaphore::new(0));
    shop.inventory().script.next("check_stock", [Act::Waits(Arc::clone(&gate))]);
    let mut orders = JoinSet::new();
    for _ in 0..ORDERS {
        let mut client = shop.service.client();
        orders.spawn(async move { client.create_order(order_for("user123")).await });
    }
    // Every order has its SERVER span, `create-order` and `validate-order` open: all have missed.
    let all_wait = async {
        while shop.service.telemetry.ledger().open() < 3 * ORDERS {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, all_wait).await.unwrap();
    gate.add_permits(1);
    for created in orders.join_all().await {
        assert_eq!(created.unwrap().into_inner().order.unwrap().status(), Completed);
    }
    assert_eq!(shop.inventory().script.count("check_stock"), 1);
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_told_field_by_field_and_nothing_is_stored() {
    let shop = Shop::open().await;
    let service = &shop.service;
    let refused = service.create(CreateOrderRequest::default()).await.unwrap_err();
    let pointers: Vec<_> = refused.fields.iter().map(|field| field.pointer.as_str()).collect();
    assert_eq!(refused.code, ErrorCode::InvalidRequest);
    assert_eq!(pointers, ["/caller", "/user_id", "/product_id", "/quantity", "/amount", "/payment_method"]);

    let order = || order_for("user123");
    let refused = |request| async move { code(service.create(request).await) };
    let wrong_amount = CreateOrderRequest { amount: Some(usd(999_899)), ..order() };
    assert_eq!(refused(wrong_amount).await, ErrorCode::AmountMismatch);
    let negative = CreateOrderRequest { amount: Some(usd(-999_900)), ..order() };
    assert_eq!(refused(negative).await, ErrorCode::InvalidRequest);
    let too_many = CreateOrderRequest { quantity: u32::MAX, ..order() };
    assert_eq!(refused(too_many).await, ErrorCode::InvalidRequest);
    let unknown = CreateOrderRequest { product_id: "prod-nothing".to_owned(), ..order() };
    assert_eq!(refused(unknown).await, ErrorCode::ProductNotFound);
    let for_another = CreateOrderRequest { user_id: "user456".to_owned(), ..order() };
    assert_eq!(refused(for_another).await, ErrorCode::Forbidden);
    assert_eq!(shop.inventory().script.count("reserve"), 0);
}

#[tokio::test]
async fn a_payment_method_that_payments_refuse_is_refused_at_once() {
    let shop = Shop::open().await;
    let with = |payment_method: String| CreateOrderRequest { payment_method, ..order_for("user123") };
    for method in ["p".repeat(65), "pm card".to_owned(), String::new()] {
        let refused = shop.service.create(with(method)).await.unwrap_err();
        assert_eq!((refused.code, refused.fields.len()), (ErrorCode::InvalidRequest, 1));
    }
    assert_eq!(shop.service.create(with("p".repeat(64))).await.unwrap().order.unwrap().status(), Completed);
}

#[tokio::test]
async fn one_after_the_other_the_payment_is_not_asked_for_when_there_is_no_stock() {
    let shop = Shop::with(|config| config.parallel_checks = false).await;
    assert_eq!(shop.service.order().await.status(), Completed);
    shop.inventory().script.next("reserve", [Act::Refuse(ErrorCode::OutOfStock)]);
    let order = shop.service.order().await;
    assert_eq!(order.failure_code, "out_of_stock");
    assert_eq!(shop.payments().paid(&order.order_id), None);
}

#[tokio::test]
async fn a_caller_that_leaves_does_not_stop_its_order() {
    let shop = Shop::open().await;
    let gate = Arc::new(Semaphore::new(0));
    shop.payments().script.next("authorize", [Act::Waits(Arc::clone(&gate))]);
    {
        let creating = shop.service.create(order_for("user123"));
        tokio::select! {
            created = creating => panic!("answered too early: {created:?}"),
            () = shop.payments().script.called("authorize") => {}
        }
    }
    gate.add_permits(1);
    let id = only_order(&shop.service).await;
    assert_eq!(shop.service.reaches(&id, Completed).await.version, 3);
}

#[tokio::test]
async fn a_caller_whose_time_is_over_is_told_how_the_order_stands() {
    let shop = Shop::open().await;
    let gate = Arc::new(Semaphore::new(0));
    shop.payments().script.next("authorize", [Act::Waits(Arc::clone(&gate))]);
    let request = within(Duration::from_millis(400), order_for("user123"));
    let order = shop.service.client().create_order(request).await.unwrap().into_inner().order.unwrap();
    assert_eq!(order.status(), Pending);
    gate.add_permits(1);
    shop.service.reaches(&order.order_id, Completed).await;
}

#[tokio::test]
async fn an_order_is_cancelled_before_its_payment_is_taken() {
    let shop = Shop::open().await;
    let gate = Arc::new(Semaphore::new(0));
    shop.payments().script.next("authorize", [Act::Waits(Arc::clone(&gate))]);
    let creating = shop.service.create(order_for("user123"));
    let cancelling = async {
        shop.payments().script.called("authorize").await;
        let id = only_order(&shop.service).await;
        assert_eq!(code(shop.service.cancel(&id, "mallory").await), ErrorCode::OrderNotFound);
        let (cancelled, ()) = tokio::join!(shop.service.cancel(&id, "user123"), async {
            // The wish is noted before the payment goes on; the first of the two was mallory's.
            shop.service.ended("request-cancel", 2).await;
            gate.add_permits(1);
        });
        cancelled.unwrap()
    };
    let (created, cancelled) = tokio::join!(creating, cancelling);
    assert_eq!(cancelled.status(), Cancelled);
    assert_eq!(created.unwrap().order.unwrap().status(), Cancelled);
    assert_eq!(shop.inventory().hold(&cancelled.order_id), Some(Hold::Released));
    assert_eq!(shop.payments().paid(&cancelled.order_id).unwrap().state, Voided);
    let again = shop.service.cancel(&cancelled.order_id, "user123").await.unwrap();
    assert_eq!(again.version, cancelled.version, "cancelling twice changes nothing");
}

#[tokio::test]
async fn an_order_whose_payment_is_being_taken_cannot_be_cancelled() {
    let shop = Shop::open().await;
    let gate = Arc::new(Semaphore::new(0));
    shop.payments().script.next("capture", [Act::Waits(Arc::clone(&gate))]);
    let creating = shop.service.create(order_for("user123"));
    let cancelling = async {
        shop.payments().script.called("capture").await;
        let id = only_order(&shop.service).await;
        assert_eq!(code(shop.service.cancel(&id, "user123").await), ErrorCode::OrderNotCancellable);
        gate.add_permits(1);
        id
    };
    let (created, id) = tokio::join!(creating, cancelling);
    assert_eq!(created.unwrap().order.unwrap().status(), Completed);
    assert_eq!(code(shop.service.cancel(&id, "user123").await), ErrorCode::OrderNotCancellable);
}

#[tokio::test]
async fn more_orders_than_can_be_worked_on_are_turned_away() {
    let shop = Shop::with(|config| config.max_running = 1).await;
    let gate = Arc::new(Semaphore::new(0));
    shop.payments().script.next("authorize", [Act::Waits(Arc::clone(&gate))]);
    let creating = shop.service.create(order_for("user123"));
    let second = async {
        shop.payments().script.called("authorize").await;
        assert_eq!(code(shop.service.create(order_for("user123")).await), ErrorCode::Overloaded);
        gate.add_permits(1);
    };
    let (created, ()) = tokio::join!(creating, second);
    assert_eq!(created.unwrap().order.unwrap().status(), Completed);
}

/// The id of the only order that there is.
async fn only_order(service: &Service) -> String {
    let viewer = waypost_order::domain::Viewer { user: "user-admin".parse().unwrap(), is_admin: true };
    let orders = service.store.page("user123".parse().unwrap(), viewer, None, 10).await.unwrap();
    assert_eq!(orders.len(), 1);
    orders[0].id.to_string()
}

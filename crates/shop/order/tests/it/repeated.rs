//! The same request more than once (I1 to I4, I7).

use crate::{
    fakes::Act,
    shop::{PATIENCE, Service, Shop, caller, code, error_of, usd, with_key},
};
use futures_util::future::join_all;
use std::{sync::Arc, time::Duration};
use tokio::sync::Semaphore;
use waypost_api::order::v1::OrderStatus::{Completed, Pending};
use waypost_api::{
    ErrorCode,
    order::v1::{CreateOrderRequest, GetOrderByKeyRequest},
};
use waypost_durable::Files;
use waypost_telemetry::testing::{TestTelemetry, wait_for};

#[tokio::test]
async fn a_repeated_request_gets_the_first_answer_and_makes_no_second_order() {
    let shop = Shop::open().await;
    let first = shop.service.create(with_key("k1", 1)).await.unwrap();
    let second = shop.service.create(with_key("k1", 1)).await.unwrap();
    assert!(!first.replayed && second.replayed);
    assert_eq!(first.order, second.order);
    assert_eq!(shop.payments().charged(), 1);
}

#[tokio::test]
async fn a_repeated_request_gets_the_first_refusal_too() {
    let shop = Shop::open().await;
    shop.payments().script.next("authorize", [Act::Refuse(ErrorCode::PaymentDeclined)]);
    let first = shop.service.create(with_key("k1", 1)).await.unwrap();
    let second = shop.service.create(with_key("k1", 1)).await.unwrap();
    assert_eq!(first.order, second.order);
    assert_eq!(second.order.unwrap().failure_code, "payment_declined");
}

#[tokio::test]
async fn a_key_belongs_to_one_request() {
    let shop = Shop::open().await;
    shop.service.create(with_key("k1", 1)).await.unwrap();
    assert_eq!(code(shop.service.create(with_key("k1", 2)).await), ErrorCode::IdempotencyKeyReused);
    // Also when the other request could not be accepted anyway.
    let wrong = CreateOrderRequest { amount: Some(usd(1)), ..with_key("k1", 3) };
    assert_eq!(code(shop.service.create(wrong).await), ErrorCode::IdempotencyKeyReused);
    assert_eq!(shop.payments().charged(), 1);
}

#[tokio::test]
async fn a_key_belongs_to_one_principal() {
    let shop = Shop::open().await;
    let mut other = with_key("k1", 2);
    other.idempotency.as_mut().unwrap().principal = "user456".to_owned();
    let first = shop.service.create(with_key("k1", 1)).await.unwrap().order.unwrap();
    let second = shop.service.create(other).await.unwrap().order.unwrap();
    assert_ne!(first.order_id, second.order_id);
}

#[tokio::test]
async fn a_repeated_request_is_answered_although_the_price_has_changed_since() {
    let shop =
        Shop::with(|config| config.price_time_to_live = waypost_settings::Duration::from_millis(0)).await;
    let first = shop.service.create(with_key("k1", 1)).await.unwrap();
    *shop.inventory().price.lock().unwrap() = 599_950;
    let second = shop.service.create(with_key("k1", 1)).await.unwrap();
    assert!(second.replayed);
    assert_eq!(first.order, second.order);
    assert_eq!(code(shop.service.create(with_key("k2", 1)).await), ErrorCode::AmountMismatch);
}

#[tokio::test]
async fn a_request_whose_first_one_still_runs_is_asked_to_come_again() {
    let shop = Shop::open().await;
    let gate = Arc::new(Semaphore::new(0));
    shop.payments().script.next("authorize", [Act::Waits(Arc::clone(&gate))]);
    let first = shop.service.create(with_key("k1", 1));
    let second = async {
        shop.payments().script.called("authorize").await;
        let refused = shop.service.create(with_key("k1", 1)).await.unwrap_err();
        assert_eq!(refused.code, ErrorCode::IdempotencyKeyInUse);
        assert_eq!(refused.retry_after, Some(Duration::from_secs(1)));
        gate.add_permits(1);
    };
    let (first, ()) = tokio::join!(first, second);
    assert_eq!(first.unwrap().order.unwrap().status(), Completed);
    assert!(shop.service.create(with_key("k1", 1)).await.unwrap().replayed);
}

/// The same call again, by a caller that had no answer to it.
fn repeat(request: CreateOrderRequest) -> CreateOrderRequest {
    CreateOrderRequest { is_repeat: true, ..request }
}

#[tokio::test]
async fn a_caller_that_lost_the_answer_waits_for_the_order_that_still_runs() {
    let shop = Shop::open().await;
    let gate = Arc::new(Semaphore::new(0));
    shop.payments().script.next("authorize", [Act::Waits(Arc::clone(&gate))]);
    let lost = shop.service.create(with_key("k1", 1));
    let again = async {
        shop.payments().script.called("authorize").await;
        let joining = async { shop.service.create(repeat(with_key("k1", 1))).await.unwrap() };
        let others = async {
            // A client's own second request is told to come again meanwhile, and another request is another one.
            assert_eq!(code(shop.service.create(with_key("k1", 1)).await), ErrorCode::IdempotencyKeyInUse);
            let other = repeat(with_key("k1", 2));
            assert_eq!(code(shop.service.create(other).await), ErrorCode::IdempotencyKeyReused);
            gate.add_permits(1);
        };
        tokio::join!(joining, others).0
    };
    let (lost, again) = tokio::join!(lost, again);
    let order = again.order.unwrap();
    assert_eq!(order.status(), Completed);
    assert_eq!(lost.unwrap().order.unwrap(), order);
    assert_eq!(shop.payments().charged(), 1);
}

#[tokio::test]
async fn a_caller_that_lost_the_answer_is_told_how_its_order_stands() {
    let shop = Shop::with(|config| config.max_wait = waypost_settings::Duration::from_millis(1)).await;
    let gate = Arc::new(Semaphore::new(0));
    shop.payments().script.next("authorize", [Act::Waits(Arc::clone(&gate))]);
    let lost = shop.service.create(with_key("k1", 1)).await.unwrap().order.unwrap();
    let again = shop.service.create(repeat(with_key("k1", 1))).await.unwrap();
    assert!(!again.replayed, "no answer was given before");
    let order = again.order.unwrap();
    assert_eq!((&order.order_id, order.status()), (&lost.order_id, Pending));
    gate.add_permits(1);
    shop.service.reaches(&order.order_id, Completed).await;
    assert!(shop.service.create(repeat(with_key("k1", 1))).await.unwrap().replayed);
}

#[tokio::test]
async fn an_order_that_another_process_runs_is_waited_for_as_well() {
    let shop = Shop::open().await;
    let (telemetry, store) = (TestTelemetry::new("order-service"), Arc::clone(&shop.service.store));
    let other = Service::over(&shop.neighbours.config(), telemetry, store);
    let gate = Arc::new(Semaphore::new(0));
    shop.payments().script.next("authorize", [Act::Waits(Arc::clone(&gate))]);
    let lost = shop.service.create(with_key("k1", 1));
    let again = async {
        shop.payments().script.called("authorize").await;
        let joining = async { other.create(repeat(with_key("k1", 1))).await.unwrap() };
        let ending = async {
            // It is asked for more than once before it ends.
            wait_for(&[&shop.service.telemetry, &other.telemetry], PATIENCE, |spans| {
                spans.iter().filter(|span| span.name() == "SELECT orders").count() > 3
            })
            .await
            .unwrap();
            gate.add_permits(1);
        };
        tokio::join!(joining, ending).0
    };
    let (lost, again) = tokio::join!(lost, again);
    let order = again.order.unwrap();
    assert_eq!(order.status(), Completed);
    assert_eq!(lost.unwrap().order.unwrap(), order);
    other.stop().await;
}

/// What GetOrderByKey is asked about a request.
fn by_key(request: CreateOrderRequest) -> GetOrderByKeyRequest {
    let CreateOrderRequest { caller, user_id, idempotency, .. } = request;
    GetOrderByKeyRequest { caller, user_id, idempotency }
}

#[tokio::test]
async fn a_repeated_request_is_answered_with_everybody_else_away() {
    let shop =
        Shop::with(|config| config.price_time_to_live = waypost_settings::Duration::from_millis(0)).await;
    let first = shop.service.create(with_key("k1", 1)).await.unwrap();
    let (inventory, payments) = (&shop.inventory().script, &shop.payments().script);
    for step in ["check_stock", "reserve"] {
        inventory.next(step, vec![Act::Refuse(ErrorCode::Unavailable); 8]);
    }
    payments.next("authorize", vec![Act::Refuse(ErrorCode::Unavailable); 8]);
    let asked = inventory.count("check_stock");
    let second = shop.service.create(with_key("k1", 1)).await.unwrap();
    assert!(second.replayed);
    assert_eq!(first.order, second.order);
    assert_eq!(inventory.count("check_stock"), asked, "the key comes before the price");
    assert_eq!(code(shop.service.create(with_key("k2", 1)).await), ErrorCode::Unavailable);
}

#[tokio::test]
async fn a_repeated_request_is_answered_although_no_new_one_is_admitted() {
    let shop = Shop::with(|config| config.max_running = 1).await;
    let first = shop.service.create(with_key("k1", 1)).await.unwrap();
    let gate = Arc::new(Semaphore::new(0));
    shop.payments().script.next("authorize", [Act::Waits(Arc::clone(&gate))]);
    let held = shop.service.create(with_key("k2", 2));
    let others = async {
        shop.payments().script.called("authorize").await;
        assert_eq!(code(shop.service.create(with_key("k3", 3)).await), ErrorCode::Overloaded);
        let second = shop.service.create(with_key("k1", 1)).await.unwrap();
        assert_eq!((second.replayed, &second.order), (true, &first.order));
        gate.add_permits(1);
    };
    tokio::join!(held, others).0.unwrap();
}

#[tokio::test]
async fn an_order_is_found_by_its_key_once_it_is_settled() {
    let shop = Shop::open().await;
    let find = async |request| {
        let found = shop.service.client().get_order_by_key(by_key(request)).await;
        found.map(tonic::Response::into_inner).map_err(|status| error_of(&status))
    };
    assert_eq!(find(with_key("k1", 1)).await, Err(ErrorCode::OrderNotFound));
    let gate = Arc::new(Semaphore::new(0));
    shop.payments().script.next("authorize", [Act::Waits(Arc::clone(&gate))]);
    let (created, ()) = tokio::join!(shop.service.create(with_key("k1", 1)), async {
        shop.payments().script.called("authorize").await;
        assert_eq!(find(with_key("k1", 1)).await, Err(ErrorCode::IdempotencyKeyInUse));
        gate.add_permits(1);
    });
    assert_eq!(find(with_key("k1", 1)).await.ok(), created.unwrap().order);
    assert_eq!(find(with_key("k1", 2)).await, Err(ErrorCode::IdempotencyKeyReused));
    let stranger = CreateOrderRequest { caller: Some(caller("mallory")), ..with_key("k1", 1) };
    assert_eq!(find(stranger).await, Err(ErrorCode::Forbidden));
}

#[tokio::test]
async fn fifty_requests_at_once_with_one_key_make_one_order() {
    let shop = Shop::open().await;
    let created = join_all((0..50).map(|_| shop.service.create(with_key("k1", 1)))).await;
    let mut ids = Vec::new();
    let mut won = 0;
    for result in created {
        match result {
            Ok(created) => {
                won += usize::from(!created.replayed);
                ids.push(created.order.unwrap().order_id);
            }
            Err(refused) => assert_eq!(refused.code, ErrorCode::IdempotencyKeyInUse),
        }
    }
    ids.dedup();
    assert_eq!((won, ids.len()), (1, 1));
    assert_eq!(shop.payments().charged(), 1);
    assert!(shop.service.create(with_key("k1", 1)).await.unwrap().replayed, "all converge");
}

#[tokio::test]
async fn a_repeated_request_gets_the_first_answer_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let data = Files::Folder(folder.path().to_path_buf());
    let shop = Shop::open().await;
    let config = shop.neighbours.config();
    let service = Service::start(&config, &data).await;
    let first = service.create(with_key("k1", 1)).await.unwrap();
    service.stop().await;

    let service = Service::start(&config, &data).await;
    let second = service.create(with_key("k1", 1)).await.unwrap();
    assert!(second.replayed);
    assert_eq!(first.order, second.order);
    assert_eq!(shop.payments().charged(), 1);
}

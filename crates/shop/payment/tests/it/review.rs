//! The review: what was left open is settled without anybody asking again.

use crate::{
    provider::{FakeProvider, Mood},
    world::{
        AMOUNT, assert_sound, authorization, config, dollars, first, order, payments, sqlite, sqlite_in,
    },
};
use std::{sync::Arc, time::Duration};
use waypost_api::ErrorCode;
use waypost_durable::{Epoch, Files};
use waypost_payment::{
    domain::{NewRefund, PaymentState},
    logic::Payments,
    provider::Provider,
};
use waypost_service::Drain;
use waypost_telemetry::{Telemetry, span, testing::TestTelemetry, with_context};

async fn state(payments: &Payments) -> PaymentState {
    payments.payment(order("one")).await.unwrap().state
}

#[tokio::test]
async fn a_charge_whose_answer_is_lost_is_found_by_the_review() {
    let provider = FakeProvider::start();
    let store = sqlite();
    let payments = payments(&store, &provider);
    provider.is_next(Mood::SilentAfter);
    payments.authorize(authorization("one")).await.unwrap_err();
    assert_eq!(payments.review().await.unwrap(), 0);
    store.move_on(5);
    assert_eq!(payments.review().await.unwrap(), 1);
    assert_eq!(state(&payments).await, PaymentState::Authorized);
    assert_eq!(payments.review().await.unwrap(), 0);
    assert_eq!(provider.charges().len(), 1);
}

#[tokio::test]
async fn a_crash_between_the_charge_and_our_record_is_settled_after_the_restart() {
    let folder = tempfile::tempdir().unwrap();
    let data = Files::Folder(folder.path().to_owned());
    let provider = FakeProvider::start();
    let open = || sqlite_in(&data, &Telemetry::disabled());
    let store = open();
    let before = payments(&store, &provider);
    provider.is_next(Mood::SilentAfter);
    let request = waypost_telemetry::spawn(async move { before.authorize(authorization("one")).await });
    provider.wait_for_calls(1).await;
    // The process dies here: the provider has charged, we have not heard of it.
    request.abort();
    assert!(request.await.unwrap_err().is_cancelled());
    store.close().await;

    let store = open();
    let after = payments(&store, &provider);
    assert_eq!(state(&after).await, PaymentState::Unknown);
    store.move_on(5);
    assert_eq!(after.review().await.unwrap(), 1);
    assert_eq!(state(&after).await, PaymentState::Authorized);
    // The order's saga comes back as well, with the same key.
    assert_eq!(after.authorize(authorization("one")).await.unwrap().state, PaymentState::Authorized);
    after.capture(order("one"), "one:capture:1", Epoch::FIRST).await.unwrap();
    assert_eq!((provider.charges().len(), provider.count("POST /v1/charges")), (1, 1));
    assert_sound(&*store, &["one"]).await;
    store.close().await;
}

#[tokio::test]
async fn a_payment_that_was_given_up_is_voided_by_the_review_if_the_void_could_not() {
    let provider = FakeProvider::start();
    let store = sqlite();
    let payments = payments(&store, &provider);
    payments.authorize(authorization("one")).await.unwrap();
    provider.is_next(Mood::SilentBefore);
    payments.void(order("one"), first(), "one:void:1", Epoch::FIRST).await.unwrap_err();
    assert_eq!(state(&payments).await, PaymentState::Authorized);
    store.move_on(5);
    assert_eq!(payments.review().await.unwrap(), 1);
    assert_eq!(state(&payments).await, PaymentState::Voided);
    assert_eq!(provider.charges()[0]["status"], "voided");
}

#[tokio::test]
async fn a_charge_that_arrives_after_the_void_is_voided_too() {
    let provider = FakeProvider::start();
    let store = sqlite();
    let payments = payments(&store, &provider);
    provider.is_next(Mood::SilentBefore);
    payments.authorize(authorization("one")).await.unwrap_err();
    let voided = payments.void(order("one"), first(), "one:void:1", Epoch::FIRST).await.unwrap().unwrap();
    assert_eq!(voided.state, PaymentState::Voided);
    provider.receive_late(voided.id.as_str(), "99.99");

    store.move_on(60);
    assert_eq!(payments.review().await.unwrap(), 1);
    assert_eq!(provider.charges()[0]["status"], "voided");
    assert_eq!(state(&payments).await, PaymentState::Voided);
    store.move_on(3600);
    assert_eq!(payments.review().await.unwrap(), 0);
}

#[tokio::test]
async fn a_charge_that_arrives_hours_after_the_void_is_voided_too() {
    let store = sqlite();
    let provider = FakeProvider::start();
    let payments = payments(&store, &provider);
    provider.is_next(Mood::SilentBefore);
    payments.authorize(authorization("one")).await.unwrap_err();
    let voided = payments.void(order("one"), first(), "one:void:1", Epoch::FIRST).await.unwrap().unwrap();
    let mut looks = 0;
    for _ in 0..60 * 5 {
        store.move_on(60);
        looks += payments.review().await.unwrap();
    }
    assert!((3..12).contains(&looks), "with growing pauses: {looks}");
    provider.receive_late(voided.id.as_str(), "99.99");
    for _ in 0..60 * 20 {
        store.move_on(60);
        payments.review().await.unwrap();
    }
    assert_eq!(provider.charges()[0]["status"], "voided");
    store.move_on(7 * 24 * 3600);
    assert_eq!(payments.review().await.unwrap(), 0);
}

#[tokio::test]
async fn a_capture_that_comes_late_is_given_back_by_the_review() {
    let provider = FakeProvider::start();
    let store = sqlite();
    let payments = payments(&store, &provider);
    payments.authorize(authorization("one")).await.unwrap();
    // The void gets no answer, and the capture that was sent before it is worked off first.
    provider.is_next(Mood::SilentBefore);
    payments.void(order("one"), first(), "one:void:1", Epoch::FIRST).await.unwrap_err();
    provider.capture_late(0);
    store.move_on(5);
    assert_eq!(payments.review().await.unwrap(), 1);
    assert_eq!(state(&payments).await, PaymentState::Refunded);
    assert_eq!(provider.charges()[0]["refunded"], 99.99);
    assert_sound(&*store, &["one"]).await;
}

#[tokio::test]
async fn a_capture_that_nobody_heard_of_is_booked_by_the_review() {
    let provider = FakeProvider::start();
    let store = sqlite();
    let payments = payments(&store, &provider);
    payments.authorize(authorization("one")).await.unwrap();
    provider.is_next(Mood::SilentAfter);
    payments.capture(order("one"), "one:capture:1", Epoch::FIRST).await.unwrap_err();
    store.move_on(600);
    assert_eq!(payments.review().await.unwrap(), 1);
    assert_eq!(state(&payments).await, PaymentState::Captured);
    assert_sound(&*store, &["one"]).await;
}

#[tokio::test]
async fn a_refund_without_an_answer_is_sent_again() {
    let provider = FakeProvider::start();
    let store = sqlite();
    let payments = payments(&store, &provider);
    payments.authorize(authorization("one")).await.unwrap();
    payments.capture(order("one"), "one:capture:1", Epoch::FIRST).await.unwrap();
    let request = NewRefund { order: order("one"), key: "one:refund:1".to_owned(), amount: dollars(AMOUNT) };
    provider.is_next(Mood::SilentAfter);
    payments.refund(request.clone(), Some(Epoch::FIRST)).await.unwrap_err();
    store.move_on(5);
    assert_eq!(payments.review().await.unwrap(), 1);
    assert_eq!(state(&payments).await, PaymentState::Refunded);
    assert_eq!(payments.refund(request, Some(Epoch::FIRST)).await.unwrap().refunded, AMOUNT);
    assert_eq!(provider.count("refund"), 2);
}

#[tokio::test]
async fn a_provider_that_is_away_is_asked_less_and_less_often() {
    let store = sqlite();
    let payments = {
        let provider = FakeProvider::start();
        payments(&store, &provider)
    };
    let error = payments.authorize(authorization("one")).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::PaymentUnknown);
    store.move_on(5);
    let mut looks = 0;
    for _ in 0..60 {
        looks += payments.review().await.unwrap();
        store.move_on(1);
    }
    assert_eq!(looks, 4, "after 5, 10, 20 and 40 seconds");
    assert_eq!(state(&payments).await, PaymentState::Unknown);
}

#[tokio::test]
async fn a_review_joins_the_trace_of_the_request_and_finds_nothing_in_silence() {
    let telemetry = TestTelemetry::new("payment-service");
    let provider = FakeProvider::start();
    let config = config(&provider);
    let store = sqlite_in(&Files::Ephemeral, telemetry.handle());
    let client = Provider::new(&config.provider, telemetry.handle()).unwrap();
    let payments = Payments::new(Arc::clone(&store.store), client, &config);
    with_context(telemetry.context(), async {
        assert_eq!(payments.review().await.unwrap(), 0);
        assert!(telemetry.finished_spans().is_empty());
        provider.is_next(Mood::SilentAfter);
        span("place-order")
            .observe(async { payments.authorize(authorization("one")).await.unwrap_err() })
            .await;
        store.move_on(5);
        payments.review().await.unwrap();
    })
    .await;
    telemetry.tree().assert_matches(
        "
place-order INTERNAL payment-service
  SELECT payments; SELECT voided_orders; INSERT payments CLIENT payment-service
  authorize-payment INTERNAL payment-service ERROR error.type=provider_timeout order.id=one payment.amount=99.99
    POST /v1/charges CLIENT payment-service ERROR error.type=timeout
  resolve-payment INTERNAL payment-service order.id=one payment.transaction_id=ch_1
    GET /v1/charges CLIENT payment-service http.response.status_code=200
    SELECT payments; UPDATE payments CLIENT payment-service
",
    );
    store.close().await;
}

#[tokio::test]
async fn the_worker_reviews_until_the_drain() {
    let provider = FakeProvider::start();
    let mut config = config(&provider);
    config.review.interval = Duration::from_millis(1).into();
    let client = Provider::new(&config.provider, &Telemetry::disabled()).unwrap();
    let store = sqlite();
    let payments = Payments::new(Arc::clone(&store.store), client, &config);
    provider.is_next(Mood::SilentAfter);
    payments.authorize(authorization("one")).await.unwrap_err();
    store.move_on(5);

    let (trigger, drain) = Drain::new();
    let worker = payments.clone().reviewer(&Telemetry::disabled());
    let worker = waypost_telemetry::spawn((worker.run)(drain));
    let settled = async {
        while state(&payments).await == PaymentState::Unknown {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), settled).await.unwrap();
    trigger.start();
    tokio::time::timeout(Duration::from_secs(10), worker).await.unwrap().unwrap();
}

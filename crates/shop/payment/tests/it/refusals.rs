//! What counts as a no of the provider, and what becomes of what it did all the same.

use crate::{
    flow::{code, shop},
    provider::{FakeProvider, Mood},
    world::{AMOUNT, assert_sound, authorization, dollars, order, payments, sqlite},
};
use axum::http::StatusCode;
use waypost_api::ErrorCode;
use waypost_durable::Epoch;
use waypost_payment::{
    domain::{NewRefund, PaymentState},
    logic::Payments,
    provider::Provider,
};
use waypost_telemetry::{metrics::render_prometheus, testing::TestTelemetry, with_context};

const UNPROCESSABLE: StatusCode = StatusCode::UNPROCESSABLE_ENTITY;

#[tokio::test]
async fn a_capture_that_the_provider_refuses_is_decided_by_what_the_charge_is() {
    let shop = shop();
    shop.authorize().await.unwrap();
    shop.provider.is_next(Mood::AnswerAfter(UNPROCESSABLE, r#"{"code":"charge_state"}"#.to_owned()));
    assert_eq!(shop.capture().await.unwrap(), PaymentState::Captured);

    let shop = self::shop();
    shop.authorize().await.unwrap();
    shop.provider.is_next(Mood::Answer(UNPROCESSABLE, r#"{"code":"charge_expired"}"#.to_owned()));
    let refused = waypost_api::Error::from(shop.capture().await.unwrap_err());
    assert_eq!(
        (refused.code, refused.provider_code.as_deref()),
        (ErrorCode::PaymentConflict, Some("charge_expired"))
    );
}

/// What the provider answers that leaves the outcome open.
fn open_answers() -> Vec<Mood> {
    let answer = |status: u16, code: &str| {
        Mood::Answer(StatusCode::from_u16(status).unwrap(), format!(r#"{{"code":"{code}"}}"#))
    };
    [(401, "bad_key"), (403, "forbidden"), (404, "not_found"), (405, "no"), (409, "running"), (500, "x")]
        .into_iter()
        .chain([(400, "invalid_request"), (422, "idempotency_key_reused")])
        .map(|(status, code)| answer(status, code))
        .collect()
}

#[tokio::test]
async fn an_answer_that_is_no_decision_leaves_every_call_open() {
    for mood in open_answers() {
        let shop = shop();
        let is_open = |code: ErrorCode| {
            assert!(matches!(code, ErrorCode::PaymentUnknown | ErrorCode::Unavailable), "{mood:?}: {code}");
        };
        shop.provider.is_next(mood.clone());
        is_open(code(shop.authorize().await));
        assert_eq!(shop.authorize().await.unwrap(), PaymentState::Authorized);
        shop.provider.is_next(mood.clone());
        is_open(code(shop.capture().await));
        assert_eq!(shop.capture().await.unwrap(), PaymentState::Captured);
        shop.provider.is_next(mood.clone());
        is_open(code(shop.refund(AMOUNT).await));
        assert_eq!(shop.refund(AMOUNT).await.unwrap(), AMOUNT);

        let shop = self::shop();
        shop.authorize().await.unwrap();
        shop.provider.is_next(mood.clone());
        is_open(code(shop.void().await));
        assert_eq!(shop.void().await.unwrap(), Some(PaymentState::Voided));
    }
}

#[tokio::test]
async fn a_provider_that_does_not_take_our_key_is_counted_and_logged() {
    let telemetry = TestTelemetry::new("payment-service");
    let provider = FakeProvider::start();
    let config = crate::world::config(&provider);
    let client = Provider::new(&config.provider, telemetry.handle()).unwrap();
    let payments = Payments::new(sqlite().store, client, &config);
    provider.is_next(Mood::Answer(StatusCode::UNAUTHORIZED, r#"{"code":"key_revoked"}"#.to_owned()));
    let error = with_context(telemetry.context(), payments.authorize(authorization("one"))).await;
    // `unavailable`, which opens the breakers of the callers.
    assert_eq!(code(error), ErrorCode::Unavailable);
    let page = render_prometheus(&[telemetry.handle().clone()]);
    assert!(page.contains("waypost_payment_provider_denied_total"), "{page}");
}

#[tokio::test]
async fn a_request_that_the_provider_does_not_take_is_a_decline() {
    let shop = shop();
    shop.provider
        .is_next(Mood::Answer(StatusCode::BAD_REQUEST, r#"{"code":"currency_not_supported"}"#.to_owned()));
    let declined = waypost_api::Error::from(shop.authorize().await.unwrap_err());
    assert_eq!(declined.code, ErrorCode::PaymentDeclined);
    assert_eq!(declined.provider_code.as_deref(), Some("currency_not_supported"));
}

#[tokio::test]
async fn a_refund_that_the_provider_refuses_frees_its_amount() {
    let shop = shop();
    shop.authorize().await.unwrap();
    shop.capture().await.unwrap();
    shop.provider.is_next(rejected_refund());
    for _ in 0..2 {
        assert_eq!(code(shop.refund(AMOUNT).await), ErrorCode::PaymentConflict);
    }
    assert_eq!(shop.provider.count("refund"), 1, "a rejected refund rests");
    let other = NewRefund { order: order("one"), key: "one:refund:2".to_owned(), amount: dollars(AMOUNT) };
    assert_eq!(shop.payments.refund(other, Some(Epoch::FIRST)).await.unwrap().refunded, AMOUNT);
}

fn rejected_refund() -> Mood {
    Mood::Answer(UNPROCESSABLE, r#"{"code":"refund_rejected"}"#.to_owned())
}

#[tokio::test]
async fn a_rejected_refund_is_made_anew_under_another_key() {
    let store = sqlite();
    let provider = FakeProvider::start();
    let payments = payments(&store, &provider);
    payments.authorize(authorization("one")).await.unwrap();
    payments.capture(order("one"), "one:capture:1", Epoch::FIRST).await.unwrap();
    let request = NewRefund { order: order("one"), key: "one:refund:1".to_owned(), amount: dollars(AMOUNT) };
    provider.is_next(rejected_refund());
    assert_eq!(code(payments.refund(request.clone(), Some(Epoch::FIRST)).await), ErrorCode::PaymentConflict);
    store.move_on(3600);
    assert_eq!(
        payments.refund(request.clone(), Some(Epoch::FIRST)).await.unwrap().state,
        PaymentState::Refunded
    );
    assert_eq!(payments.refund(request, Some(Epoch::FIRST)).await.unwrap().refunded, AMOUNT);
    let refunds = provider.seen().into_iter().filter(|seen| seen.call == "refund");
    let keys: Vec<_> = refunds.filter_map(|seen| seen.key).collect();
    assert_eq!(keys, ["one:refund:1", "one:refund:1.2"]);
    assert_sound(&*store, &["one"]).await;
}

#[tokio::test]
async fn a_refund_rejected_after_an_open_try_is_not_made_twice() {
    let provider = FakeProvider::start();
    let store = sqlite();
    let payments = payments(&store, &provider);
    payments.authorize(authorization("one")).await.unwrap();
    payments.capture(order("one"), "one:capture:1", Epoch::FIRST).await.unwrap();
    let half = NewRefund { order: order("one"), key: "one:refund:1".to_owned(), amount: dollars(AMOUNT / 2) };
    // It got through, its answer did not, and then the provider says no to the same key.
    provider.is_next(Mood::SilentAfter);
    provider.is_next(rejected_refund());
    for _ in 0..2 {
        assert_eq!(code(payments.refund(half.clone(), Some(Epoch::FIRST)).await), ErrorCode::PaymentUnknown);
    }
    store.move_on(3600);
    assert_eq!(payments.refund(half, Some(Epoch::FIRST)).await.unwrap().refunded, AMOUNT / 2);
    assert_eq!(provider.charges()[0]["refunded"], 49.995);
    let refunds = provider.seen().into_iter().filter(|seen| seen.call == "refund");
    assert!(refunds.into_iter().all(|seen| seen.key.as_deref() == Some("one:refund:1")));
}

#[tokio::test]
async fn a_charge_rejected_after_an_open_try_is_voided_when_it_comes() {
    let provider = FakeProvider::start();
    let store = sqlite();
    let payments = payments(&store, &provider);
    provider.is_next(Mood::SilentBefore);
    payments.authorize(authorization("one")).await.unwrap_err();
    provider.is_next(Mood::Answer(StatusCode::PAYMENT_REQUIRED, r#"{"code":"card_declined"}"#.to_owned()));
    assert_eq!(code(payments.authorize(authorization("one")).await), ErrorCode::PaymentDeclined);
    let declined = payments.payment(order("one")).await.unwrap();
    // The first try was worked off at last.
    provider.receive_late(declined.id.as_str(), "99.99");
    store.move_on(60);
    assert_eq!(payments.review().await.unwrap(), 1);
    assert_eq!(provider.charges()[0]["status"], "voided");
    store.move_on(24 * 3600);
    assert_eq!(payments.review().await.unwrap(), 0);
    assert_sound(&*store, &["one"]).await;
}

//! A provider that says what our books exclude is seen by operators, for as long as it does.

use crate::{
    provider::{FakeProvider, Mood},
    world::{AMOUNT, at, authorization, charge, dollars, intent, payments, sqlite, sqlite_in},
};
use axum::http::StatusCode;
use waypost_durable::Files;
use waypost_payment::{
    Error,
    domain::{ChargeStatus, Finding, NewRefund, PaymentState, RefundState},
    store::RefundOutcome,
};
use waypost_telemetry::Telemetry;

#[tokio::test]
async fn a_contradiction_counts_until_the_provider_agrees() {
    let provider = FakeProvider::start();
    let store = sqlite();
    let payments = payments(&store, &provider);
    let another = r#"{"id":"ch_1","status":"authorized","amount":1.00,"captured":0,"refunded":0,"currency":"USD",
        "reference":"somebody-else","decline_code":null}"#;
    provider.is_next(Mood::AnswerAfter(StatusCode::OK, another.to_owned()));
    let contradicted = payments.authorize(authorization("one")).await;
    assert!(matches!(contradicted, Err(Error::Contradiction(_))), "{contradicted:?}");
    assert_eq!(store.contradictions().await.unwrap(), 1);

    let settled = payments.authorize(authorization("one")).await.unwrap();
    assert_eq!(settled.state, PaymentState::Authorized);
    assert_eq!(store.contradictions().await.unwrap(), 0);
}

#[tokio::test]
async fn a_contradiction_counts_after_a_restart_until_the_provider_agrees() {
    let folder = tempfile::tempdir().unwrap();
    let files = Files::Folder(folder.path().to_path_buf());
    let open = || sqlite_in(&files, &Telemetry::disabled());
    let store = open();
    let payment = store.when(at(0)).begin(intent("one", 1)).await.unwrap().payment;
    let (order, generation) = (payment.order.clone(), payment.generation);
    let record = |finding| (order.clone(), generation, finding);
    let too_much = charge(&payment, ChargeStatus::Captured, 2 * AMOUNT);
    let (one, first, finding) = record(Finding::Charge(too_much));
    let contradicted = store.record(one, first, finding).await;
    assert!(matches!(contradicted, Err(Error::Contradiction(_))), "{contradicted:?}");
    store.close().await;

    let store = open();
    assert_eq!(store.contradictions().await.unwrap(), 1);
    assert_eq!(store.newest(order.clone()).await.unwrap().unwrap(), payment, "nothing else has changed");
    let (one, first, finding) = record(Finding::NoAnswer);
    store.record(one, first, finding).await.unwrap();
    assert_eq!(store.contradictions().await.unwrap(), 1, "silence says nothing");
    let (one, first, finding) = record(Finding::Charge(charge(&payment, ChargeStatus::Captured, 0)));
    let captured = store.record(one, first, finding).await.unwrap();
    assert_eq!((captured.state, store.contradictions().await.unwrap()), (PaymentState::Captured, 0));
}

#[tokio::test]
async fn a_refund_that_contradicts_is_not_done() {
    let store = sqlite();
    let payment = store.when(at(0)).begin(intent("one", 1)).await.unwrap().payment;
    let captured = Finding::Charge(charge(&payment, ChargeStatus::Captured, 0));
    store.record(payment.order.clone(), payment.generation, captured).await.unwrap();
    let request = NewRefund { order: payment.order.clone(), key: "back".to_owned(), amount: dollars(100) };
    let number = store.begin_refund(request.clone(), None).await.unwrap().refund.number;
    let end = |refunded| {
        let charge = charge(&payment, ChargeStatus::Captured, refunded);
        store.end_refund(request.key.clone(), number, RefundOutcome::Done(charge))
    };
    let contradicted = end(AMOUNT + 1).await;
    assert!(matches!(contradicted, Err(Error::Contradiction(_))), "{contradicted:?}");
    assert_eq!(store.contradictions().await.unwrap(), 1);
    assert!(store.begin_refund(request.clone(), None).await.unwrap().refund.state == RefundState::Pending);

    assert_eq!(end(100).await.unwrap().refunded, 100);
    assert_eq!(store.contradictions().await.unwrap(), 0);
}

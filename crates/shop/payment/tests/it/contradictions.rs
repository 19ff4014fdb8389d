//! A provider that says what our books exclude is seen by operators, for as long as it does.

use crate::{
    provider::{FakeProvider, Mood},
    world::{authorization, payments, sqlite},
};
use axum::http::StatusCode;
use waypost_payment::{Error, domain::PaymentState};

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
    assert_eq!(payments.contradictions(), 1);

    let settled = payments.authorize(authorization("one")).await.unwrap();
    assert_eq!(settled.state, PaymentState::Authorized);
    assert_eq!(payments.contradictions(), 0);
}

//! The use cases against a provider that misbehaves on demand.

use crate::{
    provider::{FakeProvider, Mood},
    world::{AMOUNT, Timed, assert_sound, authorization, dollars, first, order, payments, sqlite},
};
use axum::http::StatusCode;
use std::{sync::Arc, time::Duration};
use waypost_api::{Currency, ErrorCode};
use waypost_durable::Epoch;
use waypost_payment::{
    Config, Error, ProviderConfig,
    domain::{NewRefund, PaymentState},
    logic::{Authorization, Payments},
    provider::Provider,
};
use waypost_resilience::deadline;
use waypost_telemetry::Telemetry;

pub(crate) struct Shop {
    pub(crate) provider: FakeProvider,
    store: Timed,
    pub(crate) payments: Payments,
}

fn shop_on(store: Timed) -> Shop {
    let provider = FakeProvider::start();
    let payments = payments(&store, &provider);
    Shop { provider, store, payments }
}

pub(crate) fn shop() -> Shop {
    shop_on(sqlite())
}

impl Shop {
    pub(crate) async fn authorize(&self) -> Result<PaymentState, Error> {
        self.payments.authorize(authorization("one")).await.map(|payment| payment.state)
    }

    pub(crate) async fn capture(&self) -> Result<PaymentState, Error> {
        self.payments.capture(order("one"), "one:capture:1", Epoch::FIRST).await.map(|payment| payment.state)
    }

    pub(crate) async fn void(&self) -> Result<Option<PaymentState>, Error> {
        let voided = self.payments.void(order("one"), first(), "one:void:1", Epoch::FIRST).await?;
        Ok(voided.map(|payment| payment.state))
    }

    pub(crate) async fn refund(&self, amount: i64) -> Result<i64, Error> {
        let request =
            NewRefund { order: order("one"), key: "one:refund:1".to_owned(), amount: dollars(amount) };
        self.payments.refund(request, Some(Epoch::FIRST)).await.map(|payment| payment.refunded)
    }

    /// One charge at the provider, whatever was tried, always by one reference and one key.
    fn assert_charged_once(&self) {
        assert_eq!(self.provider.charges().len(), 1, "{:?}", self.provider.charges());
        let tries = self.provider.seen().into_iter().filter(|seen| seen.call == "POST /v1/charges");
        assert!(tries.into_iter().all(|seen| seen.key.as_deref() == Some("one:authorize:1")));
    }
}

pub(crate) fn code<T: std::fmt::Debug>(result: Result<T, Error>) -> ErrorCode {
    result.unwrap_err().code()
}

#[tokio::test]
async fn an_amount_is_set_aside_taken_and_given_back() {
    let shop = shop_on(sqlite());
    for _ in 0..2 {
        assert_eq!(shop.authorize().await.unwrap(), PaymentState::Authorized);
    }
    for _ in 0..2 {
        assert_eq!(shop.capture().await.unwrap(), PaymentState::Captured);
    }
    for _ in 0..2 {
        assert_eq!(shop.refund(400_000).await.unwrap(), 400_000);
    }
    for (call, times) in [("POST /v1/charges", 1), ("capture", 1), ("refund", 1), ("find", 0)] {
        assert_eq!(shop.provider.count(call), times, "{call}");
    }
    let payment = shop.payments.payment(order("one")).await.unwrap();
    assert_eq!((payment.captured, payment.refunded), (AMOUNT, 400_000));
    assert_eq!(code(shop.payments.payment(order("other")).await), ErrorCode::PaymentNotFound);
    assert_sound(&*shop.store, &["one"]).await;
}

#[tokio::test]
async fn a_decline_is_told_with_the_providers_reason_every_time() {
    let shop = shop();
    let request = Authorization { method: "pm_card_declined".to_owned(), ..authorization("one") };
    for _ in 0..2 {
        let declined = shop.payments.authorize(request.clone()).await.unwrap_err();
        let answer = waypost_api::Error::from(declined);
        assert_eq!(answer.code, ErrorCode::PaymentDeclined);
        assert_eq!(answer.provider_code.as_deref(), Some("insufficient_funds"));
    }
    assert_eq!(shop.provider.count("POST /v1/charges"), 1);
    assert_eq!(code(shop.capture().await), ErrorCode::PaymentDeclined);
    assert_eq!(shop.void().await.unwrap(), Some(PaymentState::Declined));
}

#[tokio::test]
async fn a_charge_whose_answer_is_lost_is_found_by_the_same_key() {
    let shop = shop_on(sqlite());
    shop.provider.is_next(Mood::SilentAfter);
    assert_eq!(code(shop.authorize().await), ErrorCode::PaymentUnknown);
    assert_eq!(shop.authorize().await.unwrap(), PaymentState::Authorized);
    assert_eq!(shop.provider.count("find"), 1);
    shop.assert_charged_once();
}

#[tokio::test]
async fn a_charge_whose_request_is_lost_is_asked_for_again_under_the_same_reference() {
    let shop = shop_on(sqlite());
    shop.provider.is_next(Mood::SilentBefore);
    shop.provider.is_next(Mood::Answer(StatusCode::INTERNAL_SERVER_ERROR, String::new()));
    assert_eq!(code(shop.authorize().await), ErrorCode::PaymentUnknown);
    assert_eq!(code(shop.authorize().await), ErrorCode::PaymentUnknown);
    assert_eq!(shop.authorize().await.unwrap(), PaymentState::Authorized);
    shop.assert_charged_once();
    let payment = shop.payments.payment(order("one")).await.unwrap();
    assert_eq!(shop.provider.charges()[0]["reference"], payment.id.as_str());
}

#[tokio::test]
async fn a_capture_takes_the_money_once_whatever_gets_lost() {
    let shop = shop();
    shop.authorize().await.unwrap();
    for mood in [Mood::SilentBefore, Mood::SilentAfter] {
        shop.provider.is_next(mood);
        assert_eq!(code(shop.capture().await), ErrorCode::PaymentUnknown);
    }
    assert_eq!(shop.capture().await.unwrap(), PaymentState::Captured);
    let totals = shop.store.totals(Currency::USD).await.unwrap();
    assert_eq!((totals.captured, totals.debits), (AMOUNT, AMOUNT));
    assert!(totals.balance());
}

#[tokio::test]
async fn a_payment_whose_authorisation_is_not_known_is_looked_up_before_it_is_captured() {
    let shop = shop();
    assert_eq!(code(shop.capture().await), ErrorCode::PaymentNotFound);
    shop.provider.is_next(Mood::SilentBefore);
    assert_eq!(code(shop.authorize().await), ErrorCode::PaymentUnknown);
    assert_eq!(code(shop.capture().await), ErrorCode::PaymentUnknown);
    shop.provider.is_next(Mood::SilentAfter);
    assert_eq!(code(shop.authorize().await), ErrorCode::PaymentUnknown);
    assert_eq!(shop.capture().await.unwrap(), PaymentState::Captured);
    shop.assert_charged_once();
}

#[tokio::test]
async fn a_void_gives_up_whatever_there_is() {
    let shop = shop_on(sqlite());
    shop.authorize().await.unwrap();
    for mood in [Mood::SilentBefore, Mood::SilentAfter] {
        shop.provider.is_next(mood);
        assert_eq!(code(shop.void().await), ErrorCode::PaymentUnknown);
    }
    for _ in 0..2 {
        assert_eq!(shop.void().await.unwrap(), Some(PaymentState::Voided));
    }
    assert_eq!(shop.provider.charges()[0]["status"], "voided");
    assert_eq!(code(shop.capture().await), ErrorCode::PaymentConflict);
    assert_eq!(code(shop.authorize().await), ErrorCode::PaymentConflict);
}

#[tokio::test]
async fn a_void_of_an_unknown_payment_asks_first() {
    let shop = shop();
    shop.provider.is_next(Mood::SilentAfter);
    shop.authorize().await.unwrap_err();
    assert_eq!(shop.void().await.unwrap(), Some(PaymentState::Voided));
    let calls: Vec<_> = shop.provider.seen().into_iter().map(|seen| seen.call).collect();
    assert_eq!(calls, ["POST /v1/charges", "find", "void"]);

    let shop = self::shop();
    shop.provider.is_next(Mood::SilentBefore);
    shop.authorize().await.unwrap_err();
    assert_eq!(shop.void().await.unwrap(), Some(PaymentState::Voided));
    assert_eq!(shop.provider.count("void"), 0);
    assert_eq!(code(shop.authorize().await), ErrorCode::PaymentConflict);
    assert!(shop.provider.charges().is_empty());
}

#[tokio::test]
async fn an_authorisation_that_arrives_after_its_void_charges_nobody() {
    let shop = shop();
    for _ in 0..2 {
        assert_eq!(shop.void().await.unwrap(), None);
    }
    assert_eq!(code(shop.authorize().await), ErrorCode::PaymentConflict);
    assert!(shop.provider.seen().is_empty());
}

#[tokio::test]
async fn a_payment_that_was_taken_is_given_back_by_its_void() {
    let store = sqlite();
    let shop = shop_on(store);
    shop.authorize().await.unwrap();
    shop.capture().await.unwrap();
    shop.provider.is_next(Mood::SilentAfter);
    assert_eq!(code(shop.void().await), ErrorCode::PaymentUnknown);
    for _ in 0..2 {
        assert_eq!(shop.void().await.unwrap(), Some(PaymentState::Refunded));
    }
    assert_eq!(shop.provider.count("void"), 0);
    assert_eq!(shop.provider.charges()[0]["refunded"], 99.99);
    assert_eq!(code(shop.capture().await), ErrorCode::PaymentConflict);
    assert_sound(&*shop.store, &["one"]).await;
}

#[tokio::test]
async fn a_capture_that_got_through_is_given_back_by_the_void() {
    let shop = shop_on(sqlite());
    shop.authorize().await.unwrap();
    shop.provider.is_next(Mood::SilentAfter);
    assert_eq!(code(shop.capture().await), ErrorCode::PaymentUnknown);
    assert_eq!(shop.void().await.unwrap(), Some(PaymentState::Refunded));
    let charge = &shop.provider.charges()[0];
    assert_eq!((&charge["captured"], &charge["refunded"]), (&charge["amount"], &charge["amount"]));
    assert_sound(&*shop.store, &["one"]).await;
}

#[tokio::test]
async fn a_refund_gives_back_once_whatever_gets_lost() {
    let shop = shop();
    shop.authorize().await.unwrap();
    shop.capture().await.unwrap();
    for mood in [Mood::SilentBefore, Mood::SilentAfter] {
        shop.provider.is_next(mood);
        assert_eq!(code(shop.refund(AMOUNT).await), ErrorCode::PaymentUnknown);
    }
    assert_eq!(shop.refund(AMOUNT).await.unwrap(), AMOUNT);
    let payment = shop.payments.payment(order("one")).await.unwrap();
    assert_eq!(payment.state, PaymentState::Refunded);
    assert_sound(&*shop.store, &["one"]).await;
}

#[tokio::test]
async fn a_provider_that_is_away_leaves_the_outcome_open() {
    let store = sqlite();
    let url = FakeProvider::start().url().to_owned();
    let config = ProviderConfig { url, ..ProviderConfig::default() };
    let client = Provider::new(&config, &Telemetry::disabled()).unwrap();
    let payments = Payments::new(Arc::clone(&store.store), client, &Config::default());
    assert_eq!(code(payments.authorize(authorization("one")).await), ErrorCode::PaymentUnknown);
    assert_eq!(payments.payment(order("one")).await.unwrap().state, PaymentState::Unknown);
}

#[tokio::test]
async fn an_answer_that_makes_no_sense_is_not_believed() {
    let charge = r#"{"id":"ch_1","status":"authorized","amount":1,"currency":"USD","captured":0,"refunded":0,
        "reference":"another"}"#;
    for body in ["", "<html>", "{}", charge] {
        let shop = shop();
        shop.provider.is_next(Mood::Answer(StatusCode::CREATED, body.to_owned()));
        assert_eq!(code(shop.authorize().await), ErrorCode::PaymentUnknown);
        let payment = shop.payments.payment(order("one")).await.unwrap();
        assert_eq!((payment.state, payment.transaction), (PaymentState::Unknown, None));
        assert_eq!(shop.authorize().await.unwrap(), PaymentState::Authorized);
        shop.assert_charged_once();
    }
}

#[tokio::test]
async fn an_answer_that_is_too_long_is_not_read() {
    let shop = shop();
    shop.provider.is_next(Mood::Padded(70_000));
    assert_eq!(code(shop.authorize().await), ErrorCode::PaymentUnknown);
    assert_eq!(shop.payments.payment(order("one")).await.unwrap().state, PaymentState::Unknown);
    shop.provider.is_next(Mood::Padded(60_000));
    assert_eq!(shop.authorize().await.unwrap(), PaymentState::Authorized);
    assert_eq!(shop.capture().await.unwrap(), PaymentState::Captured);
}

#[tokio::test]
async fn an_answer_that_never_ends_is_not_waited_for() {
    let shop = shop();
    shop.provider.is_next(Mood::Endless);
    assert_eq!(code(shop.authorize().await), ErrorCode::PaymentUnknown);
    assert_eq!(shop.authorize().await.unwrap(), PaymentState::Authorized);
    shop.assert_charged_once();
}

#[tokio::test]
async fn many_copies_of_one_authorisation_charge_once() {
    let shop = shop_on(sqlite());
    let copies: Vec<_> = (0..20)
        .map(|_| {
            let payments = shop.payments.clone();
            waypost_telemetry::spawn(async move { payments.authorize(authorization("one")).await })
        })
        .collect();
    for copy in copies {
        assert_eq!(copy.await.unwrap().unwrap().state, PaymentState::Authorized);
    }
    shop.assert_charged_once();
}

#[tokio::test]
async fn the_callers_deadline_ends_the_wait_for_the_provider() {
    let provider = FakeProvider::start();
    let patient =
        ProviderConfig { timeout: Duration::from_mins(1).into(), ..crate::world::config(&provider).provider };
    let client = Provider::new(&patient, &Telemetry::disabled()).unwrap();
    let payments = Payments::new(sqlite().store, client, &Config::default());
    provider.is_next(Mood::SilentAfter);
    let nearest = tokio::time::Instant::now() + Duration::from_millis(500);
    let answer = deadline::within(nearest, payments.authorize(authorization("one"))).await;
    // Before the deadline, not at it: there was time to say how it stands.
    assert_eq!(code(answer.expect("the deadline passed first")), ErrorCode::PaymentUnknown);
}

#[test]
fn an_address_that_is_no_url_is_refused_at_the_start() {
    for url in [
        "",
        "127.0.0.1:9095",
        "ftp://provider",
        "https://",
        "http://provider/path",
        "https://provider/path",
        "http://provider?x=1",
    ] {
        let config = ProviderConfig { url: url.to_owned(), ..ProviderConfig::default() };
        let refused = Provider::new(&config, &Telemetry::disabled());
        assert!(matches!(refused, Err(Error::ProviderUrl(_))), "{url}");
    }
}

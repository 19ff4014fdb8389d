//! What goes wrong on request, and that it never changes what the ledger says.

use std::time::Duration;

use http::StatusCode;
use serde_json::json;
use waypost_provider::Config;
use waypost_settings::{Duration as Setting, Ratio};
use waypost_telemetry::testing::TestTelemetry;

use crate::http::{charge, provider, send};

#[tokio::test]
async fn a_declined_charge_is_an_answer_and_moves_nothing() {
    let telemetry = TestTelemetry::new("payment-provider");
    let router = provider(&Config::default(), &telemetry);
    let answer = send(&router, "POST", "/v1/charges", Some("k1"), &charge("pm_card_declined")).await;
    assert_eq!(answer.status, StatusCode::CREATED);
    assert_eq!(answer.body["status"], "declined");
    assert_eq!(answer.body["decline_code"], "insufficient_funds");
    let ledger = send(&router, "GET", "/v1/ledger", None, "").await;
    assert_eq!(ledger.body, json!({"charges": 0, "captured": 0, "refunded": 0}));
}

#[tokio::test(start_paused = true)]
async fn an_answer_lost_after_the_charge_leaves_one_charge_that_the_key_finds() {
    let telemetry = TestTelemetry::new("payment-provider");
    let router = provider(&Config::default(), &telemetry);
    let body = charge("pm_card_timeout_after");
    let impatient = send(&router, "POST", "/v1/charges", Some("k1"), &body);
    assert!(tokio::time::timeout(Duration::from_secs(2), impatient).await.is_err());
    let again = send(&router, "POST", "/v1/charges", Some("k1"), &body).await;
    assert_eq!((again.status, again.is_replay), (StatusCode::CREATED, true));
    let found = send(&router, "GET", "/v1/charges?reference=order-1:authorize:1", None, "").await;
    assert_eq!(found.body["charges"].as_array().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_request_lost_before_the_charge_leaves_nothing_and_the_second_one_works() {
    let telemetry = TestTelemetry::new("payment-provider");
    let router = provider(&Config::default(), &telemetry);
    let body = charge("pm_card_timeout_before");
    let impatient = send(&router, "POST", "/v1/charges", Some("k1"), &body);
    assert!(tokio::time::timeout(Duration::from_secs(2), impatient).await.is_err());
    let found = send(&router, "GET", "/v1/charges?reference=order-1:authorize:1", None, "").await;
    assert_eq!(found.body, json!({"charges": []}));
    let again = send(&router, "POST", "/v1/charges", Some("k1"), &body).await;
    assert_eq!((again.status, again.is_replay), (StatusCode::CREATED, false));
}

#[tokio::test(start_paused = true)]
async fn a_slow_charge_takes_as_long_as_it_is_told() {
    let telemetry = TestTelemetry::new("payment-provider");
    let router = provider(&Config::default(), &telemetry);
    let begun = tokio::time::Instant::now();
    let answer = send(&router, "POST", "/v1/charges", Some("k1"), &charge("pm_card_slow")).await;
    assert_eq!(answer.body["status"], "authorized");
    assert!(begun.elapsed() >= Duration::from_millis(1500));
}

#[tokio::test]
async fn rates_of_the_configuration_apply_to_every_payment_method() {
    let telemetry = TestTelemetry::new("payment-provider");
    let mut config = Config::default();
    config.faults.error_rate = Ratio::ONE;
    let router = provider(&config, &telemetry);
    let failed = send(&router, "POST", "/v1/charges", Some("k1"), &charge("pm_card_ok")).await;
    assert_eq!(
        (failed.status, &failed.body["code"]),
        (StatusCode::INTERNAL_SERVER_ERROR, &json!("internal"))
    );

    let mut config = Config::default();
    config.faults.decline_rate = Ratio::ONE;
    config.faults.latency = Setting::from_millis(1);
    let router = provider(&config, &telemetry);
    let declined = send(&router, "POST", "/v1/charges", Some("k1"), &charge("pm_card_ok")).await;
    assert_eq!(declined.body["decline_code"], "card_declined");
}

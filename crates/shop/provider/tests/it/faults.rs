//! What goes wrong on request, and that it never changes what the ledger says.

use std::time::Duration;

use http::StatusCode;
use serde_json::json;
use waypost_provider::Config;
use waypost_settings::{Duration as Setting, Ratio};
use waypost_telemetry::testing::TestTelemetry;

use crate::http::{charge, is_replay, provider, send};

#[tokio::test]
async fn a_declined_charge_is_an_answer_and_moves_nothing() {
    let telemetry = TestTelemetry::new("payment-provider");
    let router = provider(&Config::default(), &telemetry).await;
    let answer = send(&router, "POST", "/v1/charges", Some("k1"), &charge("pm_card_declined")).await;
    assert_eq!(answer.status, StatusCode::CREATED);
    assert_eq!(answer.json["status"], "declined");
    assert_eq!(answer.json["decline_code"], "insufficient_funds");
    let ledger = send(&router, "GET", "/v1/ledger", None, "").await;
    assert_eq!(ledger.json, json!({"charges": 0, "captured": 0, "refunded": 0}));
}

#[tokio::test(start_paused = true)]
async fn an_answer_lost_after_the_charge_leaves_one_charge_that_the_key_finds() {
    let telemetry = TestTelemetry::new("payment-provider");
    let router = provider(&Config::default(), &telemetry).await;
    let body = charge("pm_card_timeout_after");
    let impatient = send(&router, "POST", "/v1/charges", Some("k1"), &body);
    assert!(tokio::time::timeout(Duration::from_secs(2), impatient).await.is_err());
    let again = send(&router, "POST", "/v1/charges", Some("k1"), &body).await;
    assert_eq!((again.status, is_replay(&again)), (StatusCode::CREATED, true));
    let found = send(&router, "GET", "/v1/charges?reference=order-1:authorize:1", None, "").await;
    assert_eq!(found.json["charges"].as_array().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_request_lost_before_the_charge_leaves_nothing_and_the_second_one_works() {
    let telemetry = TestTelemetry::new("payment-provider");
    let router = provider(&Config::default(), &telemetry).await;
    let body = charge("pm_card_timeout_before");
    let impatient = send(&router, "POST", "/v1/charges", Some("k1"), &body);
    assert!(tokio::time::timeout(Duration::from_secs(2), impatient).await.is_err());
    let found = send(&router, "GET", "/v1/charges?reference=order-1:authorize:1", None, "").await;
    assert_eq!(found.json, json!({"charges": []}));
    let again = send(&router, "POST", "/v1/charges", Some("k1"), &body).await;
    assert_eq!((again.status, is_replay(&again)), (StatusCode::CREATED, false));
}

/// The calls after the charge: its method's name, the path after the charge, the body, and the status it leads to.
const CHANGES: [(&str, &str, &str, &str); 3] = [
    ("capture", "/capture", "", "captured"),
    ("void", "/void", "", "voided"),
    ("refund", "/refunds", r#"{"amount":99.99}"#, "captured"),
];

/// A charge on which the call is possible, with this payment method; gives the path of the call.
async fn ready(router: &axum::Router, call: &str, path: &str, method: &str) -> String {
    let made = send(router, "POST", "/v1/charges", Some("made"), &charge(method)).await;
    let id = made.json["id"].as_str().unwrap().to_owned();
    if call == "refund" {
        send(router, "POST", &format!("/v1/charges/{id}/capture"), Some("taken"), "").await;
    }
    format!("/v1/charges/{id}{path}")
}

async fn refunded(router: &axum::Router) -> String {
    send(router, "GET", "/v1/ledger", None, "").await.json["refunded"].to_string()
}

#[tokio::test(start_paused = true)]
async fn every_call_can_lose_its_request_or_its_answer() {
    for (call, path, body, status) in CHANGES {
        for fault in ["lost_before", "lost_after"] {
            let telemetry = TestTelemetry::new("payment-provider");
            let router = provider(&Config::default(), &telemetry).await;
            let path = ready(&router, call, path, &format!("pm_fault_{call}_{fault}")).await;
            let impatient = send(&router, "POST", &path, Some("k"), body);
            assert!(tokio::time::timeout(Duration::from_secs(2), impatient).await.is_err(), "{call} {fault}");
            let again = send(&router, "POST", &path, Some("k"), body).await;
            assert_eq!(
                (again.status, is_replay(&again)),
                (StatusCode::OK, fault == "lost_after"),
                "{call} {fault}"
            );
            assert_eq!(again.json["status"], status, "{call} {fault}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn every_call_can_be_worked_off_minutes_later() {
    for (call, path, body, status) in CHANGES {
        let telemetry = TestTelemetry::new("payment-provider");
        let router = provider(&Config::default(), &telemetry).await;
        let path = ready(&router, call, path, &format!("pm_fault_{call}_late")).await;
        let begun = tokio::time::Instant::now();
        let impatient = send(&router, "POST", &path, Some("k"), body);
        assert!(tokio::time::timeout(Duration::from_secs(2), impatient).await.is_err(), "{call}");
        let meanwhile = send(&router, "POST", &path, Some("k"), body).await;
        assert_eq!(
            (meanwhile.status, &meanwhile.json["code"]),
            (StatusCode::CONFLICT, &json!("request_in_progress"))
        );
        let done = loop {
            let again = send(&router, "POST", &path, Some("k"), body).await;
            if again.status != StatusCode::CONFLICT {
                break again;
            }
            tokio::time::advance(Duration::from_secs(1)).await;
            // The database's thread is not the paused clock's.
            tokio::task::yield_now().await;
        };
        assert!(is_replay(&done) && begun.elapsed() >= Duration::from_mins(2), "{call}");
        assert_eq!(done.json["status"], status, "{call}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_charge_that_is_late_is_not_found_before_it_is_made() {
    let telemetry = TestTelemetry::new("payment-provider");
    let router = provider(&Config::default(), &telemetry).await;
    let body = charge("pm_fault_charge_late");
    let impatient = send(&router, "POST", "/v1/charges", Some("k"), &body);
    assert!(tokio::time::timeout(Duration::from_secs(2), impatient).await.is_err());
    // A read waits for the database's thread, and the paused clock would leap to the late charge meanwhile: it stands still
    // while blocking work runs.
    let (release, held) = std::sync::mpsc::channel::<()>();
    let holding = waypost_telemetry::spawn_blocking(move || held.recv());
    let find = || send(&router, "GET", "/v1/charges?reference=order-1:authorize:1", None, "");
    assert_eq!(find().await.json, json!({"charges": []}));
    while find().await.json["charges"].as_array().unwrap().is_empty() {
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    assert_eq!(find().await.json["charges"][0]["status"], "authorized");
    drop(release);
    assert!(holding.await.unwrap().is_err());
}

#[tokio::test]
async fn every_call_can_arrive_twice_and_has_its_effect_once() {
    for (call, path, body, status) in CHANGES {
        let telemetry = TestTelemetry::new("payment-provider");
        let router = provider(&Config::default(), &telemetry).await;
        let path = ready(&router, call, path, &format!("pm_fault_{call}_repeated")).await;
        let answer = send(&router, "POST", &path, Some("k"), body).await;
        assert_eq!((is_replay(&answer), &answer.json["status"]), (true, &json!(status)), "{call}");
        assert_eq!(refunded(&router).await, if call == "refund" { "99.99" } else { "0" });
    }
}

#[tokio::test]
async fn every_call_can_be_refused_with_401_404_409_and_500() {
    for (call, path, body, status) in CHANGES {
        for fault in [401, 404, 409, 500] {
            let telemetry = TestTelemetry::new("payment-provider");
            let router = provider(&Config::default(), &telemetry).await;
            let path = ready(&router, call, path, &format!("pm_fault_{call}_{fault}")).await;
            let answer = send(&router, "POST", &path, Some("k"), body).await;
            assert_eq!(answer.status.as_u16(), fault, "{call}");
            let again = send(&router, "POST", &path, Some("k"), body).await;
            assert_eq!((is_replay(&again), &again.json["status"]), (false, &json!(status)), "{call} {fault}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_charge_takes_as_long_as_it_is_told() {
    let telemetry = TestTelemetry::new("payment-provider");
    let router = provider(&Config::default(), &telemetry).await;
    let begun = tokio::time::Instant::now();
    let answer = send(&router, "POST", "/v1/charges", Some("k1"), &charge("pm_card_slow")).await;
    assert_eq!(answer.json["status"], "authorized");
    assert!(begun.elapsed() >= Duration::from_millis(1500));
}

#[tokio::test]
async fn rates_of_the_configuration_apply_to_every_payment_method() {
    let telemetry = TestTelemetry::new("payment-provider");
    let mut config = Config::default();
    config.faults.error_rate = Ratio::ONE;
    let router = provider(&config, &telemetry).await;
    let failed = send(&router, "POST", "/v1/charges", Some("k1"), &charge("pm_card_ok")).await;
    assert_eq!(
        (failed.status, &failed.json["code"]),
        (StatusCode::INTERNAL_SERVER_ERROR, &json!("internal"))
    );

    let mut config = Config::default();
    config.faults.decline_rate = Ratio::ONE;
    config.faults.latency = Setting::from_millis(1);
    let router = provider(&config, &telemetry).await;
    let declined = send(&router, "POST", "/v1/charges", Some("k1"), &charge("pm_card_ok")).await;
    assert_eq!(declined.json["decline_code"], "card_declined");
}

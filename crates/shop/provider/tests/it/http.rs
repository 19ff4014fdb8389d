//! The HTTP interface, by requests to the router.

use axum::Router;
use http::StatusCode;
use serde_json::json;
use waypost_durable::Storage;
use waypost_provider::faults::Faults;
use waypost_provider::{Config, Parts, build};
use waypost_telemetry::testing::{SpanTree, TestTelemetry};
use waypost_test_client::{Answer, Request};

pub(crate) async fn provider(config: &Config, telemetry: &TestTelemetry) -> Router {
    let faults = Faults::new(config.faults.clone());
    let parts = Parts { telemetry: telemetry.handle().clone(), storage: Storage::ephemeral(), faults };
    build(config, parts).await.unwrap().router
}

pub(crate) async fn send(router: &Router, method: &str, path: &str, key: Option<&str>, body: &str) -> Answer {
    let request = Request::new(method, path).body(body.to_owned());
    let request = match key {
        Some(key) => request.header("idempotency-key", key),
        None => request,
    };
    request.call(router.clone()).await
}

/// Whether an answer is one that was given before.
pub(crate) fn is_replay(answer: &Answer) -> bool {
    answer.headers.contains_key("idempotent-replayed")
}

pub(crate) fn charge(payment_method: &str) -> String {
    json!({"amount": 99.99, "currency": "USD", "reference": "order-1:authorize:1", "payment_method": payment_method})
        .to_string()
}

#[tokio::test]
async fn a_charge_is_made_captured_and_partly_refunded() {
    let telemetry = TestTelemetry::new("payment-provider");
    let router = provider(&Config::default(), &telemetry).await;
    let made = send(&router, "POST", "/v1/charges", Some("k1"), &charge("pm_card_ok")).await;
    assert_eq!(made.status, StatusCode::CREATED);
    assert_eq!(made.json["status"], "authorized");
    assert_eq!(made.json["amount"].to_string(), "99.99");
    let id = made.json["id"].as_str().unwrap().to_owned();

    let again = send(&router, "POST", "/v1/charges", Some("k1"), &charge("pm_card_ok")).await;
    assert!(is_replay(&again));
    assert_eq!(again.json, made.json);

    let captured = send(&router, "POST", &format!("/v1/charges/{id}/capture"), Some("k2"), "").await;
    assert_eq!(captured.json["captured"].to_string(), "99.99");
    let too_much =
        send(&router, "POST", &format!("/v1/charges/{id}/refunds"), Some("k3"), r#"{"amount":100}"#).await;
    assert_eq!(
        (too_much.status, &too_much.json["code"]),
        (StatusCode::UNPROCESSABLE_ENTITY, &json!("refund_too_large"))
    );
    let refunded =
        send(&router, "POST", &format!("/v1/charges/{id}/refunds"), Some("k4"), r#"{"amount":"9.99"}"#).await;
    assert_eq!(refunded.json["refunded"].to_string(), "9.99");
    let voided = send(&router, "POST", &format!("/v1/charges/{id}/void"), Some("k5"), "").await;
    assert_eq!(
        (voided.status, &voided.json["code"]),
        (StatusCode::UNPROCESSABLE_ENTITY, &json!("charge_state"))
    );

    let ledger = send(&router, "GET", "/v1/ledger", None, "").await;
    assert_eq!(ledger.json.as_object().unwrap().len(), 3);
    let sums = ["captured", "charges", "refunded"].map(|sum| ledger.json[sum].to_string());
    assert_eq!(sums, ["99.99", "1", "9.99"]);
    let found = send(&router, "GET", "/v1/charges?reference=order-1:authorize:1", None, "").await;
    assert_eq!(found.json["charges"][0]["id"], id);
    let none = send(&router, "GET", "/v1/charges?reference=other", None, "").await;
    assert_eq!((none.status, &none.json), (StatusCode::OK, &json!({"charges": []})));
}

#[tokio::test]
async fn bad_requests_say_what_is_wrong() {
    let telemetry = TestTelemetry::new("payment-provider");
    let router = provider(&Config::default(), &telemetry).await;
    let cases = [
        ("POST", "/v1/charges", None, charge("pm_card_ok"), 400, "idempotency_key_required"),
        ("POST", "/v1/charges", Some("k"), "{".to_owned(), 400, "malformed_json"),
        (
            "POST",
            "/v1/charges",
            Some("k"),
            r#"{"amount":-1,"currency":"usd"}"#.to_owned(),
            400,
            "invalid_request",
        ),
        ("POST", "/v1/charges/ch_x/capture", Some("k"), String::new(), 404, "charge_not_found"),
        ("GET", "/v1/charges/ch_x", None, String::new(), 404, "charge_not_found"),
        ("GET", "/v1/charges", None, String::new(), 400, "reference_required"),
    ];
    for (method, path, key, body, status, code) in cases {
        let answer = send(&router, method, path, key, &body).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.json["code"]),
            (status, &json!(code)),
            "{method} {path} {body}"
        );
    }
    let fields = send(&router, "POST", "/v1/charges", Some("k"), r#"{"amount":-1,"currency":"usd"}"#).await;
    let pointers: Vec<_> = fields.json["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| error["pointer"].as_str().unwrap())
        .collect();
    assert_eq!(pointers, ["/amount", "/currency", "/reference", "/payment_method"]);
    send(&router, "POST", "/v1/charges", Some("k1"), &charge("pm_card_ok")).await;
    let reused = send(&router, "POST", "/v1/charges", Some("k1"), &charge("pm_card_slow")).await;
    assert_eq!(reused.status, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn a_charge_is_a_server_span_over_one_unit_of_work() {
    let telemetry = TestTelemetry::new("payment-provider");
    let router = provider(&Config::default(), &telemetry).await;
    send(&router, "POST", "/v1/charges", Some("k1"), &charge("pm_card_ok")).await;
    let spans = telemetry.handle().finished_spans();
    let server = spans.iter().find(|span| span.name() == "POST /v1/charges").unwrap();
    SpanTree::of(&spans, &server.trace_id().to_string()).assert_matches(
        "
POST /v1/charges SERVER payment-provider http.response.status_code=201 http.route=/v1/charges
  SELECT requests; INSERT charges; INSERT requests CLIENT payment-provider db.system.name=sqlite db.namespace=provider
",
    );
}

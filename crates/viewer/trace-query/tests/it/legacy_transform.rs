//! `POST /api/transform`: OTLP JSON into the JSON of Jaeger's UI, without a store.

use crate::{
    fixtures::{CART, PING, cart, lone, ping},
    site::{AnswerExt as _, Site},
};
use http::StatusCode;
use serde_json::{Value, json};

#[tokio::test]
async fn a_document_becomes_its_traces_as_they_came() {
    let [mut document, stock] = cart();
    let parts = document["resourceSpans"].as_array_mut().unwrap();
    parts.extend(ping()["resourceSpans"].as_array().unwrap().clone());
    parts.extend(stock["resourceSpans"].as_array().unwrap().clone());
    let transformed = Site::with(&[]).await.jaeger_post("/api/transform", document.to_string()).await.ok();
    assert_eq!(transformed["errors"], Value::Null);
    let site = Site::with(&[document]).await;
    let raw =
        async |id: &str| site.jaeger(&format!("/api/traces/{id}?raw=true")).await.ok()["data"][0].clone();
    let by_start = |mut trace: Value| {
        trace["spans"].as_array_mut().unwrap().sort_by_key(|span| span["startTime"].as_u64());
        trace
    };
    let given = transformed["data"].as_array().unwrap().iter().cloned().map(by_start).collect::<Vec<_>>();
    assert_eq!(given, [raw(CART).await, raw(PING).await]);
}

#[tokio::test]
async fn nothing_is_kept() {
    let site = Site::with(&[]).await;
    site.jaeger_post("/api/transform", ping().to_string()).await.ok();
    assert_eq!(site.jaeger(&format!("/api/traces/{PING}")).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn spans_that_cannot_be_read_are_counted() {
    let site = Site::with(&[]).await;
    let document = lone("a", "00000000000000000000000000000000", "00000000000000aa", json!({}));
    let answer = site.jaeger_post("/api/transform", document.to_string()).await.ok();
    let errors = json!([{"msg": "spans that were refused (invalid_id): 1"}]);
    assert_eq!(answer, json!({"data": [], "total": 0, "limit": 0, "offset": 0, "errors": errors}));
}

#[tokio::test]
async fn what_is_no_otlp_json_is_a_bad_request() {
    let site = Site::with(&[]).await;
    let answer = site.jaeger_post("/api/transform", "{").await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    let error = answer.as_json()["errors"][0].clone();
    assert_eq!(error["code"], 400);
    assert!(error["msg"].as_str().unwrap().starts_with("the body is not OTLP JSON: "), "{error}");
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_in_the_envelope() {
    let answer = Site::with(&[]).await.jaeger_post("/api/transform", vec![b' '; (64 << 20) + 1]).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(answer.as_json()["errors"][0]["code"], 413);
}

//! Findings in traces of the real shop: what its demo users suffer from is found, and a healthy order has nothing wrong.

use serde_json::Value;
use waypost_testkit::{Client, Shop, until};

use crate::BINARY;
use crate::shop::{order, place, whole_trace};

async fn findings(viewer: &Client, trace_id: &str) -> Vec<Value> {
    let answer = viewer.get(&format!("/api/v1/traces/{trace_id}/findings")).await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.json);
    answer.json["findings"].as_array().unwrap().clone()
}

async fn order_of(shop: &Shop, user: &str) -> String {
    let body = format!(r#"{{"user_id":"{user}","product_id":"prod456","quantity":2,"amount":99.99}}"#);
    let answer = shop.client("gateway").post("/api/orders", &[], &body).await.unwrap();
    answer.json["trace_id"].as_str().unwrap().to_owned()
}

/// Name of the span that shows a finding first.
fn first_span<'a>(trace: &'a Value, finding: &Value) -> &'a str {
    let ids = trace["rows"]["id"].as_array().unwrap();
    let row = ids.iter().position(|id| *id == finding["span_ids"][0]).unwrap();
    trace["names"][place(&trace["rows"]["name"][row])].as_str().unwrap()
}

fn duration_of(trace: &Value, finding: &Value) -> u64 {
    let ids = trace["rows"]["id"].as_array().unwrap();
    let row = ids.iter().position(|id| *id == finding["span_ids"][0]).unwrap();
    trace["rows"]["duration"][row].as_u64().unwrap()
}

#[tokio::test]
async fn a_healthy_order_has_no_finding_that_is_not_about_this_machine() {
    let shop = Shop::of(BINARY).viewer().start().await.unwrap();
    let viewer = shop.client("viewer");
    whole_trace(&viewer, &order(&shop).await).await;
    let trace_id = order(&shop).await;
    let trace = whole_trace(&viewer, &trace_id).await;
    assert_eq!(trace["errors"], 0);
    for finding in findings(&viewer, &trace_id).await {
        // A loaded machine can really be slow; then the span that is named is.
        let least = match finding["kind"].as_str().unwrap() {
            "slow_dependency" => 100_000_000,
            "instrumentation_gap" => 50_000_000,
            "waiting" => 1,
            // A copy that was put away meanwhile.
            "cache_miss" => 0,
            _ => panic!("a healthy order has {finding}"),
        };
        assert!(duration_of(&trace, &finding) >= least, "{finding}");
    }
}

#[tokio::test]
async fn what_a_slow_order_waited_for_is_its_first_finding() {
    let shop = Shop::of(BINARY).viewer().start().await.unwrap();
    let viewer = shop.client("viewer");
    let trace_id = order_of(&shop, "user-slow").await;
    let trace = whole_trace(&viewer, &trace_id).await;
    let found = findings(&viewer, &trace_id).await;
    let (kind, service) = (&found[0]["kind"], &found[0]["service"]);
    assert_eq!(
        (kind.as_str(), service.as_str()),
        (Some("instrumentation_gap"), Some("payment-provider")),
        "{found:?}"
    );
    assert_eq!(first_span(&trace, &found[0]), "POST /v1/charges");
    assert!(found[0]["saves"].as_u64().unwrap() >= 1_000_000_000, "the provider waits for 1.5 s: {found:?}");
}

#[tokio::test]
async fn an_order_whose_payment_was_tried_again_says_what_the_failure_cost() {
    let shop = Shop::of(BINARY).viewer().start().await.unwrap();
    let viewer = shop.client("viewer");
    let trace_id = order_of(&shop, "user-timeout").await;
    let mut found = Vec::new();
    until("both attempts in the viewer", async || {
        found = match viewer.get(&format!("/api/v1/traces/{trace_id}")).await.unwrap().status.as_u16() {
            200 => findings(&viewer, &trace_id).await,
            _ => Vec::new(),
        };
        found.iter().any(|finding| finding["kind"] == "retries")
    })
    .await;
    let retries = found.iter().find(|finding| finding["kind"] == "retries").unwrap();
    assert_eq!(retries["service"], "order-service");
    let sentence = retries["sentence"].as_str().unwrap();
    assert!(sentence.contains("waypost.payment.v1.PaymentService/Authorize"), "{sentence}");
    assert!(found.iter().all(|finding| finding["kind"] != "swallowed_error"), "it was made good: {found:?}");
}

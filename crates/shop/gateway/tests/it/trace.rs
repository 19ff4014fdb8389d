//! Where trust in a caller's trace ends, and what a trace shows.

use crate::{
    http::{Reply, Request},
    shop::{PATIENCE, Shop, order_body},
};
use serde_json::json;
use waypost_telemetry::{
    FinishedSpan,
    testing::{wait_for, wait_for_tree},
};

const FORGED_TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const FORGED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn trace_of(reply: &Reply) -> String {
    let trace_id = reply.header("traceresponse").split('-').nth(1).unwrap().to_owned();
    assert_eq!(reply.json["trace_id"], trace_id, "the body and the header name one trace");
    trace_id
}

async fn shows(shop: &Shop, reply: &Reply, tree: &str) {
    let handles = [shop.telemetry.handle(), shop.behind.handle()];
    wait_for_tree(&handles, &trace_of(reply), tree, PATIENCE).await;
}

/// The root spans of the gateway, once there are so many.
async fn roots(shop: &Shop, count: usize) -> Vec<FinishedSpan> {
    let is_root = |span: &&FinishedSpan| span.name() == "POST /api/orders";
    let enough = |spans: &[FinishedSpan]| spans.iter().filter(is_root).count() >= count;
    let spans = wait_for(&[shop.telemetry.handle()], PATIENCE, enough).await.unwrap();
    spans.iter().filter(is_root).cloned().collect()
}

fn ordered_with(traceparent: &str) -> Request {
    Request::post("/api/orders")
        .json(order_body(&json!({})))
        .header("traceparent", traceparent)
        .header("tracestate", "evil=1")
        .header("baggage", "tenant.id=stolen")
}

#[tokio::test]
async fn an_order_shows_the_check_of_the_user_and_the_call_and_carries_the_tenant() {
    let shop = Shop::open();
    let reply = shop.order(&json!({})).await;
    let tree = "
        POST /api/orders SERVER api-gateway http.route=/api/orders http.response.status_code=201 order.id=order-1 \
         order.status=completed user.id=user123 product.id=prod456
          check-user INTERNAL api-gateway user.id=user123
            waypost.user.v1.UserService/GetUser CLIENT api-gateway
              waypost.user.v1.UserService/GetUser SERVER services
          waypost.order.v1.OrderService/CreateOrder CLIENT api-gateway tenant.id=acme
            waypost.order.v1.OrderService/CreateOrder SERVER services tenant.id=acme";
    shows(&shop, &reply, tree).await;
}

#[tokio::test]
async fn a_refused_order_shows_its_reason_and_is_no_failure_of_ours() {
    let shop = Shop::open();
    let reply = shop.order(&json!({"user_id": "user-inactive"})).await;
    let tree = "
        POST /api/orders SERVER api-gateway http.response.status_code=403 waypost.error_code=user_inactive
          check-user INTERNAL api-gateway
            waypost.user.v1.UserService/GetUser CLIENT api-gateway
              waypost.user.v1.UserService/GetUser SERVER services";
    shows(&shop, &reply, tree).await;
}

#[tokio::test]
async fn a_forged_trace_context_is_linked_and_not_continued() {
    let shop = Shop::open();
    let (one, other) = (shop.send(ordered_with(FORGED)).await, shop.send(ordered_with(FORGED)).await);
    let traces = [trace_of(&one), trace_of(&other)];
    assert!(traces[0] != traces[1] && !traces.contains(&FORGED_TRACE.to_owned()), "{traces:?}");
    for span in roots(&shop, 2).await {
        assert!(span.parent_id().is_none());
        let links: Vec<String> =
            span.links().iter().map(|link| link.span_context().trace_id().to_string()).collect();
        assert_eq!(links, [FORGED_TRACE]);
        assert!(!format!("{span:?}").contains("evil"));
    }
    let spans = shop.behind.finished_spans();
    assert!(spans.iter().all(|span| !format!("{span:?}").contains("stolen")));
}

#[tokio::test]
async fn a_callers_trace_is_continued_where_it_is_configured() {
    let shop = Shop::configured(|config| config.continue_traces = true);
    let reply = shop.send(ordered_with(FORGED)).await;
    assert_eq!(trace_of(&reply), FORGED_TRACE);
}

#[tokio::test]
async fn a_trace_context_without_sense_is_ignored() {
    let shop = Shop::open();
    let long = "0".repeat(4000);
    let nonsense = ["00-00000000000000000000000000000000-0000000000000000-01", "nonsense", &long];
    for traceparent in nonsense {
        assert_eq!(shop.send(ordered_with(traceparent)).await.status, 201);
    }
    assert!(roots(&shop, nonsense.len()).await.iter().all(|span| span.links().is_empty()));
}

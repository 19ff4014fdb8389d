//! Zipkin's v2 query API: what is found, and in which form.

use crate::{
    fixtures::{CART, PING, START, cart, ping},
    site::{AnswerExt as _, Site, escaped},
};
use serde_json::{Value, json};
use waypost_trace_model::{Limits, zipkin::spans_from_json};

/// A minute after the fixtures, in milliseconds.
const END: u64 = START / 1_000_000 + 60_000;

/// Microseconds after [`START`].
fn micros(after: u64) -> u64 {
    START / 1_000 + after
}

/// Two traces as Zipkin's own clients send them; the first one's id has 16 digits.
fn zipkin_spans() -> Value {
    json!([
        {
            "traceId": "00000000000000000000000000000abc", "id": "000000000000000a", "kind": "CLIENT", "name": "get",
            "timestamp": micros(1_000), "duration": 2_000,
            "localEndpoint": {"serviceName": "frontend", "ipv4": "10.0.0.1"},
            "remoteEndpoint": {"serviceName": "backend", "ipv4": "10.0.0.2", "port": 9000},
            "annotations": [{"timestamp": micros(1_500), "value": "retried"}],
            "tags": {"http.method": "GET", "http.path": "/a and b"},
        },
        {
            "traceId": "00000000000000000000000000000abc", "id": "000000000000000a", "kind": "SERVER", "name": "get",
            "timestamp": micros(1_200), "duration": 1_000, "shared": true,
            "localEndpoint": {"serviceName": "backend"},
            "tags": {"error": "boom"},
        },
        {
            "traceId": "7180c278b62e8f6a216a2aea45d08fc9", "id": "000000000000000b", "name": "post",
            "timestamp": micros(5_000_000), "duration": 10,
            "localEndpoint": {"serviceName": "frontend"},
            "tags": {"http.method": "POST"},
        },
    ])
}

async fn site() -> Site {
    let site = Site::with(&[]).await;
    site.keep(spans_from_json(zipkin_spans().to_string().as_bytes(), &Limits::default()).unwrap()).await;
    site
}

/// Last digits of the ids of the traces that are found, in their order.
async fn found(site: &Site, query: &str) -> Vec<String> {
    let answer = site.zipkin(&format!("/api/v2/traces?endTs={END}&{query}")).await.ok();
    let ids = answer.as_array().unwrap().iter().map(|trace| trace[0]["traceId"].as_str().unwrap());
    ids.map(|id| id[id.len() - 3..].to_owned()).collect()
}

#[tokio::test]
async fn what_a_zipkin_client_sent_comes_out_the_same() {
    let site = site().await;
    let spans = zipkin_spans();
    let answer = site.zipkin(&format!("/api/v2/traces?endTs={END}")).await;
    assert_eq!(answer.header("waypost-partial"), "");
    assert_eq!(answer.ok(), json!([[spans[2]], [spans[0], spans[1]]]));
    for id in ["abc", "0000000000000abc", "00000000000000000000000000000abc"] {
        assert_eq!(
            site.zipkin(&format!("/api/v2/trace/{id}")).await.ok(),
            json!([spans[0], spans[1]]),
            "{id}"
        );
    }
    let both = site
        .zipkin("/api/v2/traceMany?traceIds=0000000000000abc,7180c278b62e8f6a216a2aea45d08fc9,77")
        .await
        .ok();
    assert_eq!(both, json!([[spans[0], spans[1]], [spans[2]]]));
}

#[tokio::test]
async fn otlp_spans_come_out_as_zipkins() {
    let [web, stock] = cart();
    let site = Site::with(&[web, stock, ping()]).await;
    let trace = site.zipkin(&format!("/api/v2/trace/{CART}")).await.ok();
    let call = json!({
        "traceId": CART, "id": "1000000000000002", "parentId": "00f1e2d3c4b5a697", "kind": "CLIENT", "name": "reserve",
        "timestamp": micros(130_000), "duration": 30_000, "localEndpoint": {"serviceName": "shop-web"},
        "tags": {
            "host.name": "web-1", "process.pid": "42", "zones": r#"["a",1]"#, "otel.scope.name": "http-server",
            "otel.scope.version": "1.2.0", "otel.status_code": "ERROR", "error": "out of stock",
        },
    });
    assert_eq!(trace[2], call);
    let ping = json!([{
        "traceId": PING, "id": "0000000000000001", "name": "ping", "timestamp": micros(5_000_000), "duration": 1,
        "localEndpoint": {"serviceName": "unknown_service"},
    }]);
    assert_eq!(site.zipkin("/api/v2/trace/0a1b2c3d4e5f6071").await.ok(), ping);
}

#[tokio::test]
async fn names_are_bare_sorted_arrays() {
    let site = site().await;
    assert_eq!(site.zipkin("/api/v2/services").await.ok(), json!(["backend", "frontend"]));
    assert_eq!(site.zipkin("/api/v2/spans?serviceName=frontend").await.ok(), json!(["get", "post"]));
    assert_eq!(site.zipkin("/api/v2/spans?serviceName=other").await.ok(), json!([]));
    assert_eq!(site.zipkin("/api/v2/remoteServices?serviceName=frontend").await.ok(), json!(["backend"]));
    assert_eq!(site.zipkin("/api/v2/remoteServices?serviceName=other").await.ok(), json!([]));
    let keys = site.zipkin("/api/v2/autocompleteKeys").await.ok();
    let keys: Vec<_> = keys.as_array().unwrap().iter().map(|key| key.as_str().unwrap()).collect();
    assert!(keys.is_sorted() && keys.contains(&"http.method") && keys.contains(&"http.path"), "{keys:?}");
    assert_eq!(site.zipkin("/api/v2/autocompleteValues?key=http.method").await.ok(), json!(["GET", "POST"]));
    assert_eq!(site.zipkin("/api/v2/autocompleteValues?key=other").await.ok(), json!([]));
}

#[tokio::test]
async fn an_empty_store_has_empty_arrays() {
    let site = Site::with(&[]).await;
    for path in ["services", "spans?serviceName=a", "traces", "traceMany?traceIds=1,2", "autocompleteKeys"] {
        assert_eq!(site.zipkin(&format!("/api/v2/{path}")).await.ok(), json!([]), "{path}");
    }
}

#[tokio::test]
async fn conditions_narrow_the_search() {
    let site = site().await;
    for (query, expected) in [
        ("limit=1", vec!["fc9"]),
        ("serviceName=frontend", vec!["fc9", "abc"]),
        ("serviceName=backend", vec!["abc"]),
        ("serviceName=frontend&spanName=get", vec!["abc"]),
        ("serviceName=frontend&spanName=all", vec!["fc9", "abc"]),
        ("serviceName=backend&spanName=post", vec![]),
        ("minDuration=11", vec!["abc"]),
        ("minDuration=10&maxDuration=999", vec!["fc9"]),
        ("serviceName=backend&minDuration=1001", vec![]),
        ("lookback=56000", vec!["fc9"]),
        ("lookback=60000", vec!["fc9", "abc"]),
        ("remoteServiceName=backend", vec!["abc"]),
        ("remoteServiceName=BACKEND", vec!["abc"]),
        ("remoteServiceName=back", vec![]),
        ("serviceName=backend&remoteServiceName=backend", vec![]),
    ] {
        assert_eq!(found(&site, query).await, expected, "{query}");
    }
}

#[tokio::test]
async fn annotation_queries_are_tags_with_values_and_words() {
    let site = site().await;
    for (query, expected) in [
        ("http.method=GET", vec!["abc"]),
        ("http.method=GE", vec![]),
        ("http.method", vec!["fc9", "abc"]),
        ("http.path=/a", vec![]),
        ("retried", vec!["abc"]),
        ("retrie", vec![]),
        ("retried=yes", vec![]),
        ("error", vec!["abc"]),
        ("error=boom", vec!["abc"]),
        ("error=other", vec![]),
        ("http.method=GET and error and retried", vec!["abc"]),
        ("http.method=POST and error", vec![]),
    ] {
        assert_eq!(found(&site, &format!("annotationQuery={}", escaped(query))).await, expected, "{query}");
    }
    let of = |service: &str, query: &str| format!("serviceName={service}&annotationQuery={query}");
    assert_eq!(found(&site, &of("frontend", "error")).await, [""; 0], "another service's span has it");
    assert_eq!(found(&site, &of("backend", "error")).await, ["abc"]);
}

#[tokio::test]
async fn words_and_tags_are_found_in_otlp_spans_too() {
    let site = Site::with(&cart()).await;
    for query in [
        "cache.miss",
        "error",
        "error=out of stock",
        "host.name=web-1",
        "otel.status_code=ERROR",
        "otel.scope.name=http-server and cached=true",
        "process.pid",
    ] {
        assert_eq!(found(&site, &format!("annotationQuery={}", escaped(query))).await, ["394"], "{query}");
    }
    for query in ["cache", "key", "otel.scope.name=other", "cached=false"] {
        assert_eq!(found(&site, &format!("annotationQuery={}", escaped(query))).await, [""; 0], "{query}");
    }
}

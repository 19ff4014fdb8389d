//! Who calls whom, in the three forms. Calls count when they arrived, which is now.

use crate::{
    fixtures::{at, cart, lone, text},
    site::{AnswerExt as _, Site},
};
use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};

/// A call that failed, one to a database, and a message through a queue.
async fn site() -> Site {
    let [web, stock] = cart();
    let span = |service, id: &str, kind: u8, fields: Value| {
        let mut fields = fields;
        fields["kind"] = json!(kind);
        fields["startTimeUnixNano"] = json!(at(1));
        lone(service, "0123456789abcdef0123456789abcdef", id, fields)
    };
    let database =
        json!({"attributes": [text("db.system.name", "postgresql"), text("db.namespace", "shop")]});
    let queue = json!([text("messaging.system", "kafka"), text("messaging.destination.name", "orders")]);
    Site::with(&[
        web,
        stock,
        span("stock", "0000000000000001", 3, database),
        span("stock", "0000000000000002", 4, json!({"attributes": queue})),
        span("mail", "0000000000000003", 5, json!({"attributes": queue, "parentSpanId": "0000000000000002"})),
    ])
    .await
}

fn now_millis() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()
}

#[tokio::test]
async fn jaeger_has_services_only_and_passes_over_the_queue() {
    let site = site().await;
    let link = |parent: &str, child: &str| json!({"parent": parent, "child": child, "callCount": 1});
    let envelope = |data: Value| json!({"data": data, "total": 0, "limit": 0, "offset": 0, "errors": null});
    let all = envelope(json!([link("shop-web", "stock"), link("stock", "mail")]));
    let end = now_millis() + 60_000;
    assert_eq!(site.jaeger(&format!("/api/dependencies?endTs={end}&lookback=3600000")).await.ok(), all);
    assert_eq!(site.jaeger(&format!("/api/dependencies?endTs={end}")).await.ok(), all);
    let of_mail = envelope(json!([link("stock", "mail")]));
    assert_eq!(site.jaeger(&format!("/api/dependencies?endTs={end}&service=mail")).await.ok(), of_mail);
    assert_eq!(site.jaeger("/api/dependencies?endTs=1000&lookback=1000").await.ok(), envelope(json!([])));
}

#[tokio::test]
async fn api_v3_counts_in_text() {
    let site = site().await;
    let link = |parent: &str, child: &str| json!({"parent": parent, "child": child, "callCount": "1"});
    let all = json!({"dependencies": [link("shop-web", "stock"), link("stock", "mail")]});
    let window = "startTime=2020-01-01T00:00:00Z&endTime=2200-01-01T00:00:00Z";
    assert_eq!(site.jaeger(&format!("/api/v3/dependencies?{window}")).await.ok(), all);
    let before = "start_time=1980-01-01T00:00:00Z&end_time=1980-01-02T00:00:00Z";
    assert_eq!(
        site.jaeger(&format!("/api/v3/dependencies?{before}")).await.ok(),
        json!({"dependencies": []})
    );
}

#[tokio::test]
async fn zipkin_has_brokers_and_databases_and_errors() {
    let site = site().await;
    let link = |parent: &str, child: &str| json!({"parent": parent, "child": child, "callCount": 1});
    let failed = json!({"parent": "shop-web", "child": "stock", "callCount": 1, "errorCount": 1});
    let all = json!([
        link("kafka/orders", "mail"),
        failed,
        link("stock", "kafka/orders"),
        link("stock", "postgresql/shop"),
    ]);
    let end = now_millis() + 60_000;
    assert_eq!(site.zipkin(&format!("/api/v2/dependencies?endTs={end}")).await.ok(), all);
    assert_eq!(site.zipkin("/api/v2/dependencies?endTs=1000&lookback=1000").await.ok(), json!([]));
}

#[tokio::test]
async fn an_empty_store_has_none() {
    let site = Site::with(&[]).await;
    assert_eq!(site.jaeger("/api/dependencies").await.ok()["data"], json!([]));
    assert_eq!(site.zipkin("/api/v2/dependencies?endTs=1").await.ok(), json!([]));
}

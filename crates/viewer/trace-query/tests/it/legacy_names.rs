//! Names of services and operations in Jaeger's JSON.

use crate::{
    fixtures::{cart, lone, ping},
    site::{AnswerExt as _, Site},
};
use http::StatusCode;
use serde_json::{Value, json};

fn envelope(data: Value) -> Value {
    let total = data.as_array().unwrap().len();
    json!({"data": data, "total": total, "limit": 0, "offset": 0, "errors": null})
}

#[tokio::test]
async fn services_are_given_by_name() {
    let [web, stock] = cart();
    let site = Site::with(&[stock, web, ping()]).await;
    assert_eq!(
        site.jaeger("/api/services").await.ok(),
        envelope(json!(["shop-web", "stock", "unknown_service"]))
    );
}

#[tokio::test]
async fn an_empty_store_has_empty_lists() {
    let site = Site::with(&[]).await;
    assert_eq!(site.jaeger("/api/services").await.ok(), envelope(json!([])));
    assert_eq!(site.jaeger("/api/services/a/operations").await.ok(), envelope(json!([])));
    assert_eq!(site.jaeger("/api/operations?service=a").await.ok(), envelope(json!([])));
}

#[tokio::test]
async fn operations_are_names_by_path_and_have_kinds_by_parameter() {
    let trace = "0123456789abcdef0123456789abcdef";
    let of = |id, kind: u8, name: &str| lone("a b/c", trace, id, json!({"kind": kind, "name": name}));
    let site = Site::with(&[
        of("0000000000000001", 2, "get"),
        of("0000000000000002", 3, "get"),
        of("0000000000000003", 0, "idle"),
    ])
    .await;
    let names = envelope(json!(["get", "idle"]));
    assert_eq!(site.jaeger("/api/services/a%20b%2Fc/operations").await.ok(), names);
    assert_eq!(site.jaeger("/api/services/a+b%252Fc/operations").await.ok(), names, "escaped twice");
    let operation = |name: &str, kind: &str| json!({"name": name, "spanKind": kind});
    let all =
        envelope(json!([operation("get", "server"), operation("get", "client"), operation("idle", "")]));
    assert_eq!(site.jaeger("/api/operations?service=a+b/c").await.ok(), all);
    let servers = envelope(json!([operation("get", "server")]));
    assert_eq!(site.jaeger("/api/operations?service=a+b/c&spanKind=server").await.ok(), servers);
    assert_eq!(site.jaeger("/api/operations?service=a+b/c&spanKind=SERVER").await.ok(), servers);
    assert_eq!(site.jaeger("/api/operations?service=a+b/c&spanKind=other").await.ok(), envelope(json!([])));
}

#[tokio::test]
async fn operations_without_a_service_are_a_bad_request() {
    let answer = Site::with(&[]).await.jaeger("/api/operations").await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    let errors = json!([{"code": 400, "msg": "parameter 'service': it is required"}]);
    assert_eq!(
        answer.as_json(),
        json!({"data": null, "total": 0, "limit": 0, "offset": 0, "errors": errors})
    );
}

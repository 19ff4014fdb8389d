//! The description of the API and the page to try it.

use crate::{
    http::{ReplyExt as _, Request},
    shop::Shop,
};
use serde_json::Value;
use std::collections::BTreeSet;
use waypost_gateway::access::TABLE;

async fn document(shop: &Shop) -> Value {
    shop.get("/api/openapi.json").await.json
}

/// Every `$ref` in the document.
fn references(node: &Value, found: &mut BTreeSet<String>) {
    match node {
        Value::Object(members) => {
            if let Some(Value::String(reference)) = members.get("$ref") {
                found.insert(reference.clone());
            }
            members.values().for_each(|member| references(member, found));
        }
        Value::Array(elements) => elements.iter().for_each(|element| references(element, found)),
        _ => {}
    }
}

#[tokio::test]
async fn the_document_lists_exactly_the_routes_that_are_served() {
    let shop = Shop::open();
    let document = document(&shop).await;
    assert_eq!(document["openapi"], "3.1.0");
    let mut documented = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys() {
            documented.insert(format!("{} {path}", method.to_uppercase()));
        }
    }
    let table: BTreeSet<String> = TABLE.iter().map(|row| format!("{} {}", row.method, row.path)).collect();
    assert_eq!(documented, table);

    for row in TABLE {
        let path = row.path.replace("{id}", "x").replace("{file}", "page.css");
        for method in ["GET", "POST", "PUT", "DELETE", "PATCH"] {
            let is_documented = documented.contains(&format!("{method} {}", row.path));
            let status = shop.send(Request::new(method, &path)).await.status;
            assert_eq!(status != 405, is_documented, "{method} {path} answers {status}");
        }
    }
}

#[tokio::test]
async fn the_document_holds_together() {
    let document = document(&Shop::open()).await;
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    assert!(!found.is_empty());
    for reference in found {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
    }
    let mut ids = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            assert!(ids.insert(operation["operationId"].as_str().unwrap().to_owned()), "{method} {path}");
            assert!(operation["summary"].is_string(), "{method} {path} has no summary");
            for (status, response) in operation["responses"].as_object().unwrap() {
                let is_problem = response["content"].get("application/problem+json").is_some();
                assert_eq!(is_problem, status.as_str() >= "400", "{method} {path} {status}");
            }
        }
    }
}

#[tokio::test]
async fn the_page_needs_nothing_from_outside_and_may_not_ask_for_it() {
    let shop = Shop::open();
    let page = shop.get("/api/docs").await;
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    let policy = page.header("content-security-policy");
    assert!(
        policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'"),
        "{policy}"
    );
    assert!(!policy.contains("unsafe"), "{policy}");
    let script = shop.get("/api/docs/page.js").await;
    let style = shop.get("/api/docs/page.css").await;
    for text in [&page.text(), &script.text(), &style.text()] {
        assert!(!text.contains("http:") && !text.contains("https:") && !text.contains("//cdn"));
    }
    assert!(
        !page.text().contains("style=") && !page.text().contains("onclick"),
        "the policy allows no inline code"
    );
    assert!(!script.text().contains("innerHTML") && !script.text().contains("eval("));
    assert_eq!(shop.get("/api/docs/page.map").await.code(), "not_found");
}

#[tokio::test]
async fn each_error_code_is_explained_where_its_type_points() {
    let shop = Shop::open();
    let errors = shop.get("/docs/errors").await;
    let errors = errors.text();
    let problem = shop.get("/api/nothing").await.json;
    assert_eq!(problem["type"], "/docs/errors#not_found");
    assert!(errors.contains("### not_found\n"));
}

//! Orders, from the outside.

use crate::{
    http::{ReplyExt as _, Request},
    replays::keyed,
    shop::{Shop, token},
};
use serde_json::{Value, json};

#[tokio::test]
async fn the_order_of_the_seed_is_placed_without_a_token_in_demo() {
    let shop = Shop::open();
    let reply = shop.order(&json!({})).await;
    assert_eq!(reply.status, 201, "{reply:?}");
    let order = &reply.json;
    assert_eq!(reply.header("location"), format!("/api/orders/{}", order["order_id"].as_str().unwrap()));
    assert_eq!(
        (&order["status"], &order["amount"], &order["user_id"]),
        (&json!("completed"), &json!(99.99), &json!("user123"))
    );
    assert_eq!(order["trace_id"].as_str().unwrap(), reply.header("traceresponse").split('-').nth(1).unwrap());

    let created = shop.services.created.lock().unwrap();
    let request = created.first().unwrap();
    let caller = request.caller.as_ref().unwrap();
    assert_eq!((caller.user_id.as_str(), caller.is_admin), ("user123", false));
    assert_eq!(request.amount.as_ref().unwrap().ten_thousandths, 999_900);
    assert_eq!(request.payment_method, "pm_card_ok");
    assert!(request.idempotency.is_none());
}

#[tokio::test]
async fn an_order_that_is_not_settled_in_time_is_accepted() {
    let reply = Shop::open().order(&json!({"product_id": "prod-slow"})).await;
    assert_eq!((reply.status.as_u16(), reply.header("location")), (202, "/api/orders/order-3"));
    assert_eq!(reply.json["status"], "pending");
}

#[tokio::test]
async fn an_order_that_fails_says_why_and_where_it_can_be_seen() {
    let shop = Shop::open();
    let reply = shop.order(&json!({"product_id": "prod-soldout"})).await;
    assert_eq!((reply.status.as_u16(), reply.code().as_str()), (409, "out_of_stock"));
    assert_eq!(reply.header("location"), "/api/orders/order-2");
    assert_eq!(reply.json["instance"], "/api/orders");

    let reply = shop.order(&json!({"product_id": "prod-declined"})).await;
    assert_eq!((reply.status.as_u16(), reply.code().as_str()), (402, "payment_declined"));
    assert_eq!(reply.json["provider_code"], "insufficient_funds");
}

#[tokio::test]
async fn what_a_service_refuses_is_answered_by_the_table() {
    let shop = Shop::open();
    for (changes, status, code) in [
        (json!({"product_id": "prod-gone"}), 404, "product_not_found"),
        (json!({"product_id": "prod-dear"}), 422, "amount_mismatch"),
        (json!({"user_id": "nobody"}), 404, "user_not_found"),
        (json!({"user_id": "user-inactive"}), 403, "user_inactive"),
    ] {
        let reply = shop.order(&changes).await;
        assert_eq!((reply.status.as_u16(), reply.code().as_str()), (status, code));
    }
    assert!(shop.services.created.lock().unwrap().iter().all(|order| order.user_id == "user123"));
}

#[tokio::test]
async fn the_inner_text_of_a_service_never_reaches_the_client() {
    let reply = Shop::open().order(&json!({"product_id": "prod-broken"})).await;
    assert_eq!((reply.status.as_u16(), reply.code().as_str()), (500, "internal"));
    assert!(!reply.text().contains("SELECT") && !reply.text().contains("/var/lib"), "{reply:?}");
}

#[tokio::test]
async fn every_bad_field_is_named() {
    let shop = Shop::open();
    for (changes, fields) in [
        (json!({"quantity": -1}), vec!["/quantity too_small"]),
        (json!({"quantity": 1_000_000_000_000_u64}), vec!["/quantity too_large"]),
        (json!({"quantity": "two"}), vec!["/quantity wrong_type"]),
        (json!({"amount": 0, "user_id": null}), vec!["/user_id required", "/amount too_small"]),
        (json!({"total": 0}), vec!["/total unknown_field"]),
        (json!({"user_id": "../etc"}), vec!["/user_id bad_format"]),
    ] {
        let reply = shop.order(&changes).await;
        assert_eq!(reply.status, 400, "{reply:?}");
        assert_eq!(reply.bad_fields(), fields);
    }
    assert!(shop.services.created.lock().unwrap().is_empty());
}

#[tokio::test]
async fn what_is_not_json_is_told_with_its_place() {
    let shop = Shop::open();
    for body in ["{\"user_id\": ", "", "\u{0}", "[[[["] {
        let request = Request::post("/api/orders").json(&Value::Null).body(body);
        let reply = shop.send(request).await;
        assert_eq!((reply.status.as_u16(), reply.code().as_str()), (400, "malformed_json"), "{body:?}");
    }
    let deep = "[".repeat(60_000);
    let reply = shop.send(Request::post("/api/orders").json(&Value::Null).body(deep)).await;
    assert_eq!(reply.status, 400, "{reply:?}");
}

#[tokio::test]
async fn the_same_key_gives_the_same_answer_and_says_so() {
    let shop = Shop::open();
    let first = shop.send(keyed("\"8e03978e\"", &json!({}))).await;
    let replay = shop.send(keyed("8e03978e", &json!({"amount": "99.990"}))).await;
    assert_eq!((first.status, &first.text()), (replay.status, &replay.text()));
    assert_eq!((first.header("idempotent-replayed"), replay.header("idempotent-replayed")), ("", "true"));
    let created = shop.services.created.lock().unwrap();
    let idempotency = created.first().unwrap().idempotency.as_ref().unwrap();
    assert_eq!((idempotency.key.as_str(), idempotency.principal.as_str()), ("8e03978e", "user123"));
    assert_eq!(idempotency.fingerprint.len(), 32);
}

#[tokio::test]
async fn the_same_key_with_another_body_is_refused() {
    let shop = Shop::open();
    shop.send(keyed("k", &json!({}))).await;
    let reply = shop.send(keyed("k", &json!({"quantity": 3}))).await;
    assert_eq!((reply.status.as_u16(), reply.code().as_str()), (422, "idempotency_key_reused"));
    let token = token("user456", "user");
    let other = shop.send(keyed("k", &json!({"user_id": "user456", "quantity": 3})).bearer(&token)).await;
    assert_eq!(other.status, 201, "the key of another principal is another key");
}

#[tokio::test]
async fn a_key_is_needed_only_where_it_is_configured_and_must_be_fit() {
    assert!(waypost_gateway::Config::default().require_idempotency_key);
    let shop = Shop::configured(|config| config.require_idempotency_key = true);
    let reply = shop.order(&json!({})).await;
    assert_eq!((reply.status.as_u16(), reply.code().as_str()), (400, "idempotency_key_required"));
    assert_eq!(shop.send(keyed("k", &json!({}))).await.status, 201);
    let reply = shop.send(keyed(&"k".repeat(256), &json!({}))).await;
    assert_eq!((reply.status.as_u16(), reply.code().as_str()), (400, "invalid_request"));
}

#[tokio::test]
async fn an_order_is_looked_up_and_cancelled_by_its_id() {
    let shop = Shop::open();
    assert_eq!(shop.get("/api/orders/order-1").await.json["status"], "completed");
    let cancelled = shop.send(Request::new("POST", "/api/orders/order-1/cancel")).await;
    assert_eq!((cancelled.status.as_u16(), cancelled.json["status"].as_str()), (200, Some("cancelled")));
    let paid = shop.send(Request::new("POST", "/api/orders/order-paid/cancel")).await;
    assert_eq!((paid.status.as_u16(), paid.code().as_str()), (409, "order_not_cancellable"));
    for id in ["nothing", "not%20an%20id", "%2e%2e"] {
        let reply = shop.get(&format!("/api/orders/{id}")).await;
        assert_eq!((reply.status.as_u16(), reply.code().as_str()), (404, "order_not_found"), "{id}");
    }
}

#[tokio::test]
async fn orders_are_listed_a_page_at_a_time() {
    let shop = Shop::open();
    let page = shop.get("/api/orders?user_id=user123&limit=3").await.json;
    assert_eq!(page["orders"].as_array().unwrap().len(), 3);
    assert_eq!(page["next_page_token"], "next+page=");
    let last = shop.get("/api/orders?user_id=user123&page_token=next%2Bpage%3D").await.json;
    assert_eq!(last, json!({"orders": []}));
    let reply = shop.get("/api/orders?user_id=user123&page_token=forged").await;
    assert_eq!((reply.status.as_u16(), reply.code().as_str()), (400, "invalid_page_token"));
}

#[tokio::test]
async fn bad_and_unknown_query_parameters_are_refused_all_at_once() {
    let shop = Shop::open();
    let reply = shop.get("/api/orders?limit=101&lmit=5&limit=7").await;
    assert_eq!(reply.status, 400);
    let expected = ["/limit duplicate_field", "/user_id required", "/lmit unknown_field"];
    assert_eq!(reply.bad_fields(), expected);
    let reply = shop.get("/api/orders?user_id=user123&limit=101").await;
    assert_eq!(reply.bad_fields(), ["/limit too_large"]);
    let reply = shop.get("/api/products/prod456?colour=red").await;
    assert_eq!((reply.status.as_u16(), reply.code().as_str()), (400, "unknown_field"));
}

#[tokio::test]
async fn a_user_and_a_product_are_looked_up() {
    let shop = Shop::open();
    assert_eq!(shop.get("/api/users/user123").await.json["email"], "ada@example.com");
    let product = shop.get("/api/products/prod456").await.json;
    assert_eq!((&product["unit_price"], &product["available"]), (&json!(49.995), &json!(1_000_000)));
    assert_eq!(shop.get("/api/products/nothing").await.code(), "product_not_found");
    assert_eq!(shop.get("/api/users/nobody").await.code(), "user_not_found");
    assert_eq!(shop.get("/api/health").await.json, json!({"status": "healthy"}));
}

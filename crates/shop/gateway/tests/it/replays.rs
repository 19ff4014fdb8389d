//! The same request again: the same answer, whatever has happened since (I2).

use crate::{
    http::{Reply, ReplyExt as _, Request},
    overload::hold_orders,
    services::Users,
    shop::{Shop, in_time, order_body, token},
};
use serde_json::{Value, json};
use waypost_api::ErrorCode;
use waypost_gateway::{Auth, RateLimit};

pub(crate) fn keyed(key: &str, changes: &Value) -> Request {
    Request::post("/api/orders").json(order_body(changes)).header("idempotency-key", key)
}

/// The answers to a request and to the same one again; `between` happens in the meantime.
async fn twice(shop: &Shop, changes: &Value, between: impl FnOnce()) -> (Reply, Reply) {
    let first = shop.send(keyed("k", changes)).await;
    between();
    (first, shop.send(keyed("k", changes)).await)
}

fn assert_is_replayed(first: &Reply, replay: &Reply) {
    assert_eq!((first.status, &first.text()), (replay.status, &replay.text()));
    assert_eq!(first.header("location"), replay.header("location"));
    assert_eq!((first.header("idempotent-replayed"), replay.header("idempotent-replayed")), ("", "true"));
    assert_eq!(replay.header("retry-after"), "");
}

#[tokio::test]
async fn every_failure_is_replayed_whole_and_never_as_retryable() {
    for code in ErrorCode::ALL {
        let shop = Shop::open();
        let product = format!("fails-{}", code.as_str().replace('_', "-"));
        let (first, replay) = twice(&shop, &json!({ "product_id": product }), || {}).await;
        assert_is_replayed(&first, &replay);
        let told: ErrorCode = replay.code().parse().unwrap();
        assert!(!told.is_retryable() && told.http_status().is_client_error(), "{code} is told as {told}");
        let problem = replay.json;
        assert_eq!(problem["failure_code"], code.as_str());
        assert!(problem["detail"].as_str().unwrap().ends_with("; nothing was charged"), "{problem}");
    }
}

#[tokio::test]
async fn an_order_whose_answer_was_lost_is_asked_for_as_a_repeat() {
    let shop = Shop::open();
    let reply = shop.send(keyed("k", &json!({ "product_id": "prod-lost" }))).await;
    assert_eq!((reply.status.as_u16(), reply.header("location")), (202, "/api/orders/order-5"), "{reply:?}");
    assert_eq!(reply.header("idempotent-replayed"), "", "nobody was answered before");
    let repeats = || -> Vec<bool> {
        shop.services.created.lock().unwrap().iter().map(|request| request.is_repeat).collect()
    };
    assert_eq!(repeats(), [false, true]);
    // A request of the client's own is none.
    shop.send(keyed("other", &json!({}))).await;
    shop.send(keyed("other", &json!({}))).await;
    assert_eq!(repeats(), [false, true, false, false]);
}

#[tokio::test]
async fn a_replay_needs_no_user_who_may_order() {
    for product in ["prod456", "prod-declined"] {
        for users in [Users::Away, Users::Silent, Users::Inactive] {
            let shop = Shop::open();
            let become_so = || *shop.services.users.lock().unwrap() = users;
            let (first, replay) = twice(&shop, &json!({ "product_id": product }), become_so).await;
            assert_is_replayed(&first, &replay);
        }
    }
}

#[tokio::test]
async fn a_new_key_is_told_what_the_user_service_said() {
    for (users, status, code) in [
        (Users::Away, 503, "unavailable"),
        (Users::Silent, 504, "deadline_exceeded"),
        (Users::Inactive, 403, "user_inactive"),
    ] {
        let shop = Shop::open();
        *shop.services.users.lock().unwrap() = users;
        let request = keyed("k", &json!({})).header("request-timeout", "1");
        let reply = shop.send(request).await;
        assert_eq!((reply.status.as_u16(), reply.code().as_str()), (status, code));
        assert_eq!(reply.header("idempotent-replayed"), "");
        assert!(shop.services.created.lock().unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_key_of_another_request_is_refused_without_its_user_too() {
    let shop = Shop::open();
    shop.send(keyed("k", &json!({}))).await;
    *shop.services.users.lock().unwrap() = Users::Away;
    let reply = shop.send(keyed("k", &json!({"quantity": 3}))).await;
    assert_eq!((reply.status.as_u16(), reply.code().as_str()), (422, "idempotency_key_reused"));
}

#[tokio::test]
async fn a_known_answer_is_given_although_there_is_no_place() {
    let shop = Shop::configured(|config| config.requests_at_once = 1);
    let first = shop.send(keyed("k", &json!({}))).await;
    let declined = shop.send(keyed("d", &json!({"product_id": "prod-declined"}))).await;
    let held = hold_orders(&shop, 1).await;

    assert_is_replayed(&first, &shop.send(keyed("k", &json!({}))).await);
    assert_is_replayed(&declined, &shop.send(keyed("d", &json!({"product_id": "prod-declined"}))).await);
    let reused = shop.send(keyed("k", &json!({"quantity": 3}))).await;
    assert_eq!((reused.status.as_u16(), reused.code().as_str()), (422, "idempotency_key_reused"));
    // A new order is not let in by its key.
    let created = shop.services.created.lock().unwrap().len();
    let refused = shop.send(keyed("new", &json!({}))).await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (503, "overloaded"));
    assert_eq!((refused.header("retry-after"), refused.header("idempotent-replayed")), ("1", ""));
    assert_eq!(shop.services.created.lock().unwrap().len(), created);

    shop.services.gate.add_permits(1);
    for order in held {
        assert_eq!(in_time(order).await.unwrap().status, 201);
    }
    assert_eq!(shop.send(keyed("new", &json!({}))).await.status, 201);
}

#[tokio::test]
async fn a_known_answer_is_given_beyond_the_callers_rate() {
    let shop = Shop::configured(|config| {
        config.auth = Auth::Required;
        config.rate_limit = RateLimit { requests: 6, ..RateLimit::default() };
    });
    let send = |key: &str, user: &str| shop.send(keyed(key, &json!({})).bearer(&token(user, "user")));
    let first = send("k", "user123").await;
    assert_eq!(first.status, 201);
    let mut number = 0;
    while send(&format!("other-{number}"), "user123").await.status != 429 {
        number += 1;
        assert!(number < 50, "the rate is not used up");
    }

    assert_is_replayed(&first, &send("k", "user123").await);
    let refused = send("new", "user123").await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (429, "rate_limited"));
    assert_ne!(refused.header("retry-after"), "");
    // Who asks has to be known; what is known of somebody else is nobody's business.
    let without = shop.send(keyed("k", &json!({}))).await;
    assert_eq!((without.status.as_u16(), without.code().as_str()), (401, "unauthenticated"));
    assert_eq!(send("k", "user456").await.status, 403);
    // Repeated requests have a rate as well.
    let mut repeated = 0;
    while send("k", "user123").await.status == 201 {
        repeated += 1;
        assert!(repeated < 50, "there is no end to them");
    }
}

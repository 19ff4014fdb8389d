//! Tokens, good and bad.

use crate::{
    http::{ReplyExt as _, Request},
    shop::{SECRET, Shop, claims, expired_token, order_body, sign, token},
};
use serde_json::{Value, json};
use std::net::SocketAddr;
use waypost_gateway::{Auth, Config, Error, Parts, Rates, TokenSettings, build};
use waypost_resilience::discovery::Discovery;
use waypost_telemetry::Telemetry;

fn strict() -> Shop {
    Shop::configured(|config| config.auth = Auth::Required)
}

async fn answer_to(shop: &Shop, token: &str) -> (u16, String) {
    let reply = shop.send(Request::get("/api/orders/order-1").bearer(token)).await;
    let code = if reply.status == 200 { String::new() } else { reply.code() };
    if reply.status == 401 {
        assert!(reply.header("www-authenticate").starts_with("Bearer realm=\"waypost\""), "{reply:?}");
    }
    (reply.status.as_u16(), code)
}

#[tokio::test]
async fn a_login_gives_a_token_that_opens_what_is_its_owners() {
    let shop = strict();
    let login = Request::post("/api/login").json(json!({"user_id": "user123", "password": "waypost-demo"}));
    let reply = shop.send(login).await;
    let body = reply.json;
    assert_eq!((&body["token_type"], &body["expires_in"]), (&json!("Bearer"), &json!(900)));
    let token = body["access_token"].as_str().unwrap();
    assert_eq!(answer_to(&shop, token).await.0, 200);
    let order = Request::post("/api/orders").json(order_body(&json!({}))).bearer(token);
    assert_eq!(shop.send(order).await.status, 201);
}

#[tokio::test]
async fn an_operators_token_is_one_and_a_users_is_not() {
    let shop = strict();
    for (user_id, status) in [("user-admin", 200), ("user456", 404)] {
        let login = Request::post("/api/login").json(json!({"user_id": user_id, "password": "waypost-demo"}));
        let body = shop.send(login).await.json;
        assert_eq!(answer_to(&shop, body["access_token"].as_str().unwrap()).await.0, status);
    }
}

#[tokio::test]
async fn a_wrong_password_is_refused_and_not_repeated_anywhere() {
    let shop = strict();
    let login = Request::post("/api/login").json(json!({"user_id": "user123", "password": "hunter2-canary"}));
    let reply = shop.send(login).await;
    assert_eq!((reply.status.as_u16(), reply.code().as_str()), (401, "bad_credentials"));
    assert!(!reply.text().contains("canary"));
    assert!(!format!("{:?}", shop.telemetry.finished_spans()).contains("canary"));
}

#[tokio::test]
async fn the_key_before_is_still_good_and_a_removed_one_is_not() {
    let shop = strict();
    let claims = claims("user123", "user");
    assert_eq!(answer_to(&shop, &sign("old", &claims, &SECRET.to_uppercase())).await.0, 200);
    assert_eq!(answer_to(&shop, &sign("old", &claims, SECRET)).await.0, 401);
    assert_eq!(answer_to(&shop, &sign("removed", &claims, SECRET)).await.0, 401);
}

#[tokio::test]
async fn a_token_must_have_every_claim_and_each_must_hold() {
    let shop = strict();
    let changed = |name: &str, value: Value| {
        let mut claims = claims("user123", "user");
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(name);
        } else {
            claims[name] = value;
        }
        sign("new", &claims, SECRET)
    };
    let far = 4_000_000_000_u64;
    for (name, value) in [
        ("iss", json!("somebody")),
        ("aud", json!("somebody")),
        ("nbf", json!(far)),
        // CVE-2026-25537: a claim of the wrong type was taken for an absent one.
        ("exp", json!("4000000000")),
        ("nbf", json!("0")),
        ("sub", json!("not an id")),
        ("role", json!("root")),
        ("exp", Value::Null),
        ("nbf", Value::Null),
        ("iss", Value::Null),
        ("aud", Value::Null),
        ("sub", Value::Null),
    ] {
        let answer = answer_to(&shop, &changed(name, value.clone())).await;
        assert_eq!(answer, (401, "unauthenticated".to_owned()), "{name} = {value}");
    }
    assert_eq!(answer_to(&shop, &expired_token()).await, (401, "token_expired".to_owned()));
}

#[tokio::test]
async fn a_token_of_another_algorithm_or_none_is_refused() {
    let shop = strict();
    let good = token("user123", "user");
    let payload = good.split('.').nth(1).unwrap();
    // {"alg":"none","kid":"new"} and {"alg":"RS256","kid":"new"}
    let none = format!("eyJhbGciOiJub25lIiwia2lkIjoibmV3In0.{payload}.");
    let swapped =
        format!("eyJhbGciOiJSUzI1NiIsImtpZCI6Im5ldyJ9.{payload}.{}", good.split('.').nth(2).unwrap());
    for token in [none.as_str(), &swapped, "", "nonsense", "a.b.c", &"x".repeat(4000)] {
        assert_eq!(answer_to(&shop, token).await, (401, "unauthenticated".to_owned()), "{token}");
    }
}

#[tokio::test]
async fn credentials_of_another_scheme_are_refused_and_not_ignored() {
    let shop = Shop::open();
    let reply =
        shop.send(Request::get("/api/orders/order-1").header("authorization", "Basic dXNlcjEyMzp4")).await;
    assert_eq!((reply.status.as_u16(), reply.code().as_str()), (401, "unauthenticated"));
    let good = token("user123", "user");
    let twice = Request::get("/api/orders/order-1").bearer(&good);
    let reply = shop.send(twice.and_header("authorization", &format!("Bearer {good}"))).await;
    assert_eq!(reply.status, 401);
}

#[tokio::test]
async fn an_order_for_another_user_is_refused_before_anybody_is_asked() {
    let shop = strict();
    let order = Request::post("/api/orders").json(order_body(&json!({}))).bearer(&token("user456", "user"));
    let reply = shop.send(order).await;
    assert_eq!((reply.status.as_u16(), reply.code().as_str()), (403, "forbidden"));
    assert!(shop.services.created.lock().unwrap().is_empty());
}

#[tokio::test]
async fn demo_is_refused_outside_loopback() {
    let config = Config { auth: Auth::Demo, ..Config::default() };
    let bound: SocketAddr = "0.0.0.0:8080".parse().unwrap();
    let parts = Parts {
        telemetry: Telemetry::disabled(),
        bound,
        rates: Rates::default(),
        discovery: Discovery::default(),
        identity: None,
    };
    let error = build(&config, &parts).unwrap_err();
    assert!(matches!(error, Error::DemoOutsideLoopback { .. }));
    assert!(error.to_string().contains("gateway.auth = required"), "{error}");
    for loopback in ["127.0.0.1:8080", "[::1]:8080"] {
        let parts = Parts {
            telemetry: Telemetry::disabled(),
            bound: loopback.parse().unwrap(),
            rates: Rates::default(),
            discovery: Discovery::default(),
            identity: None,
        };
        assert!(build(&config, &parts).is_ok());
    }
}

#[tokio::test]
async fn without_a_configured_key_tokens_are_good_until_the_end_of_the_process() {
    let change = |config: &mut Config| {
        config.auth = Auth::Required;
        config.tokens = TokenSettings::default();
    };
    let (one, other) = (Shop::configured(change), Shop::configured(change));
    let login = Request::post("/api/login").json(json!({"user_id": "user123", "password": "waypost-demo"}));
    let body = one.send(login).await.json;
    let token = body["access_token"].as_str().unwrap();
    assert_eq!(answer_to(&one, token).await.0, 200);
    assert_eq!(answer_to(&other, token).await.0, 401);
}

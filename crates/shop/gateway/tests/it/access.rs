//! Every route with every role, in both modes. Made from the table, so that a new row without an example fails.

use crate::{
    http::Request,
    shop::{Shop, expired_token, order_body, token},
};
use serde_json::json;
use waypost_gateway::{
    Auth,
    access::{Role, Row, TABLE, Verdict},
};

/// A request to the route that is about something of `user123`.
fn example(row: &Row) -> Request {
    match (row.method, row.path) {
        ("POST", "/api/orders") => Request::post("/api/orders").json(order_body(&json!({}))),
        ("GET", "/api/orders") => Request::get("/api/orders?user_id=user123"),
        ("GET", "/api/orders/{id}") => Request::get("/api/orders/order-1"),
        ("POST", "/api/orders/{id}/cancel") => Request::new("POST", "/api/orders/order-1/cancel"),
        ("GET", "/api/users/{id}") => Request::get("/api/users/user123"),
        ("GET", "/api/products/{id}") => Request::get("/api/products/prod456"),
        ("POST", "/api/login") => {
            Request::post("/api/login").json(json!({"user_id": "user123", "password": "waypost-demo"}))
        }
        ("GET", "/api/health") => Request::get("/api/health"),
        ("GET", "/api/openapi.json") => Request::get("/api/openapi.json"),
        ("GET", "/api/docs") => Request::get("/api/docs"),
        ("GET", "/api/docs/{file}") => Request::get("/api/docs/page.js"),
        ("GET", "/docs/errors") => Request::get("/docs/errors"),
        (method, path) => panic!("{method} {path} has no example here"),
    }
}

#[derive(Clone, Copy, Debug)]
enum Caller {
    Is(Role),
    Expired,
}

const CALLERS: [Caller; 5] = [
    Caller::Is(Role::Anonymous),
    Caller::Is(Role::Owner),
    Caller::Is(Role::Other),
    Caller::Is(Role::Admin),
    Caller::Expired,
];

fn sent_by(request: Request, caller: Caller) -> Request {
    match caller {
        Caller::Is(Role::Anonymous) => request,
        Caller::Is(Role::Owner) => request.bearer(&token("user123", "user")),
        Caller::Is(Role::Other) => request.bearer(&token("user456", "user")),
        Caller::Is(Role::Admin) => request.bearer(&token("user-admin", "admin")),
        Caller::Expired => request.bearer(&expired_token()),
    }
}

fn expected(row: &Row, caller: Caller, auth: Auth) -> u16 {
    let success = if (row.method, row.path) == ("POST", "/api/orders") { 201 } else { 200 };
    match caller {
        Caller::Expired if row.is_public() => success,
        Caller::Expired => 401,
        Caller::Is(role) => match (row.verdict(role), auth) {
            (Verdict::Allow, _) | (Verdict::LogIn, Auth::Demo) => success,
            (Verdict::LogIn, Auth::Required) => 401,
            (Verdict::Forbid, _) => 403,
            (Verdict::Hide, _) => 404,
        },
    }
}

#[tokio::test]
async fn every_route_answers_every_role_as_the_table_says() {
    for auth in [Auth::Demo, Auth::Required] {
        let shop = Shop::configured(|config| config.auth = auth);
        for row in TABLE {
            for caller in CALLERS {
                let reply = shop.send(sent_by(example(row), caller)).await;
                let what = format!("{} {} by {caller:?} in {auth}", row.method, row.path);
                assert_eq!(reply.status, expected(row, caller, auth), "{what}: {}", reply.text());
            }
        }
    }
}

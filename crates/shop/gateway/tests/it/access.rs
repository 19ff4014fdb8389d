//! Every route with every role, in both modes. A new route without an example and its answers fails.

use crate::{
    http::Request,
    shop::{Shop, expired_token, order_body, token},
};
use serde_json::json;
use waypost_gateway::{
    Auth,
    access::{Role, TABLE},
};

/// A request to the route that is about something of `user123`.
fn example(method: &str, path: &str) -> Request {
    match (method, path) {
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

/// What each of [`CALLERS`] is answered on each route: first in a demo, then where logging in is required. Written down
/// here and not taken from the gateway's own table, so that a wrong row there is seen.
#[rustfmt::skip]
const ANSWERS: &[(&str, &str, [u16; 5], [u16; 5])] = &[
    ("POST", "/api/orders",             [201, 201, 403, 201, 401], [401, 201, 403, 201, 401]),
    ("GET",  "/api/orders",             [200, 200, 403, 200, 401], [401, 200, 403, 200, 401]),
    ("GET",  "/api/orders/{id}",        [200, 200, 404, 200, 401], [401, 200, 404, 200, 401]),
    ("POST", "/api/orders/{id}/cancel", [200, 200, 404, 200, 401], [401, 200, 404, 200, 401]),
    ("GET",  "/api/users/{id}",         [200, 200, 403, 200, 401], [401, 200, 403, 200, 401]),
    ("GET",  "/api/products/{id}",      [200, 200, 200, 200, 200], [200, 200, 200, 200, 200]),
    ("POST", "/api/login",              [200, 200, 200, 200, 200], [200, 200, 200, 200, 200]),
    ("GET",  "/api/health",             [200, 200, 200, 200, 200], [200, 200, 200, 200, 200]),
    ("GET",  "/api/openapi.json",       [200, 200, 200, 200, 200], [200, 200, 200, 200, 200]),
    ("GET",  "/api/docs",               [200, 200, 200, 200, 200], [200, 200, 200, 200, 200]),
    ("GET",  "/api/docs/{file}",        [200, 200, 200, 200, 200], [200, 200, 200, 200, 200]),
    ("GET",  "/docs/errors",            [200, 200, 200, 200, 200], [200, 200, 200, 200, 200]),
];

#[tokio::test]
async fn every_route_answers_every_role_as_the_table_says() {
    let routes: Vec<_> = TABLE.iter().map(|row| (row.method, row.path)).collect();
    let expected: Vec<_> = ANSWERS.iter().map(|&(method, path, ..)| (method, path)).collect();
    assert_eq!(routes, expected, "each route has its answers here");
    for (mode, auth) in [Auth::Demo, Auth::Required].into_iter().enumerate() {
        let shop = Shop::configured(|config| config.auth = auth);
        for &(method, path, in_demo, where_required) in ANSWERS {
            let expected = [in_demo, where_required][mode];
            for (caller, expected) in CALLERS.into_iter().zip(expected) {
                let reply = shop.send(sent_by(example(method, path), caller)).await;
                let what = format!("{method} {path} by {caller:?} in {auth}");
                assert_eq!(reply.status, expected, "{what}: {}", reply.text());
            }
        }
    }
}

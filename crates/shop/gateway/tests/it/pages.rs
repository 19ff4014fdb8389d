//! What pages of other sites can make a browser do to a gateway in demo.

use crate::{
    http::{ReplyExt as _, Request},
    shop::{Shop, token},
};
use waypost_gateway::Auth;

const CANCEL: &str = "/api/orders/order-1/cancel";

#[tokio::test]
async fn a_name_that_is_not_the_gateways_is_refused_in_demo() {
    let shop = Shop::open();
    let port = shop.address.port();
    for host in ["evil.example".to_owned(), format!("rebound.example:{port}"), "localhost.evil".to_owned()] {
        let reply = shop.send(Request::get("/api/orders/order-1").header("host", &host)).await;
        assert_eq!((reply.status.as_u16(), reply.code().as_str()), (421, "unknown_host"), "{host}");
    }
    for host in [format!("localhost:{port}"), format!("127.0.0.1:{port}"), "[::1]".to_owned()] {
        let reply = shop.send(Request::get("/api/orders/order-1").header("host", &host)).await;
        assert_eq!(reply.status, 200, "{host}");
    }
}

#[tokio::test]
async fn what_a_page_of_another_site_sends_is_refused_in_demo() {
    let shop = Shop::open();
    let own = format!("http://127.0.0.1:{}", shop.address.port());
    let cancel = || Request::new("POST", CANCEL).header("host", &own["http://".len()..]);
    let form = cancel().header("origin", "http://evil.example");
    let fetched = cancel().header("sec-fetch-site", "cross-site").header("sec-fetch-mode", "no-cors");
    let other_port = cancel().header("sec-fetch-site", "same-site");
    for request in [form, fetched, other_port] {
        let reply = shop.send(request).await;
        assert_eq!((reply.status.as_u16(), reply.code().as_str()), (403, "cross_site"));
    }
    let read = Request::get("/api/orders/order-1").header("sec-fetch-site", "cross-site");
    assert_eq!(shop.send(read).await.code(), "cross_site");
}

#[tokio::test]
async fn programs_and_the_gateways_own_page_are_answered_in_demo() {
    let shop = Shop::open();
    let host = format!("127.0.0.1:{}", shop.address.port());
    let cancel = || Request::new("POST", CANCEL).header("host", &host);
    let own_page =
        cancel().header("origin", &format!("http://{host}")).header("sec-fetch-site", "same-origin");
    for request in [cancel(), own_page] {
        assert_eq!(shop.send(request).await.status, 200);
    }
    let link =
        Request::get("/api/docs").header("sec-fetch-site", "cross-site").header("sec-fetch-mode", "navigate");
    assert_eq!(shop.send(link).await.status, 200);
}

#[tokio::test]
async fn with_tokens_any_name_and_any_page_may_ask() {
    let shop = Shop::configured(|config| config.auth = Auth::Required);
    let request = Request::new("POST", CANCEL)
        .bearer(&token("user123", "user"))
        .header("host", "shop.example")
        .header("origin", "https://pages.example");
    assert_eq!(shop.send(request).await.status, 200);
}

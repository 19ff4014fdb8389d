//! What the gateway puts up with from outsiders, and what it says.

use crate::{
    http::{ReplyExt as _, Request, raw, read_to_end},
    shop::{Shop, order_body, token},
};
use serde_json::{Value, json};
use std::{fmt::Write as _, pin::Pin, sync::Arc, time::Duration};
use tokio::{
    io::AsyncWriteExt as _,
    net::{TcpListener, TcpStream},
};
use waypost_gateway::{Auth, Config, RateLimit};
use waypost_resilience::rate_limit::{Away, RateStore, Rule, Taken};
use waypost_service::{Limits, WhenAway};
use waypost_settings::{ByteSize, Duration as Setting};

#[tokio::test]
async fn a_route_that_does_not_exist_is_a_problem() {
    let shop = Shop::open();
    for path in ["/", "/api", "/api/order", "/api/orders/", "/api/orders/1/2", "/admin", "/metrics"] {
        let reply = shop.get(path).await;
        assert_eq!((reply.status.as_u16(), reply.code().as_str()), (404, "not_found"), "{path}");
        assert_eq!(reply.json["instance"], path);
        assert_eq!(reply.json["trace_id"].as_str().unwrap().len(), 32);
    }
}

#[tokio::test]
async fn a_method_that_a_route_does_not_take_is_answered_with_those_it_does() {
    let shop = Shop::open();
    let reply = shop.send(Request::new("DELETE", "/api/orders")).await;
    assert_eq!((reply.status.as_u16(), reply.code().as_str()), (405, "method_not_allowed"));
    let mut allowed: Vec<&str> = reply.header("allow").split(',').collect();
    allowed.sort_unstable();
    assert_eq!(allowed, ["GET", "HEAD", "POST"]);
    let reply = shop.send(Request::new("BREW", "/api/login")).await;
    assert_eq!((reply.status.as_u16(), reply.header("allow")), (405, "POST"));
}

#[tokio::test]
async fn a_head_request_is_a_get_without_the_body() {
    let reply = Shop::open().send(Request::new("HEAD", "/api/health")).await;
    assert_eq!((reply.status.as_u16(), reply.text()), (200, ""));
}

#[tokio::test]
async fn a_body_that_is_not_json_by_its_type_is_not_read() {
    let shop = Shop::open();
    let body = order_body(&json!({})).to_string();
    let plain = Request::new("POST", "/api/orders").header("content-type", "text/plain").body(body.clone());
    let untyped = Request::new("POST", "/api/orders").body(body.clone());
    let as_it_is =
        Request::post("/api/orders").json(order_body(&json!({}))).header("content-encoding", "Identity");
    assert_eq!(shop.send(as_it_is).await.status, 201);
    let packed =
        Request::post("/api/orders").json(&Value::Null).header("content-encoding", "gzip").body(body);
    for request in [plain, untyped, packed] {
        let reply = shop.send(request).await;
        assert_eq!((reply.status.as_u16(), reply.code().as_str()), (415, "unsupported_media_type"));
    }
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_whether_it_says_so_or_not() {
    let shop = Shop::configured(|config| config.body_size = ByteSize::kib(1));
    let head =
        "POST /api/orders HTTP/1.1\r\nhost: test\r\nconnection: close\r\ncontent-type: application/json\r\n";
    let announced = format!("{head}content-length: 1025\r\n\r\n");
    assert!(raw(shop.address, announced.as_bytes()).await.starts_with("HTTP/1.1 413"));
    let chunk = "x".repeat(1025);
    let chunked = format!("{head}transfer-encoding: chunked\r\n\r\n401\r\n{chunk}\r\n0\r\n\r\n");
    let answer = raw(shop.address, chunked.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 413") && answer.contains("the limit is 1024 bytes"), "{answer}");
}

#[tokio::test]
async fn a_body_that_trickles_is_cut_off_with_an_answer() {
    let shop = Shop::configured(|config| config.body_timeout = Setting::from_millis(100));
    let head = "POST /api/orders HTTP/1.1\r\nhost: test\r\ncontent-type: application/json\r\ncontent-length: 80\r\n\r\n{";
    let answer = raw(shop.address, head.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("body_timeout"), "{answer}");
    assert!(answer.contains("connection: close"), "{answer}");
}

#[tokio::test]
async fn headers_that_trickle_are_cut_off() {
    let limits = Limits { header_timeout: Setting::from_millis(100), ..Limits::default() };
    let shop = Shop::with(|_| {}, limits);
    let mut slow = TcpStream::connect(shop.address).await.unwrap();
    slow.write_all(b"POST /api/orders HTTP/1.1\r\nhost: test\r\nx-slow").await.unwrap();
    assert_eq!(shop.get("/api/health").await.status, 200);
    assert_eq!(read_to_end(&mut slow).await, "");
}

#[tokio::test]
async fn ten_thousand_headers_are_refused() {
    let shop = Shop::open();
    let mut request = "GET /api/health HTTP/1.1\r\nhost: test\r\n".to_owned();
    for number in 0..10_000 {
        write!(request, "x-{number}: y\r\n").unwrap();
    }
    let answer = raw(shop.address, request.as_bytes()).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
    assert_eq!(shop.get("/api/health").await.status, 200);
}

#[tokio::test]
async fn connections_above_the_cap_are_closed() {
    let shop = Shop::with(|_| {}, Limits { connections: 1, ..Limits::default() });
    let mut held = TcpStream::connect(shop.address).await.unwrap();
    held.write_all(b"GET /api/health HTTP/1.1\r\nhost: test\r\n\r\n").await.unwrap();
    held.readable().await.unwrap();
    assert_eq!(raw(shop.address, b"GET /api/health HTTP/1.1\r\nhost: test\r\n\r\n").await, "");
}

#[tokio::test]
async fn a_caller_that_asks_too_often_is_told_when_to_come_back() {
    let limit = RateLimit { requests: 2, per: Setting::from_secs(60), ..RateLimit::default() };
    let shop = Shop::configured(|config| {
        config.auth = Auth::Required;
        config.rate_limit = limit;
    });
    let first = shop.get("/api/health").await;
    assert_eq!(first.header("ratelimit-policy"), "\"default\";q=2;w=60");
    assert!(first.header("ratelimit").starts_with("\"default\";r=1;t="), "{first:?}");
    shop.get("/api/health").await;
    let refused = shop.get("/api/health").await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (429, "rate_limited"));
    assert!((1..=30).contains(&refused.header("retry-after").parse::<u32>().unwrap()));
    assert!(refused.header("ratelimit").starts_with("\"default\";r=0;t="), "{refused:?}");

    let known = Request::get("/api/orders/order-1").bearer(&token("user123", "user"));
    assert_eq!(shop.send(known).await.status, 200, "a principal has a rate of its own");
    let forged = Request::get("/api/health").header("x-forwarded-for", "198.51.100.1");
    assert_eq!(shop.send(forged).await.status, 429, "who is nobody's proxy cannot name another address");
}

/// A store of rates that cannot be asked.
#[derive(Debug)]
struct AwayStore(Rule);

impl RateStore for AwayStore {
    fn rule(&self) -> &Rule {
        &self.0
    }

    fn take<'a>(&'a self, _: &'a str) -> Pin<Box<dyn Future<Output = Result<Taken, Away>> + Send + 'a>> {
        Box::pin(async { Err(Away { reason: "a test".to_owned() }) })
    }
}

#[tokio::test]
async fn while_the_store_of_rates_is_away_each_rate_is_open_or_closed() {
    let answers = async |requests, logins| {
        let away = |when_away| RateLimit { when_away, ..RateLimit::default() };
        let change = |config: &mut Config| {
            config.auth = Auth::Required;
            (config.rate_limit, config.login_limit) = (away(requests), away(logins));
        };
        let shop = Shop::over(change, Limits::default(), |rule| Arc::new(AwayStore(rule)));
        let read = shop.get("/api/health").await;
        assert_eq!(read.header("ratelimit"), "", "nothing is known of it");
        let login = Request::post("/api/login").json(json!({"user_id": "user123", "password": "guess"}));
        (read, shop.send(login).await)
    };
    let (read, login) = answers(WhenAway::Open, WhenAway::Closed).await;
    assert_eq!((read.status.as_u16(), login.status.as_u16()), (200, 503));
    assert_eq!((login.code().as_str(), login.header("retry-after")), ("unavailable", "1"));
    let (read, login) = answers(WhenAway::Open, WhenAway::Open).await;
    assert_eq!((read.status.as_u16(), login.status.as_u16()), (200, 401));
    let (read, _) = answers(WhenAway::Closed, WhenAway::Open).await;
    assert_eq!((read.status.as_u16(), read.code().as_str()), (503, "unavailable"));
}

#[tokio::test]
async fn a_load_run_from_this_machine_is_not_limited_in_demo() {
    let limit = RateLimit { requests: 1, ..RateLimit::default() };
    let shop = Shop::configured(|config| config.rate_limit = limit);
    for _ in 0..5 {
        assert_eq!(shop.get("/api/health").await.status, 200);
    }
}

#[tokio::test]
async fn logins_have_a_rate_of_their_own_for_each_address() {
    let shop = Shop::configured(|config| {
        config.auth = Auth::Required;
        config.login_limit = RateLimit { requests: 1, ..RateLimit::default() };
    });
    let login = Request::post("/api/login").json(json!({"user_id": "user123", "password": "guess"}));
    assert_eq!(shop.send(login.clone()).await.status, 401);
    let refused = shop.send(login).await;
    assert_eq!((refused.status.as_u16(), refused.header("ratelimit-policy")), (429, "\"login\";q=1;w=60"));
}

#[tokio::test]
async fn a_service_that_cannot_be_reached_is_503_and_may_be_tried_again() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let shop = Shop::configured(|config| config.order_service = format!("http://{closed}"));
    let reply = shop.order(&json!({})).await;
    assert_eq!((reply.status.as_u16(), reply.code().as_str()), (503, "unavailable"));
    assert!(!reply.header("retry-after").is_empty());
    assert!(!reply.text().contains(&closed.port().to_string()), "{reply:?}");
}

#[tokio::test]
async fn a_request_takes_no_longer_than_its_client_is_willing_to_wait() {
    let shop = Shop::open();
    let body = order_body(&json!({"product_id": "prod-never"}));
    let request = Request::post("/api/orders").json(&body).header("x-waypost-timeout-ms", "200");
    let reply = shop.send(request).await;
    assert_eq!((reply.status.as_u16(), reply.code().as_str()), (504, "deadline_exceeded"));
    let left = shop.services.time_left.lock().unwrap().take().unwrap();
    assert!(left <= Duration::from_millis(200), "{left:?}");
}

#[tokio::test]
async fn every_service_gets_the_time_that_is_left_and_never_more_than_the_longest() {
    let shop = Shop::open();
    shop.order(&json!({})).await;
    let left = shop.services.time_left.lock().unwrap().take().unwrap();
    assert!(left > Duration::from_secs(3) && left <= Duration::from_secs(5), "{left:?}");
    let request = Request::post("/api/orders").json(order_body(&json!({}))).header("request-timeout", "3600");
    shop.send(request).await;
    let left = shop.services.time_left.lock().unwrap().take().unwrap();
    assert!(left > Duration::from_secs(8) && left <= Duration::from_secs(10), "{left:?}");
    let request = Request::post("/api/orders").json(order_body(&json!({}))).header("request-timeout", "soon");
    assert_eq!(shop.send(request).await.code(), "invalid_request");
}

#[tokio::test]
async fn every_answer_tells_a_browser_to_do_little_with_it() {
    let shop = Shop::open();
    for path in ["/api/health", "/api/nothing", "/api/orders?limit=0"] {
        let reply = shop.get(path).await;
        assert_eq!(reply.header("x-frame-options"), "DENY");
        assert_eq!(reply.header("content-security-policy"), "default-src 'none'; frame-ancestors 'none'");
        assert_eq!(reply.header("cache-control"), "no-store");
        assert_eq!(reply.header("referrer-policy"), "no-referrer");
        assert!(reply.headers.get("server").is_none() && reply.headers.get("traceparent").is_none());
    }
}

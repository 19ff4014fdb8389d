//! Names, tokens and cookies.

use crate::{
    http::{Reply, ReplyExt as _, Request},
    viewer::{Viewer, in_time},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use waypost_settings::Secret;

const TOKEN: &str = "a token that somebody chose; with=odd \"letters\"";

fn closed() -> Viewer {
    Viewer::beyond_loopback(|config| config.token = Some(Secret::new(TOKEN.to_owned())))
}

fn navigating(path: &str) -> Request {
    Request::get(path).header("accept", "text/html")
}

fn form(path: &str, token: &str) -> Request {
    let token: String = form_urlencoded::byte_serialize(token.as_bytes()).collect();
    let request = Request::post(path).json(format!("token={token}"));
    request.header("content-type", "application/x-www-form-urlencoded").header("accept", "text/html")
}

fn bearer(path: &str, token: &str) -> Request {
    Request::get(path).header("authorization", &format!("Bearer {token}"))
}

/// Name and value of the cookie that was set.
fn cookie(reply: &Reply) -> String {
    let cookie = reply.header("set-cookie");
    let (cookie, attributes) = cookie.split_once("; ").unwrap();
    assert_eq!(attributes, "Path=/; HttpOnly; SameSite=Strict");
    cookie.to_owned()
}

#[tokio::test]
async fn on_loopback_only_known_names_are_answered() {
    let viewer = Viewer::configured(|config| config.hosts = vec!["traces.example.org".to_owned()]);
    assert_eq!(viewer.token, None);
    let bound = viewer.ui.to_string();
    for host in ["localhost", "127.0.0.1:16686", "[::1]:1", "Traces.Example.Org", bound.as_str()] {
        assert_eq!(viewer.send(Request::get("/").header("host", host)).await.status, 200, "{host}");
    }
    for path in ["/", "/api/v1/status", "/api/services", "/assets/app.js"] {
        let reply = viewer.send(Request::get(path).header("host", "evil.example:16686")).await;
        assert_eq!((reply.status.as_u16(), reply.problem_name()), (421, "host"), "{path}");
        assert!(reply.json["detail"].as_str().unwrap().starts_with("`evil.example:16686` is not a name"));
    }
    let reply =
        in_time(Request::get("/api/v2/services").header("host", "evil.example").send(viewer.zipkin)).await;
    assert_eq!(reply.status, 421);
}

#[tokio::test]
async fn spans_are_taken_under_any_name() {
    let viewer = Viewer::open();
    let request = Request::post("/v1/traces").json(r#"{"resourceSpans":[]}"#).header("host", "collector");
    assert_eq!(in_time(request.send(viewer.otlp_http)).await.status, 200);
    let request = Request::post("/api/v2/spans").json("[]").header("host", "collector");
    assert_eq!(in_time(request.send(viewer.zipkin)).await.status, 202);
}

#[tokio::test]
async fn beyond_loopback_nothing_is_answered_without_the_token() {
    let viewer = closed();
    for path in
        ["/api/v1/status", "/api/services", "/zipkin/api/v2/services", "/assets/app.js", "/", "/nothing"]
    {
        let reply = viewer.get(path).await;
        assert_eq!((reply.status.as_u16(), reply.problem_name()), (401, "unauthorized"), "{path}");
        assert_eq!(reply.header("www-authenticate"), "Bearer realm=\"waypost viewer\"");
        assert_eq!(viewer.send(bearer(path, "a guess")).await.status, 401, "{path}");
    }
    let name = Request::get("/api/v1/status").header("host", "any.example");
    assert_eq!(viewer.send(name).await.status, 401, "the token decides, not the name");
    assert_eq!(viewer.send(bearer("/api/v1/status", TOKEN)).await.status, 200);
    let basic = format!("Basic {}", STANDARD.encode(format!("anybody:{TOKEN}")));
    assert_eq!(viewer.send(Request::get("/api/services").header("authorization", &basic)).await.status, 200);
}

#[tokio::test]
async fn the_printed_link_opens_the_page() {
    let viewer = Viewer::beyond_loopback(|_| {});
    let token = viewer.token.clone().unwrap();
    let reply = viewer.send(navigating(&format!("/?token={token}"))).await;
    assert_eq!((reply.status.as_u16(), reply.header("location")), (303, "/"));
    let cookie = cookie(&reply);
    assert!(cookie.starts_with(&format!("waypost_viewer_{}=", viewer.ui.port())) && !cookie.contains(&token));
    for path in ["/", "/api/v1/status", "/assets/app.js"] {
        let with = Request::get(path).header("cookie", &format!("other=1; {cookie}"));
        assert_eq!(viewer.send(with).await.status, 200, "{path}");
    }
    let reply = viewer.send(navigating(&format!("/trace/1?token={token}&span=2"))).await;
    assert_eq!((reply.status.as_u16(), reply.header("location")), (303, "/trace/1?span=2"));
    let reply = viewer.send(navigating("/?token=wrong")).await;
    assert_eq!((reply.status.as_u16(), reply.header("set-cookie")), (401, ""));
    assert!(reply.text().contains("This is not the token."));
}

#[tokio::test]
async fn a_browser_without_a_cookie_gets_a_form_that_leads_back() {
    let viewer = closed();
    for stale in [None, Some("waypost_viewer_0=x"), Some("waypost_viewer=x")] {
        let request = navigating("/trace/1?span=2");
        let request = stale.iter().fold(request, |request, stale| request.header("cookie", stale));
        let page = viewer.send(request).await;
        assert_eq!((page.status.as_u16(), page.header("content-type")), (401, "text/html; charset=utf-8"));
        assert!(
            page.text().contains("<form method=\"post\">") && !page.text().contains("This is not the token.")
        );
        assert!(!page.text().contains("<script") && !page.text().contains("<style"));
        assert_eq!(page.header("referrer-policy"), "same-origin");
    }
    let wrong = viewer.send(form("/trace/1?span=2", "a guess")).await;
    assert_eq!((wrong.status.as_u16(), wrong.header("set-cookie")), (401, ""));
    let right = viewer.send(form("/trace/1?span=2", TOKEN)).await;
    assert_eq!((right.status.as_u16(), right.header("location")), (303, "/trace/1?span=2"));
    let with = navigating("/trace/1").header("cookie", &cookie(&right));
    assert_eq!(viewer.send(with).await.status, 200);
    let foreign = viewer.send(form("/", TOKEN).header("origin", "http://evil.example")).await;
    assert_eq!((foreign.status.as_u16(), foreign.problem_name()), (403, "cross-site"));
}

#[tokio::test]
async fn guessing_is_slow_and_holds_back_nobody_who_is_right() {
    let viewer = closed();
    for _ in 0..20 {
        assert_eq!(viewer.send(bearer("/api/v1/status", "a guess")).await.status, 401);
    }
    let reply = viewer.send(bearer("/api/v1/status", "another guess")).await;
    assert_eq!((reply.status.as_u16(), reply.problem_name()), (429, "attempts"));
    assert!((1..=60).contains(&reply.header("retry-after").parse::<u32>().unwrap()));
    assert_eq!(viewer.send(form("/", "another guess")).await.status, 429);
    assert_eq!(viewer.send(bearer("/api/v1/status", TOKEN)).await.status, 200);
    assert_eq!(viewer.send(navigating("/")).await.status, 401, "the form is still there");
}

#[tokio::test]
async fn intake_beyond_loopback_asks_for_the_token_too() {
    let viewer = closed();
    let otlp = || Request::post("/v1/traces").json(r#"{"resourceSpans":[]}"#);
    assert_eq!(in_time(otlp().send(viewer.otlp_http)).await.status, 401);
    let authorization = format!("Bearer {TOKEN}");
    let reply = in_time(otlp().header("authorization", &authorization).send(viewer.otlp_http)).await;
    assert_eq!(reply.status, 200);
    let zipkin = || Request::post("/api/v2/spans").json("[]");
    assert_eq!(in_time(zipkin().send(viewer.zipkin)).await.status, 401);
    let reply = in_time(zipkin().header("authorization", &authorization).send(viewer.zipkin)).await;
    assert_eq!(reply.status, 202);
    let path = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
    // A message of no bytes, uncompressed.
    let grpc = || Request::post(path).body(&[0; 5][..]).header("content-type", "application/grpc");
    let reply = in_time(grpc().send(viewer.otlp_grpc)).await;
    assert_eq!((reply.status.as_u16(), reply.header("grpc-status")), (200, "16"));
    assert_eq!((reply.header("content-type"), reply.bytes.len()), ("application/grpc", 0));
    let reply = in_time(grpc().header("authorization", &authorization).send(viewer.otlp_grpc)).await;
    assert_eq!((reply.header("grpc-status"), &reply.bytes[..]), ("", &[0; 5][..]), "an empty answer");
}

#[tokio::test]
async fn an_open_intake_takes_spans_and_shows_nothing() {
    let viewer = Viewer::beyond_loopback(|config| config.open_intake = true);
    let reply =
        in_time(Request::post("/v1/traces").json(r#"{"resourceSpans":[]}"#).send(viewer.otlp_http)).await;
    assert_eq!(reply.status, 200);
    assert_eq!(in_time(Request::post("/api/v2/spans").json("[]").send(viewer.zipkin)).await.status, 202);
    assert_eq!(in_time(Request::get("/api/v2/services").send(viewer.zipkin)).await.status, 401);
    assert_eq!(viewer.get("/api/v1/status").await.status, 401);
}

//! The HTTP client layer around hyper's client: what one call leaves behind and what leaves with it.

#![allow(clippy::unwrap_used, reason = "what a helper cannot set up fails the test that asked for it")]

use std::convert::Infallible;
use std::error::Error;
use std::io;

use axum::body::{Body, Bytes};
use axum::extract::Path;
use axum::http::{HeaderMap, HeaderName, Request, StatusCode};
use axum::routing::{any, get};
use axum::{Extension, Router};
use futures_util::poll;
use http_body_util::BodyExt as _;
use std::sync::{Arc, Mutex};
use tower::{Layer as _, Service as _, ServiceExt as _, service_fn};
use waypost_telemetry::http::{ClientLayer, ClientService, ResendCount, UrlTemplate};
use waypost_telemetry::opentelemetry::trace::SpanKind;
use waypost_telemetry::testing::TestTelemetry;
use waypost_telemetry::{baggage, tenant, with_context};

use crate::http_server::net::{
    Client, Server, attribute, attributes, client, fed_body, metric, outcome, series, serve, serve_at, span,
    spans, within,
};

fn traced(telemetry: &TestTelemetry) -> ClientService<Client> {
    telemetry.http_client().layer(client())
}

/// A server that keeps the headers it gets.
async fn provider() -> (Server, Arc<Mutex<Vec<HeaderMap>>>) {
    let kept: Arc<Mutex<Vec<HeaderMap>>> = Arc::default();
    let keep = Arc::clone(&kept);
    let charge = async move |headers: HeaderMap| keep.lock().unwrap().push(headers);
    let app = Router::new()
        .route("/v1/charges/{id}", any(charge.clone()))
        .route("/status/{code}", get(async |Path(code): Path<u16>| StatusCode::from_u16(code).unwrap()))
        .route("/hang", get(async || std::future::pending::<()>().await));
    (serve(app).await, kept)
}

fn request(method: &str, url: String) -> Request<Body> {
    Request::builder().method(method).uri(url).body(Body::empty()).unwrap()
}

#[tokio::test]
async fn a_call_is_one_client_span_with_the_stable_attributes() {
    let telemetry = TestTelemetry::new("payment");
    let (server, _) = provider().await;
    let mut sent = request("POST", server.url("/v1/charges/ch_1?token=hidden&page=1"));
    sent.extensions_mut().insert(UrlTemplate::new("/v1/charges/{id}"));
    sent.extensions_mut().insert(ResendCount(2));
    traced(&telemetry).call(sent).await.unwrap();
    let span = span(&telemetry).await;
    assert_eq!(span.name(), "POST /v1/charges/{id}");
    assert_eq!(span.kind(), SpanKind::Client);
    assert_eq!(outcome(&span), "ok");
    assert_eq!(
        attributes(&span),
        [
            "http.request.method=POST".to_owned(),
            "http.request.resend_count=2".to_owned(),
            "http.response.status_code=200".to_owned(),
            "network.peer.address=127.0.0.1".to_owned(),
            "network.protocol.version=1.1".to_owned(),
            "server.address=127.0.0.1".to_owned(),
            format!("url.full={}", server.url("/v1/charges/ch_1?token=REDACTED&page=1")),
            "url.template=/v1/charges/{id}".to_owned(),
        ]
    );
    assert_eq!(attribute(&span, "server.port"), Some(server.address.port().to_string()));
    let counts = series(&telemetry, "http_client_request_duration_seconds_count");
    assert_eq!(counts.len(), 1);
    for label in
        ["http_request_method=\"POST\"", "server_address=\"127.0.0.1\"", "url_template=\"/v1/charges/{id}\""]
    {
        assert!(counts[0].contains(label), "{counts:?}");
    }
    assert_eq!(series(&telemetry, "http_client_request_duration_seconds_bucket").len(), 15);
}

#[tokio::test]
async fn a_call_without_a_template_is_named_by_its_method() {
    let telemetry = TestTelemetry::new("payment");
    let (server, _) = provider().await;
    for index in 0..20 {
        traced(&telemetry).call(request("GET", server.url(&format!("/v1/charges/{index}")))).await.unwrap();
    }
    assert!(spans(&telemetry, 20).await.iter().all(|span| span.name() == "GET"));
    assert_eq!(series(&telemetry, "http_client_request_duration_seconds_count").len(), 1);
}

#[tokio::test]
async fn an_answer_of_4xx_or_5xx_is_an_error() {
    let telemetry = TestTelemetry::new("payment");
    let (server, _) = provider().await;
    for (code, expected) in [(204, "ok"), (302, "ok"), (400, "400"), (404, "404"), (429, "429"), (500, "500")]
    {
        telemetry.forget();
        traced(&telemetry).call(request("GET", server.url(&format!("/status/{code}")))).await.unwrap();
        assert_eq!(outcome(&span(&telemetry).await), expected);
        let failed = format!("error_type=\"{code}\"");
        let counted = metric(&telemetry, "http_client_request_duration_seconds_count", &[&failed]);
        assert_eq!(counted, i64::from(expected != "ok"));
    }
}

#[tokio::test]
async fn a_server_that_is_away_is_an_error_with_a_class() {
    let telemetry = TestTelemetry::new("payment");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    drop(listener);
    traced(&telemetry).call(request("GET", url)).await.unwrap_err();
    let span = span(&telemetry).await;
    assert_eq!(outcome(&span), "connection_refused");
    assert_eq!(attribute(&span, "http.response.status_code"), None);
    let failed = ["error_type=\"connection_refused\""];
    assert_eq!(metric(&telemetry, "http_client_request_duration_seconds_count", &failed), 1);
}

#[tokio::test]
async fn a_server_that_hangs_up_is_an_error_with_a_class() {
    let telemetry = TestTelemetry::new("payment");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let service = traced(&telemetry);
    let call = service.oneshot(request("GET", url));
    let (answer, ()) = tokio::join!(call, async { drop(listener.accept().await.unwrap()) });
    answer.unwrap_err();
    let class = outcome(&span(&telemetry).await);
    assert!(["connection_closed", "connection_reset"].contains(&class.as_str()), "{class}");
}

#[tokio::test]
async fn a_caller_that_no_longer_waits_is_no_error() {
    let telemetry = TestTelemetry::new("payment");
    let (server, _) = provider().await;
    let mut call = Box::pin(traced(&telemetry).oneshot(request("GET", server.url("/hang"))));
    assert!(poll!(&mut call).is_pending());
    drop(call);
    assert_eq!(outcome(&span(&telemetry).await), "cancelled");
    assert_eq!(metric(&telemetry, "http_client_request_duration_seconds_count", &["error_type"]), 0);
}

#[tokio::test]
async fn the_span_lasts_until_the_body_was_read_or_dropped() {
    for reads_on in [true, false] {
        let telemetry = TestTelemetry::new("payment");
        let (feed, body) = fed_body();
        let body = Arc::new(Mutex::new(Some(body)));
        let app = Router::new().route("/", get(async move || body.lock().unwrap().take().unwrap()));
        let server = serve(app).await;
        let mut body = traced(&telemetry).call(request("GET", server.url("/"))).await.unwrap().into_body();
        feed.send(Ok(Bytes::from("first"))).await.unwrap();
        within("the first part", body.frame()).await.unwrap().unwrap();
        assert!(telemetry.finished_spans().is_empty());
        if reads_on {
            drop(feed);
            assert!(within("the end", body.frame()).await.is_none());
            assert_eq!(outcome(&span(&telemetry).await), "ok");
        } else {
            drop(body);
            assert_eq!(outcome(&span(&telemetry).await), "cancelled");
        }
    }
}

#[tokio::test]
async fn a_body_that_nobody_wanted_is_no_cancelled_call() {
    let telemetry = TestTelemetry::new("payment");
    let (feed, body) = fed_body();
    let body = Arc::new(Mutex::new(Some(body)));
    let app = Router::new().route("/", get(async move || body.lock().unwrap().take().unwrap()));
    let server = serve(app).await;
    let response = traced(&telemetry).call(request("GET", server.url("/"))).await.unwrap();
    drop((response, feed));
    let span = span(&telemetry).await;
    assert_eq!((outcome(&span).as_str(), attribute(&span, "waypost.outcome")), ("ok", None));
}

#[tokio::test]
async fn a_request_in_origin_form_has_an_absolute_url() {
    let telemetry = TestTelemetry::new("payment");
    let answers =
        service_fn(async |_: Request<Body>| Ok::<_, Infallible>(axum::http::Response::new(Body::empty())));
    for (host, url) in [
        ("shop.example:8080", "http://shop.example:8080/charges?page=1"),
        ("shop.example:443", "https://shop.example:443/charges?page=1"),
    ] {
        telemetry.forget();
        let mut sent = request("GET", "/charges?page=1".to_owned());
        sent.headers_mut().insert("host", host.parse().unwrap());
        telemetry.http_client().layer(answers).call(sent).await.unwrap();
        assert_eq!(attribute(&span(&telemetry).await, "url.full").as_deref(), Some(url));
    }
}

#[tokio::test]
async fn a_user_agent_is_sent_when_asked_for_and_replaces_none() {
    let telemetry = TestTelemetry::new("payment");
    let (server, kept) = provider().await;
    let agent = axum::http::HeaderValue::from_static("payment/1");
    let mut with_its_own = request("GET", server.url("/v1/charges/1"));
    with_its_own.headers_mut().insert("user-agent", "own/2".parse().unwrap());
    traced(&telemetry).call(request("GET", server.url("/v1/charges/1"))).await.unwrap();
    let mut service = telemetry.http_client().user_agent(agent).layer(client());
    service.call(request("GET", server.url("/v1/charges/1"))).await.unwrap();
    service.call(with_its_own).await.unwrap();
    let kept = kept.lock().unwrap();
    let agents: Vec<_> = kept.iter().map(|headers| headers.get("user-agent")).collect();
    assert!(agents[0].is_none());
    assert!(agents[1].unwrap() == "payment/1" && agents[2].unwrap() == "own/2", "{agents:?}");
}

#[tokio::test]
async fn a_filter_that_panics_costs_no_request() {
    let telemetry = TestTelemetry::new("payment");
    let layer = telemetry.http_client().filter(|_| panic!("as the test wants it"));
    let sent = arrives(&telemetry, layer).await;
    assert!(sent.contains_key("traceparent"));
    assert_eq!(outcome(&span(&telemetry).await), "ok");
}

#[tokio::test]
async fn a_body_that_breaks_off_is_an_error() {
    let telemetry = TestTelemetry::new("payment");
    let (feed, body) = fed_body();
    let body = Arc::new(Mutex::new(Some(body)));
    let app = Router::new().route("/", get(async move || body.lock().unwrap().take().unwrap()));
    let server = serve(app).await;
    let body = traced(&telemetry).call(request("GET", server.url("/"))).await.unwrap().into_body();
    feed.send(Err(io::ErrorKind::Other.into())).await.unwrap();
    body.collect().await.unwrap_err();
    assert_eq!(outcome(&span(&telemetry).await), "connection_closed");
}

#[tokio::test]
async fn credentials_in_the_url_never_leave_the_process() {
    let telemetry = TestTelemetry::new("payment");
    let answers =
        service_fn(async |_: Request<Body>| Ok::<_, Infallible>(axum::http::Response::new(Body::empty())));
    let url = "https://bob:hunter2@[2001:db8::1]/charges?X-Amz-Signature=secret#top";
    telemetry.http_client().layer(answers).call(request("GET", url.to_owned())).await.unwrap();
    let span = span(&telemetry).await;
    let expected = "https://REDACTED:REDACTED@[2001:db8::1]/charges?X-Amz-Signature=REDACTED";
    assert_eq!(attribute(&span, "url.full").as_deref(), Some(expected));
    assert_eq!(attribute(&span, "server.address").as_deref(), Some("2001:db8::1"));
    assert_eq!(attribute(&span, "server.port").as_deref(), Some("443"));
    let everything = format!("{span:?}");
    assert!(!everything.contains("hunter2") && !everything.contains("secret"), "{everything}");
}

#[tokio::test]
async fn an_ipv6_server_is_reached_and_recorded_without_brackets() {
    let telemetry = TestTelemetry::new("payment");
    let server = serve_at("[::1]:0", Router::new().route("/", get(async || ()))).await;
    traced(&telemetry).call(request("GET", server.url("/"))).await.unwrap();
    let span = span(&telemetry).await;
    assert_eq!(attribute(&span, "server.address").as_deref(), Some("::1"));
    assert_eq!(attribute(&span, "network.peer.address").as_deref(), Some("::1"));
}

#[tokio::test]
async fn headers_are_captured_by_allow_list_and_credentials_never() {
    let telemetry = TestTelemetry::new("payment");
    let (server, _) = provider().await;
    let names = ["idempotency-key", "authorization"].map(HeaderName::from_static);
    let layer = telemetry.http_client().capture_request_headers(names);
    let mut sent = request("POST", server.url("/v1/charges/1"));
    sent.headers_mut().insert("idempotency-key", "order-1:authorize:1".parse().unwrap());
    sent.headers_mut().insert("authorization", "Bearer secret".parse().unwrap());
    layer.layer(client()).call(sent).await.unwrap();
    let span = span(&telemetry).await;
    assert_eq!(
        attribute(&span, "http.request.header.idempotency-key").as_deref(),
        Some("[\"order-1:authorize:1\"]")
    );
    assert!(!format!("{span:?}").contains("secret"));
}

/// What arrives when a service with a tenant calls through `layer`.
async fn arrives(telemetry: &TestTelemetry, layer: ClientLayer) -> HeaderMap {
    let (server, kept) = provider().await;
    let context = tenant::with_tenant(&telemetry.context(), &tenant::TenantId::new("acme").unwrap());
    let context = baggage::with(&context, "internal.note", "secret");
    let mut service = layer.layer(client());
    with_context(context, async { service.call(request("GET", server.url("/v1/charges/1"))).await.unwrap() })
        .await;
    kept.lock().unwrap().remove(0)
}

#[tokio::test]
async fn the_trace_context_goes_along_and_baggage_only_when_allowed() {
    let telemetry = TestTelemetry::new("payment");
    let sent = arrives(&telemetry, telemetry.http_client()).await;
    let span = span(&telemetry).await;
    let expected = format!("00-{}-{}-", span.trace_id(), span.span_id());
    assert!(sent["traceparent"].to_str().unwrap().starts_with(&expected));
    assert!(!sent.contains_key("baggage"));

    let sent = arrives(&telemetry, telemetry.http_client().baggage(true)).await;
    let baggage = sent.get("baggage").map(|value| value.to_str().unwrap());
    assert!(baggage.is_none_or(|baggage| !baggage.contains("secret")), "{baggage:?}");
    assert_eq!(baggage, Some("tenant.id=acme"));

    let sent = arrives(&telemetry, telemetry.http_client().propagate(false).baggage(true)).await;
    assert!(!sent.contains_key("traceparent") && !sent.contains_key("baggage"));
}

#[tokio::test]
async fn a_filtered_call_leaves_no_span_and_no_header() {
    let telemetry = TestTelemetry::new("payment");
    let layer = telemetry.http_client().filter(|request| !request.uri.path().starts_with("/v1/"));
    let sent = arrives(&telemetry, layer).await;
    assert!(!sent.contains_key("traceparent"));
    assert!(telemetry.finished_spans().is_empty());
    assert!(series(&telemetry, "http_client_request_duration_seconds_count").is_empty());
}

#[tokio::test]
async fn client_and_server_are_one_trace() {
    let (caller, callee) = (TestTelemetry::new("payment"), TestTelemetry::new("provider"));
    let app =
        Router::new().route("/charge", get(async || ())).layer(callee.http_server()).layer(Extension(()));
    let server = serve(app).await;
    let mut service = traced(&caller);
    let call = async {
        service.call(request("GET", server.url("/charge"))).await.map(|_| ()).map_err(io::Error::other)
    };
    with_context(caller.context(), caller.span("authorize-payment").run(call)).await.unwrap();
    let served = span(&callee).await;
    let [called, authorized] = &spans(&caller, 2).await[..] else { unreachable!() };
    assert_eq!(served.parent_id(), Some(called.span_id()));
    assert_eq!(called.parent_id(), Some(authorized.span_id()));
    assert_eq!(served.trace_id(), authorized.trace_id());
}

#[tokio::test]
async fn errors_of_any_type_pass_through_unchanged() {
    let telemetry = TestTelemetry::new("payment");
    let fails = service_fn(async |_: Request<Body>| {
        Err::<axum::http::Response<Body>, Box<dyn Error + Send + Sync>>("no such thing".into())
    });
    let error =
        telemetry.http_client().layer(fails).call(request("GET", "http://a/".to_owned())).await.unwrap_err();
    assert_eq!(error.to_string(), "no such thing");
    let class = outcome(&span(&telemetry).await);
    assert!(!class.contains("no such thing"), "{class}");
}

//! How a request's span ends: with the body, with the client's patience, or with a panic; always once.

#![allow(clippy::unwrap_used, reason = "what a helper cannot set up fails the test that asked for it")]

use std::convert::Infallible;
use std::io;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{Request, Response};
use axum::routing::{any, get};
use futures_util::{FutureExt as _, poll};
use http_body_util::BodyExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tower::{Layer as _, ServiceExt as _, service_fn};
use waypost_telemetry::FinishedSpan;
use waypost_telemetry::opentelemetry::Context;
use waypost_telemetry::opentelemetry::trace::TraceContextExt as _;
use waypost_telemetry::testing::TestTelemetry;

use super::net::{
    active, attribute, client, eventually, fed_body, metric, never, nothing_active, outcome, series, serve,
    span, within,
};

/// A router whose handler answers with a body that the test feeds.
fn fed(telemetry: &TestTelemetry) -> (mpsc::Sender<Result<Bytes, io::Error>>, Router) {
    let (sender, body) = fed_body();
    let body = Arc::new(Mutex::new(Some(body)));
    let handler = async move || body.lock().unwrap().take().unwrap();
    (sender, Router::new().route("/feed", get(handler)).layer(telemetry.http_server()))
}

#[tokio::test]
async fn the_span_lasts_until_the_body_has_ended() {
    let telemetry = TestTelemetry::new("shop");
    let (feed, app) = fed(&telemetry);
    let server = serve(app).await;
    let request = Request::get(server.url("/feed")).body(Body::empty()).unwrap();
    let mut body = client().request(request).await.unwrap().into_body();
    feed.send(Ok(Bytes::from("first"))).await.unwrap();
    within("the first part", body.frame()).await.unwrap().unwrap();
    assert!(telemetry.finished_spans().is_empty());
    assert_eq!(active(&telemetry), 1);

    drop(feed);
    assert!(within("the end", body.frame()).await.is_none());
    assert_eq!(outcome(&span(&telemetry).await), "ok");
    nothing_active(&telemetry).await;
}

#[tokio::test]
async fn a_body_of_announced_length_ends_with_its_last_byte() {
    let telemetry = TestTelemetry::new("shop");
    let (feed, body) = fed_body();
    let body = Arc::new(Mutex::new(Some(body)));
    let handler = async move || {
        let body = body.lock().unwrap().take().unwrap();
        Response::builder().header("content-length", "4").body(body).unwrap()
    };
    let app = Router::new().route("/", get(handler)).layer(telemetry.http_server());
    let server = serve(app).await;
    let request = Request::get(server.url("/")).body(Body::empty()).unwrap();
    let response = client().request(request).await.unwrap();
    feed.send(Ok(Bytes::from("1234"))).await.unwrap();
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "1234");
    // The server drops such a body without asking whether there is more.
    assert_eq!(outcome(&span(&telemetry).await), "ok");
    nothing_active(&telemetry).await;
}

#[tokio::test]
async fn an_answer_without_a_body_ends_with_its_head() {
    let telemetry = TestTelemetry::new("shop");
    let app = Router::new().route("/", any(async || "nobody reads this")).layer(telemetry.http_server());
    let server = serve(app).await;
    let request = Request::head(server.url("/")).body(Body::empty()).unwrap();
    client().request(request).await.unwrap();
    let span = span(&telemetry).await;
    assert_eq!((span.name(), outcome(&span).as_str()), ("HEAD /", "ok"));
    nothing_active(&telemetry).await;
}

#[tokio::test]
async fn a_body_that_nobody_may_read_is_not_waited_for() {
    for (method, status) in [("HEAD", 200), ("GET", 101), ("GET", 204), ("GET", 304)] {
        let telemetry = TestTelemetry::new("shop");
        let service = telemetry.http_server().layer(service_fn(move |_: Request<Body>| {
            let (_, body) = fed_body();
            let response = Response::builder().status(status).body(body).unwrap();
            std::future::ready(Ok::<_, Infallible>(response))
        }));
        let request = Request::builder().method(method).body(Body::empty()).unwrap();
        let response = service.oneshot(request).await.unwrap();
        assert_eq!(outcome(&span(&telemetry).await), "ok", "{method} {status}");
        drop(response);
        nothing_active(&telemetry).await;
    }
}

#[tokio::test]
async fn a_body_that_fails_is_an_error_whatever_its_status() {
    let telemetry = TestTelemetry::new("shop");
    let (feed, app) = fed(&telemetry);
    let server = serve(app).await;
    let request = Request::get(server.url("/feed")).body(Body::empty()).unwrap();
    let body = client().request(request).await.unwrap().into_body();
    feed.send(Err(io::ErrorKind::ConnectionReset.into())).await.unwrap();
    assert!(body.collect().await.is_err());
    let span = span(&telemetry).await;
    assert_eq!(outcome(&span), "connection_reset");
    assert_eq!(attribute(&span, "http.response.status_code").as_deref(), Some("200"));
    nothing_active(&telemetry).await;
}

#[tokio::test]
async fn a_client_that_leaves_before_the_answer_cancels() {
    let telemetry = TestTelemetry::new("shop");
    let app = Router::new()
        .route("/slow", get(async || std::future::pending::<()>().await))
        .layer(telemetry.http_server());
    let server = serve(app).await;
    let mut connection = TcpStream::connect(server.address).await.unwrap();
    connection.write_all(b"GET /slow HTTP/1.1\r\nhost: shop\r\n\r\n").await.unwrap();
    eventually("the request to arrive", || (active(&telemetry) == 1).then_some(())).await;
    drop(connection);

    let span = span(&telemetry).await;
    assert_eq!((span.name(), outcome(&span).as_str()), ("GET /slow", "cancelled"));
    assert_eq!(attribute(&span, "http.response.status_code"), None);
    assert_cancelled(&telemetry, &span);
    nothing_active(&telemetry).await;
}

#[tokio::test]
async fn a_client_that_leaves_in_the_middle_of_the_body_cancels() {
    let telemetry = TestTelemetry::new("shop");
    let (feed, app) = fed(&telemetry);
    let server = serve(app).await;
    let mut connection = TcpStream::connect(server.address).await.unwrap();
    connection.write_all(b"GET /feed HTTP/1.1\r\nhost: shop\r\n\r\n").await.unwrap();
    feed.send(Ok(Bytes::from("first"))).await.unwrap();
    let mut received = Vec::new();
    while !received.ends_with(b"first\r\n") {
        within("the first part", connection.read_buf(&mut received)).await.unwrap();
    }
    drop(connection);

    let span = span(&telemetry).await;
    assert_eq!(attribute(&span, "http.response.status_code").as_deref(), Some("200"));
    assert_cancelled(&telemetry, &span);
    nothing_active(&telemetry).await;
}

/// An answer that could not be sent whole is an error, on the span and on the metric, and says who caused it.
fn assert_cancelled(telemetry: &TestTelemetry, span: &FinishedSpan) {
    assert!(span.is_error());
    assert_eq!(attribute(span, "error.type").as_deref(), Some("cancelled"));
    assert_eq!(attribute(span, "waypost.outcome").as_deref(), Some("cancelled"));
    let failed = ["error_type=\"cancelled\""];
    assert_eq!(metric(telemetry, "http_server_request_duration_seconds_count", &failed), 1);
    assert_eq!(metric(telemetry, "http_server_request_duration_seconds_count", &[]), 1);
}

async fn panics() {
    tokio::task::yield_now().await;
    panic!("as the test wants it");
}

#[tokio::test]
async fn a_handler_that_panics_ends_its_span_and_its_connection() {
    let telemetry = TestTelemetry::new("shop");
    let app = Router::new().route("/panic", get(panics)).layer(telemetry.http_server());
    let server = serve(app).await;
    let request = Request::get(server.url("/panic")).body(Body::empty()).unwrap();
    assert!(client().request(request).await.is_err());

    let span = span(&telemetry).await;
    assert_eq!((span.name(), outcome(&span).as_str()), ("GET /panic", "panic"));
    assert_eq!(attribute(&span, "waypost.outcome").as_deref(), Some("panic"));
    let failed = ["error_type=\"panic\""];
    assert_eq!(metric(&telemetry, "http_server_request_duration_seconds_count", &failed), 1);
    nothing_active(&telemetry).await;
}

#[tokio::test]
async fn a_panic_goes_on_to_whoever_catches_it() {
    let telemetry = TestTelemetry::new("shop");
    for at_once in [true, false] {
        telemetry.forget();
        let service = telemetry.http_server().layer(service_fn(move |_: Request<Body>| {
            assert!(!at_once, "the reason");
            async { if std::hint::black_box(true) { panic!("the reason") } else { never().await } }
        }));
        let call = async { service.oneshot(Request::new(Body::empty())).await.map(|_| ()) };
        let caught = AssertUnwindSafe(call).catch_unwind().await.unwrap_err();
        assert_eq!(caught.downcast_ref::<&str>(), Some(&"the reason"));
        assert_eq!(outcome(&span(&telemetry).await), "panic");
        nothing_active(&telemetry).await;
    }
}

/// Says, when dropped, which span was current.
struct Witness(Arc<Mutex<Option<String>>>);

impl Drop for Witness {
    fn drop(&mut self) {
        *self.0.lock().unwrap() = Some(Context::current().span().span_context().span_id().to_string());
    }
}

#[tokio::test]
async fn a_future_that_is_dropped_ends_its_span_and_is_dropped_inside_of_it() {
    let telemetry = TestTelemetry::new("shop");
    let seen = Arc::default();
    let witness = Witness(Arc::clone(&seen));
    let witness = Mutex::new(Some(witness));
    let service = telemetry.http_server().layer(service_fn(move |_: Request<Body>| {
        let witness = witness.lock().unwrap().take();
        async move {
            let _witness = witness;
            never().await
        }
    }));
    let mut call = Box::pin(service.oneshot(Request::new(Body::empty())));
    assert!(poll!(&mut call).is_pending());
    assert_eq!(active(&telemetry), 1);
    drop(call);

    let span = span(&telemetry).await;
    assert_eq!(outcome(&span), "cancelled");
    assert_eq!(seen.lock().unwrap().take(), Some(span.span_id().to_string()));
    nothing_active(&telemetry).await;
}

#[tokio::test]
async fn a_response_that_is_never_read_ends_its_span() {
    let telemetry = TestTelemetry::new("shop");
    let (feed, body) = fed_body();
    let body = Mutex::new(Some(body));
    let service = telemetry.http_server().layer(service_fn(move |_: Request<Body>| {
        let body = body.lock().unwrap().take().unwrap();
        async { Ok::<_, Infallible>(Response::new(body)) }
    }));
    let response = service.oneshot(Request::new(Body::empty())).await.unwrap();
    assert!(telemetry.finished_spans().is_empty());
    drop(response);
    assert_eq!(outcome(&span(&telemetry).await), "cancelled");
    nothing_active(&telemetry).await;
    assert!(feed.is_closed());
}

#[tokio::test]
async fn the_end_is_measured_to_the_end_of_the_body() {
    let telemetry = TestTelemetry::new("shop");
    let pause = Duration::from_millis(30);
    let handler = async move || {
        let later = futures_util::stream::once(async move {
            tokio::time::sleep(pause).await;
            Ok::<_, Infallible>("late")
        });
        Body::from_stream(later)
    };
    let server = serve(Router::new().route("/", get(handler)).layer(telemetry.http_server())).await;
    super::net::get(server.url("/")).await;
    let span = span(&telemetry).await;
    assert!(span.duration() >= pause, "{:?}", span.duration());
    let sums = series(&telemetry, "http_server_request_duration_seconds_sum");
    let measured: f64 = sums[0].rsplit_once(' ').unwrap().1.parse().unwrap();
    assert!(measured >= pause.as_secs_f64(), "{measured}");
}

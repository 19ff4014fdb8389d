//! Responses that last: when their spans end, and what measures them.

use std::convert::Infallible;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{Request, Response};
use axum::routing::get;
use axum::{Extension, Router};
use http_body_util::BodyExt as _;
use tokio::sync::mpsc;
use tower::{Layer as _, Service as _};
use waypost_telemetry::FinishedSpan;
use waypost_telemetry::http::{MeasuredStream, StreamSpan, StreamTimer};
use waypost_telemetry::testing::TestTelemetry;
use waypost_telemetry::testing::conventions::Conventions;

use crate::http_server::net::{
    Server, attribute, client, eventually, exchange, fed_body, metric, nothing_active, outcome, serve, span,
    within,
};

const SERVED: &str = "waypost_http_server_stream_duration_seconds_count";
const CALLED: &str = "waypost_http_client_stream_duration_seconds_count";

type Feed = mpsc::Sender<Result<Bytes, io::Error>>;

/// A server of one stream of events, which the test feeds.
async fn events(telemetry: &TestTelemetry, span: StreamSpan) -> (Feed, Server) {
    let (feed, body) = fed_body();
    let body = Arc::new(Mutex::new(Some(body)));
    let handler = async move || {
        let body = body.lock().unwrap().take().unwrap();
        Response::builder().header("content-type", "text/event-stream; charset=utf-8").body(body).unwrap()
    };
    let layer = telemetry.http_server().stream_spans(span).body_sizes(true);
    (feed, serve(Router::new().route("/events", get(handler)).layer(layer)).await)
}

fn ask(server: &Server) -> Request<Body> {
    let request = Request::get(server.url("/events")).header("user-agent", "tests/1");
    request.body(Body::empty()).unwrap()
}

/// The stream of events, open, with its first event read.
async fn open(feed: &Feed, server: &Server) -> Body {
    let mut body = Body::new(client().request(ask(server)).await.unwrap().into_body());
    feed.send(Ok(Bytes::from("data: 1\n\n"))).await.unwrap();
    within("the first event", body.frame()).await.unwrap().unwrap();
    body
}

fn is_event_stream(span: &FinishedSpan) -> bool {
    span.name() == "GET /events" && attribute(span, "http.response.status_code").as_deref() == Some("200")
}

#[tokio::test]
async fn the_span_of_a_stream_ends_when_it_was_told_to() {
    // The time is long over when the first event was read, or will not be while the test runs.
    for (when, ends_before) in [
        (StreamSpan::UntilHead, true),
        (StreamSpan::AtMost(Duration::from_millis(1)), true),
        (StreamSpan::AtMost(Duration::from_hours(1)), false),
        (StreamSpan::Whole, false),
    ] {
        let telemetry = TestTelemetry::new("shop");
        let (feed, server) = events(&telemetry, when).await;
        let mut body = open(&feed, &server).await;
        if ends_before {
            let span = span(&telemetry).await;
            assert!(is_event_stream(&span) && outcome(&span) == "ok", "{when:?}: {span:?}");
            assert_eq!(attribute(&span, "http.response.body.size"), None);
        } else {
            assert!(telemetry.finished_spans().is_empty(), "{when:?}");
        }
        assert_eq!(metric(&telemetry, SERVED, &[]), 0);
        drop(feed);
        assert!(within("the end", body.frame()).await.is_none());
        let span = span(&telemetry).await;
        let size = attribute(&span, "http.response.body.size");
        assert_eq!(size.as_deref(), (!ends_before).then_some("9"), "{when:?}");
        let labels = ["http_request_method=\"GET\"", "http_route=\"/events\"", "url_scheme=\"http\""];
        eventually("the stream to be measured", || (metric(&telemetry, SERVED, &labels) == 1).then_some(()))
            .await;
        assert_eq!(metric(&telemetry, "http_server_request_duration_seconds_count", &[]), 1);
        assert_eq!(metric(&telemetry, SERVED, &["error_type"]), 0);
        nothing_active(&telemetry).await;
        Conventions::current().check(&[&telemetry]).assert_clean();
    }
}

#[tokio::test]
async fn the_time_of_a_span_runs_out_while_the_stream_is_silent() {
    let telemetry = TestTelemetry::new("shop");
    let (feed, server) = events(&telemetry, StreamSpan::AtMost(Duration::from_millis(50))).await;
    let answer = client().request(ask(&server)).await.unwrap();
    assert_eq!(outcome(&span(&telemetry).await), "ok");
    assert!(!feed.is_closed());
    drop(answer);
}

#[tokio::test]
async fn a_client_that_leaves_a_stream_is_no_error() {
    for (when, expected) in [(StreamSpan::UntilHead, "ok"), (StreamSpan::Whole, "cancelled")] {
        let telemetry = TestTelemetry::new("shop");
        let (feed, server) = events(&telemetry, when).await;
        drop(open(&feed, &server).await);
        let span = span(&telemetry).await;
        assert_eq!(outcome(&span), expected, "{when:?}");
        assert_eq!(attribute(&span, "error.type"), None);
        eventually("the stream to be measured", || (metric(&telemetry, SERVED, &[]) == 1).then_some(()))
            .await;
        assert_eq!(metric(&telemetry, SERVED, &["error_type"]), 0);
        assert_eq!(metric(&telemetry, "http_server_request_duration_seconds_count", &["error_type"]), 0);
        nothing_active(&telemetry).await;
    }
}

#[tokio::test]
async fn a_stream_that_fails_is_counted_as_failed() {
    for when in [StreamSpan::UntilHead, StreamSpan::Whole] {
        let telemetry = TestTelemetry::new("shop");
        let (feed, server) = events(&telemetry, when).await;
        let mut body = open(&feed, &server).await;
        feed.send(Err(io::ErrorKind::ConnectionReset.into())).await.unwrap();
        assert!(within("the failure", body.frame()).await.is_none_or(|frame| frame.is_err()));
        let expected = if when == StreamSpan::Whole { "connection_reset" } else { "ok" };
        assert_eq!(outcome(&span(&telemetry).await), expected, "{when:?}");
        let failed = ["error_type=\"connection_reset\""];
        eventually("the stream to be measured", || (metric(&telemetry, SERVED, &failed) == 1).then_some(()))
            .await;
    }
}

#[tokio::test]
async fn an_answer_that_is_no_stream_is_measured_as_ever() {
    let telemetry = TestTelemetry::new("shop");
    let layer = telemetry.http_server().stream_spans(StreamSpan::UntilHead);
    let app = Router::new().route("/events", get(async || "all of it")).layer(layer);
    let server = serve(app).await;
    exchange(ask(&server)).await;
    assert_eq!(outcome(&span(&telemetry).await), "ok");
    assert_eq!(metric(&telemetry, SERVED, &[]), 0);
    assert_eq!(metric(&telemetry, "http_server_request_duration_seconds_count", &[]), 1);
}

#[tokio::test]
async fn the_program_says_what_a_stream_is() {
    let telemetry = TestTelemetry::new("shop");
    let layer = telemetry
        .http_server()
        .stream_spans(StreamSpan::UntilHead)
        .streams(|response| response.headers.contains_key("x-stream"));
    let (feed, body) = fed_body();
    let body = Arc::new(Mutex::new(Some(body)));
    let handler = async move || {
        Response::builder().header("x-stream", "1").body(body.lock().unwrap().take().unwrap()).unwrap()
    };
    let server = serve(Router::new().route("/events", get(handler)).layer(layer)).await;
    let body = open(&feed, &server).await;
    assert!(is_event_stream(&span(&telemetry).await));
    drop((body, feed));
    eventually("the stream to be measured", || (metric(&telemetry, SERVED, &[]) == 1).then_some(())).await;
}

#[tokio::test]
async fn a_client_measures_the_streams_it_reads() {
    let (server_telemetry, telemetry) = (TestTelemetry::new("shop"), TestTelemetry::new("page"));
    let (feed, server) = events(&server_telemetry, StreamSpan::Whole).await;
    let mut calls = telemetry.http_client().stream_spans(StreamSpan::UntilHead).layer(client());
    let mut body = calls.call(ask(&server)).await.unwrap().into_body();
    assert_eq!(outcome(&span(&telemetry).await), "ok");
    feed.send(Ok(Bytes::from("data: 1\n\n"))).await.unwrap();
    within("the first event", body.frame()).await.unwrap().unwrap();
    assert_eq!(metric(&telemetry, CALLED, &[]), 0);
    drop(body);
    assert_eq!(metric(&telemetry, CALLED, &["server_address=\"127.0.0.1\""]), 1);
    Conventions::current().check(&[&telemetry]).assert_clean();
}

#[tokio::test]
async fn a_socket_is_measured_from_its_start_to_its_end() {
    for fails in [false, true] {
        let telemetry = TestTelemetry::new("shop");
        let kept: Arc<Mutex<Option<MeasuredStream>>> = Arc::default();
        let keep = Arc::clone(&kept);
        let handler = async move |Extension(timer): Extension<StreamTimer>| {
            *keep.lock().unwrap() = Some(timer.start());
            Response::builder().status(101).header("upgrade", "echo").body(Body::empty()).unwrap()
        };
        let layer = telemetry.http_server().stream_spans(StreamSpan::UntilHead);
        let mut app = Router::<()>::new().route("/socket", get(handler)).layer(layer);
        let asked = Request::get("/socket").body(Body::empty()).unwrap();
        let answer: Result<_, Infallible> = app.as_service::<Body>().call(asked).await;
        assert_eq!(answer.unwrap().status(), 101);
        assert_eq!(span(&telemetry).await.name(), "GET /socket");
        assert_eq!(metric(&telemetry, SERVED, &[]), 0);
        let open = kept.lock().unwrap().take().unwrap();
        if fails {
            open.fail("protocol_error");
        } else {
            drop(open);
        }
        assert_eq!(metric(&telemetry, SERVED, &["http_route=\"/socket\""]), 1);
        assert_eq!(metric(&telemetry, SERVED, &["error_type=\"protocol_error\""]), i64::from(fails));
    }
}

//! The HTTP server layer behind an axum router: what one request leaves behind.

#![allow(clippy::unwrap_used, reason = "what a helper cannot set up fails the test that asked for it")]

pub(crate) mod border;
pub(crate) mod endings;
pub(crate) mod net;

use axum::body::Body;
use axum::extract::Path;
use axum::http::{HeaderName, Request, StatusCode};
use axum::response::IntoResponse as _;
use axum::routing::{any, get};
use axum::{Extension, Router};
use net::{attribute, attributes, client_http2, exchange, metric, outcome, series, serve, span, spans};
use waypost_telemetry::http::MetricLabels;
use waypost_telemetry::opentelemetry::trace::SpanKind;
use waypost_telemetry::testing::TestTelemetry;
use waypost_telemetry::{FinishedSpan, Telemetry, trace_id};

fn shop(telemetry: &TestTelemetry) -> Router {
    Router::new()
        .route("/orders/{id}", any(async |Path(id): Path<String>| id))
        .route("/status/{code}", get(async |Path(code): Path<u16>| StatusCode::from_u16(code).unwrap()))
        .layer(telemetry.http_server())
}

fn request(method: &str, url: String) -> Request<Body> {
    Request::builder().method(method).uri(url).body(Body::empty()).unwrap()
}

#[tokio::test]
async fn a_request_is_one_server_span_with_the_stable_attributes() {
    let telemetry = TestTelemetry::new("shop");
    let server = serve(shop(&telemetry)).await;
    let mut sent = request("POST", server.url("/orders/7?page=2&sig=hidden"));
    sent.headers_mut().insert("user-agent", "curl/8".parse().unwrap());
    exchange(sent).await;

    let span = span(&telemetry).await;
    assert_eq!(span.name(), "POST /orders/{id}");
    assert_eq!(span.kind(), SpanKind::Server);
    assert_eq!(span.parent_id(), None);
    assert_eq!(outcome(&span), "ok");
    assert_eq!(
        attributes(&span),
        [
            "client.address=127.0.0.1",
            "http.request.method=POST",
            "http.response.status_code=200",
            "http.route=/orders/{id}",
            "network.peer.address=127.0.0.1",
            "network.protocol.version=1.1",
            "server.address=127.0.0.1",
            "url.path=/orders/7",
            "url.query=page=2&sig=REDACTED",
            "url.scheme=http",
            "user_agent.original=curl/8",
        ]
    );
    assert_eq!(attribute(&span, "server.port"), Some(server.address.port().to_string()));
    assert!(attribute(&span, "network.peer.port").is_some());
}

#[tokio::test]
async fn the_protocol_version_is_that_of_the_connection() {
    let telemetry = TestTelemetry::new("shop");
    let server = serve(shop(&telemetry)).await;
    client_http2().request(request("GET", server.url("/orders/7"))).await.unwrap();
    assert_eq!(attribute(&span(&telemetry).await, "network.protocol.version").as_deref(), Some("2"));
}

#[tokio::test]
async fn an_ipv6_host_is_recorded_without_its_brackets() {
    let telemetry = TestTelemetry::new("shop");
    let server = net::serve_at("[::1]:0", shop(&telemetry)).await;
    net::get(server.url("/orders/7")).await;
    let span = span(&telemetry).await;
    for key in ["server.address", "client.address", "network.peer.address"] {
        assert_eq!(attribute(&span, key).as_deref(), Some("::1"), "{key}");
    }
    assert_eq!(attribute(&span, "server.port"), Some(server.address.port().to_string()));
}

#[tokio::test]
async fn only_an_answer_of_5xx_is_an_error() {
    let telemetry = TestTelemetry::new("shop");
    let server = serve(shop(&telemetry)).await;
    for (code, expected) in
        [(200, "ok"), (302, "ok"), (404, "ok"), (429, "ok"), (500, "500"), (503, "503"), (599, "599")]
    {
        telemetry.forget();
        net::get(server.url(&format!("/status/{code}"))).await;
        let span = span(&telemetry).await;
        assert_eq!(outcome(&span), expected);
        assert_eq!(attribute(&span, "http.response.status_code"), Some(code.to_string()));
        let status = format!("http_response_status_code=\"{code}\"");
        let failed = format!("error_type=\"{code}\"");
        let duration = "http_server_request_duration_seconds_count";
        assert_eq!(metric(&telemetry, duration, &[&status]), 1);
        assert_eq!(metric(&telemetry, duration, &[&failed]), i64::from(expected != "ok"));
    }
}

#[tokio::test]
async fn the_duration_has_the_stable_buckets_and_labels() {
    let telemetry = TestTelemetry::new("shop");
    let server = serve(shop(&telemetry)).await;
    net::get(server.url("/orders/7")).await;
    span(&telemetry).await;
    let buckets = series(&telemetry, "http_server_request_duration_seconds_bucket");
    for bound in [
        "0.005", "0.01", "0.025", "0.05", "0.075", "0.1", "0.25", "0.5", "0.75", "1", "2.5", "5", "7.5",
        "10", "+Inf",
    ] {
        assert!(buckets.iter().any(|line| line.contains(&format!("le=\"{bound}\""))), "{bound}: {buckets:?}");
    }
    assert_eq!(buckets.len(), 15);
    let labels = [
        "http_request_method=\"GET\"",
        "http_route=\"/orders/{id}\"",
        "http_response_status_code=\"200\"",
        "url_scheme=\"http\"",
        "network_protocol_version=\"1.1\"",
    ];
    assert_eq!(metric(&telemetry, "http_server_request_duration_seconds_count", &labels), 1);
    net::nothing_active(&telemetry).await;
}

#[tokio::test]
async fn a_path_without_a_route_never_becomes_a_name() {
    let telemetry = TestTelemetry::new("shop");
    let server = serve(shop(&telemetry)).await;
    net::get(server.url("/wp-admin.php")).await;
    let span = span(&telemetry).await;
    assert_eq!(span.name(), "GET");
    assert_eq!(attribute(&span, "http.route"), None);
    assert_eq!(attribute(&span, "url.path").as_deref(), Some("/wp-admin.php"));
    assert_eq!(outcome(&span), "ok");
}

#[tokio::test]
async fn a_flood_of_unknown_methods_and_paths_makes_one_name_and_one_series() {
    let telemetry = TestTelemetry::new("shop");
    let server = serve(shop(&telemetry)).await;
    for index in 0..50 {
        exchange(request(&format!("GUESS{index}"), server.url(&format!("/guess/{index}")))).await;
        exchange(request(&format!("GUESS{index}"), server.url("/orders/7"))).await;
    }
    let spans = spans(&telemetry, 100).await;
    let mut names: Vec<_> = spans.iter().map(FinishedSpan::name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names, ["HTTP", "HTTP /orders/{id}"]);
    assert_eq!(attribute(&spans[0], "http.request.method").as_deref(), Some("_OTHER"));
    assert_eq!(attribute(&spans[0], "http.request.method_original").as_deref(), Some("GUESS0"));
    assert_eq!(series(&telemetry, "http_server_request_duration_seconds_count").len(), 2);
    assert_eq!(series(&telemetry, "http_server_active_requests").len(), 1);
}

#[tokio::test]
async fn methods_of_ones_own_are_known_when_listed() {
    let telemetry = TestTelemetry::new("shop");
    let app = Router::new()
        .route("/cache", any(async || ()))
        .layer(telemetry.http_server().known_methods(["PURGE"]));
    let server = serve(app).await;
    exchange(request("PURGE", server.url("/cache"))).await;
    assert_eq!(span(&telemetry).await.name(), "PURGE /cache");
}

#[tokio::test]
async fn headers_are_captured_by_allow_list_and_credentials_never() {
    let telemetry = TestTelemetry::new("shop");
    let names = ["x-request-id", "authorization", "cookie", "x-absent"].map(HeaderName::from_static);
    let answered = ["x-region", "set-cookie"].map(HeaderName::from_static);
    let app = Router::new()
        .route("/", get(async || [("x-region", "eu"), ("set-cookie", "session=1"), ("x-other", "1")]))
        .layer(telemetry.http_server().capture_request_headers(names).capture_response_headers(answered));
    let server = serve(app).await;
    let mut sent = request("GET", server.url("/"));
    for (name, value) in [
        ("x-request-id", "r-1"),
        ("authorization", "Bearer secret"),
        ("cookie", "session=1"),
        ("x-private", "p"),
    ] {
        sent.headers_mut().insert(name, value.parse().unwrap());
    }
    exchange(sent).await;
    let span = span(&telemetry).await;
    let captured: Vec<_> = attributes(&span).into_iter().filter(|line| line.contains(".header.")).collect();
    assert_eq!(
        captured,
        ["http.request.header.x-request-id=[\"r-1\"]", "http.response.header.x-region=[\"eu\"]"]
    );
    let everything = format!("{span:?}");
    assert!(!everything.contains("secret") && !everything.contains("session="), "{everything}");
}

#[tokio::test]
async fn a_handler_adds_only_the_labels_that_are_allowed() {
    let telemetry = TestTelemetry::new("shop");
    let handler = async |Extension(labels): Extension<MetricLabels>| {
        labels.set("customer.tier", "silver");
        labels.set("customer.tier", "gold");
        labels.set("customer.name", "bob");
    };
    let layer = telemetry.http_server().metric_labels(["customer.tier"]);
    let server = serve(Router::new().route("/", get(handler)).layer(layer)).await;
    net::get(server.url("/")).await;
    span(&telemetry).await;
    let counts = series(&telemetry, "http_server_request_duration_seconds_count");
    assert_eq!(counts.len(), 1);
    assert!(counts[0].contains("customer_tier=\"gold\"") && !counts[0].contains("bob"), "{counts:?}");
}

#[tokio::test]
async fn the_handler_finds_its_span_and_its_telemetry() {
    let telemetry = TestTelemetry::new("shop");
    let handler = async || format!("{} {}", Telemetry::current().service_name(), trace_id().unwrap());
    let server = serve(Router::new().route("/", get(handler)).layer(telemetry.http_server())).await;
    let answer = net::get(server.url("/")).await;
    let expected = format!("shop {}", span(&telemetry).await.trace_id());
    assert_eq!(answer.body(), expected.as_bytes());
}

#[tokio::test]
async fn a_filtered_request_leaves_nothing_but_carries_its_context_on() {
    let telemetry = TestTelemetry::new("shop");
    let handler =
        async || format!("{} {}", Telemetry::current().service_name(), trace_id().unwrap_or_default());
    let layer = telemetry.http_server().filter(|request| request.uri.path() != "/health");
    let server = serve(Router::new().route("/health", get(handler)).layer(layer)).await;
    let mut sent = request("GET", server.url("/health"));
    sent.headers_mut().insert("traceparent", border::CALLER.parse().unwrap());
    let answer = exchange(sent).await;
    assert_eq!(answer.body(), format!("shop {}", border::CALLER_TRACE).as_bytes());
    assert!(telemetry.finished_spans().is_empty());
    assert!(series(&telemetry, "http_server_request_duration_seconds_count").is_empty());
    assert!(series(&telemetry, "http_server_active_requests").is_empty());
}

#[tokio::test]
async fn the_response_names_its_trace_only_when_asked_for() {
    for asked in [false, true] {
        let telemetry = TestTelemetry::new("shop");
        let layer = telemetry.http_server().trace_response(asked);
        let server = serve(Router::new().route("/", get(async || ().into_response())).layer(layer)).await;
        let answer = net::get(server.url("/")).await;
        let span = span(&telemetry).await;
        let expected = format!("00-{}-{}-03", span.trace_id(), span.span_id());
        let named = answer.headers().get("traceresponse").map(|value| value.to_str().unwrap().to_owned());
        assert_eq!(named, asked.then_some(expected));
    }
}

#[tokio::test]
async fn a_disabled_handle_changes_nothing_about_the_answer() {
    let telemetry = Telemetry::disabled();
    let app = Router::new().route("/orders/{id}", get(async || "ok")).layer(telemetry.http_server());
    let server = serve(app).await;
    assert_eq!(net::get(server.url("/orders/7")).await.body(), "ok");
    assert!(telemetry.finished_spans().is_empty());
}

#[tokio::test]
async fn a_disabled_handle_passes_the_callers_context_on() {
    let handler =
        async || format!("{} {}", Telemetry::current().service_name(), trace_id().unwrap_or_default());
    let layer = border::disabled("shop").http_server();
    let server = serve(Router::new().route("/", get(handler)).layer(layer)).await;
    let mut sent = request("GET", server.url("/"));
    sent.headers_mut().insert("traceparent", border::CALLER.parse().unwrap());
    assert_eq!(exchange(sent).await.body(), format!("shop {}", border::CALLER_TRACE).as_bytes());
}

#[tokio::test]
async fn metrics_count_what_the_sampler_leaves_out() {
    let telemetry = border::sampling_nothing("shop");
    let app = Router::new().route("/", get(async || ())).layer(telemetry.http_server());
    let server = serve(app).await;
    net::get(server.url("/")).await;
    net::eventually("the request to be counted", || {
        (metric(&telemetry, "http_server_request_duration_seconds_count", &[]) == 1).then_some(())
    })
    .await;
    assert!(telemetry.finished_spans().is_empty());
}

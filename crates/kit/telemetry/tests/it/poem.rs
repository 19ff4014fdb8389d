//! Servers of poem over real sockets.

use std::net::SocketAddr;

use axum::body::{Body, Bytes};
use axum::http::{HeaderName, Request, StatusCode};
use futures_util::StreamExt as _;
use http_body_util::BodyExt as _;
use poem::endpoint::make;
use poem::listener::{Acceptor as _, Listener as _, TcpListener};
use poem::{Endpoint, EndpointExt as _, Error, Response, Route, Server, get, post};
use tokio::task::JoinHandle;
use waypost_telemetry::http::{MetricLabels, ServerLayer};
use waypost_telemetry::metrics::render_prometheus;
use waypost_telemetry::testing::conventions::Conventions;
use waypost_telemetry::testing::{SpanTree, TestTelemetry, wait_for};
use waypost_telemetry::{FinishedSpan, span as child, spawn, trace_id};

use crate::http_server::border::{CALLER, CALLER_SPAN, CALLER_TRACE};
use crate::http_server::net::{
    PATIENCE, active, attribute, attributes, client, client_http2, eventually, exchange, metric,
    nothing_active, outcome, series, span, spans, within,
};

struct Served {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Served {
    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn order(request: poem::Request) -> poem::Result<String> {
    if let Some(labels) = request.data::<MetricLabels>() {
        labels.set("customer.tier", "gold");
    }
    child("look-up").in_scope(|| ());
    Ok(trace_id().unwrap_or_default())
}

fn shop() -> impl Endpoint<Output = Response> {
    let first = || futures_util::stream::iter([Ok::<_, std::io::Error>(Bytes::from("first"))]);
    let endless = make(move |_| async move {
        poem::Body::from_bytes_stream(first().chain(futures_util::stream::pending()))
    });
    let broken = make(move |_| async move {
        let failure = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
        poem::Body::from_bytes_stream(first().chain(futures_util::stream::iter([Err(failure)])))
    });
    let refuse =
        |status| make(move |_| async move { Err::<String, _>(Error::from_string("secret", status)) });
    let echo = make(async |mut request: poem::Request| request.take_body().into_bytes().await.unwrap());
    Route::new()
        .at("/orders/:id", post(make(order)).get(make(order)))
        .nest("/shop", Route::new().at("/items/:item", post(echo)))
        .at("/refused", get(refuse(StatusCode::CONFLICT)))
        .at("/failed", get(refuse(StatusCode::BAD_GATEWAY)))
        .at("/slow", get(make(async |_| std::future::pending::<String>().await)))
        .at("/endless", get(endless))
        .at("/broken", get(broken))
}

async fn serve(layer: ServerLayer) -> Served {
    let acceptor = TcpListener::bind("127.0.0.1:0").into_acceptor().await.unwrap();
    let address = *acceptor.local_addr()[0].as_socket_addr().unwrap();
    let server = Server::new_with_acceptor(acceptor);
    // What is caught outside has passed the layer as the error that it is.
    let app = shop().with(layer.poem()).catch_all_error(async |error: Error| {
        Response::builder().status(error.status()).header("x-caught", "1").body("caught")
    });
    let task = spawn(async move { server.run(app).await.unwrap() });
    Served { address, task }
}

fn request(method: &str, url: String) -> Request<Body> {
    let request = Request::builder().method(method).uri(url).header("user-agent", "tests/1");
    request.body(Body::empty()).unwrap()
}

#[tokio::test]
async fn a_request_is_one_server_span_below_its_caller() {
    let telemetry = TestTelemetry::new("shop");
    let layer =
        telemetry.http_server().body_sizes(true).metric_labels(["customer.tier"]).trace_response(true);
    let server = serve(layer).await;
    let mut sent = request("POST", server.url("/orders/7?page=2&sig=hidden"));
    sent.headers_mut().insert("traceparent", CALLER.parse().unwrap());
    let answer = exchange(sent).await;
    assert_eq!(answer.body(), CALLER_TRACE);
    assert!(answer.headers()["traceresponse"].to_str().unwrap().contains(CALLER_TRACE));
    let spans = wait_for(&[telemetry.handle()], PATIENCE, |spans| spans.len() == 2).await.unwrap();
    SpanTree::only(&spans).assert_matches("\"POST /orders/:id\" SERVER shop\n  look-up INTERNAL shop");
    let span = spans.iter().find(|span| span.name() == "POST /orders/:id").unwrap();
    assert_eq!(span.parent_id().unwrap().to_string(), CALLER_SPAN);
    assert_eq!(
        attributes(span),
        [
            "client.address=127.0.0.1",
            "http.request.method=POST",
            "http.response.body.size=32",
            "http.response.status_code=200",
            "http.route=/orders/:id",
            "network.peer.address=127.0.0.1",
            "network.protocol.version=1.1",
            "server.address=127.0.0.1",
            "url.path=/orders/7",
            "url.query=page=2&sig=REDACTED",
            "url.scheme=http",
            "user_agent.original=tests/1",
        ]
    );
    let labels = ["http_route=\"/orders/:id\"", "customer_tier=\"gold\""];
    assert_eq!(metric(&telemetry, "http_server_request_duration_seconds_count", &labels), 1);
    nothing_active(&telemetry).await;
}

#[tokio::test]
async fn nested_routes_and_errors_are_told() {
    let telemetry = TestTelemetry::new("shop");
    let server = serve(telemetry.http_server().body_sizes(true)).await;
    let item =
        Request::post(server.url("/shop/items/7")).header("user-agent", "tests/1").body(Body::from("12345"));
    assert_eq!(exchange(item.unwrap()).await.body(), "12345");
    for (path, status) in [("/refused", 409), ("/failed", 502), ("/nowhere", 404)] {
        let answer = exchange(request("GET", server.url(path))).await;
        assert_eq!((answer.status().as_u16(), answer.headers().contains_key("x-caught")), (status, true));
    }
    let spans = spans(&telemetry, 4).await;
    let told: Vec<_> = spans.iter().map(|span| (span.name(), outcome(span))).collect();
    let told: Vec<_> = told.iter().map(|(name, outcome)| (*name, outcome.as_str())).collect();
    assert_eq!(
        told,
        [("POST /shop/items/:item", "ok"), ("GET /refused", "ok"), ("GET /failed", "502"), ("GET", "ok")]
    );
    assert_eq!(attribute(&spans[0], "http.request.body.size").as_deref(), Some("5"));
    assert_eq!(attribute(&spans[0], "http.response.body.size").as_deref(), Some("5"));
    nothing_active(&telemetry).await;
    Conventions::current().check(&[&telemetry]).assert_clean();
}

#[tokio::test]
async fn the_span_lasts_until_the_body_has_ended() {
    let telemetry = TestTelemetry::new("shop");
    let server = serve(telemetry.http_server()).await;
    let mut body = client_http2().request(request("GET", server.url("/endless"))).await.unwrap().into_body();
    within("the first part", body.frame()).await.unwrap().unwrap();
    assert!(telemetry.finished_spans().is_empty());
    assert_eq!(active(&telemetry), 1);
    drop(body);
    assert_eq!(outcome(&span(&telemetry).await), "cancelled");
    nothing_active(&telemetry).await;
}

#[tokio::test]
async fn a_body_that_fails_is_an_error() {
    let telemetry = TestTelemetry::new("shop");
    let server = serve(telemetry.http_server()).await;
    // poem ends the response as if it were whole.
    let _ =
        client().request(request("GET", server.url("/broken"))).await.unwrap().into_body().collect().await;
    assert_eq!(outcome(&span(&telemetry).await), "connection_reset");
    nothing_active(&telemetry).await;
}

/// Over HTTP/2: a request of HTTP/1.1 whose client has left is kept by poem until it is done.
#[tokio::test]
async fn a_client_that_leaves_before_the_answer_cancels() {
    let telemetry = TestTelemetry::new("shop");
    let server = serve(telemetry.http_server()).await;
    let call = spawn(client_http2().request(request("GET", server.url("/slow"))));
    eventually("the request to arrive", || (active(&telemetry) == 1).then_some(())).await;
    call.abort();
    let span = span(&telemetry).await;
    // poem tells the route with the answer, and there was none.
    assert_eq!((span.name(), outcome(&span).as_str()), ("GET", "cancelled"));
    nothing_active(&telemetry).await;
}

#[tokio::test]
async fn a_flood_of_paths_and_methods_makes_one_name_and_one_series() {
    let telemetry = TestTelemetry::new("shop");
    let server = serve(telemetry.http_server()).await;
    for guess in 0..50 {
        exchange(request(&format!("GUESS{guess}"), server.url(&format!("/guess/{guess}")))).await;
    }
    let spans = spans(&telemetry, 50).await;
    assert!(spans.iter().map(FinishedSpan::name).all(|name| name == "HTTP"));
    assert_eq!(series(&telemetry, "http_server_request_duration_seconds_count").len(), 1);
}

#[tokio::test]
async fn a_secret_in_any_input_reaches_no_export() {
    const SECRET: &str = "hunter2hunter2";
    let telemetry = TestTelemetry::new("shop");
    let names = ["authorization", "cookie", "x-plan"].map(HeaderName::from_static);
    let server = serve(telemetry.http_server().capture_request_headers(names)).await;
    for path in ["/orders/7", "/refused", "/failed"] {
        let mut sent = request("GET", server.url(&format!("{path}?token={SECRET}&sig={SECRET}")));
        for name in ["authorization", "cookie", "x-api-key", "proxy-authorization"] {
            sent.headers_mut().insert(name, SECRET.parse().unwrap());
        }
        sent.headers_mut().insert("x-plan", "gold".parse().unwrap());
        exchange(sent).await;
    }
    let spans = wait_for(&[telemetry.handle()], PATIENCE, |spans| spans.len() == 4).await.unwrap();
    let page = render_prometheus(std::slice::from_ref(telemetry.handle()));
    let everything = format!("{spans:?}{:?}{page}", telemetry.finished_logs());
    assert!(everything.contains("gold") && !everything.contains(SECRET), "{everything}");
}

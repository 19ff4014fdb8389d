//! Servers of actix-web over real sockets.

use std::future::{Ready, ready};
use std::net::SocketAddr;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::{App, HttpMessage as _, HttpRequest, HttpResponse, HttpServer, error, web};
use axum::body::{Body, Bytes};
use axum::http::{HeaderName, Request};
use http_body_util::BodyExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use waypost_telemetry::http::{MetricLabels, ServerLayer};
use waypost_telemetry::metrics::render_prometheus;
use waypost_telemetry::testing::conventions::Conventions;
use waypost_telemetry::testing::{SpanTree, TestTelemetry, wait_for};
use waypost_telemetry::{FinishedSpan, span as child, trace_id};

use crate::http_server::border::{CALLER, CALLER_SPAN, CALLER_TRACE};
use crate::http_server::net::{
    PATIENCE, active, attribute, attributes, client, eventually, exchange, metric, nothing_active, outcome,
    series, span, spans, within,
};

/// An actix-web server in a thread of its own, as it wants it, until it is dropped.
struct Served {
    address: SocketAddr,
    handle: ServerHandle,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Served {
    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // The command is sent when it is asked for; the thread ends when it was obeyed.
        drop(self.handle.stop(false));
        self.thread.take().unwrap().join().unwrap();
    }
}

/// Sends for ever: actix-web sees that a client has left when it writes.
async fn endless() -> HttpResponse {
    let parts = futures_util::stream::unfold((), async |()| {
        tokio::time::sleep(Duration::from_millis(2)).await;
        Some((Ok::<_, std::io::Error>(Bytes::from("part")), ()))
    });
    HttpResponse::Ok().streaming(parts)
}

async fn broken() -> HttpResponse {
    let parts = [Ok(Bytes::from("first")), Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset))];
    HttpResponse::Ok().streaming(futures_util::stream::iter(parts))
}

#[expect(clippy::needless_pass_by_value, reason = "so actix-web hands it over")]
fn order(request: HttpRequest) -> Ready<String> {
    if let Some(labels) = request.extensions().get::<MetricLabels>() {
        labels.set("customer.tier", "gold");
    }
    child("look-up").in_scope(|| ());
    ready(trace_id().unwrap_or_default())
}

fn serve(layer: ServerLayer) -> Served {
    let (sender, receiver) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || {
        actix_web::rt::System::new().block_on(async move {
            let server = HttpServer::new(move || {
                App::new()
                    .route("/orders/{id}", web::to(order))
                    .service(
                        web::scope("/shop").route("/items/{item}", web::post().to(async |body: Bytes| body)),
                    )
                    .route(
                        "/refused",
                        web::get().to(async || Err::<String, _>(error::ErrorConflict("secret"))),
                    )
                    .route(
                        "/failed",
                        web::get().to(async || Err::<String, _>(error::ErrorBadGateway("secret"))),
                    )
                    .route("/slow", web::get().to(async || std::future::pending::<String>().await))
                    .route("/endless", web::get().to(endless))
                    .route("/broken", web::get().to(broken))
                    .wrap(layer.actix())
            });
            let server = server.workers(1).disable_signals().shutdown_timeout(0).bind("127.0.0.1:0").unwrap();
            let address = server.addrs()[0];
            let server = server.run();
            sender.send((address, server.handle())).unwrap();
            server.await.unwrap();
        });
    });
    let (address, handle) = receiver.recv().unwrap();
    Served { address, handle, thread: Some(thread) }
}

fn request(method: &str, url: String) -> Request<Body> {
    let request = Request::builder().method(method).uri(url).header("user-agent", "tests/1");
    request.body(Body::empty()).unwrap()
}

#[tokio::test]
async fn a_request_is_one_server_span_below_its_caller() {
    let telemetry = TestTelemetry::new("shop");
    let server =
        serve(telemetry.http_server().body_sizes(true).metric_labels(["customer.tier"]).trace_response(true));
    let mut sent = request("POST", server.url("/orders/7?page=2&sig=hidden"));
    sent.headers_mut().insert("traceparent", CALLER.parse().unwrap());
    let answer = exchange(sent).await;
    assert_eq!(answer.body(), CALLER_TRACE);
    assert!(answer.headers()["traceresponse"].to_str().unwrap().contains(CALLER_TRACE));
    let spans = wait_for(&[telemetry.handle()], PATIENCE, |spans| spans.len() == 2).await.unwrap();
    SpanTree::only(&spans).assert_matches("\"POST /orders/{id}\" SERVER shop\n  look-up INTERNAL shop");
    let span = spans.iter().find(|span| span.name() == "POST /orders/{id}").unwrap();
    assert_eq!(span.parent_id().unwrap().to_string(), CALLER_SPAN);
    assert_eq!(
        attributes(span),
        [
            "client.address=127.0.0.1",
            "http.request.method=POST",
            "http.response.body.size=32",
            "http.response.status_code=200",
            "http.route=/orders/{id}",
            "network.peer.address=127.0.0.1",
            "network.protocol.version=1.1",
            "server.address=127.0.0.1",
            "url.path=/orders/7",
            "url.query=page=2&sig=REDACTED",
            "url.scheme=http",
            "user_agent.original=tests/1",
        ]
    );
    let labels = ["http_route=\"/orders/{id}\"", "customer_tier=\"gold\""];
    assert_eq!(metric(&telemetry, "http_server_request_duration_seconds_count", &labels), 1);
    nothing_active(&telemetry).await;
}

#[tokio::test]
async fn routes_of_scopes_and_errors_are_told() {
    let telemetry = TestTelemetry::new("shop");
    let server = serve(telemetry.http_server().body_sizes(true));
    let item =
        Request::post(server.url("/shop/items/7")).header("user-agent", "tests/1").body(Body::from("12345"));
    assert_eq!(exchange(item.unwrap()).await.body(), "12345");
    for (path, status) in [("/refused", 409), ("/failed", 502), ("/nowhere", 404)] {
        assert_eq!(exchange(request("GET", server.url(path))).await.status(), status);
    }
    let spans = spans(&telemetry, 4).await;
    let told: Vec<_> = spans.iter().map(|span| (span.name(), outcome(span))).collect();
    let told: Vec<_> = told.iter().map(|(name, outcome)| (*name, outcome.as_str())).collect();
    assert_eq!(
        told,
        [("POST /shop/items/{item}", "ok"), ("GET /refused", "ok"), ("GET /failed", "502"), ("GET", "ok")]
    );
    assert_eq!(attribute(&spans[0], "http.request.body.size").as_deref(), Some("5"));
    assert_eq!(attribute(&spans[0], "http.response.body.size").as_deref(), Some("5"));
    nothing_active(&telemetry).await;
    Conventions::current().check(&[&telemetry]).assert_clean();
}

#[tokio::test]
async fn the_span_lasts_until_the_body_has_ended() {
    let telemetry = TestTelemetry::new("shop");
    let server = serve(telemetry.http_server());
    let mut body = client().request(request("GET", server.url("/endless"))).await.unwrap().into_body();
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
    let server = serve(telemetry.http_server());
    // The connection ends before the head has left it, or behind it.
    if let Ok(answer) = client().request(request("GET", server.url("/broken"))).await {
        answer.into_body().collect().await.unwrap_err();
    }
    assert_eq!(outcome(&span(&telemetry).await), "connection_reset");
    nothing_active(&telemetry).await;
}

#[tokio::test]
async fn a_handler_that_is_given_up_is_cancelled() {
    let telemetry = TestTelemetry::new("shop");
    let server = serve(telemetry.http_server());
    let mut connection = TcpStream::connect(server.address).await.unwrap();
    connection.write_all(b"GET /slow HTTP/1.1\r\nhost: shop\r\n\r\n").await.unwrap();
    eventually("the request to arrive", || (active(&telemetry) == 1).then_some(())).await;
    drop(server);
    let span = span(&telemetry).await;
    assert_eq!((span.name(), outcome(&span).as_str()), ("GET /slow", "cancelled"));
    nothing_active(&telemetry).await;
    let _ = connection.read(&mut [0; 1]).await;
}

#[tokio::test]
async fn a_flood_of_paths_and_methods_makes_one_name_and_one_series() {
    let telemetry = TestTelemetry::new("shop");
    let server = serve(telemetry.http_server());
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
    let server = serve(telemetry.http_server().capture_request_headers(names));
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

//! `reqwest` and its middlewares: a CLIENT span per try.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Path;
use axum::http::{HeaderName, StatusCode};
use axum::response::{IntoResponse as _, Redirect};
use axum::routing::{any, get, post};
use futures_util::poll;
use http::Extensions;
use reqwest::Client;
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware};
use reqwest_retry::RetryTransientMiddleware;
use reqwest_retry::policies::ExponentialBackoff;
use waypost_telemetry::http::{ClientLayer, ResendCount, UrlTemplate};
use waypost_telemetry::metrics::render_prometheus;
use waypost_telemetry::testing::conventions::Conventions;
use waypost_telemetry::testing::{SpanTree, TestTelemetry, wait_for};
use waypost_telemetry::{ErrorType, with_context};

use crate::http_server::net::{
    PATIENCE, Server, attribute, attributes, fed_body, metric, outcome, series, serve, span, spans, within,
};

const COUNTS: &str = "http_client_request_duration_seconds_count";

fn client() -> Client {
    Client::builder().user_agent("tests/1").no_proxy().build().unwrap()
}

/// A client that tries three times in all, at once.
fn retrying(layer: &ClientLayer) -> ClientWithMiddleware {
    let at_once = Duration::from_millis(1);
    let policy = ExponentialBackoff::builder().retry_bounds(at_once, at_once).build_with_max_retries(2);
    ClientBuilder::new(client())
        .with(RetryTransientMiddleware::new_with_policy(policy))
        .with(layer.reqwest_middleware())
        .build()
}

/// A provider of payments, traced, which is busy for its first calls.
async fn provider(telemetry: &TestTelemetry, busy: u32) -> Server {
    let calls = Arc::new(AtomicU32::new(0));
    let charge = async move || {
        let is_busy = calls.fetch_add(1, Ordering::Relaxed) < busy;
        if is_busy { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK }
    };
    let app = Router::new()
        .route("/charges/{id}", post(charge))
        .route("/echo", post(async |body: Bytes| body))
        .route("/moved", get(async || Redirect::temporary("/status/404")))
        .route("/status/{code}", any(async |Path(code): Path<u16>| StatusCode::from_u16(code).unwrap()))
        .route("/hang", get(async || std::future::pending::<()>().await));
    serve(app.layer(telemetry.http_server())).await
}

#[tokio::test]
async fn each_try_is_a_span_that_says_how_often_it_was_sent_before() {
    let (shop, callee) = (TestTelemetry::new("payment"), TestTelemetry::new("provider"));
    let server = provider(&callee, 2).await;
    let client = retrying(&shop.http_client());
    let charge = client.post(server.url("/charges/ch_1")).with_extension(UrlTemplate::new("/charges/{id}"));
    let paying = shop.span("pay").run(async { charge.send().await });
    let answer = with_context(shop.context(), paying).await.unwrap();
    assert_eq!(answer.status(), 200);
    answer.bytes().await.unwrap();
    let spans = wait_for(&[&shop, &callee], PATIENCE, |spans| spans.len() == 7).await.unwrap();
    SpanTree::only(&spans).assert_matches(
        "pay INTERNAL payment
  \"POST /charges/{id}\" CLIENT payment ERROR error.type=503
    \"POST /charges/{id}\" SERVER provider ERROR error.type=503
  \"POST /charges/{id}\" CLIENT payment ERROR error.type=503 http.request.resend_count=1
    \"POST /charges/{id}\" SERVER provider ERROR error.type=503
  \"POST /charges/{id}\" CLIENT payment http.request.resend_count=2
    \"POST /charges/{id}\" SERVER provider",
    );
    assert_eq!(metric(&shop, COUNTS, &["url_template=\"/charges/{id}\"", "error_type=\"503\""]), 2);
    Conventions::current().check(&[&shop, &callee]).assert_clean();
}

#[tokio::test]
async fn a_request_of_a_plain_client_has_the_stable_attributes() {
    let (shop, callee) = (TestTelemetry::new("payment"), TestTelemetry::new("provider"));
    let server = provider(&callee, 0).await;
    let calls = shop.http_client().body_sizes(true).reqwest(client());
    let url = server.url("/echo?token=hidden&page=1");
    let answer = calls.send_as("/echo", calls.client().post(&url).body("12345")).await.unwrap();
    assert_eq!((answer.url().as_str(), answer.content_length()), (url.as_str(), Some(5)));
    assert_eq!(answer.remote_addr(), Some(server.address));
    assert!(shop.finished_spans().is_empty(), "the body is unread");
    assert_eq!(answer.bytes().await.unwrap(), "12345");
    let span = span(&shop).await;
    assert_eq!((span.name(), outcome(&span).as_str()), ("POST /echo", "ok"));
    assert_eq!(
        attributes(&span),
        [
            "http.request.body.size=5".to_owned(),
            "http.request.method=POST".to_owned(),
            "http.response.body.size=5".to_owned(),
            "http.response.status_code=200".to_owned(),
            "network.peer.address=127.0.0.1".to_owned(),
            "network.protocol.version=1.1".to_owned(),
            "server.address=127.0.0.1".to_owned(),
            format!("url.full={}", server.url("/echo?token=REDACTED&page=1")),
            "url.template=/echo".to_owned(),
        ]
    );
    Conventions::current().check(&[&shop]).assert_clean();
}

#[tokio::test]
async fn a_redirect_is_part_of_the_one_span() {
    let (shop, callee) = (TestTelemetry::new("payment"), TestTelemetry::new("provider"));
    let server = provider(&callee, 0).await;
    let calls = shop.http_client().reqwest(client());
    let answer = calls.send(calls.client().get(server.url("/moved"))).await.unwrap();
    assert_eq!(answer.url().path(), "/status/404");
    drop(answer);
    let span = span(&shop).await;
    assert_eq!((span.name(), outcome(&span).as_str()), ("GET", "404"));
    assert!(attribute(&span, "url.full").unwrap().ends_with("/moved"));
}

#[tokio::test]
async fn a_try_that_got_no_answer_says_why() {
    let telemetry = TestTelemetry::new("payment");
    let server = serve(Router::new().route("/hang", get(async || std::future::pending::<()>().await))).await;
    let refused = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let soon = Some(Duration::from_millis(20));
    let calls = telemetry.http_client().reqwest(client());
    let middleware = ClientBuilder::new(client()).with(telemetry.http_client().reqwest_middleware()).build();
    for (url, time, expected) in
        [(format!("http://{refused}/"), None, "connection_refused"), (server.url("/hang"), soon, "timeout")]
    {
        telemetry.forget();
        let (mut asked, mut again) = (calls.client().get(&url), middleware.get(&url));
        if let Some(time) = time {
            (asked, again) = (asked.timeout(time), again.timeout(time));
        }
        calls.send(asked).await.unwrap_err();
        again.send().await.unwrap_err();
        for span in spans(&telemetry, 2).await {
            assert_eq!(outcome(&span), expected, "{url}");
        }
        assert_eq!(metric(&telemetry, COUNTS, &[&format!("error_type=\"{expected}\"")]), 2);
    }
}

#[tokio::test]
async fn a_time_that_runs_out_within_the_body_is_an_error_of_the_span() {
    let telemetry = TestTelemetry::new("payment");
    let silent = async || Body::from_stream(futures_util::stream::pending::<Result<Bytes, io::Error>>());
    let server = serve(Router::new().route("/silent", get(silent))).await;
    let calls = telemetry.http_client().reqwest(client());
    let mut time = Duration::from_millis(20);
    // On a busy machine it may run out before the head is there.
    let answer = loop {
        telemetry.forget();
        match calls.send(calls.client().get(server.url("/silent")).timeout(time)).await {
            Ok(answer) => break answer,
            Err(error) => assert!(error.is_timeout(), "{error:?}"),
        }
        time *= 4;
    };
    let error = answer.bytes().await.unwrap_err();
    assert!(error.is_timeout(), "{error:?}");
    assert_eq!(outcome(&span(&telemetry).await), "timeout");
}

#[tokio::test]
async fn what_is_no_longer_waited_for_is_cancelled() {
    let telemetry = TestTelemetry::new("payment");
    let callee = TestTelemetry::new("provider");
    let server = provider(&callee, 0).await;
    let calls = telemetry.http_client().reqwest(client());
    let mut call = Box::pin(calls.send(calls.client().get(server.url("/hang"))));
    assert!(poll!(&mut call).is_pending());
    drop(call);
    assert_eq!(outcome(&span(&telemetry).await), "cancelled");

    telemetry.forget();
    let middleware = ClientBuilder::new(client()).with(telemetry.http_client().reqwest_middleware()).build();
    let mut call = Box::pin(middleware.get(server.url("/hang")).send());
    assert!(poll!(&mut call).is_pending());
    drop(call);
    assert_eq!(outcome(&span(&telemetry).await), "cancelled");
    assert_eq!(metric(&telemetry, COUNTS, &["error_type"]), 0);
}

#[tokio::test]
async fn a_body_that_breaks_off_is_an_error_of_the_span() {
    let telemetry = TestTelemetry::new("payment");
    let (feed, body) = fed_body();
    let body = Arc::new(std::sync::Mutex::new(Some(body)));
    let handler = async move || body.lock().unwrap().take().unwrap().into_response();
    let server = serve(Router::new().route("/", get(handler))).await;
    let calls = telemetry.http_client().reqwest(client());
    let mut answer = calls.send(calls.client().get(server.url("/"))).await.unwrap();
    feed.send(Ok(Bytes::from("half"))).await.unwrap();
    assert_eq!(within("the half", answer.chunk()).await.unwrap().unwrap(), "half");
    feed.send(Err(io::ErrorKind::Other.into())).await.unwrap();
    within("the failure", answer.chunk()).await.unwrap_err();
    let class = outcome(&span(&telemetry).await);
    assert!(["connection_closed", "connection_reset"].contains(&class.as_str()), "{class}");
}

#[tokio::test]
async fn extensions_that_are_used_again_count_anew_for_another_request() {
    let (shop, callee) = (TestTelemetry::new("payment"), TestTelemetry::new("provider"));
    let server = provider(&callee, 0).await;
    let client = ClientBuilder::new(client()).with(shop.http_client().reqwest_middleware()).build();
    let mut extensions = Extensions::new();
    for path in ["/status/200", "/status/204", "/status/204"] {
        let request = client.get(server.url(path)).build().unwrap();
        client.execute_with_extensions(request, &mut extensions).await.unwrap();
    }
    extensions.insert(ResendCount(7));
    let request = client.get(server.url("/status/204")).build().unwrap();
    client.execute_with_extensions(request, &mut extensions).await.unwrap();
    let counts: Vec<_> =
        spans(&shop, 4).await.iter().map(|span| attribute(span, "http.request.resend_count")).collect();
    assert_eq!(counts, [None, None, Some("1".to_owned()), Some("7".to_owned())]);
}

#[tokio::test]
async fn a_flood_of_hosts_stays_within_the_limit() {
    let telemetry = TestTelemetry::new("crawler");
    let answers = Router::new().fallback(async || ());
    let server = serve(answers).await;
    // Every host is this one, by the resolver of the client.
    let resolved = Arc::new(Everywhere(server.address));
    let client =
        Client::builder().dns_resolver(resolved).no_proxy().pool_max_idle_per_host(0).build().unwrap();
    let calls = telemetry.http_client().reqwest(client);
    for host in 0..2_100 {
        let url = format!("http://host-{host}.example:{}/", server.address.port());
        drop(calls.send(calls.client().get(url)).await.unwrap());
    }
    let counted = series(&telemetry, COUNTS).len();
    assert!(counted <= 2_001, "{counted} series");
    assert_eq!(metric(&telemetry, COUNTS, &[]), 2_100);
}

struct Everywhere(std::net::SocketAddr);

impl reqwest::dns::Resolve for Everywhere {
    fn resolve(&self, _: reqwest::dns::Name) -> reqwest::dns::Resolving {
        let address = self.0;
        Box::pin(async move { Ok(Box::new(std::iter::once(address)) as reqwest::dns::Addrs) })
    }
}

#[tokio::test]
async fn a_secret_in_any_input_reaches_no_export() {
    const SECRET: &str = "hunter2hunter2";
    let telemetry = TestTelemetry::new("payment");
    let app = Router::new().fallback(async || ([("set-cookie", format!("session={SECRET}"))], "order"));
    let server = serve(app).await;
    let names = ["authorization", "cookie", "x-api-key"].map(HeaderName::from_static);
    let layer = telemetry
        .http_client()
        .capture_request_headers(names)
        .capture_response_headers(["set-cookie"].map(HeaderName::from_static));
    let refused = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let middleware = ClientBuilder::new(client()).with(layer.reqwest_middleware()).build();
    let calls = layer.reqwest(client());
    for host in [server.address, refused] {
        let url = format!("http://bob:{SECRET}@{host}/orders/7?token={SECRET}&sig={SECRET}&page=1");
        let asked = calls.client().get(&url).header("cookie", SECRET).header("x-api-key", SECRET);
        if let Err(error) = calls.send(asked).await {
            telemetry.span("ask").start().record_error(&CannotAsk(error.into()));
        }
        let asked = middleware.get(&url).bearer_auth(SECRET).header("cookie", SECRET).body(SECRET);
        if let Err(error) = asked.send().await {
            telemetry.span("ask").start().record_error(&error);
            telemetry.span("ask").start().record_error(&CannotAsk(error));
        }
    }
    let spans = wait_for(&[telemetry.handle()], PATIENCE, |spans| spans.len() == 7).await.unwrap();
    assert_eq!(telemetry.finished_logs().len(), 3);
    let page = render_prometheus(std::slice::from_ref(telemetry.handle()));
    let everything = format!("{spans:?}{:?}{page}", telemetry.finished_logs());
    assert!(!everything.contains(SECRET), "{everything}");
}

#[derive(Debug, thiserror::Error)]
#[error("cannot ask")]
struct CannotAsk(#[source] reqwest_middleware::Error);

impl ErrorType for CannotAsk {}

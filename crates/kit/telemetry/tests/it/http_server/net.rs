//! Servers and clients on loopback for the tests of the edges, and what they look at.

#![allow(clippy::unwrap_used, reason = "what a helper cannot set up fails the test that asked for it")]

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::ConnectInfo;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::{Request, Response, service::service_fn};
use hyper_util::client::legacy::{self, connect::HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};
use tower::ServiceExt as _;
use waypost_telemetry::opentelemetry::trace::Status;
use waypost_telemetry::testing::wait_for;
use waypost_telemetry::{FinishedSpan, Telemetry, metrics, spawn};

/// How long a test waits for what must come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// A router served over HTTP/1.1 and HTTP/2 until it is dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    task: JoinHandle<()>,
}

impl Server {
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub(crate) async fn serve(app: Router) -> Server {
    serve_at("127.0.0.1:0", app).await
}

pub(crate) async fn serve_at(address: &str, app: Router) -> Server {
    let listener = TcpListener::bind(address).await.unwrap();
    let address = listener.local_addr().unwrap();
    let task = spawn(async move {
        let mut connections = JoinSet::new();
        loop {
            let (stream, peer) = listener.accept().await.unwrap();
            let app = app.clone();
            let service = service_fn(move |mut request: Request<Incoming>| {
                request.extensions_mut().insert(ConnectInfo(peer));
                app.clone().oneshot(request)
            });
            connections.spawn(async move {
                // A connection that breaks is part of some tests.
                let _ = auto::Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    });
    Server { address, task }
}

pub(crate) type Client = legacy::Client<HttpConnector, Body>;

pub(crate) fn client() -> Client {
    legacy::Client::builder(TokioExecutor::new()).build_http()
}

pub(crate) fn client_http2() -> Client {
    legacy::Client::builder(TokioExecutor::new()).http2_only(true).build_http()
}

/// Sends a request and reads the whole answer.
pub(crate) async fn exchange(request: Request<Body>) -> Response<Bytes> {
    let (head, body) = client().request(request).await.unwrap().into_parts();
    Response::from_parts(head, body.collect().await.unwrap().to_bytes())
}

pub(crate) async fn get(url: String) -> Response<Bytes> {
    exchange(Request::get(url).body(Body::empty()).unwrap()).await
}

/// Waits until `level` gives something.
pub(crate) async fn eventually<T>(what: &str, mut level: impl FnMut() -> Option<T>) -> T {
    let found = async {
        let mut tick = tokio::time::interval(Duration::from_millis(2));
        loop {
            tick.tick().await;
            if let Some(found) = level() {
                return found;
            }
        }
    };
    tokio::time::timeout(PATIENCE, found).await.unwrap_or_else(|_| panic!("waited in vain for {what}"))
}

pub(crate) async fn within<F: Future>(what: &str, future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("waited in vain for {what}"))
}

/// Waits for exactly `count` finished spans and checks what holds for every span.
pub(crate) async fn spans(telemetry: &Telemetry, count: usize) -> Vec<FinishedSpan> {
    let spans = wait_for(&[telemetry], PATIENCE, |spans| spans.len() >= count).await;
    let spans = spans.unwrap_or_else(|missing| panic!("{missing}"));
    assert_eq!(spans.len(), count, "{:?}", spans.iter().map(FinishedSpan::name).collect::<Vec<_>>());
    for span in &spans {
        let mut keys: Vec<_> = span.attributes().iter().map(|attribute| attribute.key.as_str()).collect();
        keys.sort_unstable();
        let distinct = keys.len();
        keys.dedup();
        assert_eq!(keys.len(), distinct, "{} has an attribute twice", span.name());
        assert_ne!(*span.status(), Status::Ok, "{} claims to be ok", span.name());
        if let Status::Error { description } = span.status() {
            assert_eq!(description, "", "{} describes what its attributes say", span.name());
            assert!(span.attribute("error.type").is_some(), "{} failed without a type", span.name());
        }
    }
    spans
}

/// The one span that must be there.
pub(crate) async fn span(telemetry: &Telemetry) -> FinishedSpan {
    spans(telemetry, 1).await.remove(0)
}

/// Attributes as sorted lines `key=value`, without those whose value no test can know.
pub(crate) fn attributes(span: &FinishedSpan) -> Vec<String> {
    const ARBITRARY: [&str; 3] = ["network.peer.port", "server.port", "client.port"];
    let mut lines: Vec<String> = span
        .attributes()
        .iter()
        .filter(|attribute| !ARBITRARY.contains(&attribute.key.as_str()))
        .map(|attribute| format!("{}={}", attribute.key, attribute.value))
        .collect();
    lines.sort_unstable();
    lines
}

pub(crate) fn attribute(span: &FinishedSpan, key: &str) -> Option<String> {
    span.attribute(key).map(ToString::to_string)
}

/// `ok`, `cancelled`, or the `error.type`.
pub(crate) fn outcome(span: &FinishedSpan) -> String {
    match (span.status(), attribute(span, "error.type"), attribute(span, "waypost.outcome")) {
        (Status::Error { .. }, Some(class), _) => class,
        (Status::Unset, None, None) => "ok".to_owned(),
        (Status::Unset, None, Some(outcome)) => outcome,
        odd => panic!("status, error type and outcome contradict each other: {odd:?}"),
    }
}

/// The series of one metric family, as Prometheus' text has them.
pub(crate) fn series(telemetry: &Telemetry, family: &str) -> Vec<String> {
    let text = metrics::render_prometheus(std::slice::from_ref(telemetry));
    text.lines()
        .filter(|line| line.strip_prefix(family).is_some_and(|rest| rest.starts_with(['{', ' '])))
        .map(ToOwned::to_owned)
        .collect()
}

/// The sum of a count over those series of a family that have all the labels.
pub(crate) fn metric(telemetry: &Telemetry, family: &str, labels: &[&str]) -> i64 {
    series(telemetry, family)
        .iter()
        .filter(|line| labels.iter().all(|label| line.contains(label)))
        .filter_map(|line| line.rsplit_once(' ')?.1.parse::<i64>().ok())
        .sum()
}

/// How many requests are active, as the metric has it.
pub(crate) fn active(telemetry: &Telemetry) -> i64 {
    metric(telemetry, "http_server_active_requests", &[])
}

/// Waits until no request is active any more, and checks that some were counted at all.
pub(crate) async fn nothing_active(telemetry: &Telemetry) {
    assert!(!series(telemetry, "http_server_active_requests").is_empty(), "nothing was ever active");
    eventually("active requests to return to zero", || (active(telemetry) == 0).then_some(())).await;
}

/// A body that sends what the test gives it.
pub(crate) fn fed_body() -> (tokio::sync::mpsc::Sender<Result<Bytes, std::io::Error>>, Body) {
    let (sender, mut receiver) = tokio::sync::mpsc::channel(1);
    let stream = futures_util::stream::poll_fn(move |task| receiver.poll_recv(task));
    (sender, Body::from_stream(stream))
}

pub(crate) fn never() -> impl Future<Output = Result<Response<Body>, Infallible>> {
    std::future::pending()
}

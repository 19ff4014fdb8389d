//! The edges over Unix-domain sockets: whole traces, and what stands where an address would.

use std::convert::Infallible;
use std::path::{Path, PathBuf};

use axum::routing::get;
use axum::{Extension, Router};
use futures_util::stream;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::{Request, Response, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tempfile::TempDir;
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinHandle;
use tonic::body::Body;
use tonic::transport::{Endpoint, Server};
use tower::{ServiceBuilder, ServiceExt as _};
use waypost_telemetry::grpc::{ChannelFactory, Connection, UnixSocket};
use waypost_telemetry::testing::conventions::Conventions;
use waypost_telemetry::testing::{SpanTree, TestTelemetry};
use waypost_telemetry::{FinishedSpan, spawn, with_context};

use crate::grpc_server::echo::{EchoClient, Kind, routes};
use crate::http_server::net::{attribute, outcome, series, span, spans};

/// A router served over the socket at a path, which is in the extensions of its requests, until it is dropped.
struct Served(JoinHandle<()>);

impl Drop for Served {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn serve(path: &Path, app: Router) -> Served {
    let listener = UnixListener::bind(path).unwrap();
    let app = app.layer(Extension(UnixSocket::new(path)));
    Served(spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let app = app.clone();
            let service = service_fn(move |request: Request<Incoming>| app.clone().oneshot(request));
            drop(spawn(async move {
                let http = auto::Builder::new(TokioExecutor::new());
                // A client that goes away ends its connection.
                let _ = http.serve_connection(TokioIo::new(stream), service).await;
            }));
        }
    }))
}

fn socket() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("stock.sock");
    (folder, path)
}

/// The attributes that say how the two ends reached each other.
fn network(span: &FinishedSpan) -> Vec<String> {
    let is_of_network = |key: &str| key.starts_with("network.") || key.starts_with("server.");
    let mut lines: Vec<String> = span
        .attributes()
        .iter()
        .filter(|attribute| is_of_network(attribute.key.as_str()))
        .map(|attribute| format!("{}={}", attribute.key, attribute.value))
        .collect();
    lines.sort_unstable();
    lines
}

#[tokio::test]
async fn a_trace_goes_on_over_a_unix_socket() {
    let (_folder, path) = socket();
    let shown = path.display().to_string();
    let (caller, callee) = (TestTelemetry::new("order"), TestTelemetry::new("stock"));
    let _served = serve(&path, routes().into_axum_router().layer(callee.grpc_server()));
    for target in [format!("unix:{shown}"), format!("unix://{shown}")] {
        let channels = ChannelFactory::new(&caller).target("stock", target);
        let mut client = EchoClient::new(channels.channel("stock").unwrap());
        let context = caller.handle().context();
        let calls = async {
            client.call(Kind::Unary, "ok").await.unwrap();
            client.call(Kind::ServerStream, "two then ok").await.unwrap();
        };
        with_context(context.clone(), caller.span("check-stock").parent(&context).observe(calls)).await;
        let (called, served) = (spans(&caller, 3).await, spans(&callee, 2).await);
        let all: Vec<FinishedSpan> = called.iter().chain(&served).cloned().collect();
        let tree = SpanTree::of(&all, &called[0].trace_id().to_string());
        tree.assert_matches(
            "check-stock INTERNAL order\n  it.Echo/Unary CLIENT order\n    it.Echo/Unary SERVER stock\n  \
             it.Echo/ServerStream CLIENT order\n    it.Echo/ServerStream SERVER stock",
        );
        let calls = all.iter().filter(|span| span.name() != "check-stock");
        for span in calls {
            let peer = format!("network.peer.address={shown}");
            assert_eq!(network(span), [&peer, "network.transport=unix", &format!("server.address={shown}")]);
        }
        Conventions::current().check(&[&caller, &callee]).assert_clean();
        caller.forget();
        callee.forget();
    }
    let durations = series(&caller, "rpc_client_call_duration_seconds_count");
    assert!(!durations.is_empty());
    for line in durations {
        assert!(
            line.contains(&format!("server_address=\"{shown}\"")) && !line.contains("server_port"),
            "{line}"
        );
    }
}

#[tokio::test]
async fn a_socket_where_nobody_listens_is_named_by_the_call() {
    let (_folder, path) = socket();
    let caller = TestTelemetry::new("order");
    let endpoint = Endpoint::from_static("http://localhost");
    let traced = caller.grpc_client().target_socket(&UnixSocket::new(&path));
    let channel = ServiceBuilder::new().layer(traced).service(Connection::lazy_unix(&endpoint, &path));
    let status = EchoClient::new(channel).call(Kind::Unary, "ok").await.unwrap_err();
    let mut cause: &dyn std::error::Error = &status;
    while let Some(next) = cause.source() {
        cause = next;
    }
    assert!(cause.to_string().starts_with(&path.display().to_string()), "{cause}");
    let span = span(&caller).await;
    assert_eq!(attribute(&span, "server.address"), Some(path.display().to_string()));
    assert_eq!(attribute(&span, "server.port"), None);
}

#[tokio::test]
async fn tonics_own_server_shows_the_transport() {
    let (_folder, path) = socket();
    let (caller, callee) = (TestTelemetry::new("order"), TestTelemetry::new("stock"));
    let listener = UnixListener::bind(&path).unwrap();
    let incoming = stream::unfold(listener, |listener| async {
        let accepted = listener.accept().await.map(|(stream, _)| stream);
        Some((accepted, listener))
    });
    let mut server = Server::builder().layer(callee.grpc_server());
    let _serving = Served(spawn(async move {
        server.add_routes(routes()).serve_with_incoming(Box::pin(incoming)).await.unwrap();
    }));
    let channels = ChannelFactory::new(&caller);
    let channel = channels.channel(&format!("unix:{}", path.display())).unwrap();
    EchoClient::new(channel).call(Kind::Unary, "ok").await.unwrap();
    assert_eq!(network(&span(&callee).await), ["network.transport=unix", "server.address=localhost"]);
}

#[tokio::test]
async fn http_shows_the_socket_as_well() {
    let (_folder, path) = socket();
    let shown = path.display().to_string();
    let (caller, callee) = (TestTelemetry::new("edge"), TestTelemetry::new("shop"));
    let app = Router::new().route("/orders", get(async || "none")).layer(callee.http_server());
    let _served = serve(&path, app);
    let stream = UnixStream::connect(&path).await.unwrap();
    let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    drop(spawn(connection));
    let sender = std::sync::Arc::new(tokio::sync::Mutex::new(sender));
    let at = UnixSocket::new(&path);
    let transport = tower::service_fn(move |request: Request<Body>| {
        let (sender, at) = (sender.clone(), at.clone());
        async move {
            let mut response = sender.lock().await.send_request(request).await.unwrap();
            response.extensions_mut().insert(at);
            Ok::<Response<Incoming>, Infallible>(response)
        }
    });
    let request = Request::get("/orders").header("host", "localhost").body(Body::empty()).unwrap();
    let client = ServiceBuilder::new().layer(caller.http_client()).service(transport);
    client.oneshot(request).await.unwrap().collect().await.unwrap();
    let (called, served) = (span(&caller).await, span(&callee).await);
    assert_eq!(served.trace_id(), called.trace_id());
    assert_eq!((outcome(&called), outcome(&served)), ("ok".into(), "ok".into()));
    assert_eq!(attribute(&called, "network.transport").as_deref(), Some("unix"));
    assert_eq!(attribute(&called, "network.peer.address"), Some(shown.clone()));
    let version = "network.protocol.version=1.1";
    let peer = format!("network.peer.address={shown}");
    let address = format!("server.address={shown}");
    assert_eq!(network(&served), [&peer, version, "network.transport=unix", &address]);
}

#[tokio::test]
async fn a_target_without_a_path_makes_no_channel() {
    let channels = ChannelFactory::new(&TestTelemetry::new("order"));
    let refused = channels.channel("unix://").unwrap_err().to_string();
    assert!(refused.contains("unix:/path"), "{refused}");
}

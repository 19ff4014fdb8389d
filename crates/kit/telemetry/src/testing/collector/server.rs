//! The server behind the collector: one thread, one port, HTTP/1.1 and HTTP/2.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use http::{Request, Response, header};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use super::framing::{self, AnswerBody};
use super::reply::ReplyKind;
use super::{CollectedRequest, Protocol, Shared, Signal};
use crate::core::export::received;

type Started = (SocketAddr, oneshot::Sender<()>, std::thread::JoinHandle<()>);

/// Binds, and serves on a new thread until the sender is dropped.
pub(super) fn start(shared: &Arc<Shared>) -> std::io::Result<Started> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (stop, stopped) = oneshot::channel::<()>();
    let shared = Arc::clone(shared);
    let thread = std::thread::Builder::new().name("fake-collector".to_owned()).spawn(move || {
        runtime.block_on(async {
            let Ok(listener) = TcpListener::from_std(listener) else { return };
            tokio::select! {
                () = serve(&listener, &shared) => {}
                _ = stopped => {}
            }
        });
    })?;
    Ok((address, stop, thread))
}

async fn serve(listener: &TcpListener, shared: &Arc<Shared>) {
    let mut connections = FuturesUnordered::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { continue };
                let shared = Arc::clone(shared);
                connections.push(async move {
                    let service = service_fn(move |request| collect(Arc::clone(&shared), request));
                    // A client that goes away is no trouble, and neither is a connection that is cut.
                    let _ = auto::Builder::new(TokioExecutor::new())
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
            Some(()) = connections.next(), if !connections.is_empty() => {}
        }
    }
}

/// A connection, or a stream of it, that ends without an answer.
#[derive(Debug)]
struct Cut;

impl std::fmt::Display for Cut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the test cuts the connection")
    }
}

impl std::error::Error for Cut {}

async fn collect(shared: Arc<Shared>, request: Request<Incoming>) -> Result<Response<AnswerBody>, Cut> {
    let request = match read(request).await {
        Ok(request) => request,
        Err(reason) => {
            shared.broken(reason);
            let refused = ReplyKind::Failure { http: 400, grpc: 3, retry_after: None };
            return framing::answer(Signal::Traces, Protocol::HttpProtobuf, &refused).ok_or(Cut);
        }
    };
    let (signal, protocol) = (request.signal, request.protocol);
    let reply = shared.take(request);
    tokio::time::sleep(reply.after).await;
    if reply.kind == ReplyKind::Hang {
        std::future::pending::<Infallible>().await;
    }
    framing::answer(signal, protocol, &reply.kind).ok_or(Cut)
}

async fn read(request: Request<Incoming>) -> Result<CollectedRequest, String> {
    let (head, body) = request.into_parts();
    let kind = head.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let protocol = match kind.split(';').next().unwrap_or_default().trim() {
        "application/x-protobuf" => Protocol::HttpProtobuf,
        "application/json" => Protocol::HttpJson,
        grpc if grpc.starts_with("application/grpc") => Protocol::Grpc,
        other => return Err(format!("{}: content-type {other:?} is not OTLP", head.uri.path())),
    };
    let signal = match head.uri.path().trim_end_matches("/Export") {
        path if path.ends_with("/v1/traces") || path.ends_with(".TraceService") => Signal::Traces,
        path if path.ends_with("/v1/metrics") || path.ends_with(".MetricsService") => Signal::Metrics,
        path if path.ends_with("/v1/logs") || path.ends_with(".LogsService") => Signal::Logs,
        other => return Err(format!("{other} is no path of OTLP")),
    };
    let wire = framing::read_body(body).await?;
    let encoding = head.headers.get(header::CONTENT_ENCODING).map(http::HeaderValue::as_bytes);
    let (plain, is_gzip) = match (protocol, encoding) {
        (Protocol::Grpc, _) => framing::grpc_message(&wire)?,
        (_, Some(b"gzip")) => (framing::gunzipped(&wire)?, true),
        (_, None | Some(b"identity")) => (wire.clone(), false),
        (_, Some(other)) => return Err(format!("encoding {:?}", String::from_utf8_lossy(other))),
    };
    let message =
        if protocol == Protocol::HttpJson { received::read_json(signal.into(), &plain)? } else { plain };
    let path = head.uri.path_and_query().map(ToString::to_string).unwrap_or_default();
    Ok(CollectedRequest {
        number: 0,
        signal,
        protocol,
        path,
        headers: head.headers,
        wire_bytes: wire.len(),
        is_gzip,
        at: Instant::now(),
        message: Bytes::from(message),
        is_accepted: false,
    })
}

impl From<Signal> for received::Kind {
    fn from(signal: Signal) -> Self {
        match signal {
            Signal::Traces => Self::Traces,
            Signal::Metrics => Self::Metrics,
            Signal::Logs => Self::Logs,
        }
    }
}

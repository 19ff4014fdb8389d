//! A receiver of OTLP over HTTP and gRPC on one port, in a process of its own: counts what arrives, keeps nothing,
//! and is in trouble when told to.
//!
//! It decodes only as far as counting spans needs. A request counts when it is answered with success; one whose
//! connection is cut before the answer got out counts all the same, and once more when it is sent again. Commands
//! come as lines: `counts`, `reset`, and a behaviour as JSON.

mod behaviour;
mod client;
mod count;
mod reply;

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use http::Request;
use http::header::CONTENT_ENCODING;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use serde::{Deserialize, Serialize};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::{clock, process};
pub(crate) use behaviour::Behaviour;
pub(crate) use client::Receiver;
use reply::Reply;

const GRPC_PATH: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

/// What arrived since the last reset.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Counts {
    pub(crate) spans: u64,
    pub(crate) requests: u64,
    /// Requests that came compressed.
    pub(crate) compressed: u64,
    /// Bytes of the bodies as they came.
    pub(crate) bytes: u64,
    /// Requests answered with "later".
    pub(crate) refused: u64,
    /// Requests that are not OTLP.
    pub(crate) malformed: u64,
}

struct Shared {
    counts: Mutex<Counts>,
    behaviour: watch::Receiver<behaviour::Current>,
}

impl Shared {
    fn count(&self, change: impl FnOnce(&mut Counts)) {
        change(&mut self.counts.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Serves until the input ends. Writes its address first.
pub(crate) fn run() -> anyhow::Result<()> {
    clock::pin(clock::BESIDE);
    let (set_behaviour, behaviour) = watch::channel(behaviour::Current::default());
    let shared = Arc::new(Shared { counts: Mutex::default(), behaviour });
    let controlled = Arc::clone(&shared);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        println!("{}", serde_json::to_string(&listener.local_addr()?)?);
        process::answer_lines(move |line| match line {
            "counts" => {
                let counts = controlled.counts.lock().unwrap_or_else(PoisonError::into_inner).clone();
                Ok(serde_json::to_string(&counts)?)
            }
            "reset" => {
                controlled.count(|counts| *counts = Counts::default());
                Ok("true".to_owned())
            }
            behaviour => {
                let since = Instant::now();
                let behaviour = serde_json::from_str(behaviour)?;
                set_behaviour.send_replace(behaviour::Current { since, behaviour });
                Ok("true".to_owned())
            }
        });
        accept(&listener, &shared).await
    })
}

async fn accept(listener: &TcpListener, shared: &Arc<Shared>) -> anyhow::Result<()> {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await?;
        let is_cut = shared.behaviour.borrow().cuts();
        if !is_cut {
            stream.set_nodelay(true)?;
            connections.spawn(serve(stream, Arc::clone(shared)));
        }
        while connections.try_join_next().is_some() {}
    }
}

async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    let mut behaviour = shared.behaviour.clone();
    let service = service_fn(move |request| {
        let shared = Arc::clone(&shared);
        async move { Ok::<_, Infallible>(answer(request, &shared).await.into_response()) }
    });
    let server = auto::Builder::new(TokioExecutor::new());
    tokio::select! {
        // A connection that breaks is the sender's affair.
        _ = server.serve_connection(TokioIo::new(stream), service) => {}
        _ = behaviour.wait_for(behaviour::Current::cuts) => {}
    }
}

async fn answer(request: Request<Incoming>, shared: &Shared) -> Reply {
    let is_grpc = request.uri().path() == GRPC_PATH;
    let is_gzip = request.headers().get(CONTENT_ENCODING).is_some_and(|value| value == "gzip");
    let body = match request.into_body().collect().await {
        Ok(body) => body.to_bytes(),
        Err(_) => return Reply::Malformed,
    };
    let current = *shared.behaviour.borrow();
    if current.refuses() {
        shared.count(|counts| counts.refused += 1);
        return if is_grpc { Reply::GrpcLater } else { Reply::HttpLater };
    }
    tokio::time::sleep(current.delay()).await;
    count_body(&body, is_grpc, is_gzip, shared)
}

fn count_body(body: &Bytes, is_grpc: bool, is_gzip: bool, shared: &Shared) -> Reply {
    let message = if is_grpc { count::of_grpc(body) } else { count::of_http(body, is_gzip) };
    let Some(message) = message else {
        shared.count(|counts| counts.malformed += 1);
        return Reply::Malformed;
    };
    shared.count(|counts| {
        counts.requests += 1;
        counts.spans += message.spans;
        counts.compressed += u64::from(message.was_compressed);
        counts.bytes += body.len() as u64;
    });
    if is_grpc { Reply::GrpcTaken } else { Reply::HttpTaken }
}

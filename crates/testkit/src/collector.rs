//! A collector on a free port: takes OTLP over HTTP and keeps every span it is sent.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::extract::State;
use axum::response::IntoResponse;
use axum::routing::post;
use bytes::Bytes;
use http::StatusCode;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message as _;
use waypost_service::{Drain, DrainTrigger, Limits, bind, serve};
use waypost_telemetry::FinishedSpan;

use crate::convert;

/// What the collector does with what it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// Takes it.
    Takes,
    /// Reads it and never answers.
    Hangs,
    /// Answers 503.
    Refuses,
}

/// A collector. Dropped, it is gone.
#[derive(Debug)]
pub struct Collector {
    address: SocketAddr,
    shared: Arc<Shared>,
    _trigger: DrainTrigger,
}

#[derive(Debug)]
struct Shared {
    behaviour: Behaviour,
    traces: Mutex<HashMap<String, Vec<FinishedSpan>>>,
    duplicates: Mutex<Vec<String>>,
}

impl Collector {
    /// Starts a collector.
    ///
    /// # Errors
    /// When no port can be had.
    pub fn start(behaviour: Behaviour) -> anyhow::Result<Collector> {
        let listener = bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
        let address = listener.address();
        let shared = Arc::new(Shared { behaviour, traces: Mutex::default(), duplicates: Mutex::default() });
        let router = Router::new()
            .route("/v1/traces", post(traces))
            .route("/v1/metrics", post(other))
            .route("/v1/logs", post(other))
            .layer(axum::extract::DefaultBodyLimit::disable())
            .with_state(Arc::clone(&shared));
        let (trigger, drain) = Drain::new();
        waypost_telemetry::spawn(serve(listener, router, Limits::default(), drain));
        Ok(Collector { address, shared, _trigger: trigger })
    }

    /// The OTLP endpoint, as `--export` takes it.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Every span so far.
    pub fn spans(&self) -> Vec<FinishedSpan> {
        self.traces().values().flatten().cloned().collect()
    }

    /// How many spans have this name so far.
    pub fn count_of(&self, name: &str) -> usize {
        self.traces().values().flatten().filter(|span| span.name() == name).count()
    }

    /// The spans of a trace so far.
    pub fn trace(&self, trace_id: &str) -> Vec<FinishedSpan> {
        self.traces().get(trace_id).cloned().unwrap_or_default()
    }

    /// Attribute keys that came twice on one span, as `span: key`. There should be none.
    pub fn duplicate_attributes(&self) -> Vec<String> {
        self.shared.duplicates.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn traces(&self) -> MutexGuard<'_, HashMap<String, Vec<FinishedSpan>>> {
        self.shared.traces.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn traces(State(shared): State<Arc<Shared>>, body: Bytes) -> impl IntoResponse {
    match shared.behaviour {
        Behaviour::Takes => {}
        Behaviour::Hangs => std::future::pending::<()>().await,
        Behaviour::Refuses => return StatusCode::SERVICE_UNAVAILABLE,
    }
    let Ok(request) = ExportTraceServiceRequest::decode(body) else {
        return StatusCode::BAD_REQUEST;
    };
    let (spans, duplicates) = convert::spans(request);
    let mut traces = shared.traces.lock().unwrap_or_else(PoisonError::into_inner);
    for span in spans {
        traces.entry(span.trace_id().to_string()).or_default().push(span);
    }
    drop(traces);
    shared.duplicates.lock().unwrap_or_else(PoisonError::into_inner).extend(duplicates);
    StatusCode::OK
}

async fn other() -> StatusCode {
    StatusCode::OK
}

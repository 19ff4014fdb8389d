//! A collector on a free port: takes OTLP over HTTP and keeps every span, log record and metric it is sent.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::extract::State;
use axum::response::IntoResponse;
use axum::routing::post;
use bytes::Bytes;
use http::StatusCode;
use prost::Message;
use waypost_service::{Drain, DrainTrigger, Limits, bind, serve};
use waypost_telemetry::opentelemetry::KeyValue;
use waypost_telemetry::testing::ReceivedMetric;
use waypost_telemetry::{FinishedLog, FinishedSpan};

use crate::convert::{self, Received};

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
    logs: Mutex<Vec<FinishedLog>>,
    metrics: Mutex<Vec<(String, ReceivedMetric)>>,
    resources: Mutex<Vec<Vec<KeyValue>>>,
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
        let shared = Arc::new(Shared::new(behaviour));
        let router = Router::new()
            .route("/v1/traces", post(traces))
            .route("/v1/metrics", post(metrics))
            .route("/v1/logs", post(logs))
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

    /// Every log record so far.
    pub fn logs(&self) -> Vec<FinishedLog> {
        lock(&self.shared.logs).clone()
    }

    /// Every metric so far with its `service.name`, once for each time it came.
    pub fn metrics(&self) -> Vec<(String, ReceivedMetric)> {
        lock(&self.shared.metrics).clone()
    }

    /// The attributes of every resource so far, each resource once.
    pub fn resources(&self) -> Vec<Vec<KeyValue>> {
        lock(&self.shared.resources).clone()
    }

    /// Attribute keys that came twice on one span, record, point or resource, as `span: key`. There should be none.
    pub fn duplicate_attributes(&self) -> Vec<String> {
        lock(&self.shared.duplicates).clone()
    }

    fn traces(&self) -> MutexGuard<'_, HashMap<String, Vec<FinishedSpan>>> {
        lock(&self.shared.traces)
    }
}

impl Shared {
    fn new(behaviour: Behaviour) -> Self {
        Self {
            behaviour,
            traces: Mutex::default(),
            logs: Mutex::default(),
            metrics: Mutex::default(),
            resources: Mutex::default(),
            duplicates: Mutex::default(),
        }
    }

    /// Behaves as it is told, and keeps what came in.
    async fn take<R: Message + Default, T>(
        &self,
        body: Bytes,
        convert: fn(R) -> Received<T>,
        keep: impl FnOnce(&Self, Vec<T>),
    ) -> StatusCode {
        match self.behaviour {
            Behaviour::Takes => {}
            Behaviour::Hangs => std::future::pending::<()>().await,
            Behaviour::Refuses => return StatusCode::SERVICE_UNAVAILABLE,
        }
        let Ok(request) = R::decode(body) else { return StatusCode::BAD_REQUEST };
        let Received { items, resources, duplicates } = convert(request);
        let mut known = lock(&self.resources);
        for resource in resources {
            if !known.contains(&resource) {
                known.push(resource);
            }
        }
        drop(known);
        keep(self, items);
        lock(&self.duplicates).extend(duplicates);
        StatusCode::OK
    }
}

async fn traces(State(shared): State<Arc<Shared>>, body: Bytes) -> impl IntoResponse {
    let keep = |shared: &Shared, spans: Vec<FinishedSpan>| {
        let mut traces = lock(&shared.traces);
        for span in spans {
            traces.entry(span.trace_id().to_string()).or_default().push(span);
        }
    };
    shared.take(body, convert::spans, keep).await
}

async fn metrics(State(shared): State<Arc<Shared>>, body: Bytes) -> impl IntoResponse {
    shared.take(body, convert::metrics, |shared, metrics| lock(&shared.metrics).extend(metrics)).await
}

async fn logs(State(shared): State<Arc<Shared>>, body: Bytes) -> impl IntoResponse {
    shared.take(body, convert::logs, |shared, logs| lock(&shared.logs).extend(logs)).await
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

//! Refuses what is too much at once, before anything is done for it.
//!
//! A server that takes on more than it can do answers everybody late. This layer lets a number of requests in,
//! lets a few wait a short while, and refuses the rest with 503 and `Retry-After`, or `RESOURCE_EXHAUSTED` for
//! gRPC.
//!
//! Invariants: a request counts until its response's body has ended, not only its head; the limit is shared by
//! all clones of the layer, so it holds on a router of which axum makes a service a request (axum #2582); nobody
//! waits longer than the settings say, nor past the deadline; requests are let in in the order they came.

mod body;

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use http::{HeaderValue, Request, Response, header};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError},
    time::{Instant, timeout_at},
};
use tower_service::Service;
use waypost_api::{
    Error, ErrorCode,
    http_bodies::{PROBLEM_CONTENT_TYPE, Problem},
};
use waypost_telemetry::{
    Telemetry,
    opentelemetry::{
        KeyValue,
        metrics::{Counter, UpDownCounter},
    },
};

pub use body::ShedBody;

use crate::deadline;

/// How much is let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Requests that are worked on at once.
    pub max_in_flight: usize,
    /// Requests that may wait for one of those to end.
    pub max_waiting: usize,
    /// How long a request may wait.
    pub max_wait: Duration,
    /// When a refused client should come back.
    pub retry_after: Duration,
}

impl Default for Settings {
    /// 512 at once, 256 waiting for at most 100 ms, back after a second.
    fn default() -> Self {
        Self {
            max_in_flight: 512,
            max_waiting: 256,
            max_wait: Duration::from_millis(100),
            retry_after: Duration::from_secs(1),
        }
    }
}

/// In which protocol a refusal is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// 503 with a problem document.
    Http,
    /// A gRPC status without a body.
    Grpc,
}

/// See the module.
///
/// ```
/// use waypost_resilience::shed::{Layer, Protocol, Settings};
/// # use waypost_telemetry::Telemetry;
/// # async fn orders() {}
/// let telemetry = Telemetry::disabled();
/// let shed = Layer::new(&telemetry, Protocol::Http, Settings::default()).exempt(|path| path == "/api/health");
/// let app: axum::Router = axum::Router::new().route("/api/orders", axum::routing::get(orders)).layer(shed);
/// ```
#[derive(Debug, Clone)]
pub struct Layer {
    gate: Arc<Gate>,
    exempt: fn(&str) -> bool,
}

#[derive(Debug)]
struct Gate {
    settings: Settings,
    protocol: Protocol,
    in_flight: Arc<Semaphore>,
    waiting: AtomicUsize,
    metrics: Metrics,
}

#[derive(Debug)]
struct Metrics {
    in_flight: UpDownCounter<i64>,
    refused: Counter<u64>,
}

impl Layer {
    /// A layer with a limit of its own. Its clones share the limit.
    pub fn new(telemetry: &Telemetry, protocol: Protocol, settings: Settings) -> Self {
        let meter = telemetry.meter();
        let metrics = Metrics {
            in_flight: meter
                .i64_up_down_counter("waypost.shed.in_flight")
                .with_description("Requests that are worked on, to the end of the response's body")
                .with_unit("{request}")
                .build(),
            refused: meter
                .u64_counter("waypost.shed.requests")
                .with_description("Requests refused because there were too many at once")
                .with_unit("{request}")
                .build(),
        };
        let gate = Gate {
            settings,
            protocol,
            in_flight: Arc::new(Semaphore::new(settings.max_in_flight.min(Semaphore::MAX_PERMITS))),
            waiting: AtomicUsize::new(0),
            metrics,
        };
        Self { gate: Arc::new(gate), exempt: |_| false }
    }

    /// Lets the paths for which this is true in without counting them: probes must be answered under load, or
    /// the load gets worse when the instance is taken away.
    #[must_use]
    pub fn exempt(mut self, is_exempt: fn(&str) -> bool) -> Self {
        self.exempt = is_exempt;
        self
    }
}

impl<S> tower_layer::Layer<S> for Layer {
    type Service = Shed<S>;

    fn layer(&self, inner: S) -> Shed<S> {
        Shed { inner, layer: self.clone() }
    }
}

/// See [`Layer`].
#[derive(Debug, Clone)]
pub struct Shed<S> {
    inner: S,
    layer: Layer,
}

impl<S, B, R> Service<Request<B>> for Shed<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send,
    B: Send + 'static,
{
    type Response = Response<ShedBody<R>>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        // The service that was asked for readiness is the one to call (tower's contract).
        let next = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, next);
        if (self.layer.exempt)(request.uri().path()) {
            let call = inner.call(request);
            return Box::pin(async move { Ok(call.await?.map(ShedBody::uncounted)) });
        }
        let gate = Arc::clone(&self.layer.gate);
        Box::pin(async move {
            let place = match gate.enter().await {
                Ok(place) => place,
                Err(reason) => return Ok(gate.refuse(reason)),
            };
            let response = inner.call(request).await?;
            Ok(response.map(|body| ShedBody::counted(body, place)))
        })
    }
}

/// Why a request was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reason {
    TooManyWait,
    WaitedTooLong,
}

impl Gate {
    async fn enter(self: &Arc<Self>) -> Result<Place, Reason> {
        let permit = match Arc::clone(&self.in_flight).try_acquire_owned() {
            Ok(permit) => permit,
            Err(TryAcquireError::Closed | TryAcquireError::NoPermits) => self.wait().await?,
        };
        Ok(Place::new(permit, Arc::clone(self)))
    }

    async fn wait(&self) -> Result<OwnedSemaphorePermit, Reason> {
        let _waiting = Waiting::begin(&self.waiting, self.settings.max_waiting).ok_or(Reason::TooManyWait)?;
        let longest = Instant::now() + self.settings.max_wait;
        let until = deadline::current().map_or(longest, |deadline| deadline.min(longest));
        match timeout_at(until, Arc::clone(&self.in_flight).acquire_owned()).await {
            Ok(Ok(permit)) => Ok(permit),
            // The semaphore is never closed, so this is the time-out.
            Ok(Err(_)) | Err(_) => Err(Reason::WaitedTooLong),
        }
    }

    fn refuse<R>(&self, reason: Reason) -> Response<ShedBody<R>> {
        let reason = match reason {
            Reason::TooManyWait => "too_many_wait",
            Reason::WaitedTooLong => "waited_too_long",
        };
        self.metrics.refused.add(1, &[KeyValue::new("waypost.shed.reason", reason)]);
        let error = Error::of(ErrorCode::Overloaded).with_retry_after(self.settings.retry_after);
        match self.protocol {
            Protocol::Http => problem(&error, self.settings.retry_after),
            Protocol::Grpc => tonic::Status::from(error).into_http(),
        }
    }
}

fn problem<R>(error: &Error, retry_after: Duration) -> Response<ShedBody<R>> {
    let problem = Problem::new(error).with_trace_id(waypost_telemetry::trace_id());
    // A struct of strings is always JSON; an empty body is still a 503.
    let json = serde_json::to_vec(&problem).unwrap_or_default();
    let mut response = Response::new(ShedBody::text(json));
    *response.status_mut() = error.code.http_status();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_CONTENT_TYPE));
    // Whole seconds, and never zero: a client told to come back at once does.
    let seconds = retry_after.as_secs() + u64::from(retry_after.subsec_nanos() > 0);
    headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)));
    response
}

/// One of those who wait, counted until it is dropped, also when its client has hung up.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn begin(count: &'a AtomicUsize, most: usize) -> Option<Self> {
        // Relaxed: the number stands for itself and orders nothing else.
        count
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |now| (now < most).then_some(now + 1))
            .ok()
            .map(|_| Self(count))
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// One of those let in, counted until it is dropped.
#[derive(Debug)]
struct Place {
    _permit: OwnedSemaphorePermit,
    gate: Arc<Gate>,
}

impl Place {
    fn new(permit: OwnedSemaphorePermit, gate: Arc<Gate>) -> Self {
        gate.metrics.in_flight.add(1, &[]);
        Self { _permit: permit, gate }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.gate.metrics.in_flight.add(-1, &[]);
    }
}

//! Refuses what is too much at once, before anything is done for it.
//!
//! A server that takes on more than it can do answers everybody late. This layer lets a number of requests in,
//! lets a few wait a short while, and refuses the rest with 503 and `Retry-After`, or `RESOURCE_EXHAUSTED` for
//! gRPC. Some places can be kept for requests that are favoured ([`Layer::favour`]), so that slow work of one kind
//! does not take quick work of another with it. What may have been answered before can be let in although there is no place,
//! to be looked up and nothing else ([`Layer::look_up`]).
//!
//! A server that must do something slow before a request may count, such as reading its body, puts [`Layer::early`]
//! in front of that: it turns away at once what would find no place later.
//!
//! Invariants: a request counts until its response's body has ended, not only its head; the limit is shared by
//! all clones of the layer, so it holds on a router of which axum makes a service a request (axum #2582); nobody
//! waits longer than the settings say, nor past the deadline; requests of one lane are let in in the order they came.

mod body;
mod early;
mod lane;

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::{HeaderMap, HeaderValue, Method, Request, Response, header};
use tokio::sync::OwnedSemaphorePermit;
use tower_service::Service;
use waypost_errors::{Error, ErrorCode, PROBLEM_CONTENT_TYPE, Problem};
use waypost_telemetry::{
    Telemetry,
    opentelemetry::{
        KeyValue,
        metrics::{Counter, UpDownCounter},
    },
};

pub use body::ShedBody;
pub use early::{Early, EarlyLayer};

use lane::Lane;

/// How much is let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Requests that are worked on at once.
    pub max_in_flight: usize,
    /// Of those, how many are kept for favoured requests.
    pub reserved: usize,
    /// Beside those, how many are looked up at once, for which there is no place ([`Layer::look_up`]).
    pub lookups: usize,
    /// Requests of one lane, ordinary or favoured, that may wait for a place.
    pub max_waiting: usize,
    /// How long a request may wait.
    pub max_wait: Duration,
    /// When a refused client should come back.
    pub retry_after: Duration,
}

impl Default for Settings {
    /// 512 at once, none reserved, none looked up, 256 waiting for at most 100 ms, back after a second.
    fn default() -> Self {
        Self {
            max_in_flight: 512,
            reserved: 0,
            lookups: 0,
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
    favour: fn(&Method, &str) -> bool,
    look_up: fn(&Method, &str, &HeaderMap) -> bool,
}

/// In the extensions of a request that was let in although there was no place for it: it may be answered what is known
/// already, and has to be refused as overloaded otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LookUpOnly;

#[derive(Debug)]
struct Gate {
    settings: Settings,
    protocol: Protocol,
    ordinary: Lane,
    /// For favoured requests that find no ordinary place.
    reserved: Lane,
    /// For what is only looked up. Nobody waits for it.
    lookups: Lane,
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
            ordinary: Lane::new(settings.max_in_flight.saturating_sub(settings.reserved)),
            reserved: Lane::new(settings.reserved.min(settings.max_in_flight)),
            lookups: Lane::new(settings.lookups),
            metrics,
        };
        Self { gate: Arc::new(gate), exempt: |_| false, favour: |_, _| false, look_up: |_, _, _| false }
    }

    /// Lets the paths for which this is true in without counting them: probes must be answered under load, or
    /// the load gets worse when the instance is taken away.
    #[must_use]
    pub fn exempt(mut self, is_exempt: fn(&str) -> bool) -> Self {
        self.exempt = is_exempt;
        self
    }

    /// Gives requests whose method and path this is true for the reserved places too: what is quick and helps to end
    /// an overload, such as reads and cancellations, must not wait behind what caused it.
    #[must_use]
    pub fn favour(mut self, is_favoured: fn(&Method, &str) -> bool) -> Self {
        self.favour = is_favoured;
        self
    }

    /// Lets requests whose method, path and headers this is true for in although there is no place, marked as
    /// [`LookUpOnly`], as long as [`Settings::lookups`] holds: whoever repeats a request that was answered before must not
    /// be told to come back for the answer.
    #[must_use]
    pub fn look_up(mut self, may_be_known: fn(&Method, &str, &HeaderMap) -> bool) -> Self {
        self.look_up = may_be_known;
        self
    }

    /// A layer that turns away what this one would refuse at this moment, and takes no place itself.
    pub fn early(&self) -> EarlyLayer {
        EarlyLayer(self.clone())
    }

    fn is_exempt<B>(&self, request: &Request<B>) -> bool {
        (self.exempt)(request.uri().path())
    }

    fn is_favoured<B>(&self, request: &Request<B>) -> bool {
        (self.favour)(request.method(), request.uri().path())
    }

    fn may_be_known<B>(&self, request: &Request<B>) -> bool {
        (self.look_up)(request.method(), request.uri().path(), request.headers())
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

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        // The service that was asked for readiness is the one to call (tower's contract).
        let next = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, next);
        if self.layer.is_exempt(&request) {
            let call = inner.call(request);
            return Box::pin(async move { Ok(call.await?.map(ShedBody::uncounted)) });
        }
        let is_favoured = self.layer.is_favoured(&request);
        let may_be_known = self.layer.may_be_known(&request);
        let gate = Arc::clone(&self.layer.gate);
        Box::pin(async move {
            let place = match gate.enter(is_favoured).await {
                Ok(place) => place,
                Err(reason) => match gate.look_up(may_be_known) {
                    Some(place) => {
                        request.extensions_mut().insert(LookUpOnly);
                        place
                    }
                    None => return Ok(gate.refuse(reason)),
                },
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
    async fn enter(self: &Arc<Self>, is_favoured: bool) -> Result<Place, Reason> {
        let permit = match self.ordinary.free_place() {
            Some(permit) => permit,
            None => self.lane(is_favoured).place(&self.settings).await?,
        };
        Ok(Place::new(permit, Arc::clone(self)))
    }

    fn look_up(self: &Arc<Self>, may_be_known: bool) -> Option<Place> {
        let permit = may_be_known.then(|| self.lookups.free_place())??;
        Some(Place::new(permit, Arc::clone(self)))
    }

    /// What would become of a request that came now, as far as that can be said.
    fn would_enter(&self, is_favoured: bool, may_be_known: bool) -> Result<(), Reason> {
        let lane = self.lane(is_favoured);
        if self.ordinary.has_room() || lane.has_room() || lane.may_wait(&self.settings) {
            return Ok(());
        }
        if may_be_known && self.lookups.has_room() { Ok(()) } else { Err(Reason::TooManyWait) }
    }

    /// Where a request waits that finds no ordinary place.
    fn lane(&self, is_favoured: bool) -> &Lane {
        if is_favoured && self.settings.reserved > 0 { &self.reserved } else { &self.ordinary }
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

//! The gRPC client layer.

use std::fmt;
use std::sync::Arc;

use http::{HeaderName, Request, Uri};
use opentelemetry::Context;
use opentelemetry::metrics::Histogram;

use super::Filter;
use super::client_call::ClientCall;
use super::messages::{self, MessageEvents};
use super::methods::Naming;
use crate::core::exchange::attributes::{Capture, Host};
use crate::core::exchange::border::Egress;
use crate::core::exchange::{Edge, Exchange, ResponseBody, ResponseFuture, Traced, layer};
use crate::core::handle::Telemetry;
use crate::core::readings::{REQUEST_SECONDS, durations};

/// The body of a traced response; its end is the end of the span.
pub type ClientBody<B> = ResponseBody<B, ClientCall>;

/// The future of a traced call.
pub type ClientFuture<F> = ResponseFuture<F, ClientCall>;

layer! {
    /// Opens a CLIENT span for every call, from its head to the end of the response stream.
    ///
    /// Wraps tonic's channel or any service in its place. Every code but OK is an error; a caller that no longer waits
    /// is not, unless its own `grpc-timeout` had run out. Trace context and baggage are sent along, as RPCs stay inside
    /// the system; the settings decide which baggage may leave at all. Put it inside of retries, so that every attempt
    /// is a span. [`TracedChannel`](super::TracedChannel) is this layer around tonic's channel.
    ClientLayer of ClientEdge
}

/// A service behind a [`ClientLayer`].
pub type ClientService<S> = Traced<S, ClientEdge>;

/// What the layer, its services and its spans share.
#[derive(Clone)]
pub struct ClientEdge {
    pub(super) telemetry: Telemetry,
    pub(super) duration: Histogram<f64>,
    egress: Egress,
    pub(super) naming: Naming,
    pub(super) target: Option<Target>,
    pub(super) request_metadata: Capture,
    pub(super) response_metadata: Capture,
    with_messages: bool,
    filter: Option<Filter>,
}

/// Whom the caller meant to reach; not the address that a proxy or a resolver made of it.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) address: Arc<str>,
    pub(super) port: Option<u16>,
}

impl Target {
    pub(super) fn of(uri: &Uri) -> Option<Self> {
        let host = Host::of(uri.authority()?);
        Some(Self {
            address: host.address.into(),
            port: host.port_or_default(uri.scheme_str().unwrap_or("http")),
        })
    }
}

impl ClientLayer {
    /// The layer of a telemetry handle; the same as [`Telemetry::grpc_client`].
    pub fn new(telemetry: &Telemetry) -> Self {
        let duration = durations(
            telemetry.meter(),
            "rpc.client.call.duration",
            "Measures the duration of outbound remote procedure calls (RPC).",
            &REQUEST_SECONDS,
        );
        let edge = ClientEdge {
            telemetry: telemetry.clone(),
            duration,
            egress: Egress { trace_context: true, baggage: true },
            naming: Naming::learned(),
            target: None,
            request_metadata: Capture::default(),
            response_metadata: Capture::default(),
            with_messages: false,
            filter: None,
        };
        Self::of(edge)
    }

    /// The target of the channel behind the layer, `server.address` and `server.port` of all spans. Without it they
    /// are taken from the requests, which tonic's clients send without an authority.
    #[must_use]
    pub fn target(self, target: &Uri) -> Self {
        let target = Target::of(target);
        self.with(|edge| edge.target = target)
    }

    /// Whether the trace context is sent along. On by default; off for systems that have no business with it.
    #[must_use]
    pub fn propagate(self, propagates: bool) -> Self {
        self.with(|edge| edge.egress.trace_context = propagates)
    }

    /// Whether baggage is sent along, as far as the settings let it leave at all. On by default.
    #[must_use]
    pub fn baggage(self, sends_baggage: bool) -> Self {
        self.with(|edge| edge.egress.baggage = sends_baggage)
    }

    /// Calls for which `is_traced` is false get neither span nor metrics nor headers. Is given
    /// `package.Service/Method`.
    #[must_use]
    pub fn filter(self, is_traced: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        self.with(|edge| edge.filter = Some(Arc::new(is_traced)))
    }

    /// Request metadata recorded as `rpc.request.metadata.<key>`. Credentials are refused.
    #[must_use]
    pub fn capture_request_metadata(self, keys: impl IntoIterator<Item = HeaderName>) -> Self {
        let capture = Capture::new("rpc.request.metadata.", keys);
        self.with(|edge| edge.request_metadata = capture)
    }

    /// Response metadata recorded as `rpc.response.metadata.<key>`. Credentials are refused.
    #[must_use]
    pub fn capture_response_metadata(self, keys: impl IntoIterator<Item = HeaderName>) -> Self {
        let capture = Capture::new("rpc.response.metadata.", keys);
        self.with(|edge| edge.response_metadata = capture)
    }

    /// Adds an `rpc.message` event for every message of a call. Off by default.
    #[must_use]
    pub fn message_events(self, with_messages: bool) -> Self {
        self.with(|edge| edge.with_messages = with_messages)
    }
}

impl<B: 'static> Edge<B> for ClientEdge {
    type Observer = ClientCall;

    fn begin(self: &Arc<Self>, request: &mut Request<B>) -> Exchange<ClientCall> {
        let current = Context::current();
        let path = request.uri().path();
        let is_traced =
            self.filter.as_ref().is_none_or(|is_traced| is_traced(path.strip_prefix('/').unwrap_or(path)));
        if !is_traced || current.is_telemetry_suppressed() {
            return Exchange::unobserved(current);
        }
        let (span, mut call) = ClientCall::start(Arc::clone(self), request, current);
        self.egress.inject(&self.telemetry, span.context(), request.headers_mut());
        if self.with_messages && span.is_recording() {
            messages::watch_request(request.body_mut(), MessageEvents::sent(), span.context());
            call.messages = Some(MessageEvents::received());
        }
        Exchange::observed(span, call)
    }
}

impl fmt::Debug for ClientEdge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientEdge")
            .field("target", &self.target)
            .field("egress", &self.egress)
            .finish_non_exhaustive()
    }
}

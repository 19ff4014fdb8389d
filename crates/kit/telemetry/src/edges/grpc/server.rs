//! The gRPC server layer.

use std::fmt;
use std::sync::Arc;

use http::{HeaderMap, HeaderName, Request};

use super::Filter;
use super::messages::{self, MessageEvents};
use super::methods::{Methods, Naming};
use super::server_call::{ServedLabels, ServerCall};
use crate::core::exchange::asked::Asked;
use crate::core::exchange::attributes::{Capture, Hosts};
use crate::core::exchange::border::{CallerTrust, Own};
use crate::core::exchange::{Edge, Exchange, ResponseBody, ResponseFuture, Traced, layer};
use crate::core::handle::Telemetry;
use crate::core::readings::{REQUEST_SECONDS, durations};
use crate::core::series::DurationSeries;

/// The body of a traced response; its end is the end of the span.
pub type ServerBody<B> = ResponseBody<B, ServerCall>;

/// The future of a traced service.
pub type ServerFuture<F> = ResponseFuture<F, ServerCall>;

layer! {
    /// Opens a SERVER span for every call, from its head to the end of the response stream.
    ///
    /// Wraps tonic's routes, as a tower layer or as a layer of the axum router they become. The span carries the
    /// status that the trailers carry; it is an error only for the codes that are the server's own trouble (UNKNOWN,
    /// DEADLINE_EXCEEDED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE, DATA_LOSS). A caller that goes away leaves CANCELLED.
    ///
    /// Methods get a name once the server has answered them with anything but UNIMPLEMENTED, up to a bound; better is
    /// to say which there are: [`methods`](Self::methods). Health checks are not traced unless
    /// [asked for](Self::trace_health_checks).
    ///
    /// ```
    /// use tonic::service::Routes;
    /// use waypost_telemetry::{Telemetry, grpc::Methods};
    ///
    /// # let telemetry = Telemetry::disabled();
    /// let traced = telemetry.grpc_server().methods(Methods::new(["shop.v1.Stock/Check"]));
    /// let app: axum::Router = Routes::default().into_axum_router().layer(traced);
    /// ```
    ServerLayer of ServerEdge
}

/// A service behind a [`ServerLayer`].
///
/// ```
/// use tower::Layer as _;
/// use waypost_telemetry::grpc::ServerService;
/// use waypost_telemetry::testing::TestTelemetry;
///
/// let telemetry = TestTelemetry::new("shop");
/// let traced: ServerService<axum::Router> = telemetry.grpc_server().layer(axum::Router::new());
/// # drop(traced);
/// ```
pub type ServerService<S> = Traced<S, ServerEdge>;

/// What the layer, its services and its spans share.
#[derive(Clone)]
pub struct ServerEdge {
    pub(super) telemetry: Telemetry,
    own: Own,
    pub(super) duration: DurationSeries<ServedLabels>,
    trust: CallerTrust,
    /// Which calls come over the border, if not all or none.
    is_public: Option<IsPublic>,
    pub(super) naming: Naming,
    pub(super) hosts: Hosts,
    pub(super) request_metadata: Capture,
    pub(super) response_metadata: Capture,
    with_messages: bool,
    with_health_checks: bool,
    filter: Option<Filter>,
}

/// Says whether a call comes over the border.
type IsPublic = Arc<Asked<dyn Fn(&str, &HeaderMap) -> bool + Send + Sync>>;

impl ServerLayer {
    /// The layer of a telemetry handle; the same as [`Telemetry::grpc_server`].
    ///
    /// ```
    /// use http::HeaderName;
    /// use waypost_telemetry::{Telemetry, grpc::{Methods, ServerLayer}};
    ///
    /// # let telemetry = Telemetry::disabled();
    /// let layer = ServerLayer::new(&telemetry)
    ///     .methods(Methods::new(["shop.v1.Stock/Check"]))
    ///     .public_endpoint(true)
    ///     .continue_when_public(false)
    ///     .filter(|method| method != "shop.v1.Stock/Ping")
    ///     .trace_health_checks(true)
    ///     .capture_request_metadata([HeaderName::from_static("x-plan")])
    ///     .capture_response_metadata([HeaderName::from_static("x-cache")])
    ///     .message_events(true);
    /// # drop(layer);
    /// ```
    pub fn new(telemetry: &Telemetry) -> Self {
        let duration = durations(
            telemetry.meter(),
            "rpc.server.call.duration",
            "Measures the duration of inbound remote procedure calls (RPC).",
            &REQUEST_SECONDS,
        );
        let edge = ServerEdge {
            telemetry: telemetry.clone(),
            own: Own::new(telemetry),
            duration: DurationSeries::new(duration, telemetry),
            trust: CallerTrust::Inside,
            is_public: None,
            naming: Naming::learned(),
            hosts: Hosts::default(),
            request_metadata: Capture::default(),
            response_metadata: Capture::default(),
            with_messages: false,
            with_health_checks: false,
            filter: None,
        };
        Self::of(edge)
    }

    /// The methods this server serves; every other is `_OTHER`.
    #[must_use]
    pub fn methods(self, methods: Methods) -> Self {
        self.with(|edge| edge.naming = Naming::listed(methods))
    }

    /// At the border of the system: every call begins a new trace with a link to the span the caller sent; its
    /// baggage and tracestate are dropped. Off by default.
    #[must_use]
    pub fn public_endpoint(self, is_public: bool) -> Self {
        self.with(|edge| {
            edge.trust = CallerTrust::public(is_public);
            edge.is_public = None;
        })
    }

    /// As [`public_endpoint`](Self::public_endpoint), for those calls for which `is_public` is true. Is given
    /// `package.Service/Method` and the metadata; where it panics the call comes from outside.
    ///
    /// ```
    /// # let telemetry = waypost_telemetry::Telemetry::disabled();
    /// let layer = telemetry.grpc_server().public_endpoint_for(|method, _| method.starts_with("shop.public."));
    /// # drop(layer);
    /// ```
    #[must_use]
    pub fn public_endpoint_for(
        self,
        is_public: impl Fn(&str, &HeaderMap) -> bool + Send + Sync + 'static,
    ) -> Self {
        let is_public = Asked::new("`public_endpoint_for` of a layer", is_public);
        self.with(|edge| {
            edge.trust = CallerTrust::public(true);
            edge.is_public = Some(Arc::new(is_public));
        })
    }

    /// At the border of the system, but the caller's trace is continued. Baggage is still dropped. Without effect
    /// unless [`public_endpoint`](Self::public_endpoint) was set before.
    #[must_use]
    pub fn continue_when_public(self, continues: bool) -> Self {
        self.with(|edge| edge.trust = edge.trust.continuing(continues))
    }

    /// Calls for which `is_traced` is false get neither span nor metrics; their context is carried on. Is given
    /// the path without its first slash, `package.Service/Method`. Where it panics the call is traced.
    #[must_use]
    pub fn filter(self, is_traced: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        self.with(|edge| edge.filter = Some(Arc::new(Asked::new("the filter of a layer", is_traced))))
    }

    /// Whether calls of `grpc.health.v1.Health` are traced. Off by default.
    #[must_use]
    pub fn trace_health_checks(self, are_traced: bool) -> Self {
        self.with(|edge| edge.with_health_checks = are_traced)
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

    /// Adds an `rpc.message` event for every message of a call. Off by default. The conventions have deprecated these
    /// events without another form.
    #[must_use]
    pub fn message_events(self, with_messages: bool) -> Self {
        self.with(|edge| edge.with_messages = with_messages)
    }
}

/// Lets tonic's own server find the service's name behind the layer.
impl<S: tonic::server::NamedService> tonic::server::NamedService for ServerService<S> {
    const NAME: &'static str = S::NAME;
}

impl<B: 'static> Edge<B> for ServerEdge {
    type Observer = ServerCall;

    fn begin(self: &Arc<Self>, request: &mut Request<B>) -> Exchange<ServerCall> {
        let trust = self.trust_in(request.uri().path(), request.headers());
        let caller = trust.caller(&self.telemetry, &self.own, request.headers());
        if !self.is_traced(request.uri().path()) {
            return Exchange::unobserved(caller.context());
        }
        if !self.telemetry.is_enabled() {
            return Exchange::unobserved(self.telemetry.passed_on(caller.context()));
        }
        let timer = self.telemetry.timer();
        let (span, mut call) = ServerCall::start(Arc::clone(self), request, caller, trust);
        if self.with_messages && span.records() {
            messages::watch_request(request.body_mut(), MessageEvents::received(), span.context());
            call.messages = Some(MessageEvents::sent());
        }
        Exchange::observed(span, call, timer)
    }
}

impl ServerEdge {
    fn trust_in(&self, path: &str, metadata: &HeaderMap) -> CallerTrust {
        let method = path.strip_prefix('/').unwrap_or(path);
        let is_public = self.is_public.as_ref();
        let is_public =
            is_public.is_none_or(|asked| asked.ask(true, |is_public| is_public(method, metadata)));
        if is_public { self.trust } else { CallerTrust::Inside }
    }

    fn is_traced(&self, path: &str) -> bool {
        let method = path.strip_prefix('/').unwrap_or(path);
        (self.with_health_checks || !method.starts_with("grpc.health.v1.Health/"))
            && self.filter.as_ref().is_none_or(|filter| filter.ask(true, |is_traced| is_traced(method)))
    }
}

impl fmt::Debug for ServerEdge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerEdge")
            .field("trust", &self.trust)
            .field("naming", &self.naming)
            .finish_non_exhaustive()
    }
}

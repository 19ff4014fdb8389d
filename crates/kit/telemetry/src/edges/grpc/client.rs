//! The gRPC client layer.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use http::uri::Authority;
use http::{HeaderName, Request, Uri};
use opentelemetry::{Context, KeyValue};

use super::Filter;
use super::client_call::{CallLabels, ClientCall};
use super::connection::Peer;
use super::messages::{self, MessageEvents};
use super::methods::Naming;
use crate::base::slots::Slots;
use crate::core::exchange::asked::Asked;
use crate::core::exchange::attributes::{self, Capture, Host};
use crate::core::exchange::border::Egress;
use crate::core::exchange::unix_socket::UnixSocket;
use crate::core::exchange::{Edge, Exchange, ResponseBody, ResponseFuture, Traced, layer};
use crate::core::handle::Telemetry;
use crate::core::readings::{REQUEST_SECONDS, durations};
use crate::core::series::DurationSeries;

/// The body of a traced response; its end is the end of the span.
pub type ClientBody<B> = ResponseBody<B, ClientCall>;

/// The future of a traced call.
pub type ClientFuture<F> = ResponseFuture<F, ClientCall>;

layer! {
    /// Opens a CLIENT span for every call, from its head to the end of the response stream.
    ///
    /// Wraps tonic's channel or any service in its place. Every code but OK that the server sent or the transport made
    /// is an error. A caller that no longer waits is not, unless its own `grpc-timeout` had run out: the span says
    /// CANCELLED and `waypost.outcome = cancelled`, its status stays unset. The conventions of RPC have no such
    /// exemption, those of HTTP do; a request that was given up on purpose (a hedged call, `select!`) failed nowhere.
    /// Trace context (a header value marked as sensitive, so that HTTP/2 does not index what never comes again, but for the
    /// first one of a connection) and baggage are sent along, as RPCs stay inside
    /// the system; the settings decide which baggage may leave at all. Put it inside of retries, so that every attempt
    /// is a span. [`TracedChannel`](super::TracedChannel) is this layer around tonic's channel.
    ClientLayer of ClientEdge
}

/// A service behind a [`ClientLayer`].
///
/// ```
/// use tower::Layer as _;
/// use waypost_telemetry::grpc::ClientService;
/// use waypost_telemetry::testing::TestTelemetry;
///
/// #[derive(Clone)]
/// struct Transport;
///
/// let telemetry = TestTelemetry::new("shop");
/// let traced: ClientService<Transport> = telemetry.grpc_client().layer(Transport);
/// # drop(traced);
/// ```
pub type ClientService<S> = Traced<S, ClientEdge>;

/// What the layer, its services and its spans share.
#[derive(Clone)]
pub struct ClientEdge {
    pub(super) telemetry: Telemetry,
    pub(super) duration: DurationSeries<CallLabels>,
    egress: Egress,
    pub(super) naming: Naming,
    pub(super) target: Option<Target>,
    /// Who answers, where the channel behind the layer is known.
    pub(super) peer: Option<Peer>,
    /// `network.peer.address` and `network.peer.port` of those that answers have told of.
    pub(super) told_peers: Arc<Slots<SocketAddr, [KeyValue; 2]>>,
    pub(super) request_metadata: Capture,
    pub(super) response_metadata: Capture,
    with_messages: bool,
    filter: Option<Filter>,
}

/// Whom the caller meant to reach; not the address that a proxy or a resolver made of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Target {
    pub(super) address: Arc<str>,
    pub(super) port: Option<u16>,
}

impl Target {
    pub(super) fn of(uri: &Uri) -> Option<Self> {
        Some(Self::at(uri.authority()?, uri))
    }

    /// Whom a request names by itself, in its URI or its `Host` header.
    pub(super) fn of_request<B>(request: &Request<B>) -> Option<Self> {
        let authority = attributes::authority(request.uri(), request.headers())?;
        Some(Self::at(&authority, request.uri()))
    }

    fn at(authority: &Authority, uri: &Uri) -> Self {
        let host = Host::of(authority);
        let port = host.port_or_default(uri.scheme_str().unwrap_or("http"));
        Self { address: host.address.into(), port }
    }
}

impl ClientLayer {
    /// The layer of a telemetry handle; the same as [`Telemetry::grpc_client`].
    ///
    /// ```
    /// use http::HeaderName;
    /// use waypost_telemetry::{Telemetry, grpc::ClientLayer};
    ///
    /// # let telemetry = Telemetry::disabled();
    /// let layer = ClientLayer::new(&telemetry)
    ///     .target(&"http://stock:9090".parse()?)
    ///     .propagate(true)
    ///     .baggage(false)
    ///     .filter(|method| !method.starts_with("grpc.health.v1."))
    ///     .capture_request_metadata([HeaderName::from_static("x-plan")])
    ///     .capture_response_metadata([HeaderName::from_static("x-cache")])
    ///     .message_events(true);
    /// # drop(layer);
    /// # Ok::<(), http::uri::InvalidUri>(())
    /// ```
    pub fn new(telemetry: &Telemetry) -> Self {
        let duration = durations(
            telemetry.meter(),
            "rpc.client.call.duration",
            "Measures the duration of outbound remote procedure calls (RPC).",
            &REQUEST_SECONDS,
        );
        let edge = ClientEdge {
            telemetry: telemetry.clone(),
            duration: DurationSeries::new(duration, telemetry),
            egress: Egress { trace_context: true, baggage: true, has_tables: true },
            naming: Naming::learned(),
            target: None,
            peer: None,
            told_peers: Arc::default(),
            request_metadata: Capture::default(),
            response_metadata: Capture::default(),
            with_messages: false,
            filter: None,
        };
        Self::of(edge)
    }

    /// The target of the channel behind the layer, `server.address` and `server.port` of all spans. Without it they
    /// are taken from the requests' URI or `Host` header; tonic's clients send neither unless they are made
    /// `with_origin`.
    #[must_use]
    pub fn target(self, target: &Uri) -> Self {
        let target = Target::of(target);
        self.with(|edge| edge.target = target)
    }

    /// The same for a channel to a Unix-domain socket: `server.address` is its path, and there is no port.
    ///
    /// ```
    /// use waypost_telemetry::{Telemetry, grpc::{ClientLayer, UnixSocket}};
    ///
    /// # let telemetry = Telemetry::disabled();
    /// let layer = ClientLayer::new(&telemetry).target_socket(&UnixSocket::new("/run/shop/stock.sock"));
    /// # drop(layer);
    /// ```
    #[must_use]
    pub fn target_socket(self, socket: &UnixSocket) -> Self {
        let target = Target { address: socket.shared_path(), port: None };
        self.with(|edge| edge.target = Some(target))
    }

    /// The channel behind the layer.
    pub(super) fn peer(self, peer: Peer) -> Self {
        self.with(|edge| edge.peer = Some(peer))
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
    /// `package.Service/Method`. Where it panics the call is traced.
    #[must_use]
    pub fn filter(self, is_traced: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        self.with(|edge| edge.filter = Some(Arc::new(Asked::new("the filter of a layer", is_traced))))
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

impl<B: 'static> Edge<B> for ClientEdge {
    type Observer = ClientCall;

    fn begin(self: &Arc<Self>, request: &mut Request<B>) -> Exchange<ClientCall> {
        let current = Context::current();
        let path = request.uri().path();
        let method = path.strip_prefix('/').unwrap_or(path);
        let is_traced =
            self.filter.as_ref().is_none_or(|filter| filter.ask(true, |is_traced| is_traced(method)));
        if !is_traced || current.is_telemetry_suppressed() {
            return Exchange::unobserved(current);
        }
        if !self.telemetry.is_enabled() {
            let context = self.telemetry.passed_on(current);
            self.egress().inject(&self.telemetry, &context, request.headers_mut());
            return Exchange::unobserved(context);
        }
        let timer = self.telemetry.timer();
        let (span, mut call) = ClientCall::start(Arc::clone(self), request, current);
        self.egress().inject(&self.telemetry, span.context(), request.headers_mut());
        if self.with_messages && span.records() {
            messages::watch_request(request.body_mut(), MessageEvents::sent(), span.context());
            call.messages = Some(MessageEvents::received());
        }
        Exchange::observed(span, call, timer)
    }
}

impl ClientEdge {
    /// The first `traceparent` of a connection enters the tables, for its name: those after it are then sent without theirs.
    fn egress(&self) -> Egress {
        let is_first = self.peer.as_ref().is_some_and(Peer::is_first_request);
        Egress { has_tables: self.egress.has_tables && !is_first, ..self.egress }
    }

    /// `network.peer.address` and `network.peer.port`, written once for each peer of most programs.
    pub(super) fn told_peer(&self, peer: SocketAddr) -> [KeyValue; 2] {
        if let Some(known) = self.told_peers.find(&peer) {
            return known.clone();
        }
        let written = attributes::shared_network_peer(peer);
        self.told_peers.keep(peer, written.clone());
        written
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

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use http::{Response, StatusCode};
    use tower::{Layer as _, ServiceExt as _, service_fn};

    use super::*;
    use crate::base::config::{Exporter, Settings};

    #[tokio::test]
    async fn the_first_traceparent_of_a_connection_is_indexed_and_no_other() {
        let mut settings = Settings::new("order");
        settings.traces.exporters = vec![Exporter::Memory];
        let telemetry = crate::core::init::init(settings).unwrap();
        let tells = service_fn(async |request: Request<()>| {
            let mut answer = Response::new(String::new());
            let is_sensitive = request.headers()["traceparent"].is_sensitive();
            *answer.status_mut() = if is_sensitive { StatusCode::OK } else { StatusCode::CREATED };
            Ok::<_, Infallible>(answer)
        });
        let peer = Peer::at(([127, 0, 0, 1], 9_090).into());
        let traced = ClientLayer::new(&telemetry).peer(peer).layer(tells);
        let mut seen = Vec::new();
        for _ in 0..3 {
            let request = Request::post("http://stock:9090/it.Echo/Unary").body(()).unwrap();
            seen.push(traced.clone().oneshot(request).await.unwrap().status());
        }
        assert_eq!(seen, [StatusCode::CREATED, StatusCode::OK, StatusCode::OK]);
    }
}

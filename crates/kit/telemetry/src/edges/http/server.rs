//! The HTTP server layer: where a remote caller's context enters.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use http::Request;
use opentelemetry::Key;

use super::head::RequestHead;
use super::metric_labels::MetricLabels;
use super::options::{Options, setters};
use super::server_span::{ActiveLabels, RequestLabels, ServerSpan};
use crate::base::names;
use crate::core::exchange::attributes::{self, Hosts};
use crate::core::exchange::border::{CallerTrust, Own};
use crate::core::exchange::forwarded::TrustedProxies;
use crate::core::exchange::{Edge, Exchange, ResponseBody, ResponseFuture, Traced, layer};
use crate::core::handle::Telemetry;
use crate::core::readings::{REQUEST_SECONDS, durations};
use crate::core::series::{ActiveSeries, DurationSeries};

/// The body of a traced response; its end is the end of the span.
pub type ServerBody<B> = ResponseBody<B, ServerSpan>;

/// The future of a traced service.
pub type ServerFuture<F> = ResponseFuture<F, ServerSpan>;

layer! {
    /// Opens a SERVER span for every request, from its head to the end of the response's body.
    ///
    /// Give it to `Router::layer`: it runs after routing and names the span by the matched route. Outside a router,
    /// or for a path that no route matches, the span is named by the method alone and has no `http.route`.
    ///
    /// The span ends once, with one of four outcomes: ok; error (a 5xx answer or a body that fails); cancelled (the
    /// client went away, so that the response or its body was dropped); panic (which goes on to whoever catches it).
    /// A response that could not be sent whole has failed, by the conventions: cancelled is an error of the type
    /// `cancelled`, marked by `waypost.outcome` as well.
    /// `http.server.request.duration` and `http.server.active_requests` are recorded whatever the sampler decides.
    ///
    /// ```
    /// use axum::{Router, routing::get};
    /// use waypost_telemetry::Telemetry;
    ///
    /// # let telemetry = Telemetry::disabled();
    /// let app: Router = Router::new()
    ///     .route("/orders/{id}", get(async || "order"))
    ///     .layer(telemetry.http_server().filter(|request| request.uri.path() != "/health"));
    /// ```
    ServerLayer of ServerEdge
}

/// A service behind a [`ServerLayer`].
///
/// ```
/// use tower::Layer as _;
/// use waypost_telemetry::http::ServerService;
/// use waypost_telemetry::testing::TestTelemetry;
///
/// let telemetry = TestTelemetry::new("shop");
/// let traced: ServerService<axum::Router> = telemetry.http_server().layer(axum::Router::new());
/// # drop(traced);
/// ```
pub type ServerService<S> = Traced<S, ServerEdge>;

/// What the layer, its services and its spans share.
#[derive(Clone)]
pub struct ServerEdge {
    pub(super) telemetry: Telemetry,
    own: Own,
    pub(super) duration: DurationSeries<RequestLabels>,
    pub(super) active: ActiveSeries<ActiveLabels>,
    pub(super) names: names::Cache,
    pub(super) trust: CallerTrust,
    pub(super) scheme: &'static str,
    pub(super) hosts: Hosts,
    pub(super) label_keys: Arc<[Key]>,
    pub(super) answers_with_trace: bool,
    pub(super) options: Options,
    pub(super) proxies: TrustedProxies,
}

impl ServerLayer {
    /// The layer of a telemetry handle; the same as [`Telemetry::http_server`].
    ///
    /// ```
    /// use http::HeaderName;
    /// use waypost_telemetry::{Telemetry, http::ServerLayer, redact::SensitiveKeys};
    ///
    /// # let telemetry = Telemetry::disabled();
    /// let layer = ServerLayer::new(&telemetry)
    ///     .public_endpoint(true)
    ///     .continue_when_public(false)
    ///     .known_methods(["GET", "POST", "PURGE"])
    ///     .sensitive_query_keys(SensitiveKeys::new(["token"]))
    ///     .capture_request_headers([HeaderName::from_static("x-plan")])
    ///     .capture_response_headers([HeaderName::from_static("x-cache")])
    ///     .metric_labels(["customer.tier"])
    ///     .trusted_proxies(|peer| peer.is_loopback())
    ///     .scheme("https")
    ///     .trace_response(true);
    /// # drop(layer);
    /// ```
    pub fn new(telemetry: &Telemetry) -> Self {
        let meter = telemetry.meter();
        let duration = durations(
            meter,
            "http.server.request.duration",
            "Duration of HTTP server requests.",
            &REQUEST_SECONDS,
        );
        let active = meter
            .i64_up_down_counter("http.server.active_requests")
            .with_description("Number of active HTTP server requests.")
            .with_unit("{request}")
            .build();
        let edge = ServerEdge {
            telemetry: telemetry.clone(),
            own: Own::new(telemetry),
            duration: DurationSeries::new(duration, telemetry),
            active: ActiveSeries::new(active, telemetry),
            names: names::Cache::new(names::Kind::Route),
            trust: CallerTrust::Inside,
            scheme: "http",
            hosts: Hosts::default(),
            label_keys: Arc::new([]),
            answers_with_trace: false,
            options: Options::default(),
            proxies: TrustedProxies::default(),
        };
        Self::of(edge)
    }

    /// At the border of the system: every request begins a new trace, sampled by our own decision, with a link to
    /// the span the caller sent. The caller's baggage and tracestate are dropped. Off by default.
    #[must_use]
    pub fn public_endpoint(self, is_public: bool) -> Self {
        self.with(|edge| edge.trust = CallerTrust::public(is_public))
    }

    /// At the border of the system, but the caller's trace is continued, for callers that are known and wish it.
    /// Baggage is still dropped. Without effect unless [`public_endpoint`](Self::public_endpoint) was set before.
    #[must_use]
    pub fn continue_when_public(self, continues: bool) -> Self {
        self.with(|edge| edge.trust = edge.trust.continuing(continues))
    }

    /// Keys a handler may add to the duration metric through the [`MetricLabels`] extension of its request.
    #[must_use]
    pub fn metric_labels(self, keys: impl IntoIterator<Item = &'static str>) -> Self {
        let keys = keys.into_iter().map(Key::from_static_str).collect();
        self.with(|edge| edge.label_keys = keys)
    }

    /// Peers whose `X-Forwarded-For`, `X-Forwarded-Proto` and `X-Forwarded-Host`, or `Forwarded`, are believed: for
    /// `client.address`, `url.scheme`, `server.address` and `server.port`. Nobody by default, and nobody where it
    /// panics. A proxy that is trusted must set these headers or remove them. Addresses are canonical: an IPv4 peer of
    /// a listener for both families is asked for as IPv4.
    #[must_use]
    pub fn trusted_proxies(self, is_trusted: impl Fn(IpAddr) -> bool + Send + Sync + 'static) -> Self {
        self.with(|edge| edge.proxies = TrustedProxies::new(is_trusted))
    }

    /// The scheme of this listener, for requests that do not name it. `http` by default.
    #[must_use]
    pub fn scheme(self, scheme: &'static str) -> Self {
        self.with(|edge| edge.scheme = scheme)
    }

    /// Answers with a `traceresponse` header that names the span, for callers who want to look it up. Off by default.
    #[must_use]
    pub fn trace_response(self, answers_with_trace: bool) -> Self {
        self.with(|edge| edge.answers_with_trace = answers_with_trace)
    }
}

setters!(ServerLayer);

impl<B> Edge<B> for ServerEdge {
    type Observer = ServerSpan;

    fn begin(self: &Arc<Self>, request: &mut Request<B>) -> Exchange<ServerSpan> {
        let caller = self.trust.caller(&self.telemetry, &self.own, request.headers());
        let route = attributes::matched_route(request.extensions());
        if !self.options.traces(&RequestHead::of(request, route)) {
            return Exchange::unobserved(caller.context());
        }
        // A handle that is disabled may still have to name the caller's span in its answer.
        if !self.telemetry.is_enabled() && self.label_keys.is_empty() && !self.answers_with_trace {
            return Exchange::unobserved(self.telemetry.passed_on(caller.context()));
        }
        let labels = (!self.label_keys.is_empty()).then(|| MetricLabels::of(&self.label_keys));
        if let Some(labels) = &labels {
            request.extensions_mut().insert(labels.clone());
        }
        let begun = Instant::now();
        let (span, observer) = ServerSpan::start(Arc::clone(self), request, caller, labels);
        Exchange::observed(span, observer, begun)
    }
}

impl fmt::Debug for ServerEdge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerEdge")
            .field("trust", &self.trust)
            .field("scheme", &self.scheme)
            .finish_non_exhaustive()
    }
}

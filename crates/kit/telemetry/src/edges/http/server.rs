//! The HTTP server layer: where a remote caller's context enters.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use http::Request;
use http_body::Body;
use opentelemetry::Key;

use super::head::RequestHead;
use super::metric_labels::MetricLabels;
use super::options::{Options, setters};
use super::route::known_route;
use super::server_span::{ActiveLabels, Began, RequestLabels, ServerSpan};
use super::sizes::{self, BodySizes, Sizes};
use super::streaming::{StreamSpan, Streaming};
use crate::base::names;
use crate::core::exchange::asked::Asked;
use crate::core::exchange::attributes::Hosts;
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
    pub(super) sizes: Option<BodySizes<RequestLabels>>,
    pub(super) active: ActiveSeries<ActiveLabels>,
    pub(super) names: names::Cache,
    trust: CallerTrust,
    /// Which requests come over the border, if not all or none.
    is_public: Option<IsPublic>,
    extractor: Option<Extractor>,
    pub(super) scheme: &'static str,
    pub(super) hosts: Hosts,
    pub(super) label_keys: Arc<[Key]>,
    pub(super) answers_with_trace: bool,
    pub(super) options: Options,
    pub(super) proxies: TrustedProxies,
}

/// Says whether a request comes over the border.
type IsPublic = Arc<Asked<dyn Fn(&RequestHead<'_>) -> bool + Send + Sync>>;

/// Finds the route of a request.
type Extractor = Arc<Asked<dyn Fn(&RequestHead<'_>) -> Option<Cow<'static, str>> + Send + Sync>>;

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
            sizes: None,
            active: ActiveSeries::new(active, telemetry),
            names: names::Cache::new(names::Kind::Route),
            trust: CallerTrust::Inside,
            is_public: None,
            extractor: None,
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
        self.with(|edge| {
            edge.trust = CallerTrust::public(is_public);
            edge.is_public = None;
        })
    }

    /// As [`public_endpoint`](Self::public_endpoint), for those requests for which `is_public` is true: for a listener
    /// that serves outsiders and the system's own services. Where it panics the request comes from outside.
    ///
    /// ```
    /// use waypost_telemetry::http::filters::{not, path_prefix};
    ///
    /// # let telemetry = waypost_telemetry::Telemetry::disabled();
    /// let layer = telemetry.http_server().public_endpoint_for(not(path_prefix("/internal")));
    /// # drop(layer);
    /// ```
    #[must_use]
    pub fn public_endpoint_for(
        self,
        is_public: impl Fn(&RequestHead<'_>) -> bool + Send + Sync + 'static,
    ) -> Self {
        let is_public = Asked::new("`public_endpoint_for` of a layer", is_public);
        self.with(|edge| {
            edge.trust = CallerTrust::public(true);
            edge.is_public = Some(Arc::new(is_public));
        })
    }

    /// Finds the route of a request, for routers other than axum's that have matched it before the layer runs, or that
    /// can be asked. `None` leaves what a [`RouteTemplate`](super::RouteTemplate) says. It returns the template, from the
    /// program's text, never the path.
    ///
    /// ```
    /// # let telemetry = waypost_telemetry::Telemetry::disabled();
    /// let layer = telemetry.http_server().route_extractor(|request| {
    ///     request.path().starts_with("/orders/").then_some("/orders/{id}".into())
    /// });
    /// # drop(layer);
    /// ```
    #[must_use]
    pub fn route_extractor(
        self,
        extractor: impl Fn(&RequestHead<'_>) -> Option<Cow<'static, str>> + Send + Sync + 'static,
    ) -> Self {
        let extractor = Asked::new("`route_extractor` of a layer", extractor);
        self.with(|edge| edge.extractor = Some(Arc::new(extractor)))
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

impl<B: Body + 'static> Edge<B> for ServerEdge {
    type Observer = ServerSpan;

    fn begin(self: &Arc<Self>, request: &mut Request<B>) -> Exchange<ServerSpan> {
        let extracted = self.extract_route(request);
        let route = extracted.as_deref().or_else(|| known_route(request.extensions()));
        let head = RequestHead::of(request, route);
        let trust = self.trust_in(&head);
        let caller = trust.caller(&self.telemetry, &self.own, request.headers());
        if !self.options.traces(&head) {
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
        let sizes = self.sizes.is_some().then(|| Sizes::of(request));
        let timer = self.telemetry.timer();
        let route = extracted.as_deref().or_else(|| known_route(request.extensions()));
        let head = RequestHead::of(request, route);
        let (span, observer) = ServerSpan::start(
            Arc::clone(self),
            &head,
            request.version(),
            Began { caller, trust, labels, sizes },
        );
        if let Some(streaming) = &self.options.streaming {
            request.extensions_mut().insert(streaming.timer(observer.stream_labels()));
        }
        Exchange::observed(span, observer, timer)
    }
}

impl ServerEdge {
    fn extract_route<B>(&self, request: &Request<B>) -> Option<Cow<'static, str>> {
        let extractor = self.extractor.as_ref()?;
        let head = RequestHead::of(request, known_route(request.extensions()));
        extractor.ask(None, |extract| extract(&head))
    }

    fn trust_in(&self, head: &RequestHead<'_>) -> CallerTrust {
        let is_public =
            self.is_public.as_ref().is_none_or(|asked| asked.ask(true, |is_public| is_public(head)));
        if is_public { self.trust } else { CallerTrust::Inside }
    }

    pub(super) fn measure_sizes(&mut self, are_measured: bool) {
        self.sizes = are_measured.then(|| {
            let meter = self.telemetry.meter();
            let request = sizes::histogram(
                meter,
                "http.server.request.body.size",
                "Size of HTTP server request bodies.",
            );
            let response = sizes::histogram(
                meter,
                "http.server.response.body.size",
                "Size of HTTP server response bodies.",
            );
            BodySizes::new(&self.telemetry, [request, response])
        });
    }

    pub(super) fn measure_streams(&mut self, span: StreamSpan) {
        self.options.streaming = Some(Streaming::of_server(&self.telemetry, span));
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

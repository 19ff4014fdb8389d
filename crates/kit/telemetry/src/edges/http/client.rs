//! The HTTP client layer: where our context leaves.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use http::{Extensions, HeaderValue, Request, header};
use http_body::Body;
use opentelemetry::Context;

use super::client_span::{CallLabels, ClientSpan, scheme};
use super::destinations::Destinations;
use super::head::RequestHead;
use super::options::{Options, setters};
use super::sizes::{self, BodySizes, Sizes};
use super::streaming::{StreamSpan, Streaming};
use crate::base::names;
use crate::base::slots::Slots;
use crate::core::exchange::attributes;
use crate::core::exchange::border::Egress;
use crate::core::exchange::{Edge, Exchange, ResponseBody, ResponseFuture, Traced, layer};
use crate::core::handle::Telemetry;
use crate::core::readings::{REQUEST_SECONDS, durations};
use crate::core::series::DurationSeries;

/// The body of a traced response; its end is the end of the span.
pub type ClientBody<B> = ResponseBody<B, ClientSpan>;

/// The future of a traced call.
pub type ClientFuture<F> = ResponseFuture<F, ClientSpan>;

layer! {
    /// Opens a CLIENT span for every request a service sends, from its head to the end of the response's body.
    ///
    /// Wraps any tower service over `http::Request`: hyper's clients, a mock, a stack of layers. Put it inside of
    /// retries, so that every attempt is a span. A 4xx or 5xx answer is an error; a caller that no longer waits is not.
    /// The span ends when the body was read or the caller drops it, which in Rust is the caller's own act and no later
    /// clean-up; a body that is dropped unread ends it well.
    ///
    /// Trace context is injected unless [`propagate`](Self::propagate) says otherwise. Baggage is not: what one service
    /// tells another inside is nobody's business outside, so [`baggage`](Self::baggage) has to be asked for.
    ///
    /// ```
    /// use http::Request;
    /// use waypost_telemetry::{Telemetry, http::UrlTemplate};
    ///
    /// # let telemetry = Telemetry::disabled();
    /// use tower::ServiceBuilder;
    /// # let transport = tower::service_fn(async |_: Request<String>| Ok::<_, std::io::Error>(http::Response::new(String::new())));
    /// let provider = ServiceBuilder::new().layer(telemetry.http_client()).service(transport);
    ///
    /// let mut request = Request::post("http://provider:9095/v1/charges/ch_1/capture").body(String::new()).unwrap();
    /// request.extensions_mut().insert(UrlTemplate::new("/v1/charges/{id}/capture"));
    /// # drop((provider, request));
    /// ```
    ClientLayer of ClientEdge
}

/// A service behind a [`ClientLayer`].
///
/// ```
/// use tower::Layer as _;
/// use waypost_telemetry::http::ClientService;
/// use waypost_telemetry::testing::TestTelemetry;
///
/// #[derive(Clone)]
/// struct Transport;
///
/// let telemetry = TestTelemetry::new("shop");
/// let traced: ClientService<Transport> = telemetry.http_client().layer(Transport);
/// # drop(traced);
/// ```
pub type ClientService<S> = Traced<S, ClientEdge>;

/// The low-cardinality template of a request's path: an extension that names the span. From the program's text,
/// never from input.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// use http::{Request, Response};
/// use tower::{ServiceBuilder, ServiceExt as _};
/// use waypost_telemetry::{http::UrlTemplate, testing::TestTelemetry};
///
/// let telemetry = TestTelemetry::new("order-service");
/// let transport = tower::service_fn(async |_: Request<String>| Ok::<_, std::io::Error>(Response::new(String::new())));
/// let calls = ServiceBuilder::new().layer(telemetry.http_client()).service(transport);
/// let mut request = Request::get("http://shop/orders/7").body(String::new()).unwrap();
/// request.extensions_mut().insert(UrlTemplate::new("/orders/{id}"));
/// drop(calls.oneshot(request).await);
/// assert_eq!(telemetry.finished_spans()[0].name(), "GET /orders/{id}");
/// # });
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UrlTemplate(Cow<'static, str>);

impl UrlTemplate {
    /// A template such as `/v1/charges/{id}`.
    pub fn new(template: impl Into<Cow<'static, str>>) -> Self {
        Self(template.into())
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// How often the request was sent before, for those who retry: an extension, `http.request.resend_count`.
///
/// ```
/// use waypost_telemetry::http::ResendCount;
///
/// let mut request = http::Request::get("http://shop/orders/7").body(()).unwrap();
/// request.extensions_mut().insert(ResendCount(1)); // the second try
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResendCount(pub u32);

/// What the layer, its services and its spans share.
#[derive(Clone)]
pub struct ClientEdge {
    pub(super) telemetry: Telemetry,
    pub(super) duration: DurationSeries<CallLabels>,
    pub(super) sizes: Option<BodySizes<CallLabels>>,
    pub(super) names: names::Cache,
    addresses: Arc<Slots<Arc<str>, Arc<str>>>,
    pub(super) egress: Egress,
    destinations: Destinations,
    pub(super) template: Option<UrlTemplate>,
    pub(super) options: Options,
    user_agent: Option<HeaderValue>,
}

impl ClientLayer {
    /// The layer of a telemetry handle; the same as [`Telemetry::http_client`].
    ///
    /// ```
    /// use http::{HeaderName, HeaderValue};
    /// use waypost_telemetry::{Telemetry, http::ClientLayer, redact::SensitiveKeys};
    ///
    /// # let telemetry = Telemetry::disabled();
    /// let layer = ClientLayer::new(&telemetry)
    ///     .propagate(true)
    ///     .baggage(true)
    ///     .template("/v1/charges")
    ///     .filter(|request| request.uri.path() != "/health")
    ///     .user_agent(HeaderValue::from_static("shop/1.2"))
    ///     .known_methods(["GET", "POST", "PURGE"])
    ///     .sensitive_query_keys(SensitiveKeys::new(["token"]))
    ///     .capture_request_headers([HeaderName::from_static("x-plan")])
    ///     .capture_response_headers([HeaderName::from_static("x-cache")]);
    /// # drop(layer);
    /// ```
    pub fn new(telemetry: &Telemetry) -> Self {
        let duration = durations(
            telemetry.meter(),
            "http.client.request.duration",
            "Duration of HTTP client requests.",
            &REQUEST_SECONDS,
        );
        let edge = ClientEdge {
            telemetry: telemetry.clone(),
            duration: DurationSeries::new(duration, telemetry),
            sizes: None,
            names: names::Cache::new(names::Kind::UrlTemplate),
            addresses: Arc::default(),
            egress: Egress { trace_context: true, baggage: false, has_tables: false },
            destinations: Destinations::default(),
            template: None,
            options: Options::default(),
            user_agent: None,
        };
        Self::of(edge)
    }

    /// Whether the trace context is sent along. On by default; off for systems that have no business with it.
    #[must_use]
    pub fn propagate(self, propagates: bool) -> Self {
        self.with(|edge| edge.egress.trace_context = propagates)
    }

    /// The hosts that trace context and baggage are sent to, each `host`, `host:port` or `*.domain`; to others nothing of
    /// ours goes. Every host unless said. What an HTTP client does behind the layer is not seen: one that follows
    /// redirects takes the headers along.
    ///
    /// ```
    /// # let telemetry = waypost_telemetry::Telemetry::disabled();
    /// let layer = telemetry.http_client().propagate_to(["payment", "*.svc.cluster.local", "10.0.0.1:8080"]);
    /// # drop(layer);
    /// ```
    #[must_use]
    pub fn propagate_to<H: AsRef<str>>(self, hosts: impl IntoIterator<Item = H>) -> Self {
        let destinations = Destinations::new(hosts);
        self.with(|edge| edge.destinations = destinations)
    }

    /// Whether baggage is sent along, as far as the settings let it leave at all. Off by default.
    #[must_use]
    pub fn baggage(self, sends_baggage: bool) -> Self {
        self.with(|edge| edge.egress.baggage = sends_baggage)
    }

    /// The template of requests without a [`UrlTemplate`] of their own, for a client with one kind of request.
    #[must_use]
    pub fn template(self, template: impl Into<Cow<'static, str>>) -> Self {
        let template = UrlTemplate::new(template);
        self.with(|edge| edge.template = Some(template))
    }

    /// The `User-Agent` of requests that are traced and have none; hyper's clients send none. Unset by default: a layer
    /// sends nothing that it was not asked for but trace context.
    #[must_use]
    pub fn user_agent(self, agent: HeaderValue) -> Self {
        self.with(|edge| edge.user_agent = Some(agent))
    }
}

setters!(ClientLayer);

impl<B: Body + 'static> Edge<B> for ClientEdge {
    type Observer = ClientSpan;

    fn begin(self: &Arc<Self>, request: &mut Request<B>) -> Exchange<ClientSpan> {
        let current = Context::current();
        let head = RequestHead::of(request, self.template_of(request.extensions()));
        if !self.options.traces(&head) || current.is_telemetry_suppressed() {
            return Exchange::unobserved(current);
        }
        let egress = self.egress_to(&head);
        if let Some(agent) = &self.user_agent {
            request.headers_mut().entry(header::USER_AGENT).or_insert_with(|| agent.clone());
        }
        if !self.telemetry.is_enabled() {
            let context = self.telemetry.passed_on(current);
            egress.inject(&self.telemetry, &context, request.headers_mut());
            return Exchange::unobserved(context);
        }
        let sizes = self.sizes.is_some().then(|| Sizes::of(request));
        let timer = self.telemetry.timer();
        let head = RequestHead::of(request, self.template_of(request.extensions()));
        let (span, observer) = ClientSpan::start(Arc::clone(self), &head, current, sizes);
        egress.inject(&self.telemetry, span.context(), request.headers_mut());
        Exchange::observed(span, observer, timer)
    }
}

impl ClientEdge {
    fn template_of<'a>(&'a self, extensions: &'a Extensions) -> Option<&'a str> {
        extensions.get().or(self.template.as_ref()).map(UrlTemplate::as_str)
    }

    /// What may leave with a request.
    fn egress_to(&self, head: &RequestHead<'_>) -> Egress {
        let authority = attributes::authority(head.uri, head.headers);
        let scheme = scheme(head.uri, authority.as_deref());
        let is_reached = self.destinations.has(authority.as_deref(), scheme);
        Egress { trace_context: self.egress.trace_context && is_reached, ..self.egress }
    }

    pub(super) fn measure_sizes(&mut self, are_measured: bool) {
        self.sizes = are_measured.then(|| {
            let meter = self.telemetry.meter();
            let request = sizes::histogram(
                meter,
                "http.client.request.body.size",
                "Size of HTTP client request bodies.",
            );
            let response = sizes::histogram(
                meter,
                "http.client.response.body.size",
                "Size of HTTP client response bodies.",
            );
            BodySizes::new(&self.telemetry, [request, response])
        });
    }

    pub(super) fn measure_streams(&mut self, span: StreamSpan) {
        self.options.streaming = Some(Streaming::of_client(&self.telemetry, span));
    }

    /// The host of a request as it is kept for spans and metrics: copied once, for most programs.
    pub(super) fn address(&self, host: &str) -> Arc<str> {
        if let Some(known) = self.addresses.find_with(&host, |known| **known == *host) {
            return Arc::clone(known);
        }
        let address: Arc<str> = host.into();
        self.addresses.keep(Arc::clone(&address), Arc::clone(&address));
        address
    }
}

impl fmt::Debug for ClientEdge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientEdge").field("egress", &self.egress).finish_non_exhaustive()
    }
}

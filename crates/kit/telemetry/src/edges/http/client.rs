//! The HTTP client layer: where our context leaves.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use http::{HeaderName, Request};
use opentelemetry::Context;
use opentelemetry::metrics::Histogram;

use super::client_span::ClientSpan;
use super::server::{Filter, RequestHead};
use crate::base::redact::SensitiveKeys;
use crate::core::exchange::attributes::{Capture, KnownMethods};
use crate::core::exchange::border::Egress;
use crate::core::exchange::{Edge, Exchange, ResponseBody, ResponseFuture, Traced, layer};
use crate::core::handle::Telemetry;
use crate::core::readings::{REQUEST_SECONDS, durations};

/// The body of a traced response; its end is the end of the span.
pub type ClientBody<B> = ResponseBody<B, ClientSpan>;

/// The future of a traced call.
pub type ClientFuture<F> = ResponseFuture<F, ClientSpan>;

layer! {
    /// Opens a CLIENT span for every request a service sends, from its head to the end of the response's body.
    ///
    /// Wraps any tower service over `http::Request`: hyper's clients, a mock, a stack of layers. Put it inside of
    /// retries, so that every attempt is a span. A 4xx or 5xx answer is an error; a caller that no longer waits is not.
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
pub type ClientService<S> = Traced<S, ClientEdge>;

/// The low-cardinality template of a request's path: an extension that names the span. From the program's text,
/// never from input.
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResendCount(pub u32);

/// What the layer, its services and its spans share.
#[derive(Clone)]
pub struct ClientEdge {
    pub(super) telemetry: Telemetry,
    pub(super) duration: Histogram<f64>,
    pub(super) egress: Egress,
    pub(super) known_methods: KnownMethods,
    pub(super) sensitive_keys: SensitiveKeys,
    pub(super) request_headers: Capture,
    pub(super) response_headers: Capture,
    pub(super) template: Option<UrlTemplate>,
    pub(super) filter: Option<Filter>,
}

impl ClientLayer {
    /// The layer of a telemetry handle; the same as [`Telemetry::http_client`].
    pub fn new(telemetry: &Telemetry) -> Self {
        let duration = durations(
            telemetry.meter(),
            "http.client.request.duration",
            "Duration of HTTP client requests.",
            &REQUEST_SECONDS,
        );
        let edge = ClientEdge {
            telemetry: telemetry.clone(),
            duration,
            egress: Egress { trace_context: true, baggage: false },
            known_methods: KnownMethods::default(),
            sensitive_keys: SensitiveKeys::default(),
            request_headers: Capture::default(),
            response_headers: Capture::default(),
            template: None,
            filter: None,
        };
        Self::of(edge)
    }

    /// Whether the trace context is sent along. On by default; off for systems that have no business with it.
    #[must_use]
    pub fn propagate(self, propagates: bool) -> Self {
        self.with(|edge| edge.egress.trace_context = propagates)
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

    /// Requests for which `is_traced` is false get neither span nor metrics nor headers.
    #[must_use]
    pub fn filter(self, is_traced: impl Fn(&RequestHead<'_>) -> bool + Send + Sync + 'static) -> Self {
        self.with(|edge| edge.filter = Some(Arc::new(is_traced)))
    }

    /// The methods recorded by name, in place of those of RFC 9110, RFC 5789 and QUERY.
    #[must_use]
    pub fn known_methods(self, methods: impl IntoIterator<Item = &'static str>) -> Self {
        let methods = KnownMethods::new(methods);
        self.with(|edge| edge.known_methods = methods)
    }

    /// Query keys whose values are replaced in `url.full`, in place of the default list.
    #[must_use]
    pub fn sensitive_query_keys(self, keys: SensitiveKeys) -> Self {
        self.with(|edge| edge.sensitive_keys = keys)
    }

    /// Request headers recorded as `http.request.header.<name>`. Credentials are refused.
    #[must_use]
    pub fn capture_request_headers(self, names: impl IntoIterator<Item = HeaderName>) -> Self {
        let capture = Capture::new("http.request.header.", names);
        self.with(|edge| edge.request_headers = capture)
    }

    /// Response headers recorded as `http.response.header.<name>`. Credentials are refused.
    #[must_use]
    pub fn capture_response_headers(self, names: impl IntoIterator<Item = HeaderName>) -> Self {
        let capture = Capture::new("http.response.header.", names);
        self.with(|edge| edge.response_headers = capture)
    }
}

impl<B> Edge<B> for ClientEdge {
    type Observer = ClientSpan;

    fn begin(self: &Arc<Self>, request: &mut Request<B>) -> Exchange<ClientSpan> {
        let current = Context::current();
        let is_traced = self.filter.as_ref().is_none_or(|is_traced| {
            let template = request.extensions().get().or(self.template.as_ref()).map(UrlTemplate::as_str);
            is_traced(&RequestHead {
                method: request.method(),
                uri: request.uri(),
                headers: request.headers(),
                route: template,
            })
        });
        if !is_traced || current.is_telemetry_suppressed() {
            return Exchange::unobserved(current);
        }
        let (span, observer) = ClientSpan::start(Arc::clone(self), request, current);
        self.egress.inject(&self.telemetry, span.context(), request.headers_mut());
        Exchange::observed(span, observer)
    }
}

impl fmt::Debug for ClientEdge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientEdge").field("egress", &self.egress).finish_non_exhaustive()
    }
}

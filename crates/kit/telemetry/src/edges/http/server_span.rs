//! The SERVER span of one HTTP request: what is written down at its start, at the response's head and at its end.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, Method, StatusCode, Version, header, response};
use opentelemetry::KeyValue;
use opentelemetry::trace::SpanKind;

use super::getters::Verdict;
use super::head::{RequestHead, ResponseHead};
use super::metric_labels::MetricLabels;
use super::route::RouteTemplate;
use super::server::ServerEdge;
use super::sizes::Sizes;
use super::streaming::StreamLabels;
use crate::base::redact;
use crate::core::exchange::Observer;
use crate::core::exchange::attributes::{self, ERROR_TYPE, Host, OTHER, SERVER_ADDRESS, SERVER_PORT};
use crate::core::exchange::border::{Caller, CallerTrust};
use crate::core::exchange::forwarded;
use crate::core::exchange::headers;
use crate::core::exchange::stream::{MeasureStream, StreamSpan};
use crate::core::exchange::unix_socket::CameBy;
use crate::core::readings::exemplars;
use crate::core::series::Labels;
use crate::core::span::{Outcome, SpanBuilder, SpanGuard};

/// The `error.type` of a request whose client did not wait for the end of the answer.
const CANCELLED: &str = "cancelled";

/// An open SERVER span with what its metrics need.
#[derive(Debug)]
pub struct ServerSpan {
    edge: Arc<ServerEdge>,
    method: &'static str,
    scheme: &'static str,
    route: Option<Cow<'static, str>>,
    version: Option<&'static str>,
    status: Option<StatusCode>,
    labels: Option<MetricLabels>,
    /// What the program adds to the labels.
    further: Vec<KeyValue>,
    trust: CallerTrust,
    is_named: bool,
    verdict: Verdict,
    sizes: Option<Sizes>,
    is_stream: bool,
    /// How long a stream took to begin.
    answered_after: Option<Duration>,
    is_head_request: bool,
}

/// What a request came with.
pub(super) struct Began {
    pub(super) caller: Caller,
    pub(super) trust: CallerTrust,
    pub(super) labels: Option<MetricLabels>,
    pub(super) sizes: Option<Sizes>,
}

/// The labels of `http.server.request.duration`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct RequestLabels {
    method: &'static str,
    scheme: &'static str,
    route: Option<Cow<'static, str>>,
    status: Option<u16>,
    version: Option<&'static str>,
    error_type: Option<Cow<'static, str>>,
}

/// The labels of `http.server.active_requests`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct ActiveLabels {
    method: &'static str,
    scheme: &'static str,
}

impl ServerSpan {
    pub(super) fn start(
        edge: Arc<ServerEdge>,
        request: &RequestHead<'_>,
        version: Version,
        began: Began,
    ) -> (SpanGuard, Self) {
        let Began { caller, trust, labels, sizes } = began;
        let method = edge.options.known_methods.name(request.method);
        let verb = attributes::verb(method);
        let came_by = CameBy::of(request.extensions);
        let peer = attributes::peer(request.extensions, came_by);
        let behind_proxy = peer.is_some_and(|peer| edge.proxies.trust(peer.ip()));
        let scheme = scheme(request, behind_proxy, edge.scheme);
        let (name, route) = match request.route {
            Some(route) => {
                let name = edge.names.name(verb, route);
                (name.full, Some(name.target))
            }
            None => (Cow::Borrowed(verb), None),
        };
        let said = edge.options.getters.name(request);
        let is_named = said.is_some();
        let name = said.unwrap_or(name);
        let further = edge.options.getters.metric(request);
        let connection = Connection { version: attributes::protocol_version(version), came_by, peer };

        let mut span = SpanBuilder::new(edge.telemetry.clone(), caller.own, name).kind(SpanKind::Server);
        if let Some(caller) = caller.link {
            span = span.link(caller);
        }
        let mut span = span.decided_below(caller.remote);
        if span.keeps() {
            span.put_text("http.request.method", method);
            span.put_text("url.scheme", scheme);
            if let Some(route) = &route {
                span.put_text("http.route", route);
            }
            edge.describe(&mut span, request, scheme, connection, behind_proxy);
            span.put_each(edge.options.getters.span(request).into_iter());
        }
        // What is not relevant for sampling is not shown to who asks for attributes to decide.
        let is_watched = span.is_watched();
        if !is_watched {
            edge.describe_connection(&mut span, request, connection);
        }
        let span = span.start();
        if is_watched {
            span.set_each(edge.connection_attributes(request, connection));
        }
        let started = Self {
            method,
            scheme,
            route,
            version: connection.version,
            status: None,
            labels,
            further,
            trust,
            is_named,
            verdict: Verdict::ByRule,
            sizes,
            is_stream: false,
            answered_after: None,
            is_head_request: *request.method == Method::HEAD,
            edge,
        };
        started.edge.active.add(ActiveLabels { method, scheme }, 1);
        (span, started)
    }

    /// The labels of the stream that the response may be.
    pub(super) fn stream_labels(&self) -> StreamLabels {
        StreamLabels {
            method: self.method,
            scheme: Some(self.scheme),
            route: self.route.clone(),
            ..StreamLabels::default()
        }
    }

    fn measure(self, span: &SpanGuard, error_type: Option<Cow<'static, str>>, elapsed: Duration) {
        let mut further = self.labels.map(MetricLabels::take).unwrap_or_default();
        for label in self.further {
            if further.iter().all(|known| known.key != label.key) {
                further.push(label);
            }
        }
        let Self { edge, method, scheme, route, version, .. } = self;
        edge.active.add(ActiveLabels { method, scheme }, -1);
        let status = self.status.map(|status| status.as_u16());
        let labels = RequestLabels { method, scheme, route, status, version, error_type };
        if let (Some(series), Some(sizes)) = (&edge.sizes, self.sizes) {
            let (request, response) = sizes.show(span, status.is_some());
            series.record(&labels, &further, request, response);
        }
        let now = span.time_after(elapsed);
        let elapsed = self.answered_after.unwrap_or(elapsed);
        exemplars::within(span.context(), now, || {
            if further.is_empty() {
                edge.duration.record(labels, elapsed.as_secs_f64());
            } else {
                edge.duration.record_with(&labels, further, elapsed.as_secs_f64());
            }
        });
    }

    /// Names the route that a router behind the layer has found; it knows better than who looked before.
    fn learn_route(&mut self, span: &SpanGuard, head: &response::Parts) {
        let said = RouteTemplate::of(&head.extensions);
        let Some(route) = said.filter(|route| self.route.as_deref() != Some(*route)) else { return };
        let name = self.edge.names.name(attributes::verb(self.method), route);
        if span.records() {
            span.set("http.route", name.target.clone());
            if !self.is_named {
                span.rename(name.full);
            }
        }
        self.route = Some(name.target);
    }
}

/// What is known of the connection.
#[derive(Clone, Copy)]
struct Connection<'a> {
    version: Option<&'static str>,
    came_by: CameBy<'a>,
    peer: Option<SocketAddr>,
}

impl ServerEdge {
    /// What the conventions want there when a sampler of the program is asked:
    /// <https://opentelemetry.io/docs/specs/semconv/http/http-spans/#http-server-span>.
    fn describe(
        &self,
        span: &mut SpanBuilder,
        request: &RequestHead<'_>,
        scheme: &str,
        Connection { came_by, peer, .. }: Connection<'_>,
        behind_proxy: bool,
    ) {
        let (headers, uri) = (request.headers, request.uri);
        span.put_each(self.options.request_headers.read(headers));
        span.put_text("url.path", redact::bounded(uri.path()));
        if let Some(query) = uri.query() {
            span.put_text("url.query", &redact::query(query, &self.options.sensitive_keys));
        }
        let mut put_host = |host: &Host<'_>| {
            span.put_text(SERVER_ADDRESS, host.address);
            let port = if came_by.is_unix() { host.port } else { host.port_or_default(scheme) };
            if let Some(port) = port {
                span.put(SERVER_PORT, i64::from(port));
            }
        };
        let forwarded = if behind_proxy { forwarded::host(headers) } else { None };
        match forwarded {
            Some(forwarded) => put_host(&Host::of(&forwarded)),
            None => match came_by {
                CameBy::UnixSocketAt(socket) => span.put_text(SERVER_ADDRESS, socket.path()),
                CameBy::UnixSocket | CameBy::Other => self.hosts.show(uri, headers, put_host),
            },
        }
        if let Some(peer) = peer {
            let client = self.proxies.client(headers, peer.ip());
            span.put_text("client.address", attributes::AddressText::of(client).as_str());
        }
        if let Some(agent) =
            headers::first(headers, &header::USER_AGENT).and_then(|agent| agent.to_str().ok())
        {
            span.put_text("user_agent.original", redact::bounded(agent));
        }
    }

    /// The connection, and a method that has no name.
    fn describe_connection(
        &self,
        span: &mut SpanBuilder,
        request: &RequestHead<'_>,
        connection: Connection<'_>,
    ) {
        if !span.keeps() {
            return;
        }
        if let Some(version) = connection.version {
            span.put_text("network.protocol.version", version);
        }
        if let Some(peer) = connection.peer {
            span.put_text("network.peer.address", attributes::AddressText::of(peer.ip()).as_str());
            span.put("network.peer.port", i64::from(peer.port()));
        }
        if connection.came_by.is_unix() {
            span.put_each(connection.came_by.peer_attributes());
        }
        if let Some(original) = self.original_method(request) {
            span.put_text("http.request.method_original", original);
        }
    }

    /// The same, to be set later.
    fn connection_attributes(
        &self,
        request: &RequestHead<'_>,
        connection: Connection<'_>,
    ) -> impl Iterator<Item = KeyValue> {
        let version = connection.version.map(|version| KeyValue::new("network.protocol.version", version));
        let original = self.original_method(request);
        let original = original.map(|name| KeyValue::new("http.request.method_original", name.to_owned()));
        let peer = connection.peer.map(attributes::network_peer).into_iter().flatten();
        let socket = connection.came_by.peer_attributes();
        version.into_iter().chain(peer).chain(socket).chain(original)
    }

    fn original_method<'a>(&self, request: &RequestHead<'a>) -> Option<&'a str> {
        let is_other = self.options.known_methods.name(request.method) == OTHER;
        is_other.then(|| redact::bounded_to(request.method.as_str(), 64))
    }
}

impl Observer for ServerSpan {
    fn head(&mut self, span: &SpanGuard, head: &mut response::Parts) {
        self.status = Some(head.status);
        span.set("http.response.status_code", i64::from(head.status.as_u16()));
        self.learn_route(span, head);
        let getters = &self.edge.options.getters;
        self.verdict = getters.verdict(&ResponseHead::of(head));
        if span.records() {
            span.set_each(getters.response(&ResponseHead::of(head)));
        }
        self.is_stream = self.edge.options.stream(&ResponseHead::of(head)).is_some();
        if !self.edge.options.response_headers.is_empty() {
            span.set_each(self.edge.options.response_headers.read(&head.headers));
        }
        if self.trust == CallerTrust::Inside {
            self.edge.telemetry.tell_caller(|| span.span_context(), &mut head.headers);
        }
        if self.edge.answers_with_trace {
            let ids = span.span_context();
            let named = format!("00-{}-{}-{:02x}", ids.trace_id(), ids.span_id(), ids.trace_flags().to_u8());
            if let (true, Ok(value)) = (ids.is_valid(), HeaderValue::try_from(named)) {
                head.headers.insert("traceresponse", value);
            }
        }
    }

    /// A server does not read the body of an answer to HEAD, nor one of a status that has none.
    fn ends_at_head(&self) -> bool {
        const WITHOUT_BODY: [StatusCode; 3] =
            [StatusCode::SWITCHING_PROTOCOLS, StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED];
        self.is_head_request || self.status.is_some_and(|status| WITHOUT_BODY.contains(&status))
    }

    fn passed(&mut self, bytes: u64) {
        if let Some(sizes) = &mut self.sizes {
            sizes.passed(bytes);
        }
    }

    fn leaves_body(&mut self) {
        if let Some(sizes) = &mut self.sizes {
            sizes.cut();
        }
    }

    fn stream(&mut self, elapsed: Duration) -> Option<(MeasureStream, StreamSpan)> {
        let streaming = self.edge.options.streaming.as_ref().filter(|_| self.is_stream)?;
        self.answered_after = Some(elapsed);
        Some((streaming.measure(self.stream_labels()), streaming.span))
    }

    fn end(self, span: &mut SpanGuard, outcome: Outcome, elapsed: Duration) {
        let by_rule = |status: StatusCode| status.is_server_error().then(|| attributes::status_class(status));
        let outcome = match (outcome, self.status) {
            (outcome @ (Outcome::Ok | Outcome::Cancelled), Some(status)) => {
                let failed = self.verdict.clone().error_type(|| by_rule(status));
                failed.map_or(outcome, Outcome::Error)
            }
            (outcome, _) => outcome,
        };
        // A client ends a stream by leaving. Of any other answer "an error occurred preventing the server from sending
        // the response fully": the exemption of the conventions for requests that are cancelled on purpose is for
        // clients, who know.
        if outcome == Outcome::Cancelled && !self.is_stream {
            span.fail(CANCELLED);
            self.measure(span, Some(Cow::Borrowed(CANCELLED)), elapsed);
        } else {
            self.measure(span, outcome.error_type(), elapsed);
        }
        span.end_after(outcome, elapsed);
    }
}

impl Labels for RequestLabels {
    fn build(&self) -> Vec<KeyValue> {
        let mut labels = Vec::with_capacity(6);
        labels.extend(ActiveLabels { method: self.method, scheme: self.scheme }.build());
        labels.extend(self.route.clone().map(|route| KeyValue::new("http.route", route)));
        labels
            .extend(self.status.map(|status| KeyValue::new("http.response.status_code", i64::from(status))));
        labels.extend(self.version.map(|version| KeyValue::new("network.protocol.version", version)));
        labels.extend(self.error_type.clone().map(|class| KeyValue::new(ERROR_TYPE, class)));
        labels
    }
}

impl Labels for ActiveLabels {
    fn build(&self) -> Vec<KeyValue> {
        vec![KeyValue::new("http.request.method", self.method), KeyValue::new("url.scheme", self.scheme)]
    }
}

/// The scheme the caller used: as a trusted proxy says, else as the request says, else that of the listener.
fn scheme(request: &RequestHead<'_>, behind_proxy: bool, of_listener: &'static str) -> &'static str {
    let known = |scheme: &str| match scheme {
        "http" => Some("http"),
        "https" => Some("https"),
        _ => None,
    };
    let forwarded = if behind_proxy { forwarded::scheme(request.headers) } else { None };
    let named = forwarded.or_else(|| known(request.uri.scheme_str()?));
    named.unwrap_or(of_listener)
}

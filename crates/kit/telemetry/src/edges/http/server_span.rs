//! The SERVER span of one HTTP request: what is written down at its start, at the response's head and at its end.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, Method, Request, StatusCode, header, response};
use opentelemetry::trace::{SpanKind, TraceContextExt};
use opentelemetry::{KeyValue, Value};

use super::server::{MetricLabels, ServerEdge};
use crate::base::redact;
use crate::core::exchange::Observer;
use crate::core::exchange::attributes::{self, ERROR_TYPE, Host, OTHER, SERVER_ADDRESS, SERVER_PORT};
use crate::core::exchange::border::Caller;
use crate::core::exchange::forwarded;
use crate::core::exchange::series::Labels;
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
    is_head_request: bool,
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
    pub(super) fn start<B>(
        edge: Arc<ServerEdge>,
        request: &Request<B>,
        caller: Caller,
        labels: Option<MetricLabels>,
    ) -> (SpanGuard, Self) {
        let method = edge.known_methods.name(request.method());
        let verb = attributes::verb(method);
        let peer = attributes::peer(request.extensions());
        let behind_proxy = peer.is_some_and(|peer| edge.proxies.trust(peer.ip()));
        let scheme = scheme(request, behind_proxy, edge.scheme);
        let matched = attributes::matched_route(request.extensions());
        let (name, route) = match matched {
            Some(route) => {
                let name = edge.names.name(verb, route);
                (name.full, Some(name.target))
            }
            None => (Cow::Borrowed(verb), None),
        };

        // What a sampler may want to know and costs nothing; the rest, if no sampler of the program asks for it, only for
        // spans that are recorded.
        let mut span = SpanBuilder::new(edge.telemetry.clone(), caller.parent, name)
            .kind(SpanKind::Server)
            .attr("http.request.method", method)
            .attr("url.scheme", scheme);
        if let Some(route) = &route {
            span = span.attr("http.route", route.clone());
        }
        if let Some(caller) = caller.link {
            span = span.link(caller);
        }
        let (span, is_told) =
            span.attrs_if_watched(|set| edge.tell(request, scheme, peer, behind_proxy, set));
        let span = span.start();
        let version = attributes::protocol_version(request.version());
        let started = Self {
            method,
            scheme,
            route,
            version,
            status: None,
            labels,
            is_head_request: request.method() == Method::HEAD,
            edge,
        };
        if span.is_recording() {
            if !is_told {
                let context = span.context().span();
                let set = &mut |attribute| context.set_attribute(attribute);
                started.edge.tell(request, scheme, peer, behind_proxy, set);
            }
            started.describe(&span, request, peer);
        }
        started.edge.active.add(ActiveLabels { method, scheme }, 1);
        (span, started)
    }

    /// What is not relevant for sampling.
    fn describe<B>(&self, span: &SpanGuard, request: &Request<B>, peer: Option<SocketAddr>) {
        let context = span.context().span();
        let set = |key: &'static str, value: Value| context.set_attribute(KeyValue::new(key, value));
        if self.method == OTHER {
            let original = redact::bounded_to(request.method().as_str(), 64).to_owned();
            set("http.request.method_original", original.into());
        }
        if let Some(peer) = peer {
            context.set_attributes(attributes::network_peer(peer));
        }
        if let Some(version) = self.version {
            set("network.protocol.version", version.into());
        }
    }

    fn measure(self, error_type: Option<Cow<'static, str>>, elapsed: Duration) {
        let further = self.labels.map(MetricLabels::take).unwrap_or_default();
        let Self { edge, method, scheme, route, version, .. } = self;
        edge.active.add(ActiveLabels { method, scheme }, -1);
        let status = self.status.map(|status| status.as_u16());
        let labels = RequestLabels { method, scheme, route, status, version, error_type };
        if further.is_empty() {
            edge.duration.record(labels, elapsed.as_secs_f64());
        } else {
            edge.duration.record_with(&labels, further, elapsed.as_secs_f64());
        }
    }
}

impl ServerEdge {
    /// What the conventions want there when the sampler is asked:
    /// <https://opentelemetry.io/docs/specs/semconv/http/http-spans/#http-server-span>.
    fn tell<B>(
        &self,
        request: &Request<B>,
        scheme: &str,
        peer: Option<SocketAddr>,
        behind_proxy: bool,
        set: &mut dyn FnMut(KeyValue),
    ) {
        let (headers, uri) = (request.headers(), request.uri());
        for attribute in self.request_headers.read(headers) {
            set(attribute);
        }
        let mut set = |key: &'static str, value: Value| set(KeyValue::new(key, value));
        set("url.path", redact::bounded(uri.path()).to_owned().into());
        if let Some(query) = uri.query() {
            set("url.query", redact::query(query, &self.sensitive_keys).into_owned().into());
        }
        let forwarded = if behind_proxy { forwarded::host(headers) } else { None };
        if let Some(authority) = forwarded.map(Cow::Owned).or_else(|| attributes::authority(uri, headers)) {
            let host = Host::of(&authority);
            set(SERVER_ADDRESS, host.address.to_owned().into());
            if let Some(port) = host.port_or_default(scheme) {
                set(SERVER_PORT, i64::from(port).into());
            }
        }
        if let Some(peer) = peer {
            let client = self.proxies.client(headers, peer.ip());
            set("client.address", client.to_string().into());
        }
        if let Some(agent) = headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok()) {
            set("user_agent.original", redact::bounded(agent).to_owned().into());
        }
    }
}

impl Observer for ServerSpan {
    fn head(&mut self, span: &SpanGuard, head: &mut response::Parts) {
        self.status = Some(head.status);
        if span.is_recording() {
            let span = span.context().span();
            span.set_attribute(KeyValue::new("http.response.status_code", i64::from(head.status.as_u16())));
            span.set_attributes(self.edge.response_headers.read(&head.headers));
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

    fn end(self, span: SpanGuard, outcome: Outcome, elapsed: Duration) {
        let outcome = match (outcome, self.status) {
            (Outcome::Ok | Outcome::Cancelled, Some(status)) if status.is_server_error() => {
                Outcome::Error(attributes::status_class(status))
            }
            (outcome, _) => outcome,
        };
        if outcome == Outcome::Cancelled {
            // "An error occurred preventing the server from sending the response fully": the exemption of the
            // conventions for requests that are cancelled on purpose is for clients, who know.
            span.fail(CANCELLED);
            self.measure(Some(Cow::Borrowed(CANCELLED)), elapsed);
        } else {
            self.measure(attributes::error_type(&outcome), elapsed);
        }
        span.end(outcome);
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
fn scheme<B>(request: &Request<B>, behind_proxy: bool, of_listener: &'static str) -> &'static str {
    let known = |scheme: &str| match scheme {
        "http" => Some("http"),
        "https" => Some("https"),
        _ => None,
    };
    let forwarded = if behind_proxy { forwarded::scheme(request.headers()) } else { None };
    let named = forwarded.or_else(|| known(request.uri().scheme_str()?));
    named.unwrap_or(of_listener)
}

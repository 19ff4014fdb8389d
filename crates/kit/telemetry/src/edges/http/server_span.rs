//! The SERVER span of one HTTP request: what is written down at its start, at the response's head and at its end.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, Method, Request, StatusCode, header, response};
use opentelemetry::KeyValue;
use opentelemetry::trace::{SpanKind, TraceContextExt};

use super::server::{MetricLabels, ServerEdge};
use crate::base::names;
use crate::base::redact;
use crate::core::exchange::Observer;
use crate::core::exchange::attributes::{self, ERROR_TYPE, Host, OTHER, SERVER_ADDRESS, SERVER_PORT};
use crate::core::exchange::border::Caller;
use crate::core::span::{Outcome, SpanBuilder, SpanGuard};

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

impl ServerSpan {
    pub(super) fn start<B>(
        edge: Arc<ServerEdge>,
        request: &Request<B>,
        caller: Caller,
        labels: Option<MetricLabels>,
    ) -> (SpanGuard, Self) {
        let method = edge.known_methods.name(request.method());
        let peer = attributes::peer(request.extensions());
        let is_from_proxy =
            |ip: IpAddr| edge.is_trusted_proxy.as_ref().is_some_and(|is_trusted| is_trusted(ip));
        let behind_proxy = peer.is_some_and(|peer| is_from_proxy(peer.ip()));
        let scheme = scheme(request, behind_proxy, edge.scheme);
        let matched = attributes::matched_route(request.extensions());
        let (name, route) = match matched {
            Some(route) => {
                let name = names::name(attributes::verb(method), route);
                (name.full, Some(name.target))
            }
            None => (Cow::Borrowed(attributes::verb(method)), None),
        };

        let uri = request.uri();
        let mut span = SpanBuilder::new(edge.telemetry.clone(), caller.parent, name)
            .kind(SpanKind::Server)
            .attr("http.request.method", method)
            .attr("url.scheme", scheme)
            .attr("url.path", redact::bounded(uri.path()).to_owned());
        if let Some(route) = &route {
            span = span.attr("http.route", route.clone());
        }
        if let Some(query) = uri.query() {
            span = span.attr("url.query", redact::query(query, &edge.sensitive_keys).into_owned());
        }
        if let Some(authority) = attributes::authority(uri, request.headers()) {
            let host = Host::of(&authority);
            span = span.attr(SERVER_ADDRESS, host.address.to_owned());
            if let Some(port) = host.port_or_default(scheme) {
                span = span.attr(SERVER_PORT, i64::from(port));
            }
        }
        if let Some(caller) = caller.link {
            span = span.link(caller);
        }
        let span = span.start();

        let version = attributes::protocol_version(request.version());
        if span.is_recording() {
            let span = span.context().span();
            if method == OTHER {
                let original = redact::bounded_to(request.method().as_str(), 64).to_owned();
                span.set_attribute(KeyValue::new("http.request.method_original", original));
            }
            if let Some(peer) = peer {
                let client = attributes::forwarded_for(request.headers(), peer.ip(), is_from_proxy);
                span.set_attribute(KeyValue::new("client.address", client.to_canonical().to_string()));
                span.set_attributes(attributes::network_peer(peer));
            }
            if let Some(version) = version {
                span.set_attribute(KeyValue::new("network.protocol.version", version));
            }
            if let Some(agent) =
                request.headers().get(header::USER_AGENT).and_then(|agent| agent.to_str().ok())
            {
                span.set_attribute(KeyValue::new("user_agent.original", redact::bounded(agent).to_owned()));
            }
            span.set_attributes(edge.request_headers.read(request.headers()));
        }

        edge.active.add(1, &[method_label(method), scheme_label(scheme)]);
        let is_head_request = request.method() == Method::HEAD;
        (span, Self { edge, method, scheme, route, version, status: None, labels, is_head_request })
    }

    fn measure(self, error_type: Option<Cow<'static, str>>, elapsed: Duration) {
        let mut labels = self.labels.map(MetricLabels::take).unwrap_or_default();
        self.edge.active.add(-1, &[method_label(self.method), scheme_label(self.scheme)]);
        labels.reserve(6);
        labels.push(method_label(self.method));
        labels.push(KeyValue::new("url.scheme", self.scheme));
        if let Some(route) = self.route {
            labels.push(KeyValue::new("http.route", route));
        }
        if let Some(status) = self.status {
            labels.push(KeyValue::new("http.response.status_code", i64::from(status.as_u16())));
        }
        if let Some(version) = self.version {
            labels.push(KeyValue::new("network.protocol.version", version));
        }
        if let Some(class) = error_type {
            labels.push(KeyValue::new(ERROR_TYPE, class));
        }
        self.edge.duration.record(elapsed.as_secs_f64(), &labels);
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
        self.measure(attributes::error_type(&outcome), elapsed);
        span.end(outcome);
    }
}

fn method_label(method: &'static str) -> KeyValue {
    KeyValue::new("http.request.method", method)
}

fn scheme_label(scheme: &'static str) -> KeyValue {
    KeyValue::new("url.scheme", scheme)
}

/// The scheme the caller used: as a trusted proxy says, else as the request says, else that of the listener.
fn scheme<B>(request: &Request<B>, behind_proxy: bool, of_listener: &'static str) -> &'static str {
    let known = |scheme: &str| match scheme {
        "http" => Some("http"),
        "https" => Some("https"),
        _ => None,
    };
    let forwarded = request.headers().get("x-forwarded-proto").filter(|_| behind_proxy);
    let forwarded = forwarded.and_then(|scheme| known(scheme.to_str().ok()?.trim()));
    let named = forwarded.or_else(|| known(request.uri().scheme_str()?));
    named.unwrap_or(of_listener)
}

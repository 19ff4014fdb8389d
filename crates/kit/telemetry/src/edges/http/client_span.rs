//! The CLIENT span of one HTTP request.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use http::uri::Authority;
use http::{Method, StatusCode, Uri, response};
use opentelemetry::trace::SpanKind;
use opentelemetry::{Context, KeyValue};

use super::client::{ClientEdge, ResendCount};
use super::getters::Verdict;
use super::head::{RequestHead, ResponseHead};
use super::sizes::Sizes;
use super::streaming::StreamLabels;
use crate::base::redact;
use crate::core::exchange::Observer;
use crate::core::exchange::attributes::{self, ERROR_TYPE, Host, OTHER, SERVER_ADDRESS, SERVER_PORT};
use crate::core::exchange::stream::{MeasureStream, StreamSpan};
use crate::core::exchange::unix_socket::UnixSocket;
use crate::core::readings::exemplars;
use crate::core::series::Labels;
use crate::core::span::{Outcome, SpanBuilder, SpanGuard};

/// An open CLIENT span with what its metrics need.
#[derive(Debug)]
pub struct ClientSpan {
    edge: Arc<ClientEdge>,
    call: CallLabels,
    /// What the program adds to the labels.
    further: Vec<KeyValue>,
    verdict: Verdict,
    sizes: Option<Sizes>,
    is_stream: bool,
    /// How long a stream took to begin.
    answered_after: Option<Duration>,
    is_head_request: bool,
    is_unread: bool,
}

/// The labels of `http.client.request.duration`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct CallLabels {
    method: &'static str,
    address: Option<Arc<str>>,
    port: Option<u16>,
    template: Option<Cow<'static, str>>,
    status: Option<StatusCode>,
    version: Option<&'static str>,
    error_type: Option<Cow<'static, str>>,
}

impl ClientSpan {
    pub(super) fn start(
        edge: Arc<ClientEdge>,
        request: &RequestHead<'_>,
        parent: Context,
        sizes: Option<Sizes>,
    ) -> (SpanGuard, Self) {
        let method = edge.options.known_methods.name(request.method);
        let verb = attributes::verb(method);
        let (name, template) = match request.route {
            Some(template) => {
                let name = edge.names.name(verb, template);
                (name.full, Some(name.target))
            }
            None => (Cow::Borrowed(verb), None),
        };
        let name = edge.options.getters.name(request).unwrap_or(name);
        let further = edge.options.getters.metric(request);
        let uri = request.uri;
        let authority = attributes::authority(uri, request.headers);
        let scheme = scheme(uri, authority.as_deref());
        let host = authority.as_deref().map(Host::of);
        let port = host.as_ref().and_then(|host| host.port_or_default(scheme));
        let address = host.map(|host| edge.address(host.address));

        let mut span =
            SpanBuilder::new(edge.telemetry.clone(), parent, name).kind(SpanKind::Client).decided();
        if span.keeps() {
            span.put_text("http.request.method", method);
            if let Some(address) = &address {
                span.put_text(SERVER_ADDRESS, address);
            }
            if let Some(port) = port {
                span.put(SERVER_PORT, i64::from(port));
            }
            if let Some(template) = &template {
                span.put_text("url.template", template);
            }
            let full = match authority.as_deref() {
                Some(authority) => redact::url_at(scheme, authority, uri, &edge.options.sensitive_keys),
                None => redact::url(uri, &edge.options.sensitive_keys),
            };
            span.put_text("url.full", &full);
            span.put_each(edge.options.request_headers.read(request.headers));
            if method == OTHER {
                let original = redact::bounded_to(request.method.as_str(), 64);
                span.put_text("http.request.method_original", original);
            }
            if let Some(ResendCount(count)) = request.extensions.get()
                && *count > 0
            {
                span.put("http.request.resend_count", i64::from(*count));
            }
            span.put_each(edge.options.getters.span(request).into_iter());
        }
        let span = span.start();
        let is_head_request = *request.method == Method::HEAD;
        let call =
            CallLabels { method, address, port, template, status: None, version: None, error_type: None };
        let started = Self {
            edge,
            call,
            further,
            verdict: Verdict::ByRule,
            sizes,
            is_stream: false,
            answered_after: None,
            is_head_request,
            is_unread: false,
        };
        (span, started)
    }
}

impl ClientSpan {
    fn measure(self, span: &SpanGuard, elapsed: Duration) {
        let Self { edge, call, further, .. } = self;
        if let (Some(series), Some(sizes)) = (&edge.sizes, self.sizes) {
            let (request, response) = sizes.show(span, call.status.is_some());
            series.record(&call, &further, request, response);
        }
        let now = span.time_after(elapsed);
        let elapsed = self.answered_after.unwrap_or(elapsed);
        exemplars::within(span.context(), now, || {
            if further.is_empty() {
                edge.duration.record(call, elapsed.as_secs_f64());
            } else {
                edge.duration.record_with(&call, further, elapsed.as_secs_f64());
            }
        });
    }
}

impl Observer for ClientSpan {
    fn head(&mut self, span: &SpanGuard, head: &mut response::Parts) {
        self.edge.telemetry.hear_callee(|| span.span_context(), &head.headers);
        self.call.status = Some(head.status);
        self.call.version = attributes::protocol_version(head.version);
        let getters = &self.edge.options.getters;
        self.verdict = getters.verdict(&ResponseHead::of(head));
        self.is_stream = self.edge.options.stream(&ResponseHead::of(head)).is_some();
        if span.records() {
            let code = KeyValue::new("http.response.status_code", i64::from(head.status.as_u16()));
            let version = self.call.version.map(|version| KeyValue::new("network.protocol.version", version));
            #[cfg(feature = "_hyper")]
            let peer = head.extensions.get::<hyper_util::client::legacy::connect::HttpInfo>();
            #[cfg(feature = "_hyper")]
            let peer = peer.map(|peer| attributes::network_peer(peer.remote_addr()));
            #[cfg(not(feature = "_hyper"))]
            let peer: Option<[KeyValue; 2]> = None;
            let peer = peer.or_else(|| head.extensions.get().map(UnixSocket::peer_attributes));
            let headers = self.edge.options.response_headers.read(&head.headers);
            span.set_each([code].into_iter().chain(version).chain(peer.into_iter().flatten()).chain(headers));
            span.set_each(getters.response(&ResponseHead::of(head)));
        }
    }

    fn ends_at_head(&self) -> bool {
        self.is_head_request
    }

    fn unread(&mut self) {
        self.is_unread = true;
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
        let CallLabels { method, address, port, template, .. } = self.call.clone();
        let labels = StreamLabels { method, address, port, template, ..StreamLabels::default() };
        Some((streaming.measure(labels), streaming.span))
    }

    /// A status that says no counts whether or not the caller read on. A caller who left before the head or in the
    /// middle of the body is no error; one that only wanted the head got what it asked for.
    fn end(mut self, span: &mut SpanGuard, outcome: Outcome, elapsed: Duration) {
        let by_rule = |status: StatusCode| {
            let is_error = status.is_client_error() || status.is_server_error();
            is_error.then(|| attributes::status_class(status))
        };
        let outcome = match (outcome, self.call.status) {
            (outcome @ (Outcome::Ok | Outcome::Cancelled), Some(status)) => {
                match self.verdict.clone().error_type(|| by_rule(status)) {
                    Some(class) => Outcome::Error(class),
                    None if self.is_unread => Outcome::Ok,
                    None => outcome,
                }
            }
            (outcome, _) => outcome,
        };
        self.call.error_type = outcome.error_type();
        self.measure(span, elapsed);
        span.end_after(outcome, elapsed);
    }
}

impl Labels for CallLabels {
    fn build(&self) -> Vec<KeyValue> {
        let mut labels = Vec::with_capacity(7);
        labels.push(KeyValue::new("http.request.method", self.method));
        labels.extend(self.address.clone().map(|address| KeyValue::new(SERVER_ADDRESS, address)));
        labels.extend(self.port.map(|port| KeyValue::new(SERVER_PORT, i64::from(port))));
        labels.extend(self.template.clone().map(|template| KeyValue::new("url.template", template)));
        let status = self.status.map(|status| i64::from(status.as_u16()));
        labels.extend(status.map(|status| KeyValue::new("http.response.status_code", status)));
        labels.extend(self.version.map(|version| KeyValue::new("network.protocol.version", version)));
        labels.extend(self.error_type.clone().map(|class| KeyValue::new(ERROR_TYPE, class)));
        labels
    }
}

/// The scheme of the URI. A request in origin form names none; what it is sent over is seen by its port alone.
pub(super) fn scheme<'a>(uri: &'a Uri, authority: Option<&Authority>) -> &'a str {
    let by_port = if authority.and_then(Authority::port_u16) == Some(443) { "https" } else { "http" };
    uri.scheme_str().unwrap_or(by_port)
}

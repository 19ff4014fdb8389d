//! The CLIENT span of one HTTP request.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use http::uri::Authority;
use http::{Method, Request, StatusCode, Uri, response};
use opentelemetry::trace::SpanKind;
use opentelemetry::{Context, KeyValue};

use super::client::{ClientEdge, ResendCount, UrlTemplate};
use crate::base::redact;
use crate::core::exchange::Observer;
use crate::core::exchange::attributes::{self, ERROR_TYPE, Host, OTHER, SERVER_ADDRESS, SERVER_PORT};
use crate::core::readings::exemplars;
use crate::core::series::Labels;
use crate::core::span::{Outcome, SpanBuilder, SpanGuard};

/// An open CLIENT span with what its metrics need.
#[derive(Debug)]
pub struct ClientSpan {
    edge: Arc<ClientEdge>,
    call: CallLabels,
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
    pub(super) fn start<B>(
        edge: Arc<ClientEdge>,
        request: &Request<B>,
        parent: Context,
    ) -> (SpanGuard, Self) {
        let method = edge.known_methods.name(request.method());
        let verb = attributes::verb(method);
        let template = request.extensions().get().or(edge.template.as_ref()).map(UrlTemplate::as_str);
        let (name, template) = match template {
            Some(template) => {
                let name = edge.names.name(verb, template);
                (name.full, Some(name.target))
            }
            None => (Cow::Borrowed(verb), None),
        };
        let uri = request.uri();
        let authority = attributes::authority(uri, request.headers());
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
                Some(authority) => redact::url_at(scheme, authority, uri, &edge.sensitive_keys),
                None => redact::url(uri, &edge.sensitive_keys),
            };
            span.put_text("url.full", &full);
            span.put_each(edge.request_headers.read(request.headers()));
            if method == OTHER {
                let original = redact::bounded_to(request.method().as_str(), 64);
                span.put_text("http.request.method_original", original);
            }
            if let Some(ResendCount(count)) = request.extensions().get()
                && *count > 0
            {
                span.put("http.request.resend_count", i64::from(*count));
            }
        }
        let span = span.start();
        let is_head_request = request.method() == Method::HEAD;
        let call =
            CallLabels { method, address, port, template, status: None, version: None, error_type: None };
        (span, Self { edge, call, is_head_request, is_unread: false })
    }
}

impl Observer for ClientSpan {
    fn head(&mut self, span: &SpanGuard, head: &mut response::Parts) {
        self.edge.telemetry.hear_callee(|| span.span_context(), &head.headers);
        self.call.status = Some(head.status);
        self.call.version = attributes::protocol_version(head.version);
        if span.records() {
            let code = KeyValue::new("http.response.status_code", i64::from(head.status.as_u16()));
            let version = self.call.version.map(|version| KeyValue::new("network.protocol.version", version));
            #[cfg(feature = "_hyper")]
            let peer = head.extensions.get::<hyper_util::client::legacy::connect::HttpInfo>();
            #[cfg(feature = "_hyper")]
            let peer = peer.map(|peer| attributes::network_peer(peer.remote_addr()));
            #[cfg(not(feature = "_hyper"))]
            let peer: Option<[KeyValue; 2]> = None;
            let headers = self.edge.response_headers.read(&head.headers);
            span.set_each([code].into_iter().chain(version).chain(peer.into_iter().flatten()).chain(headers));
        }
    }

    fn ends_at_head(&self) -> bool {
        self.is_head_request
    }

    fn unread(&mut self) {
        self.is_unread = true;
    }

    /// A status that says no counts whether or not the caller read on. A caller who left before the head or in the
    /// middle of the body is no error; one that only wanted the head got what it asked for.
    fn end(mut self, span: &mut SpanGuard, outcome: Outcome, elapsed: Duration) {
        let outcome = match (outcome, self.call.status) {
            (Outcome::Ok | Outcome::Cancelled, Some(status))
                if status.is_client_error() || status.is_server_error() =>
            {
                Outcome::Error(attributes::status_class(status))
            }
            (Outcome::Cancelled, Some(_)) if self.is_unread => Outcome::Ok,
            (outcome, _) => outcome,
        };
        self.call.error_type = outcome.error_type();
        let Self { edge, call, .. } = self;
        exemplars::within(span.context(), || edge.duration.record(call, elapsed.as_secs_f64()));
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
fn scheme<'a>(uri: &'a Uri, authority: Option<&Authority>) -> &'a str {
    let by_port = if authority.and_then(Authority::port_u16) == Some(443) { "https" } else { "http" };
    uri.scheme_str().unwrap_or(by_port)
}

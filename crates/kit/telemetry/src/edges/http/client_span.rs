//! The CLIENT span of one HTTP request.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use http::{Method, Request, StatusCode, response};
use opentelemetry::trace::{SpanKind, TraceContextExt};
use opentelemetry::{Context, KeyValue};

use super::client::{ClientEdge, ResendCount, UrlTemplate};
use crate::base::names;
use crate::base::redact;
use crate::core::exchange::Observer;
use crate::core::exchange::attributes::{self, ERROR_TYPE, Host, OTHER, SERVER_ADDRESS, SERVER_PORT};
use crate::core::span::{Outcome, SpanBuilder, SpanGuard};

/// An open CLIENT span with what its metrics need.
#[derive(Debug)]
pub struct ClientSpan {
    edge: Arc<ClientEdge>,
    method: &'static str,
    template: Option<Cow<'static, str>>,
    address: Option<Arc<str>>,
    port: Option<u16>,
    status: Option<StatusCode>,
    version: Option<&'static str>,
    is_head_request: bool,
}

impl ClientSpan {
    pub(super) fn start<B>(
        edge: Arc<ClientEdge>,
        request: &Request<B>,
        parent: Context,
    ) -> (SpanGuard, Self) {
        let method = edge.known_methods.name(request.method());
        let template = request.extensions().get().or(edge.template.as_ref()).map(UrlTemplate::as_str);
        let (name, template) = match template {
            Some(template) => {
                let name = names::name(attributes::verb(method), template);
                (name.full, Some(name.target))
            }
            None => (Cow::Borrowed(attributes::verb(method)), None),
        };
        let uri = request.uri();
        let authority = attributes::authority(uri, request.headers());
        let host = authority.as_deref().map(Host::of);
        let port = host.as_ref().and_then(|host| host.port_or_default(uri.scheme_str().unwrap_or("http")));
        let address: Option<Arc<str>> = host.map(|host| host.address.into());

        let mut span = SpanBuilder::new(edge.telemetry.clone(), parent, name)
            .kind(SpanKind::Client)
            .attr("http.request.method", method)
            .attr("url.full", redact::url(uri, &edge.sensitive_keys));
        if let Some(address) = &address {
            span = span.attr(SERVER_ADDRESS, Arc::clone(address));
        }
        if let Some(port) = port {
            span = span.attr(SERVER_PORT, i64::from(port));
        }
        if let Some(template) = &template {
            span = span.attr("url.template", template.clone());
        }
        let span = span.start();

        if span.is_recording() {
            let span = span.context().span();
            if method == OTHER {
                let original = redact::bounded_to(request.method().as_str(), 64).to_owned();
                span.set_attribute(KeyValue::new("http.request.method_original", original));
            }
            if let Some(ResendCount(count)) = request.extensions().get()
                && *count > 0
            {
                span.set_attribute(KeyValue::new("http.request.resend_count", i64::from(*count)));
            }
            span.set_attributes(edge.request_headers.read(request.headers()));
        }
        let is_head_request = request.method() == Method::HEAD;
        let observer =
            Self { edge, method, template, address, port, status: None, version: None, is_head_request };
        (span, observer)
    }

    fn measure(self, error_type: Option<Cow<'static, str>>, elapsed: Duration) {
        let mut labels = Vec::with_capacity(7);
        labels.push(KeyValue::new("http.request.method", self.method));
        if let Some(address) = self.address {
            labels.push(KeyValue::new(SERVER_ADDRESS, address));
        }
        if let Some(port) = self.port {
            labels.push(KeyValue::new(SERVER_PORT, i64::from(port)));
        }
        if let Some(template) = self.template {
            labels.push(KeyValue::new("url.template", template));
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

impl Observer for ClientSpan {
    fn head(&mut self, span: &SpanGuard, head: &mut response::Parts) {
        self.status = Some(head.status);
        self.version = attributes::protocol_version(head.version);
        if span.is_recording() {
            let span = span.context().span();
            span.set_attribute(KeyValue::new("http.response.status_code", i64::from(head.status.as_u16())));
            if let Some(version) = self.version {
                span.set_attribute(KeyValue::new("network.protocol.version", version));
            }
            #[cfg(feature = "_hyper")]
            if let Some(peer) = head.extensions.get::<hyper_util::client::legacy::connect::HttpInfo>() {
                span.set_attributes(attributes::network_peer(peer.remote_addr()));
            }
            span.set_attributes(self.edge.response_headers.read(&head.headers));
        }
    }

    fn ends_at_head(&self) -> bool {
        self.is_head_request
    }

    /// A status that says no counts whether or not the caller read on; a caller who left before is no error.
    fn end(self, span: SpanGuard, outcome: Outcome, elapsed: Duration) {
        let outcome = match (outcome, self.status) {
            (Outcome::Ok | Outcome::Cancelled, Some(status))
                if status.is_client_error() || status.is_server_error() =>
            {
                Outcome::Error(attributes::status_class(status))
            }
            (outcome, _) => outcome,
        };
        self.measure(attributes::error_type(&outcome), elapsed);
        span.end(outcome);
    }
}

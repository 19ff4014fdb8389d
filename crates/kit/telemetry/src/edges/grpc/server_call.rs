//! The SERVER span of one call: what is written down at its start, at the response's head and at its end.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Request, response};
use opentelemetry::KeyValue;
use opentelemetry::trace::{SpanKind, TraceContextExt};

use super::messages::MessageEvents;
use super::methods::MethodName;
use super::server::ServerEdge;
use super::status::{self, CallStatus, Side};
use super::web::WebTrailers;
use super::{ERROR_TYPE, METHOD, STATUS_CODE, SYSTEM};
use crate::core::exchange::Observer;
use crate::core::exchange::attributes::{self, Host, OTHER, SERVER_ADDRESS, SERVER_PORT};
use crate::core::exchange::border::Caller;
use crate::core::exchange::fault;
use crate::core::exchange::series::Labels;
use crate::core::span::{Outcome, SpanBuilder, SpanGuard};

/// An open SERVER span of one call with what its metrics need.
#[derive(Debug)]
pub struct ServerCall {
    edge: Arc<ServerEdge>,
    method: MethodName,
    status: CallStatus,
    pub(super) messages: Option<MessageEvents>,
    web: Option<WebTrailers>,
}

/// The labels of `rpc.server.call.duration`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct ServedLabels {
    method: &'static str,
    code: &'static str,
    error_type: Option<Cow<'static, str>>,
}

impl ServerCall {
    pub(super) fn start<B>(edge: Arc<ServerEdge>, request: &Request<B>, caller: Caller) -> (SpanGuard, Self) {
        let method = edge.naming.of(request.uri().path());
        let name = if let MethodName::Known(name) = method { name } else { OTHER };
        let mut span = SpanBuilder::new(edge.telemetry.clone(), caller.parent, Cow::Borrowed(name))
            .kind(SpanKind::Server)
            .attr(SYSTEM, "grpc");
        if let MethodName::Known(name) = method {
            span = span.attr(METHOD, name);
        }
        if let Some(caller) = caller.link {
            span = span.link(caller);
        }
        let (span, is_told) = span.attrs_if_watched(|set| tell(request, set));
        let span = span.start();

        if span.is_recording() {
            let span = span.context().span();
            if !is_told {
                tell(request, &mut |attribute| span.set_attribute(attribute));
            }
            if let Some(peer) = attributes::peer(request.extensions()) {
                span.set_attributes(attributes::network_peer(peer));
            }
            span.set_attributes(edge.request_metadata.read(request.headers()));
        }
        let status = CallStatus::of_request(request.headers());
        (span, Self { edge, method, status, messages: None, web: None })
    }

    /// The method was reached, as far as the answer tells.
    fn prove_method(&mut self, span: &SpanGuard) {
        let method = std::mem::replace(&mut self.method, MethodName::Known(OTHER));
        let was_known = matches!(method, MethodName::Known(_));
        self.method = self.edge.naming.prove(method);
        if let (false, MethodName::Known(name)) = (was_known, &self.method) {
            span.rename(*name);
            span.set(METHOD, *name);
        }
    }
}

/// What the conventions want there when the sampler is asked, beside system and method.
fn tell<B>(request: &Request<B>, set: &mut dyn FnMut(KeyValue)) {
    if let Some(authority) = attributes::authority(request.uri(), request.headers()) {
        let host = Host::of(&authority);
        set(KeyValue::new(SERVER_ADDRESS, host.address.to_owned()));
        if let Some(port) = host.port_or_default(request.uri().scheme_str().unwrap_or("http")) {
            set(KeyValue::new(SERVER_PORT, i64::from(port)));
        }
    }
}

impl Observer for ServerCall {
    fn head(&mut self, span: &SpanGuard, head: &mut response::Parts) {
        self.status.code = status::read(&head.headers);
        self.status.http = Some(head.status);
        self.web = WebTrailers::of_response(&head.headers);
        let is_served = head.status.is_success() && self.status.code != Some(tonic::Code::Unimplemented);
        if is_served {
            self.prove_method(span);
        }
        if span.is_recording() {
            span.context().span().set_attributes(self.edge.response_metadata.read(&head.headers));
        }
    }

    fn reads_data(&self) -> bool {
        self.messages.is_some() || self.web.is_some()
    }

    fn data(&mut self, span: &SpanGuard, data: &[u8]) {
        if let Some(messages) = &mut self.messages {
            messages.feed(span.context(), data);
        }
        if let Some(web) = &mut self.web {
            web.feed(data);
            self.status.code = self.status.code.or_else(|| web.code());
        }
    }

    fn missed_data(&mut self) {
        self.messages = None;
        self.web = None;
    }

    fn trailers(&mut self, trailers: &HeaderMap) {
        self.status.code = status::read(trailers).or(self.status.code);
    }

    fn failed<E: 'static>(&mut self, error: &E) -> Cow<'static, str> {
        let code = fault::grpc_code(error);
        self.status.code = Some(code);
        Cow::Borrowed(status::name(code))
    }

    fn end(mut self, span: SpanGuard, outcome: Outcome, elapsed: Duration) {
        let had_no_answer = self.status.http.is_none();
        if had_no_answer {
            self.prove_method(&span);
        }
        let (code, outcome) = self.status.conclude(Side::Server, outcome, elapsed);
        let method = match &self.method {
            MethodName::Known(name) => *name,
            MethodName::Unproven(original) | MethodName::Other(original) => {
                if span.is_recording() {
                    span.set(METHOD, OTHER);
                    span.set("rpc.method_original", original.to_string());
                }
                OTHER
            }
        };
        span.set(STATUS_CODE, status::name(code));

        let error_type = attributes::error_type(&outcome);
        let labels = ServedLabels { method, code: status::name(code), error_type };
        self.edge.duration.record(labels, elapsed.as_secs_f64());
        span.end(outcome);
    }
}

impl Labels for ServedLabels {
    fn build(&self) -> Vec<KeyValue> {
        let mut labels = Vec::with_capacity(4);
        labels.push(KeyValue::new(SYSTEM, "grpc"));
        labels.push(KeyValue::new(METHOD, self.method));
        labels.push(KeyValue::new(STATUS_CODE, self.code));
        labels.extend(self.error_type.clone().map(|class| KeyValue::new(ERROR_TYPE, class)));
        labels
    }
}

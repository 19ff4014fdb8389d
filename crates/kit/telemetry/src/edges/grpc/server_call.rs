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
use super::{ERROR_TYPE, METHOD, STATUS_CODE, SYSTEM};
use crate::core::exchange::Observer;
use crate::core::exchange::attributes::{self, Host, OTHER, SERVER_ADDRESS, SERVER_PORT};
use crate::core::exchange::border::Caller;
use crate::core::exchange::fault;
use crate::core::span::{Outcome, SpanBuilder, SpanGuard};

/// An open SERVER span of one call with what its metrics need.
#[derive(Debug)]
pub struct ServerCall {
    edge: Arc<ServerEdge>,
    method: MethodName,
    status: CallStatus,
    pub(super) messages: Option<MessageEvents>,
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
        if let Some(authority) = attributes::authority(request.uri(), request.headers()) {
            let host = Host::of(&authority);
            span = span.attr(SERVER_ADDRESS, host.address.to_owned());
            if let Some(port) = host.port_or_default(request.uri().scheme_str().unwrap_or("http")) {
                span = span.attr(SERVER_PORT, i64::from(port));
            }
        }
        if let Some(caller) = caller.link {
            span = span.link(caller);
        }
        let span = span.start();

        if span.is_recording() {
            let span = span.context().span();
            if let Some(peer) = attributes::peer(request.extensions()) {
                span.set_attributes(attributes::network_peer(peer));
            }
            span.set_attributes(edge.request_metadata.read(request.headers()));
        }
        let status = CallStatus::of_request(request.headers());
        (span, Self { edge, method, status, messages: None })
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

impl Observer for ServerCall {
    fn head(&mut self, span: &SpanGuard, head: &mut response::Parts) {
        self.status.code = status::read(&head.headers);
        self.status.http = Some(head.status);
        let is_served = head.status.is_success() && self.status.code != Some(tonic::Code::Unimplemented);
        if is_served {
            self.prove_method(span);
        }
        if span.is_recording() {
            span.context().span().set_attributes(self.edge.response_metadata.read(&head.headers));
        }
    }

    fn data(&mut self, span: &SpanGuard, data: &[u8]) {
        if let Some(messages) = &mut self.messages {
            messages.feed(span.context(), data);
        }
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
            MethodName::Known(name) => name,
            MethodName::Unproven(original) | MethodName::Other(original) => {
                span.set(METHOD, OTHER);
                span.set("rpc.method_original", original.to_string());
                OTHER
            }
        };
        span.set(STATUS_CODE, status::name(code));

        let labels = [
            KeyValue::new(SYSTEM, "grpc"),
            KeyValue::new(METHOD, method),
            KeyValue::new(STATUS_CODE, status::name(code)),
        ];
        match attributes::error_type(&outcome) {
            None => self.edge.duration.record(elapsed.as_secs_f64(), &labels),
            Some(class) => {
                let [system, method, code] = labels;
                let labels = [system, method, code, KeyValue::new(ERROR_TYPE, class)];
                self.edge.duration.record(elapsed.as_secs_f64(), &labels);
            }
        }
        span.end(outcome);
    }
}

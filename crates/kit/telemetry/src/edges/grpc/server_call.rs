//! The SERVER span of one call: what is written down at its start, at the response's head and at its end.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Request, response};
use opentelemetry::KeyValue;
use opentelemetry::trace::SpanKind;

use super::messages::MessageEvents;
use super::methods::MethodName;
use super::server::ServerEdge;
use super::status::{self, CallStatus, Side};
use super::web::WebTrailers;
use super::{ERROR_TYPE, METHOD, STATUS_CODE, SYSTEM};
use crate::core::exchange::Observer;
use crate::core::exchange::attributes::{self, OTHER, SERVER_ADDRESS, SERVER_PORT};
use crate::core::exchange::border::{Caller, CallerTrust};
use crate::core::exchange::fault;
use crate::core::exchange::unix_socket::CameBy;
use crate::core::readings::exemplars;
use crate::core::series::Labels;
use crate::core::span::{Outcome, SpanBuilder, SpanGuard};

/// An open SERVER span of one call with what its metrics need.
#[derive(Debug)]
pub struct ServerCall {
    edge: Arc<ServerEdge>,
    trust: CallerTrust,
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
    pub(super) fn start<B>(
        edge: Arc<ServerEdge>,
        request: &Request<B>,
        caller: Caller,
        trust: CallerTrust,
    ) -> (SpanGuard, Self) {
        let method = edge.naming.of(request.uri().path());
        let name = if let MethodName::Known(name) = method { name } else { OTHER };
        let mut span =
            SpanBuilder::new(edge.telemetry.clone(), caller.own, Cow::Borrowed(name)).kind(SpanKind::Server);
        if let Some(caller) = caller.link {
            span = span.link(caller);
        }
        let mut span = span.decided_below(caller.remote);
        let came_by = if span.keeps() { CameBy::of(request.extensions()) } else { CameBy::Other };
        if span.keeps() {
            span.put_text(SYSTEM, "grpc");
            if let MethodName::Known(name) = method {
                span.put_text(METHOD, name);
            }
            edge.describe(&mut span, request, came_by);
        }
        // What is not relevant for sampling is not shown to who asks for attributes to decide.
        let is_watched = span.is_watched();
        if !is_watched && span.keeps() {
            if let Some(peer) = attributes::peer(request.extensions(), came_by) {
                span.put_text("network.peer.address", attributes::AddressText::of(peer.ip()).as_str());
                span.put("network.peer.port", i64::from(peer.port()));
            }
            if came_by.is_unix() {
                span.put_each(came_by.peer_attributes());
            }
            span.put_each(edge.request_metadata.read(request.headers()));
        }
        let span = span.start();
        if is_watched {
            let peer = attributes::peer(request.extensions(), came_by).map(attributes::network_peer);
            let metadata = edge.request_metadata.read(request.headers());
            let socket = came_by.peer_attributes();
            span.set_each(peer.into_iter().flatten().chain(socket).chain(metadata));
        }
        let status = CallStatus::of_request(request.headers());
        (span, Self { edge, trust, method, status, messages: None, web: None })
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

impl ServerEdge {
    /// Whom the caller meant to reach, which the conventions want there when a sampler of the program is asked.
    fn describe<B>(&self, span: &mut SpanBuilder, request: &Request<B>, came_by: CameBy<'_>) {
        if let CameBy::UnixSocketAt(socket) = came_by {
            span.put_text(SERVER_ADDRESS, socket.path());
            return;
        }
        self.hosts.show(request.uri(), request.headers(), |host| {
            span.put_text(SERVER_ADDRESS, host.address);
            let scheme = request.uri().scheme_str().unwrap_or("http");
            let port = if came_by.is_unix() { host.port } else { host.port_or_default(scheme) };
            if let Some(port) = port {
                span.put(SERVER_PORT, i64::from(port));
            }
        });
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
        if self.trust == CallerTrust::Inside {
            self.edge.telemetry.tell_caller(|| span.span_context(), &mut head.headers);
        }
        span.set_each(self.edge.response_metadata.read(&head.headers));
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

    fn end(mut self, span: &mut SpanGuard, outcome: Outcome, elapsed: Duration) {
        let had_no_answer = self.status.http.is_none();
        if had_no_answer {
            self.prove_method(span);
        }
        let (code, outcome) = self.status.conclude(Side::Server, outcome, elapsed);
        let method = match &self.method {
            MethodName::Known(name) => *name,
            MethodName::Unproven(original) | MethodName::Other(original) => {
                span.set(METHOD, OTHER);
                span.set_with("rpc.method_original", || original.to_string());
                OTHER
            }
        };
        span.set(STATUS_CODE, status::name(code));

        let error_type = outcome.error_type();
        let labels = ServedLabels { method, code: status::name(code), error_type };
        exemplars::within(span.context(), span.time_after(elapsed), || {
            self.edge.duration.record(labels, elapsed.as_secs_f64());
        });
        span.end_after(outcome, elapsed);
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

//! The CLIENT span of one call: what is written down at its start, at the response's head and at its end.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Request, response};
use opentelemetry::trace::SpanKind;
use opentelemetry::{Context, KeyValue};

use super::client::{ClientEdge, Target};
use super::connection::PeerAddress;
use super::messages::MessageEvents;
use super::methods::MethodName;
use super::status::{self, CallStatus, Side};
use super::web::WebTrailers;
use super::{ERROR_TYPE, METHOD, STATUS_CODE, SYSTEM};
use crate::core::exchange::Observer;
use crate::core::exchange::attributes::{OTHER, SERVER_ADDRESS, SERVER_PORT};
use crate::core::exchange::fault;
use crate::core::exchange::unix_socket::UnixSocket;
use crate::core::readings::exemplars;
use crate::core::series::Labels;
use crate::core::span::{Outcome, SpanBuilder, SpanGuard};

/// An open CLIENT span of one call with what its metrics need.
#[derive(Debug)]
pub struct ClientCall {
    edge: Arc<ClientEdge>,
    method: &'static str,
    target: Option<Target>,
    status: CallStatus,
    pub(super) messages: Option<MessageEvents>,
    web: Option<WebTrailers>,
}

/// The labels of `rpc.client.call.duration`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct CallLabels {
    method: &'static str,
    code: &'static str,
    target: Option<Target>,
    error_type: Option<Cow<'static, str>>,
}

impl ClientCall {
    pub(super) fn start<B>(
        edge: Arc<ClientEdge>,
        request: &Request<B>,
        parent: Context,
    ) -> (SpanGuard, Self) {
        // The methods a client calls are in the program's own text, so each is known as soon as it is called.
        let name = edge.naming.prove(edge.naming.of(request.uri().path()));
        let method = if let MethodName::Known(name) = name { name } else { OTHER };
        let target = edge.target.clone().or_else(|| Target::of_request(request));

        let mut span = SpanBuilder::new(edge.telemetry.clone(), parent, Cow::Borrowed(method))
            .kind(SpanKind::Client)
            .decided();
        if span.keeps() {
            span.put_text(SYSTEM, "grpc");
            span.put_text(METHOD, method);
            if let Some(target) = &target {
                span.put_text(SERVER_ADDRESS, &target.address);
                if let Some(port) = target.port {
                    span.put(SERVER_PORT, i64::from(port));
                }
            }
            if let MethodName::Unproven(original) | MethodName::Other(original) = &name {
                span.put_text("rpc.method_original", original);
            }
            span.put_each(edge.request_metadata.read(request.headers()));
        }
        let span = span.start();
        let status = CallStatus::of_request(request.headers());
        (span, Self { edge, method, target, status, messages: None, web: None })
    }
}

impl Observer for ClientCall {
    fn head(&mut self, span: &SpanGuard, head: &mut response::Parts) {
        self.edge.telemetry.hear_callee(|| span.span_context(), &head.headers);
        self.status.code = status::read(&head.headers);
        self.status.http = Some(head.status);
        self.web = WebTrailers::of_response(&head.headers);
        if span.records() {
            let told = head.extensions.get().map(|PeerAddress(peer)| self.edge.told_peer(*peer));
            let told = told.or_else(|| head.extensions.get().map(UnixSocket::peer_attributes));
            let peer = told.or_else(|| self.edge.peer.as_ref()?.attributes());
            if let Some(peer) = peer {
                span.set_each(peer);
            }
            if !self.edge.response_metadata.is_empty() {
                span.set_each(self.edge.response_metadata.read(&head.headers));
            }
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
        Cow::Borrowed(fault::class(error).unwrap_or(status::name(code)))
    }

    fn end(self, span: &mut SpanGuard, outcome: Outcome, elapsed: Duration) {
        let (code, outcome) = self.status.conclude(Side::Client, outcome, elapsed);
        span.set(STATUS_CODE, status::name(code));

        let Self { edge, method, target, .. } = self;
        let error_type = outcome.error_type();
        let labels = CallLabels { method, code: status::name(code), target, error_type };
        exemplars::within(span.context(), span.time_after(elapsed), || {
            edge.duration.record(labels, elapsed.as_secs_f64());
        });
        span.end_after(outcome, elapsed);
    }
}

impl Labels for CallLabels {
    fn build(&self) -> Vec<KeyValue> {
        let mut labels = Vec::with_capacity(6);
        labels.push(KeyValue::new(SYSTEM, "grpc"));
        labels.push(KeyValue::new(METHOD, self.method));
        labels.push(KeyValue::new(STATUS_CODE, self.code));
        if let Some(Target { address, port }) = &self.target {
            labels.push(KeyValue::new(SERVER_ADDRESS, Arc::clone(address)));
            labels.extend(port.map(|port| KeyValue::new(SERVER_PORT, i64::from(port))));
        }
        labels.extend(self.error_type.clone().map(|class| KeyValue::new(ERROR_TYPE, class)));
        labels
    }
}

//! One exchange at an edge, from the head of the request to the end of the response's body.
//!
//! All four HTTP and gRPC layers are made by [`layer`] and give one [`Traced`] service; they differ in their [`Edge`],
//! which begins an exchange, and in its [`Observer`], which writes it down. What this keeps: the exchange's context
//! is attached whenever the wrapped future or body is polled and when it is dropped; the observer hears the end
//! exactly once, with how it came about; a panic passes through untouched. It boxes nothing and knows no attribute.

pub(crate) mod asked;
pub(crate) mod attributes;
pub(crate) mod border;
pub(crate) mod fault;
pub(crate) mod forwarded;
mod response;
mod traced;

use std::borrow::Cow;
use std::time::{Duration, Instant};

use http::{HeaderMap, Request, response as http_response};
use opentelemetry::Context;
use tower_service::Service;

use crate::core::span::{Outcome, SpanGuard};
pub(crate) use response::{ResponseBody, ResponseFuture};
pub(crate) use traced::{Edge, Traced, layer};

/// What one kind of edge writes down about an exchange.
pub trait Observer {
    /// The head of the response. May add response headers.
    fn head(&mut self, span: &SpanGuard, head: &mut http_response::Parts);

    /// Whether the bytes of the response's body are looked at.
    fn reads_data(&self) -> bool {
        false
    }

    /// Bytes of the response's body, as they pass.
    fn data(&mut self, _span: &SpanGuard, _data: &[u8]) {}

    /// Some bytes passed unseen; what is read of the body is out of step from here on.
    fn missed_data(&mut self) {}

    /// The body was dropped before anybody asked for a part of it.
    fn unread(&mut self) {}

    /// The trailers of the response.
    fn trailers(&mut self, _trailers: &HeaderMap) {}

    /// Whether the exchange is complete with the head, whatever body comes with it.
    fn ends_at_head(&self) -> bool {
        false
    }

    /// The `error.type` of an error that the service or the body gave.
    fn failed<E: 'static>(&mut self, error: &E) -> Cow<'static, str> {
        fault::error_type(error)
    }

    /// The end, once. Ends the span, which took as long.
    fn end(self, span: &mut SpanGuard, outcome: Outcome, elapsed: Duration);
}

/// The span of an exchange, whose context stays attached to the end of the body, and, until the span ends, its observer.
#[derive(Debug)]
pub struct Exchange<O: Observer> {
    span: SpanGuard,
    live: Option<Live<O>>,
}

#[derive(Debug)]
struct Live<O> {
    observer: O,
    started: Instant,
}

impl<O: Observer> Exchange<O> {
    /// An exchange that is observed. `begun` was read before its span started, so that the span does not end before what
    /// is within it.
    pub(crate) fn observed(span: SpanGuard, observer: O, begun: Instant) -> Self {
        Self { span, live: Some(Live { observer, started: begun }) }
    }

    /// An exchange that only carries its context on.
    pub(crate) fn unobserved(context: Context) -> Self {
        Self { span: SpanGuard::ended(context), live: None }
    }

    /// Hands the request to the service and wraps what it answers.
    pub(crate) fn call<S, B>(mut self, service: &mut S, request: Request<B>) -> ResponseFuture<S::Future, O>
    where
        S: Service<Request<B>>,
    {
        let future = self.within(|| service.call(request));
        ResponseFuture::new(future, self)
    }

    /// Runs `step` with the context attached, once for all that is done in one poll; a panic in it ends the exchange and goes on.
    fn within<T>(&mut self, step: impl FnOnce() -> T) -> T {
        struct Unwinding<'a, O: Observer> {
            exchange: &'a mut Exchange<O>,
            armed: bool,
        }
        impl<O: Observer> Drop for Unwinding<'_, O> {
            fn drop(&mut self) {
                if self.armed {
                    self.exchange.end(Outcome::Panic);
                }
            }
        }
        let context = self.span.context().clone();
        let mut unwinding = Unwinding { exchange: self, armed: true };
        let attached = context.attach();
        let output = step();
        drop(attached);
        unwinding.armed = false;
        output
    }

    fn end(&mut self, outcome: Outcome) {
        if let Some(Live { observer, started }) = self.live.take() {
            observer.end(&mut self.span, outcome, started.elapsed());
        }
    }

    fn fail<E: 'static>(&mut self, error: &E) {
        if let Some(live) = &mut self.live {
            let class = live.observer.failed(error);
            self.end(Outcome::Error(class));
        }
    }

    fn observe(&mut self, step: impl FnOnce(&mut O, &SpanGuard)) {
        if let Some(live) = &mut self.live {
            step(&mut live.observer, &self.span);
        }
    }
}

impl<O: Observer> Drop for Exchange<O> {
    fn drop(&mut self) {
        self.end(Outcome::Cancelled);
    }
}

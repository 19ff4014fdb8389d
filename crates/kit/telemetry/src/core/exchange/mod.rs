//! One exchange at an edge, from the head of the request to the end of the response's body.
//!
//! All four HTTP and gRPC layers are made by [`layer`] and give one [`Traced`] service; they differ in their [`Edge`],
//! which begins an exchange, and in its [`Observer`], which writes it down. What this keeps: the exchange's context
//! is attached whenever the wrapped future or body is polled and when it is dropped; the observer hears the end
//! exactly once, with how it came about; a panic passes through untouched. It boxes nothing but what is known of a stream,
//! whose span may end before its body, and knows no attribute.

pub(crate) mod asked;
pub(crate) mod attributes;
pub(crate) mod border;
pub(crate) mod fault;
pub(crate) mod forwarded;
pub(crate) mod headers;
mod response;
pub(crate) mod stream;
mod traced;
pub(crate) mod unix_socket;

use std::borrow::Cow;
use std::task::Context as TaskContext;
use std::time::Duration;

use http::{HeaderMap, Request, response as http_response};
use opentelemetry::Context;
use tower_service::Service;

use crate::core::clock::Timer;
use crate::core::span::{Outcome, SpanGuard};
pub(crate) use response::{ResponseBody, ResponseFuture};
use stream::{MeasureStream, OpenStream, StreamSpan};
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

    /// So many bytes of the response's body have passed.
    fn passed(&mut self, _bytes: u64) {}

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

    /// Whether the response is a stream, asked after its head: who measures how long it is open, and when its span ends.
    /// `elapsed` since the exchange began.
    fn stream(&mut self, _elapsed: Duration) -> Option<(MeasureStream, StreamSpan)> {
        None
    }

    /// The span ends now, and the body goes on.
    fn leaves_body(&mut self) {}

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
    stream: Option<Box<OpenStream>>,
}

#[derive(Debug)]
struct Live<O> {
    observer: O,
    timer: Timer,
}

impl<O: Observer> Exchange<O> {
    /// An exchange that is observed. `timer` was begun before its span started, so that the span does not end before what
    /// is within it.
    pub(crate) fn observed(span: SpanGuard, observer: O, timer: Timer) -> Self {
        Self { span, live: Some(Live { observer, timer }), stream: None }
    }

    /// An exchange that only carries its context on.
    pub(crate) fn unobserved(context: Context) -> Self {
        Self { span: SpanGuard::ended(context), live: None, stream: None }
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
    pub(crate) fn within<T>(&mut self, step: impl FnOnce() -> T) -> T {
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

    /// The head of the response. The exchange may be over with it.
    fn head(&mut self, head: &mut http_response::Parts, has_body: bool) {
        let Some(live) = &mut self.live else { return };
        live.observer.head(&self.span, head);
        if !has_body || live.observer.ends_at_head() {
            return self.end(Outcome::Ok);
        }
        if let Some((measure, span)) = live.observer.stream(live.timer.elapsed()) {
            self.stream = Some(Box::new(OpenStream::new(measure, live.timer.clone(), span)));
            if span == StreamSpan::UntilHead {
                self.leave_body();
            }
        }
    }

    /// Whether somebody is to hear of its end.
    fn is_open(&self) -> bool {
        self.live.is_some() || self.stream.is_some()
    }

    /// Ends the span of a stream that has lasted long enough for it.
    fn look_at_clock(&mut self, task: &mut TaskContext<'_>) {
        if self.stream.as_mut().is_some_and(|stream| stream.span_is_over(task)) {
            self.leave_body();
        }
    }

    fn leave_body(&mut self) {
        self.observe(|observer, _| observer.leaves_body());
        self.end_span(Outcome::Ok);
    }

    fn end(&mut self, outcome: Outcome) {
        if let Some(stream) = self.stream.take() {
            stream.end(&outcome);
        }
        self.end_span(outcome);
    }

    fn end_span(&mut self, outcome: Outcome) {
        if let Some(Live { observer, timer }) = self.live.take() {
            observer.end(&mut self.span, outcome, timer.elapsed());
        }
    }

    fn fail<E: 'static>(&mut self, error: &E) {
        let class = match &mut self.live {
            Some(live) => live.observer.failed(error),
            None if self.stream.is_some() => fault::error_type(error),
            None => return,
        };
        self.end(Outcome::Error(class));
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

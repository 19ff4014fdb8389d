//! One exchange at an edge, from the head of the request to the end of the response's body.
//!
//! All four HTTP and gRPC layers share this machinery and differ only in their [`Observer`]. What it keeps:
//! the exchange's context is attached whenever the wrapped future or body is polled and when it is dropped;
//! the observer hears the end exactly once, with how it came about; a panic passes through untouched.
//! It boxes nothing and knows no attribute.

pub(crate) mod attributes;
pub(crate) mod border;
pub(crate) mod fault;

use std::borrow::Cow;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Buf;
use http::{HeaderMap, Response, response};
use http_body::{Body, Frame, SizeHint};
use opentelemetry::Context;
use pin_project_lite::pin_project;
use tower_service::Service;

use crate::core::span::{Outcome, SpanGuard};

/// What one kind of edge writes down about an exchange.
pub trait Observer {
    /// The head of the response. May add response headers.
    fn head(&mut self, span: &SpanGuard, head: &mut response::Parts);

    /// Bytes of the response's body, as they pass.
    fn data(&mut self, _span: &SpanGuard, _data: &[u8]) {}

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

    /// The end, once. Ends the span.
    fn end(self, span: SpanGuard, outcome: Outcome, elapsed: Duration);
}

/// The context of an exchange and, unless the exchange was filtered out, its span and observer.
#[derive(Debug)]
pub(crate) struct Exchange<O: Observer> {
    context: Context,
    live: Option<Live<O>>,
}

#[derive(Debug)]
struct Live<O> {
    span: SpanGuard,
    observer: O,
    started: Instant,
}

impl<O: Observer> Exchange<O> {
    /// An exchange that is observed from now on.
    pub(crate) fn observed(span: SpanGuard, observer: O) -> Self {
        Self { context: span.context().clone(), live: Some(Live { span, observer, started: Instant::now() }) }
    }

    /// An exchange that only carries its context on.
    pub(crate) fn unobserved(context: Context) -> Self {
        Self { context, live: None }
    }

    /// Hands the request to the service and wraps what it answers.
    pub(crate) fn call<S, B>(
        mut self,
        service: &mut S,
        request: http::Request<B>,
    ) -> ResponseFuture<S::Future, O>
    where
        S: Service<http::Request<B>>,
    {
        let future = self.within(|| service.call(request));
        ResponseFuture { future: Some(future), exchange: Some(self) }
    }

    /// Runs `step` with the context attached; a panic in it ends the exchange and goes on.
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
        let context = self.context.clone();
        let mut unwinding = Unwinding { exchange: self, armed: true };
        let attached = context.attach();
        let output = step();
        drop(attached);
        unwinding.armed = false;
        output
    }

    fn end(&mut self, outcome: Outcome) {
        if let Some(Live { span, observer, started }) = self.live.take() {
            observer.end(span, outcome, started.elapsed());
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
            step(&mut live.observer, &live.span);
        }
    }
}

impl<O: Observer> Drop for Exchange<O> {
    fn drop(&mut self) {
        self.end(Outcome::Cancelled);
    }
}

pin_project! {
    /// The future of a service behind one of the layers.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<F, O: Observer> {
        #[pin]
        future: Option<F>,
        exchange: Option<Exchange<O>>,
    }

    impl<F, O: Observer> PinnedDrop for ResponseFuture<F, O> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if let Some(exchange) = this.exchange.as_mut() {
                exchange.within(|| this.future.set(None));
            }
        }
    }
}

impl<F, B, E, O> Future for ResponseFuture<F, O>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: Body,
    E: 'static,
    O: Observer,
{
    type Output = Result<Response<ResponseBody<B, O>>, E>;

    fn poll(self: Pin<&mut Self>, task: &mut TaskContext<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let (Some(exchange), Some(future)) = (this.exchange.as_mut(), this.future.as_mut().as_pin_mut())
        else {
            return Poll::Pending; // polled again after its end
        };
        let result = ready!(exchange.within(|| future.poll(task)));
        exchange.within(|| this.future.set(None));
        let Some(mut exchange) = this.exchange.take() else { return Poll::Pending };
        Poll::Ready(match result {
            Ok(response) => {
                let (mut head, body) = response.into_parts();
                exchange.observe(|observer, span| observer.head(span, &mut head));
                let remaining = content_length(&head.headers).or_else(|| body.size_hint().exact());
                let ends_at_head = exchange.live.as_ref().is_some_and(|live| live.observer.ends_at_head());
                if ends_at_head || body.is_end_stream() {
                    exchange.end(Outcome::Ok);
                }
                Ok(Response::from_parts(head, ResponseBody { body: Some(body), exchange, remaining }))
            }
            Err(error) => {
                exchange.fail(&error);
                Err(error)
            }
        })
    }
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(http::header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

pin_project! {
    /// The response's body behind one of the layers. The exchange ends when it does.
    #[derive(Debug)]
    pub struct ResponseBody<B, O: Observer> {
        #[pin]
        body: Option<B>,
        exchange: Exchange<O>,
        // A server may stop polling at the last announced byte, so the end must be seen there.
        remaining: Option<u64>,
    }

    impl<B, O: Observer> PinnedDrop for ResponseBody<B, O> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            this.exchange.within(|| this.body.set(None));
        }
    }
}

impl<B, O> Body for ResponseBody<B, O>
where
    B: Body,
    B::Error: 'static,
    O: Observer,
{
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        task: &mut TaskContext<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let mut this = self.project();
        let Some(mut body) = this.body.as_mut().as_pin_mut() else { return Poll::Ready(None) };
        let frame = ready!(this.exchange.within(|| body.as_mut().poll_frame(task)));
        match &frame {
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    this.exchange.observe(|observer, span| observer.data(span, data.chunk()));
                    if let Some(remaining) = this.remaining {
                        *remaining = remaining.saturating_sub(data.remaining() as u64);
                    }
                    if *this.remaining == Some(0) {
                        this.exchange.end(Outcome::Ok);
                    }
                } else if let Some(trailers) = frame.trailers_ref() {
                    this.exchange.observe(|observer, _| observer.trailers(trailers));
                    this.exchange.end(Outcome::Ok);
                }
                if body.is_end_stream() {
                    this.exchange.end(Outcome::Ok);
                }
            }
            Some(Err(error)) => this.exchange.fail(error),
            None => this.exchange.end(Outcome::Ok),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

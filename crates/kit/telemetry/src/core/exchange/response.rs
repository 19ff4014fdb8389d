//! The future and the body behind a traced service: where the end of an exchange is seen.

use std::future::Future;
use std::io::IoSlice;
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll, ready};

use bytes::Buf;
use http::{HeaderMap, Response};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::{Exchange, Observer, headers};
use crate::core::span::{Outcome, SpanGuard};

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

impl<F, O: Observer> ResponseFuture<F, O> {
    pub(crate) fn new(future: F, exchange: Exchange<O>) -> Self {
        Self { future: Some(future), exchange: Some(exchange) }
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
        // Without it the future is polled again after its end.
        let Some(exchange) = this.exchange.as_mut() else { return Poll::Pending };
        let result = ready!(exchange.within(|| {
            let polled = this.future.as_mut().as_pin_mut().map_or(Poll::Pending, |future| future.poll(task));
            if polled.is_ready() {
                this.future.set(None);
            }
            polled
        }));
        let Some(mut exchange) = this.exchange.take() else { return Poll::Pending };
        Poll::Ready(match result {
            Ok(response) => {
                let (mut head, body) = response.into_parts();
                exchange.head(&mut head, !body.is_end_stream());
                let announced = || content_length(&head.headers).or_else(|| body.size_hint().exact());
                let remaining = if exchange.is_open() { announced() } else { None };
                let body = ResponseBody { body: Some(body), exchange, remaining, is_read: false };
                Ok(Response::from_parts(head, body))
            }
            Err(error) => {
                exchange.fail(&error);
                Err(error)
            }
        })
    }
}

/// Shows the observer every part of the data, as far as it can be seen without taking it.
fn show(data: &impl Buf, observer: &mut impl Observer, span: &SpanGuard) {
    if !observer.reads_data() {
        return;
    }
    let mut parts = [IoSlice::new(&[]); 16];
    let count = data.chunks_vectored(&mut parts);
    let mut seen = 0;
    for part in parts.iter().take(count) {
        observer.data(span, part);
        seen += part.len();
    }
    if seen < data.remaining() {
        observer.missed_data();
    }
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers::first(headers, &http::header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
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
        is_read: bool,
    }

    impl<B, O: Observer> PinnedDrop for ResponseBody<B, O> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if !*this.is_read {
                this.exchange.observe(|observer, _| observer.unread());
            }
            if this.body.is_some() {
                this.exchange.within(|| this.body.set(None));
            }
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
        if this.body.is_none() {
            return Poll::Ready(None);
        }
        *this.is_read = true;
        this.exchange.look_at_clock(task);
        // What is behind its end is dropped at once, while the context is attached.
        let mut is_over = false;
        let frame = ready!(this.exchange.within(|| {
            let Some(mut body) = this.body.as_mut().as_pin_mut() else { return Poll::Ready(None) };
            let polled = body.as_mut().poll_frame(task);
            is_over = match &polled {
                Poll::Ready(Some(Ok(_))) => body.is_end_stream(),
                Poll::Ready(None) => true,
                Poll::Ready(Some(Err(_))) | Poll::Pending => false,
            };
            if is_over {
                this.body.set(None);
            }
            polled
        }));
        match &frame {
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    this.exchange.observe(|observer, span| {
                        observer.passed(data.remaining() as u64);
                        show(data, observer, span);
                    });
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
            }
            Some(Err(error)) => this.exchange.fail(error),
            None => {}
        }
        if is_over {
            this.exchange.end(Outcome::Ok);
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

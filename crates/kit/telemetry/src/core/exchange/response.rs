//! The future and the body behind a traced service: where the end of an exchange is seen.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll, ready};

use bytes::Buf;
use http::{HeaderMap, Response};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::{Exchange, Observer};
use crate::core::span::Outcome;

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
    pub(super) fn new(future: F, exchange: Exchange<O>) -> Self {
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

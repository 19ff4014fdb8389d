//! Response bodies that end at the deadline.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};
use tonic::Status;

use super::{DEADLINE, Expired};

/// When to stop. Boxed, so that it can move from the future of a call to its body.
#[derive(Debug)]
pub(super) struct Limit {
    pub(super) deadline: Instant,
    sleep: Pin<Box<Sleep>>,
}

impl Limit {
    pub(super) fn new(deadline: Instant) -> Self {
        Self { deadline, sleep: Box::pin(sleep_until(deadline)) }
    }

    pub(super) fn poll_expired(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.sleep.as_mut().poll(cx)
    }
}

pin_project! {
    /// The body of a call: fails with `DEADLINE_EXCEEDED` at the deadline.
    #[derive(Debug)]
    pub(crate) struct ClientBody<B> {
        #[pin]
        inner: B,
        limit: Option<Limit>,
    }
}

impl<B> ClientBody<B> {
    pub(super) fn new(inner: B, limit: Option<Limit>) -> Self {
        Self { inner, limit }
    }
}

impl<B: Body<Error = Status>> Body for ClientBody<B> {
    type Data = B::Data;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, Status>>> {
        let this = self.project();
        if let Poll::Ready(frame) = this.inner.poll_frame(cx) {
            return Poll::Ready(frame);
        }
        let Some(limit) = this.limit else { return Poll::Pending };
        ready!(limit.poll_expired(cx));
        Poll::Ready(Some(Err(Expired.into())))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

pin_project! {
    /// The body of an answer: produced under the deadline, and ended with the trailers of `DEADLINE_EXCEEDED`
    /// when the deadline passes first. Made by [`super::ServerLayer`].
    #[derive(Debug)]
    pub struct ServerBody<B> {
        #[pin]
        inner: Option<B>,
        limit: Option<Limit>,
    }
}

impl<B> ServerBody<B> {
    pub(super) fn new(inner: B, limit: Option<Limit>) -> Self {
        Self { inner: Some(inner), limit }
    }
}

impl<B> Default for ServerBody<B> {
    /// An empty body.
    fn default() -> Self {
        Self { inner: None, limit: None }
    }
}

impl<B: Body> Body for ServerBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let mut this = self.project();
        let Some(inner) = this.inner.as_mut().as_pin_mut() else { return Poll::Ready(None) };
        let deadline = this.limit.as_ref().map(|limit| limit.deadline);
        if let Poll::Ready(frame) = DEADLINE.sync_scope(deadline, || inner.poll_frame(cx)) {
            return Poll::Ready(frame);
        }
        let Some(limit) = this.limit else { return Poll::Pending };
        ready!(limit.poll_expired(cx));
        // Dropping the body stops the work that produces it.
        this.inner.set(None);
        Poll::Ready(Some(Ok(Frame::trailers(trailers_of(&Expired.into())))))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or(SizeHint::with_exact(0), Body::size_hint)
    }
}

fn trailers_of(status: &Status) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    // Fails only for a message that is no header value, and percent-encoding makes it one.
    if status.add_header(&mut trailers).is_err() {
        trailers.insert(Status::GRPC_STATUS, (tonic::Code::DeadlineExceeded as i32).into());
    }
    trailers
}

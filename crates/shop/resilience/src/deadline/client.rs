//! The deadline on the way out.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tokio::time::Instant;
use tonic::Status;
use tower::util::Oneshot;
use tower_layer::Layer;
use tower_service::Service;

use super::{
    Expired,
    body::{ClientBody, Limit},
    current, earlier, header,
};

/// Gives a call what is left of the time, less a margin.
///
/// The callee is told a whole margin less than is left, so that we can still answer when it could not: tonic's
/// transport reads the same header and ends the call by it. That timer starts when there is a connection and
/// stops at the response's head, so the call has a second one here that covers all of it, half a margin later.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ClientLayer {
    /// The time of a call that has no deadline, and the most that any has.
    pub(crate) max: Duration,
    /// What is kept back at most; never more than a quarter of what is left.
    pub(crate) margin: Duration,
}

impl<S> Layer<S> for ClientLayer {
    type Service = ClientService<S>;

    fn layer(&self, inner: S) -> ClientService<S> {
        ClientService { inner, layer: *self }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct ClientService<S> {
    inner: S,
    layer: ClientLayer,
}

impl<S, B, R> Service<Request<B>> for ClientService<S>
where
    S: Service<Request<B>, Response = Response<R>, Error = Status> + Clone,
{
    type Response = Response<ClientBody<R>>;
    type Error = Status;
    type Future = ClientFuture<S, Request<B>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        // Readiness is awaited in the call, where the deadline covers it.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let now = Instant::now();
        let asked = header::read(request.headers()).unwrap_or(self.layer.max).min(self.layer.max);
        let deadline = earlier(now.checked_add(asked), current());
        let left = deadline.map_or(asked, |deadline| deadline.saturating_duration_since(now));
        if left.is_zero() {
            return ClientFuture { call: None, limit: None };
        }
        let margin = self.layer.margin.min(left / 4);
        let told = left.saturating_sub(margin);
        request.headers_mut().insert(header::GRPC_TIMEOUT, header::write(told));
        let limit = Limit::new(now + told + margin / 2);
        ClientFuture { call: Some(Oneshot::new(self.inner.clone(), request)), limit: Some(limit) }
    }
}

pin_project! {
    pub(crate) struct ClientFuture<S: Service<Q>, Q> {
        // Absent when there was no time to call at all.
        #[pin]
        call: Option<Oneshot<S, Q>>,
        limit: Option<Limit>,
    }
}

impl<S, Q, R> Future for ClientFuture<S, Q>
where
    S: Service<Q, Response = Response<R>, Error = Status>,
{
    type Output = Result<Response<ClientBody<R>>, Status>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let Some(call) = this.call.as_mut().as_pin_mut() else {
            return Poll::Ready(Err(Expired.into()));
        };
        if let Poll::Ready(result) = call.poll(cx) {
            let limit = this.limit.take();
            return Poll::Ready(result.map(|response| response.map(|body| ClientBody::new(body, limit))));
        }
        if let Some(limit) = this.limit {
            ready!(limit.poll_expired(cx));
            // Dropping the call resets its stream, so the callee learns that nobody waits.
            this.call.set(None);
            return Poll::Ready(Err(Expired.into()));
        }
        Poll::Pending
    }
}

//! The deadline on the way in.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tokio::{task::futures::TaskLocalFuture, time::Instant};
use tonic::Status;
use tower_layer::Layer;
use tower_service::Service;

use super::{Expired, ServerBody, body::Limit, current, earlier, header, scope};

/// Reads `grpc-timeout` and lets the handler work until then.
///
/// A call whose time is already over is refused before anything is done. The handler sees the deadline by
/// [`super::current`]; at the deadline it is dropped, or its response body ended, with `DEADLINE_EXCEEDED`. Work
/// that must not stop there runs in a task of its own.
#[derive(Debug, Clone, Copy, Default)]
pub struct ServerLayer {
    max: Option<Duration>,
}

impl ServerLayer {
    /// A layer that takes whatever deadline the caller sets, also none.
    pub fn new() -> Self {
        Self::default()
    }

    /// Gives every call at most this long, also those without a deadline.
    #[must_use]
    pub fn max(mut self, max: Duration) -> Self {
        self.max = Some(max);
        self
    }
}

impl<S> Layer<S> for ServerLayer {
    type Service = ServerService<S>;

    fn layer(&self, inner: S) -> ServerService<S> {
        ServerService { inner, max: self.max }
    }
}

/// See [`ServerLayer`].
#[derive(Debug, Clone)]
pub struct ServerService<S> {
    inner: S,
    max: Option<Duration>,
}

impl<S, B, R> Service<Request<B>> for ServerService<S>
where
    S: Service<Request<B>, Response = Response<R>>,
{
    type Response = Response<ServerBody<R>>;
    type Error = S::Error;
    type Future = ServerFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let now = Instant::now();
        let asked = header::read(request.headers());
        let timeout = [asked, self.max].into_iter().flatten().min();
        let deadline = earlier(timeout.and_then(|timeout| now.checked_add(timeout)), current());
        if deadline.is_some_and(|deadline| deadline <= now) {
            return ServerFuture { work: None, limit: None };
        }
        let work = scope(deadline, self.inner.call(request));
        ServerFuture { work: Some(work), limit: deadline.map(Limit::new) }
    }
}

pin_project! {
    /// The future of [`ServerService`].
    #[derive(Debug)]
    pub struct ServerFuture<F> {
        // Absent when the call was refused, or has been dropped at its deadline.
        #[pin]
        work: Option<TaskLocalFuture<Option<Instant>, F>>,
        limit: Option<Limit>,
    }
}

impl<F, R, E> Future for ServerFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
{
    type Output = Result<Response<ServerBody<R>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if let Some(work) = this.work.as_mut().as_pin_mut() {
            if let Poll::Ready(result) = work.poll(cx) {
                let limit = this.limit.take();
                return Poll::Ready(result.map(|response| response.map(|body| ServerBody::new(body, limit))));
            }
            let Some(limit) = this.limit else { return Poll::Pending };
            std::task::ready!(limit.poll_expired(cx));
            this.work.set(None);
        }
        Poll::Ready(Ok(Status::from(Expired).into_http()))
    }
}

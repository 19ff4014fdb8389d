//! A time limit below the call's span.
//!
//! A call that is dropped from above looks like one that its caller gave up, which is no error. A time-out is one; so
//! the limit lies inside the instrumentation, where the span sees it end the call.

use http::Request;
use std::task::{Context, Poll};
use std::time::Duration;
use tower::timeout::error::Elapsed;
use tower::{BoxError, Service};
use waypost_durable::BoxFuture;

/// How long the head of an answer may take; an extension of the request.
#[derive(Clone, Copy, Debug)]
pub(super) struct TimeLimit(pub(super) Duration);

/// A service whose calls end with [`Elapsed`] when their [`TimeLimit`] is over.
#[derive(Clone, Debug)]
pub(super) struct Timed<S>(pub(super) S);

impl<S, B> Service<Request<B>> for Timed<S>
where
    S: Service<Request<B>, Error: Into<BoxError>, Future: Send + 'static>,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<S::Response, BoxError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let limit = request.extensions().get().copied().unwrap_or(TimeLimit(Duration::MAX));
        let answer = self.0.call(request);
        Box::pin(async move {
            match tokio::time::timeout(limit.0, answer).await {
                Ok(answer) => answer.map_err(Into::into),
                Err(_) => Err(Elapsed::new().into()),
            }
        })
    }
}

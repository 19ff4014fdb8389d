//! The refusal that costs nothing yet.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::{Layer, ShedBody};

/// See [`Layer::early`].
#[derive(Debug, Clone)]
pub struct EarlyLayer(pub(super) Layer);

impl<S> tower_layer::Layer<S> for EarlyLayer {
    type Service = Early<S>;

    fn layer(&self, inner: S) -> Early<S> {
        Early { inner, layer: self.0.clone() }
    }
}

/// See [`Layer::early`].
#[derive(Debug, Clone)]
pub struct Early<S> {
    inner: S,
    layer: Layer,
}

impl<S, B, R> Service<Request<B>> for Early<S>
where
    S: Service<Request<B>, Response = Response<R>>,
{
    type Response = Response<ShedBody<R>>;
    type Error = S::Error;
    type Future = EarlyFuture<S::Future, R>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let gate = Arc::clone(&self.layer.gate);
        let (is_favoured, may_be_known) =
            (self.layer.is_favoured(&request), self.layer.may_be_known(&request));
        if !self.layer.is_exempt(&request)
            && let Err(reason) = gate.would_enter(is_favoured, may_be_known)
        {
            return EarlyFuture { call: None, refusal: Some(gate.refuse(reason)) };
        }
        EarlyFuture { call: Some(self.inner.call(request)), refusal: None }
    }
}

pin_project! {
    /// The answer of the inner service, or the refusal.
    pub struct EarlyFuture<F, R> {
        #[pin]
        call: Option<F>,
        refusal: Option<Response<ShedBody<R>>>,
    }
}

impl<F, R, E> Future for EarlyFuture<F, R>
where
    F: Future<Output = Result<Response<R>, E>>,
{
    type Output = Result<Response<ShedBody<R>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        match this.call.as_pin_mut() {
            Some(call) => Poll::Ready(Ok(ready!(call.poll(cx))?.map(ShedBody::uncounted))),
            // A future is not polled again once it is ready.
            None => Poll::Ready(Ok(this.refusal.take().unwrap_or_default())),
        }
    }
}

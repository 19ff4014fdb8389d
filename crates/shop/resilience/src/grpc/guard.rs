//! The breaker as a layer: asks it before each call and tells it how the call went.
//!
//! Only what tells of the target's health counts. A service that answers "out of stock" is well, and so is one
//! that reports on another's behalf, such as `payment_unknown`: it names its error in `waypost-error`.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use http::{HeaderMap, Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tonic::{Code, Status};
use tower_layer::Layer;
use tower_service::Service;
use waypost_errors::{CODE_METADATA, ErrorCode};

use crate::breaker::{Breaker, Outcome, Permit, Refused};

#[derive(Debug, Clone)]
pub(super) struct GuardLayer {
    pub(super) breaker: Breaker,
    pub(super) counts_timeouts_from: Duration,
}

impl<S> Layer<S> for GuardLayer {
    type Service = Guard<S>;

    fn layer(&self, inner: S) -> Guard<S> {
        Guard { inner, layer: self.clone() }
    }
}

#[derive(Debug, Clone)]
pub(super) struct Guard<S> {
    inner: S,
    layer: GuardLayer,
}

impl<S, B, R> Service<Request<B>> for Guard<S>
where
    S: Service<Request<B>, Response = Response<R>, Error = Status>,
{
    type Response = Response<GuardedBody<R>>;
    type Error = Status;
    type Future = GuardFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Status>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        match self.layer.breaker.admit() {
            Ok(permit) => {
                let watch = Watch { permit, counts_timeouts_from: self.layer.counts_timeouts_from };
                GuardFuture::Admitted { call: self.inner.call(request), watch: Some(watch) }
            }
            Err(refused) => GuardFuture::Refused { refused },
        }
    }
}

/// A call whose outcome the breaker waits for.
#[derive(Debug)]
struct Watch {
    permit: Permit,
    counts_timeouts_from: Duration,
}

impl Watch {
    fn settle(self, code: Code, headers: &HeaderMap) {
        let had_time = self.permit.elapsed() >= self.counts_timeouts_from;
        self.permit.settle(outcome_of(code, headers, had_time));
    }
}

/// What a status tells of the health of the one that it came from.
fn outcome_of(code: Code, headers: &HeaderMap, had_time: bool) -> Outcome {
    let named = headers.get(CODE_METADATA).and_then(|name| name.to_str().ok()?.parse::<ErrorCode>().ok());
    match code {
        Code::ResourceExhausted => Outcome::Overloaded,
        Code::DeadlineExceeded if had_time => Outcome::Failure,
        Code::DeadlineExceeded | Code::Cancelled => Outcome::Abandoned,
        Code::Unavailable | Code::Internal | Code::Unknown | Code::DataLoss => match named {
            None | Some(ErrorCode::Internal | ErrorCode::Unavailable) => Outcome::Failure,
            Some(_) => Outcome::Success,
        },
        _ => Outcome::Success,
    }
}

fn status_in(headers: &HeaderMap) -> Option<Code> {
    headers.get(Status::GRPC_STATUS).map(|code| Code::from_bytes(code.as_bytes()))
}

pin_project! {
    #[project = GuardFutureProjection]
    pub(super) enum GuardFuture<F> {
        Admitted { #[pin] call: F, watch: Option<Watch> },
        Refused { refused: Refused },
    }
}

impl<F, R> Future for GuardFuture<F>
where
    F: Future<Output = Result<Response<R>, Status>>,
{
    type Output = Result<Response<GuardedBody<R>>, Status>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let (call, watch) = match self.project() {
            GuardFutureProjection::Admitted { call, watch } => (call, watch),
            GuardFutureProjection::Refused { refused } => return Poll::Ready(Err((*refused).into())),
        };
        let result = ready!(call.poll(cx));
        let watch = watch.take();
        Poll::Ready(match (result, watch) {
            (Ok(response), Some(watch)) => Ok(watch_response(response, watch)),
            (Ok(response), None) => Ok(response.map(|inner| GuardedBody { inner, watch: None })),
            (Err(status), watch) => {
                if let Some(watch) = watch {
                    watch.settle(status.code(), &HeaderMap::new());
                }
                Err(status)
            }
        })
    }
}

/// Settles with the response's head where that tells enough, else with its trailers.
fn watch_response<R>(response: Response<R>, watch: Watch) -> Response<GuardedBody<R>> {
    let code = status_in(response.headers());
    let unsettled = match (response.status(), code) {
        (StatusCode::OK, Some(code)) => {
            watch.settle(code, response.headers());
            None
        }
        // A probe is about whether the target answers at all; a stream may go on for hours.
        (StatusCode::OK, None) if watch.permit.is_probe() => {
            watch.permit.settle(Outcome::Success);
            None
        }
        (StatusCode::OK, None) => Some(watch),
        // Not the service but something before it answered.
        (StatusCode::TOO_MANY_REQUESTS, _) => {
            watch.permit.settle(Outcome::Overloaded);
            None
        }
        (http, _) => {
            let outcome = if http.is_server_error() { Outcome::Failure } else { Outcome::Success };
            watch.permit.settle(outcome);
            None
        }
    };
    response.map(|inner| GuardedBody { inner, watch: unsettled })
}

pin_project! {
    pub(super) struct GuardedBody<B> {
        #[pin]
        inner: B,
        watch: Option<Watch>,
    }
}

impl<B: Body<Error = Status>> Body for GuardedBody<B> {
    type Data = B::Data;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, Status>>> {
        let this = self.project();
        let frame = ready!(this.inner.poll_frame(cx));
        let none = HeaderMap::new();
        let end = match &frame {
            Some(Ok(frame)) => {
                frame.trailers_ref().map(|trailers| (status_in(trailers).unwrap_or(Code::Unknown), trailers))
            }
            Some(Err(status)) => Some((status.code(), &none)),
            // A stream without a status at its end was cut off.
            None => Some((Code::Unknown, &none)),
        };
        if let Some((code, headers)) = end
            && let Some(watch) = this.watch.take()
        {
            watch.settle(code, headers);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

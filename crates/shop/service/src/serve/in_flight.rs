//! Counts requests from their arrival to the end of their answer's body.

use axum::body::{Body, Bytes};
use http_body::{Frame, SizeHint};
use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

/// A number of requests in flight. Cheap to clone; clones count together.
#[derive(Clone, Debug, Default)]
pub(super) struct InFlight(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    running: AtomicUsize,
    /// Since it was last asked for.
    begun: AtomicUsize,
    total: AtomicUsize,
}

impl InFlight {
    pub(super) fn count(&self) -> usize {
        self.0.running.load(Ordering::Relaxed)
    }

    /// All that have ever begun.
    pub(super) fn total(&self) -> usize {
        self.0.total.load(Ordering::Relaxed)
    }

    /// True when no request runs and none has begun since the last call.
    pub(super) fn take_was_idle(&self) -> bool {
        let begun = self.0.begun.swap(0, Ordering::Relaxed);
        begun == 0 && self.count() == 0
    }

    /// One more, until the value is dropped.
    pub(super) fn begin(&self) -> Request {
        self.0.running.fetch_add(1, Ordering::Relaxed);
        self.0.begun.fetch_add(1, Ordering::Relaxed);
        self.0.total.fetch_add(1, Ordering::Relaxed);
        Request(self.clone())
    }
}

/// A request in flight; ended by dropping it, however it ends.
#[derive(Debug)]
pub(super) struct Request(InFlight);

impl Drop for Request {
    fn drop(&mut self) {
        self.0.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A response body that keeps its requests in flight until it is read to its end or dropped.
#[derive(Debug)]
pub(super) struct Counted {
    body: Body,
    _requests: [Request; 2],
}

impl Counted {
    pub(super) fn new(body: Body, requests: [Request; 2]) -> Counted {
        Counted { body, _requests: requests }
    }
}

impl http_body::Body for Counted {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

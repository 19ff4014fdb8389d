//! Several connections to one replica.
//!
//! An HTTP/2 server says how many requests may be open on one connection. What is more waits inside the client, where
//! nobody counts it, while its deadline runs: a few hundred slow calls would hold up every other call to the target.
//! So calls go over the first connection that has room, and a further connection is made when there is none.
//!
//! Invariants: a call counts until its response's body has ended or was dropped; a quiet channel has one connection;
//! there are never more than the options say. When all are busy, the one with the fewest calls gets the next.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Frame, SizeHint};
use pin_project_lite::pin_project;
use tonic::{Status, body::Body, transport};
use tower::{ServiceExt as _, util::Oneshot};
use tower_service::Service;
use waypost_telemetry::grpc::Connection;

use super::secured::Dial;

/// Cheap to clone; clones share the connections.
#[derive(Debug, Clone)]
pub(super) struct Pool {
    dial: Dial,
    places: Arc<[Place]>,
    /// Calls on one connection before a further one is made.
    full: usize,
}

/// Where one connection may be.
#[derive(Debug, Default)]
struct Place {
    connection: OnceLock<Connection>,
    calls: Arc<AtomicUsize>,
}

impl Pool {
    pub(super) fn new(dial: Dial, max_connections: usize, full: usize) -> Self {
        let places = (0..max_connections.max(1)).map(|_| Place::default()).collect();
        Self { dial, places, full }
    }

    /// Calls that have not ended, over all connections.
    pub(super) fn calls(&self) -> usize {
        self.places.iter().map(|place| place.calls.load(Ordering::Relaxed)).sum()
    }

    /// The first connection with room, or the least busy one. Two callers may see the same last bit of room; the bound
    /// is a reason to make a connection, not a limit.
    fn choose(&self) -> Option<&Place> {
        let load = |place: &Place| place.calls.load(Ordering::Relaxed);
        let roomy = self.places.iter().find(|place| load(place) < self.full);
        roomy.or_else(|| self.places.iter().min_by_key(|place| load(place)))
    }
}

impl Service<Request<Body>> for Pool {
    type Response = Response<PooledBody>;
    type Error = transport::Error;
    type Future = PooledCall;

    /// Always ready: which connection a call takes is decided with the call.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), transport::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> PooledCall {
        let place = self.choose();
        let counted = place.map(|place| Counted::new(&place.calls));
        let connection = match place {
            Some(place) => place.connection.get_or_init(|| self.dial.connection()).clone(),
            // There is at least one place, so this is never reached; a connection of its own serves as well.
            None => self.dial.connection(),
        };
        PooledCall { call: connection.oneshot(request), counted }
    }
}

/// One call on a connection, until it is dropped.
#[derive(Debug)]
pub(super) struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(calls: &Arc<AtomicUsize>) -> Self {
        // Relaxed: the number stands for itself and orders nothing else.
        calls.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(calls))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

pin_project! {
    /// A call that has no response yet.
    pub(super) struct PooledCall {
        #[pin]
        call: Oneshot<Connection, Request<Body>>,
        counted: Option<Counted>,
    }
}

impl Future for PooledCall {
    type Output = Result<Response<PooledBody>, transport::Error>;

    fn poll(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let result = ready!(this.call.poll(task));
        let counted = this.counted.take();
        Poll::Ready(result.map(|response| response.map(|inner| PooledBody { inner, counted })))
    }
}

pin_project! {
    /// A response's body that keeps its call counted.
    pub(super) struct PooledBody {
        #[pin]
        inner: Body,
        counted: Option<Counted>,
    }
}

impl http_body::Body for PooledBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        task: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.project();
        let frame = ready!(this.inner.poll_frame(task));
        // Trailers and errors are the last frame; whoever reads a body need not ask for the end as well.
        if !matches!(&frame, Some(Ok(frame)) if frame.is_data()) {
            *this.counted = None;
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

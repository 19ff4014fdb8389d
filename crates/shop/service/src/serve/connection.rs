//! One connection, from its first byte to its end.

use super::{
    admission::Permit,
    head::HeadTimer,
    host,
    in_flight::{Counted, InFlight},
    socket::CameFrom,
    stream::Stream,
    wire::{Opening, Watch, Wire},
};
use crate::{Drain, Limits, Secured};
use axum::body::Body;
use http::{HeaderValue, Request, Response, StatusCode, Version, header};
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use std::{
    convert::Infallible,
    future::{Future, poll_fn},
    pin::pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tower::Service as _;
use waypost_identity::{Peer, Transport};

/// Everything that the connections of one listener share.
pub(super) struct Server {
    router: axum::Router,
    secured: Option<Secured>,
    http: auto::Builder<TokioExecutor>,
    header_timeout: Duration,
    write_timeout: Duration,
    idle_timeout: Duration,
    drain: Drain,
    cut: CancellationToken,
    requests: InFlight,
}

impl Server {
    pub(super) fn new(
        router: axum::Router,
        secured: Option<Secured>,
        limits: &Limits,
        drain: Drain,
        cut: CancellationToken,
        requests: InFlight,
    ) -> Arc<Server> {
        Arc::new(Server {
            // Prepares the router once instead of at each request.
            router: router.with_state(()),
            secured,
            http: http_builder(limits),
            header_timeout: limits.header_timeout.get(),
            write_timeout: limits.write_timeout.get(),
            idle_timeout: limits.idle_timeout.get(),
            drain,
            cut,
            requests,
        })
    }

    /// Serves one connection to its end. Its permit is given back then.
    pub(super) async fn connection(self: Arc<Self>, stream: Transport, peer: CameFrom, _permit: Permit) {
        let Some((stream, identified)) = self.greet(stream, &peer).await else { return };
        let (wire, watch) = Wire::new(stream, self.write_timeout);
        let own_requests = InFlight::default();
        let service = hyper::service::service_fn(|request| {
            self.respond(request, &peer, identified.as_ref(), &own_requests)
        });
        let mut connection = pin!(self.http.serve_connection(TokioIo::new(wire), service));
        let mut alarm = pin!(sleep_until(Instant::now() + self.header_timeout));
        let mut head = pin!(HeadTimer::new(self.header_timeout));
        let mut has_opened = false;
        let mut is_leaving = false;
        loop {
            // Biased: the connection is polled first, so that what has arrived is read before it is told to leave.
            tokio::select! {
                biased;
                ended = connection.as_mut() => {
                    if let Err(error) = ended {
                        tracing::debug!(%peer, %error, "connection ended early");
                    }
                    return;
                }
                () = self.cut.cancelled() => return,
                // Polled again whenever the connection reads, as both belong to one task.
                () = poll_fn(|cx| head.as_mut().poll_late(cx, &watch, &own_requests)) => {
                    tracing::debug!(%peer, "connection closed: the head of a request did not arrive in time");
                    return;
                }
                has_spoken = asked_to_leave(&self.drain, &watch), if !is_leaving => {
                    if !has_spoken {
                        return;
                    }
                    is_leaving = true;
                    connection.as_mut().graceful_shutdown();
                }
                () = alarm.as_mut() => {
                    if !watch.opening().is_decided() {
                        tracing::debug!(%peer, "connection closed: no request in time");
                        return;
                    }
                    // Looked at once a period, so a connection leaves after one to two periods without a request.
                    if has_opened && own_requests.take_was_idle() && !is_leaving {
                        is_leaving = true;
                        connection.as_mut().graceful_shutdown();
                    }
                    has_opened = true;
                    alarm.as_mut().reset(Instant::now() + self.idle_timeout);
                }
            }
        }
    }

    /// Finds out who is at the other end, where that matters; `None` when it is nobody who may be there, or says nothing.
    async fn greet(&self, stream: Transport, peer: &CameFrom) -> Option<(Stream, Option<Arc<Peer>>)> {
        let Some(secured) = &self.secured else { return Some((Stream::Plain(stream), None)) };
        let handshake = async {
            // Who has not begun to speak when a drain begins is owed nothing.
            let mut first = [0];
            let has_begun = tokio::select! {
                biased;
                peeked = stream.peek(&mut first) => peeked.is_ok_and(|bytes| bytes > 0),
                () = self.drain.started() => false,
            };
            if !has_begun {
                return None;
            }
            let (stream, identified) = secured.accept(stream, peer).await?;
            Some((Stream::Tls(Box::new(stream)), Some(identified)))
        };
        tokio::select! {
            biased;
            greeted = timeout(self.header_timeout, Box::pin(handshake)) => greeted.ok().flatten(),
            () = self.cut.cancelled() => None,
        }
    }

    fn respond(
        &self,
        request: Request<Incoming>,
        peer: &CameFrom,
        identified: Option<&Arc<Peer>>,
        own_requests: &InFlight,
    ) -> impl Future<Output = Result<Response<Counted>, Infallible>> + use<> {
        let requests = [own_requests.begin(), self.requests.begin()];
        let mut request = request.map(Body::new);
        peer.show(request.extensions_mut());
        if let Some(identified) = identified {
            request.extensions_mut().insert(Arc::clone(identified));
        }
        let version = request.version();
        // A router is always ready.
        let response = host::is_named(&request).then(|| self.router.clone().call(request));
        async move {
            let response = match response {
                Some(response) => response.await?,
                None => bad_request(version),
            };
            Ok(response.map(|body| Counted::new(body, requests)))
        }
    }
}

/// What is no request of ours is answered as hyper answers what is no HTTP: no router sees it.
fn bad_request(version: Version) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::BAD_REQUEST;
    if version != Version::HTTP_2 {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Completes in a drain once it is known whether the peer has begun to speak: true when it has, and then an
/// answer is owed; false when it was silent.
async fn asked_to_leave(drain: &Drain, watch: &Watch) -> bool {
    drain.started().await;
    // Polled again whenever the connection reads, as both belong to one task.
    poll_fn(|_| match watch.opening() {
        Opening::Silent => Poll::Ready(false),
        Opening::Undecided => Poll::Pending,
        Opening::Http1 | Opening::Http2 => Poll::Ready(true),
    })
    .await
}

fn http_builder(limits: &Limits) -> auto::Builder<TokioExecutor> {
    /// hyper panics below this size.
    const SMALLEST_BUFFER: usize = 8192;
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        // Runs while the connection is idle too; the head itself has less, see `HeadTimer`.
        .header_read_timeout(limits.keep_alive.get().max(limits.header_timeout.get()))
        .max_headers(limits.headers)
        .max_buf_size(limits.head_size.as_usize().max(SMALLEST_BUFFER));
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams)
        .max_header_list_size(u32::try_from(limits.header_list_size.get()).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(limits.pending_resets)
        .max_local_error_reset_streams(limits.error_resets)
        .keep_alive_interval(limits.ping_interval.get())
        .keep_alive_timeout(limits.ping_timeout.get());
    builder
}

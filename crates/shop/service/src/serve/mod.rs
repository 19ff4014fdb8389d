//! The accept loop.
//!
//! `axum::serve` sets no timer, so hyper's header time-out never fires and a client that sends its headers slowly
//! holds a connection for ever (axum #2741, fixed on its main branch for the release after 0.8). This loop runs
//! hyper's connection builder with a timer and with every limit of [`Limits`], and drains in order: it stops
//! accepting, tells each connection to leave (HTTP/1 `connection: close`, HTTP/2 GOAWAY), lets requests in flight
//! finish within the grace, and reports those that it cut.

mod admission;
mod connection;
mod head;
mod host;
mod in_flight;
mod socket;
mod stream;
mod wire;

pub(crate) use self::socket::CameFrom;
pub use self::socket::Socket;
use self::{admission::Admission, connection::Server, in_flight::InFlight};
use crate::{Drain, Limits};
use std::{io, time::Duration};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use waypost_identity::Transport;

/// How long accepting rests when the process has no file descriptor left.
const OUT_OF_DESCRIPTORS_PAUSE: Duration = Duration::from_millis(500);

/// What a listener did in its life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Served {
    /// Connections accepted and served.
    pub connections: u64,
    /// Connections closed at once because a cap was reached.
    pub refused: u64,
    /// Requests that were still running when the grace ended, and so got no answer.
    pub cut_requests: usize,
    /// Connections that were still open then.
    pub cut_connections: usize,
}

impl Served {
    /// What two listeners did together.
    pub(crate) fn with(self, other: Served) -> Served {
        Served {
            connections: self.connections + other.connections,
            refused: self.refused + other.refused,
            cut_requests: self.cut_requests + other.cut_requests,
            cut_connections: self.cut_connections + other.cut_connections,
        }
    }
}

/// Accepts and serves until the drain, then finishes what is in flight within `limits.grace`.
///
/// The peer's address is in each request's extensions as `axum::extract::ConnectInfo<SocketAddr>`; in those of a request
/// that came by a Unix-domain socket is `waypost_telemetry::grpc::UnixSocket` instead.
/// Not cancel safe: dropping the future stops accepting, and leaves open connections to their time-outs.
pub async fn serve(socket: impl Into<Socket>, router: axum::Router, limits: Limits, drain: Drain) -> Served {
    let admission = Admission::new(&limits);
    let requests = InFlight::default();
    let connections = TaskTracker::new();
    let cut = CancellationToken::new();
    let (socket, secured) = socket.into().open();
    let server = Server::new(router, secured, &limits, drain.clone(), cut.clone(), requests.clone());
    let mut served = Served::default();
    let mut admit = |stream: Transport, peer: CameFrom| {
        if let Some(permit) = admission.admit(peer.ip()) {
            served.connections += 1;
            connections.spawn(server.clone().connection(stream, peer, permit));
        } else {
            served.refused += 1;
            tracing::debug!(%peer, "connection refused: too many are open");
        }
    };

    loop {
        let accepted = tokio::select! {
            biased;
            () = drain.started() => break,
            accepted = socket.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => admit(stream, peer),
            Err(error) if is_of_the_peer(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "cannot accept connections; trying again");
                let rest = tokio::time::sleep(OUT_OF_DESCRIPTORS_PAUSE);
                tokio::select! { () = drain.started() => break, () = rest => {} }
            }
        }
    }

    // Connections that the kernel has already taken would be reset by closing the socket.
    while let Some((stream, peer)) = socket.waiting() {
        admit(stream, peer);
    }
    drop(socket);
    connections.close();
    if tokio::time::timeout(limits.grace.get(), connections.wait()).await.is_err() {
        served.cut_connections = connections.len();
        served.cut_requests = requests.count();
        tracing::warn!(
            requests = served.cut_requests,
            connections = served.cut_connections,
            "cut at the end of the grace"
        );
        cut.cancel();
        connections.wait().await;
    }
    served
}

/// The peer gave up between connecting and being accepted.
fn is_of_the_peer(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

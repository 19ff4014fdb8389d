//! Unix-domain sockets as spans show them: the path in place of an address, and no port.

use std::path::Path;
use std::sync::Arc;

use http::Extensions;
use opentelemetry::KeyValue;

use crate::base::redact;

const NETWORK_TRANSPORT: &str = "network.transport";
/// The value of [`NETWORK_TRANSPORT`].
const UNIX: &str = "unix";

/// The Unix-domain socket of a server: an extension of the requests that come in by it, and of responses to a client that
/// called it. The path is then the `server.address` and the `network.peer.address` of their spans, as the other end of such a
/// connection has no name of its own; there is no port, and `network.transport` is `unix`. Cheap to clone.
///
/// `grpc::Connection::lazy_unix` sets it on responses. On requests whoever accepts the connections sets it, which
/// knows the path; of a request that comes by tonic's own server over such a socket only `network.transport` is known.
///
/// ```
/// use axum::{Extension, Router, routing::get};
/// use waypost_telemetry::{Telemetry, http::UnixSocket};
///
/// # let telemetry = Telemetry::disabled();
/// let app: Router = Router::new()
///     .route("/", get(async || "order"))
///     .layer(telemetry.http_server())
///     .layer(Extension(UnixSocket::new("/run/shop/order.sock")));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct UnixSocket(Arc<str>);

impl UnixSocket {
    /// The socket at this path.
    pub fn new(path: impl AsRef<Path>) -> Self {
        Self(redact::bounded_to(&path.as_ref().to_string_lossy(), 255).into())
    }

    /// The path, as spans show it.
    pub fn path(&self) -> &str {
        &self.0
    }

    /// The path with its text shared.
    #[cfg(feature = "grpc")]
    pub(crate) fn shared_path(&self) -> Arc<str> {
        Arc::clone(&self.0)
    }

    /// `network.peer.address` and `network.transport`.
    pub(crate) fn peer_attributes(&self) -> [KeyValue; 2] {
        [KeyValue::new("network.peer.address", Arc::clone(&self.0)), KeyValue::new(NETWORK_TRANSPORT, UNIX)]
    }
}

/// Whether a request came in by a Unix-domain socket, and by which.
#[derive(Clone, Copy, Debug)]
pub(crate) enum CameBy<'a> {
    /// Another transport, or one that is not known.
    Other,
    /// A socket whose path is not known.
    #[cfg_attr(not(all(unix, feature = "grpc")), expect(dead_code, reason = "only tonic's server says so"))]
    UnixSocket,
    /// This one.
    UnixSocketAt(&'a UnixSocket),
}

impl<'a> CameBy<'a> {
    pub(crate) fn of(extensions: &'a Extensions) -> Self {
        if let Some(socket) = extensions.get() {
            return Self::UnixSocketAt(socket);
        }
        #[cfg(all(unix, feature = "grpc"))]
        if extensions.get::<tonic::transport::server::UdsConnectInfo>().is_some() {
            return Self::UnixSocket;
        }
        Self::Other
    }

    pub(crate) fn is_unix(self) -> bool {
        !matches!(self, Self::Other)
    }

    /// `network.peer.address` and `network.transport`, as far as they are known. Nothing of another transport.
    pub(crate) fn peer_attributes(self) -> impl Iterator<Item = KeyValue> {
        let known = match self {
            Self::Other => [None, None],
            Self::UnixSocket => [None, Some(KeyValue::new(NETWORK_TRANSPORT, UNIX))],
            Self::UnixSocketAt(socket) => socket.peer_attributes().map(Some),
        };
        known.into_iter().flatten()
    }
}

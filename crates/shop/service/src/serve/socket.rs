//! What connections are accepted from, and where each came from.

use crate::{Listener, Secured, UnixListener, bind::SocketFile};
use axum::extract::ConnectInfo;
use futures_util::FutureExt as _;
use http::Extensions;
use std::{
    fmt, io,
    net::{IpAddr, SocketAddr},
};
use waypost_identity::Transport;
use waypost_telemetry::grpc::UnixSocket;

/// A bound socket of either kind.
#[derive(Debug)]
pub enum Socket {
    /// For this host or others.
    Tcp(Listener),
    /// For this host.
    Unix(UnixListener),
}

impl Socket {
    /// Takes nobody who does not show a certificate; see [`Listener::secured`].
    #[must_use]
    pub fn secured(self, secured: Secured) -> Socket {
        match self {
            Socket::Tcp(listener) => Socket::Tcp(listener.secured(secured)),
            Socket::Unix(listener) => Socket::Unix(listener.secured(secured)),
        }
    }

    /// The address, unless it is a Unix-domain socket.
    pub fn tcp_address(&self) -> Option<SocketAddr> {
        match self {
            Socket::Tcp(listener) => Some(listener.address()),
            Socket::Unix(_) => None,
        }
    }

    /// How a client of this machine calls it: `http://host:port` or `unix:path`.
    pub fn target(&self) -> String {
        match self {
            Socket::Tcp(listener) => listener.url(),
            Socket::Unix(listener) => listener.target(),
        }
    }

    pub(super) fn open(self) -> (Accepting, Option<Secured>) {
        match self {
            Socket::Tcp(Listener { inner, secured, .. }) => (Accepting::Tcp(inner), secured),
            Socket::Unix(UnixListener { inner, secured, socket, file }) => {
                (Accepting::Unix { inner, socket, _file: file }, secured)
            }
        }
    }
}

impl From<Listener> for Socket {
    fn from(listener: Listener) -> Socket {
        Socket::Tcp(listener)
    }
}

impl From<UnixListener> for Socket {
    fn from(listener: UnixListener) -> Socket {
        Socket::Unix(listener)
    }
}

impl fmt::Display for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Socket::Tcp(listener) => listener.address().fmt(f),
            Socket::Unix(listener) => f.write_str(&listener.target()),
        }
    }
}

/// A socket that is accepted from.
pub(super) enum Accepting {
    Tcp(tokio::net::TcpListener),
    Unix {
        inner: tokio::net::UnixListener,
        socket: UnixSocket,
        /// Removed with it.
        _file: SocketFile,
    },
}

impl Accepting {
    /// Cancel safe.
    pub(super) async fn accept(&self) -> io::Result<(Transport, CameFrom)> {
        match self {
            Accepting::Tcp(inner) => {
                let (stream, peer) = inner.accept().await?;
                // Small answers must not wait for a full segment. Fails only when the peer is already gone.
                stream.set_nodelay(true).ok();
                Ok((stream.into(), CameFrom::Address(peer)))
            }
            Accepting::Unix { inner, socket, .. } => {
                let (stream, _) = inner.accept().await?;
                Ok((stream.into(), CameFrom::Socket(socket.clone())))
            }
        }
    }

    /// A connection that the kernel has already taken.
    pub(super) fn waiting(&self) -> Option<(Transport, CameFrom)> {
        self.accept().now_or_never()?.ok()
    }
}

/// Where a connection came from.
#[derive(Clone, Debug)]
pub(crate) enum CameFrom {
    /// An address of this machine or another.
    Address(SocketAddr),
    /// A process of this machine, by the socket that is named.
    Socket(UnixSocket),
}

impl CameFrom {
    /// The address, if it has one.
    pub(crate) fn ip(&self) -> Option<IpAddr> {
        match self {
            CameFrom::Address(address) => Some(address.ip()),
            CameFrom::Socket(_) => None,
        }
    }

    /// Shows it to whoever handles a request.
    pub(super) fn show(&self, extensions: &mut Extensions) {
        match self {
            CameFrom::Address(address) => {
                extensions.insert(ConnectInfo(*address));
            }
            CameFrom::Socket(socket) => {
                extensions.insert(socket.clone());
            }
        }
    }
}

impl fmt::Display for CameFrom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CameFrom::Address(address) => address.fmt(f),
            CameFrom::Socket(socket) => write!(f, "unix:{}", socket.path()),
        }
    }
}

//! Binding a socket early, with an error that says what to do.
//!
//! All sockets of a process are bound before anything else is done, so that a taken port costs nothing. Binding
//! and serving are apart: between them the kernel already queues connections.

mod unix;

pub(crate) use unix::SocketFile;
pub use unix::{UnixBindError, UnixListener, bind_unix};

use crate::{
    Secured,
    address::url,
    holder::{self, Holder},
};
use std::{
    fmt, io,
    net::{SocketAddr, TcpListener as StdListener},
};
use tokio::net::TcpListener;

/// A bound socket that nobody accepts from yet.
#[derive(Debug)]
pub struct Listener {
    pub(crate) inner: TcpListener,
    address: SocketAddr,
    pub(crate) secured: Option<Secured>,
}

impl Listener {
    /// Takes nobody who does not show a certificate. Each request then has an `Arc<waypost_identity::Peer>` in its
    /// extensions.
    #[must_use]
    pub fn secured(self, secured: Secured) -> Listener {
        Listener { secured: Some(secured), ..self }
    }

    /// The address it is bound to; the port is the real one when 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://` and the address, for a client on this machine: an unspecified address becomes loopback.
    pub fn url(&self) -> String {
        url(self.address)
    }
}

/// Why a socket could not be bound: the address, who holds the port, and the setting that moves it.
#[derive(Debug)]
pub struct BindError {
    address: SocketAddr,
    setting: Option<String>,
    holder: Option<Holder>,
    source: io::Error,
}

impl BindError {
    /// Names the setting that moves the address, for example `--gateway-listen or gateway.listen`.
    #[must_use]
    pub fn with_setting(mut self, setting: impl Into<String>) -> BindError {
        self.setting = Some(setting.into());
        self
    }

    /// The address that was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// True when another socket holds the port.
    pub fn is_taken(&self) -> bool {
        self.source.kind() == io::ErrorKind::AddrInUse
    }
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = self.address;
        match self.source.kind() {
            io::ErrorKind::AddrInUse => {
                write!(f, "port {} of {} is taken", address.port(), address.ip())?;
                match &self.holder {
                    Some(holder) => write!(f, " by {holder}")?,
                    None => write!(f, " by a process that this user may not see")?,
                }
            }
            io::ErrorKind::PermissionDenied => {
                write!(f, "this user may not listen on port {} of {}", address.port(), address.ip())?;
            }
            io::ErrorKind::AddrNotAvailable => {
                write!(f, "{} is not an address of this machine", address.ip())?;
            }
            _ => write!(f, "cannot listen on {address}")?,
        }
        match &self.setting {
            Some(setting) => write!(f, "; move it with {setting}"),
            None => write!(f, "; choose another port, or 0 for any free one"),
        }
    }
}

impl std::error::Error for BindError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

/// Binds a socket. Port 0 takes any free one. Must be called inside a tokio runtime.
pub fn bind(address: SocketAddr) -> Result<Listener, BindError> {
    let bound = || -> io::Result<Listener> {
        // std sets SO_REUSEADDR on Unix, so a port in TIME_WAIT after a restart is no obstacle.
        let socket = StdListener::bind(address)?;
        socket.set_nonblocking(true)?;
        let address = socket.local_addr()?;
        Ok(Listener { inner: TcpListener::from_std(socket)?, address, secured: None })
    };
    bound().map_err(|source| {
        let taken = source.kind() == io::ErrorKind::AddrInUse;
        let holder = if taken { holder::of(address) } else { None };
        BindError { address, setting: None, holder, source }
    })
}

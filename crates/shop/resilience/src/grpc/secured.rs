//! Making connections to one replica, over TCP or a Unix-domain socket, plain or with mutual TLS.

use http::{Uri, uri::Scheme};
use hyper_util::rt::TokioIo;
use tonic::transport::Endpoint;
use waypost_identity::{Outgoing, Transport};
use waypost_telemetry::grpc::Connection;

use super::{Address, ChannelError, target};

/// How connections to one address are made.
#[derive(Debug, Clone)]
pub(super) struct Dial {
    endpoint: Endpoint,
    address: Address,
    tls: Option<Outgoing>,
}

impl Dial {
    pub(super) fn new(endpoint: Endpoint, address: &Address, tls: Option<Outgoing>) -> Self {
        Self { endpoint, address: address.clone(), tls }
    }

    /// A connection that is made when it is first needed, and made again when it breaks, each time with the certificate of
    /// that moment.
    pub(super) fn connection(&self) -> Connection {
        match (&self.address, self.tls.clone()) {
            (Address::Http(_), None) => Connection::lazy(&self.endpoint),
            (Address::Http(_), Some(tls)) => {
                Connection::lazy_over(&self.endpoint, move |tcp| greet(tls.clone(), tcp))
            }
            (Address::Unix(path), None) => Connection::lazy_unix(&self.endpoint, &**path),
            (Address::Unix(path), Some(tls)) => {
                Connection::lazy_unix_over(&self.endpoint, &**path, move |stream| greet(tls.clone(), stream))
            }
        }
    }
}

type Greeted = Result<TokioIo<waypost_identity::OutgoingStream>, Box<dyn std::error::Error + Send + Sync>>;

async fn greet(tls: Outgoing, connection: impl Into<Transport>) -> Greeted {
    Ok(TokioIo::new(tls.connect(connection).await?))
}

/// The endpoint of an address. With TLS, requests say so: their `:scheme` is `https`. The endpoint's own stays `http`, as to
/// tonic the connection is one that TLS of its own is not asked for. What is behind a Unix-domain socket is called
/// `localhost`, as gRPC has it.
pub(super) fn endpoint(address: &Address, tls: Option<&Outgoing>) -> Endpoint {
    let target = match address {
        Address::Http(uri) => uri.clone(),
        Address::Unix(_) => Uri::from_static("http://localhost"),
    };
    let endpoint = Endpoint::from(target.clone());
    if tls.is_none() {
        return endpoint;
    }
    let mut parts = target.clone().into_parts();
    parts.scheme = Some(Scheme::HTTPS);
    // It has all its parts, so there is no other outcome.
    endpoint.origin(Uri::from_parts(parts).unwrap_or(target))
}

/// A connection to an address, with all else as it comes.
pub(super) fn to(address: &Address, tls: Option<Outgoing>) -> Connection {
    Dial::new(endpoint(address, tls.as_ref()), address, tls).connection()
}

/// A connection without breaker, deadline and telemetry, for probes and tools: to the only address that a target has.
///
/// # Errors
/// When the target is not of the form `http://host:port` or `unix:/path`.
pub fn untraced(target: &str, tls: Option<Outgoing>) -> Result<Connection, ChannelError> {
    Ok(to(&target::address(target)?, tls))
}

//! Making connections to one replica, plain or with mutual TLS.

use http::{Uri, uri::Scheme};
use hyper_util::rt::TokioIo;
use tonic::transport::Endpoint;
use waypost_identity::Outgoing;
use waypost_telemetry::grpc::Connection;

use super::{ChannelError, target};

/// How connections to one address are made.
#[derive(Debug, Clone)]
pub(super) struct Dial {
    endpoint: Endpoint,
    tls: Option<Outgoing>,
}

impl Dial {
    pub(super) fn new(endpoint: Endpoint, tls: Option<Outgoing>) -> Self {
        Self { endpoint, tls }
    }

    /// A connection that is made when it is first needed, and made again when it breaks, each time with the certificate of
    /// that moment.
    pub(super) fn connection(&self) -> Connection {
        let Some(tls) = self.tls.clone() else { return Connection::lazy(&self.endpoint) };
        Connection::lazy_over(&self.endpoint, move |tcp| {
            let tls = tls.clone();
            async move { Ok(TokioIo::new(tls.connect(tcp).await?)) }
        })
    }
}

/// The endpoint of a target. With TLS, requests say so: their `:scheme` is `https`. The endpoint's own stays `http`, as to
/// tonic the connection is one that TLS of its own is not asked for.
pub(super) fn endpoint(target: &Uri, tls: Option<&Outgoing>) -> Endpoint {
    let endpoint = Endpoint::from(target.clone());
    if tls.is_none() {
        return endpoint;
    }
    let mut parts = target.clone().into_parts();
    parts.scheme = Some(Scheme::HTTPS);
    // It has all its parts, so there is no other outcome.
    endpoint.origin(Uri::from_parts(parts).unwrap_or_else(|_| target.clone()))
}

/// A connection to an address, with all else as it comes.
pub(super) fn to(address: &Uri, tls: Option<Outgoing>) -> Connection {
    Dial::new(endpoint(address, tls.as_ref()), tls).connection()
}

/// A connection without breaker, deadline and telemetry, for probes and tools: to the only address that a target has.
///
/// # Errors
/// When the target is not of the form `http://host:port`.
pub fn untraced(target: &str, tls: Option<Outgoing>) -> Result<Connection, ChannelError> {
    Ok(to(&target::address(target)?, tls))
}

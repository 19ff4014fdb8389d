//! Addresses of a name.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;

/// The future of a lookup.
pub type Resolving = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>>;

/// Looks names up, for targets of the form `dns:///host:port`. That of the system unless said otherwise
/// ([`ChannelFactory::resolver`](super::ChannelFactory::resolver)): hosts file, search domains and all.
///
/// ```
/// use std::net::SocketAddr;
/// use waypost_telemetry::grpc::{ChannelFactory, Resolver, Resolving};
///
/// /// Knows one name.
/// struct Fixed(Vec<SocketAddr>);
///
/// impl Resolver for Fixed {
///     fn resolve(&self, _host: &str, _port: u16) -> Resolving {
///         let addresses = self.0.clone();
///         Box::pin(async move { Ok(addresses) })
///     }
/// }
///
/// # let telemetry = waypost_telemetry::Telemetry::disabled();
/// let stock = Fixed(vec!["10.0.0.1:9092".parse()?, "10.0.0.2:9092".parse()?]);
/// let channels = ChannelFactory::new(&telemetry).resolver(stock);
/// # drop(channels);
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
pub trait Resolver: Send + Sync + 'static {
    /// The addresses of `host`, each with the port to connect to. None of them, or an error, leaves those that were
    /// known before.
    fn resolve(&self, host: &str, port: u16) -> Resolving;
}

/// The system's.
pub(super) struct System;

impl Resolver for System {
    fn resolve(&self, host: &str, port: u16) -> Resolving {
        let host = host.to_owned();
        Box::pin(async move { Ok(tokio::net::lookup_host((host, port)).await?.collect()) })
    }
}

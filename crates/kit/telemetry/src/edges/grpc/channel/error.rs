//! Why there is no channel.

use http::uri::InvalidUri;
use tonic::transport;

/// No channel could be made. Nothing was connected yet: a server that is away shows at the first call.
///
/// ```
/// use waypost_telemetry::{Telemetry, grpc::{ChannelError, TracedChannel}};
///
/// let refused = TracedChannel::new(&Telemetry::disabled(), "stock:9090");
/// assert!(matches!(refused, Err(ChannelError::Incomplete { .. })));
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChannelError {
    /// The target is not a URI.
    #[error(
        "`{target}` is not a target of the form `http://host:port`, `https://host:port`, `dns:///host:port` or `unix:/path`"
    )]
    InvalidUri {
        /// What was asked for.
        target: String,
        /// What is wrong with it.
        #[source]
        source: InvalidUri,
    },
    /// The target is a URI without scheme, host, or, for `dns:///`, port.
    #[error(
        "`{target}` is not a target of the form `http://host:port`, `https://host:port`, `dns:///host:port` or \
         `unix:/path`: it names no scheme, no host, no port or no path"
    )]
    Incomplete {
        /// What was asked for.
        target: String,
    },
    /// The certificates cannot be used.
    #[error("cannot set up TLS")]
    Tls(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The user agent is not a header value.
    #[error("cannot set the user agent")]
    UserAgent(#[source] transport::Error),
    /// A channel drives its connection by tasks and was asked for outside a tokio runtime.
    #[error("a gRPC channel needs a tokio runtime")]
    NoRuntime,
}

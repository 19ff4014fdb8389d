//! Why the gateway cannot be built. What goes wrong with a request is a [`waypost_api::Error`] instead.

use std::{net::SocketAddr, path::PathBuf};
use waypost_resilience::grpc::ChannelError;

/// Why the gateway cannot be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// `auth = demo` lets anybody order for anybody.
    #[error(
        "gateway.auth = demo needs no tokens, so it is refused on {bound}; bind the gateway to 127.0.0.1 or set \
         gateway.auth = required"
    )]
    DemoOutsideLoopback {
        /// Where the gateway is bound.
        bound: SocketAddr,
    },
    /// A service's address is of no use.
    #[error("cannot call a service")]
    Target {
        /// Why.
        #[source]
        source: ChannelError,
    },
    /// The file of the token keys cannot be used.
    #[error("cannot take the token keys from gateway.tokens.keys_file, {}: {reason}", path.display())]
    KeysFile {
        /// The file.
        path: PathBuf,
        /// Why, without a word of what is in it.
        reason: String,
    },
    /// The system gave no random bytes.
    #[error("cannot make a random key for tokens; set gateway.tokens.keys")]
    RandomKey {
        /// Why.
        #[source]
        source: getrandom::Error,
    },
    /// A route has no row in the table of who may do what, or a row no route.
    #[error("routes and access table differ: {routes}")]
    RouteWithoutRow {
        /// Which.
        routes: String,
    },
}

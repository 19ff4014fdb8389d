//! Why the viewer cannot be put together.

use std::path::PathBuf;
use waypost_trace_store::OpenError;

/// Why the viewer cannot be put together.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The store's files cannot be opened.
    #[error("cannot open the store of spans in {}", folder.display())]
    Store {
        /// Where it is.
        folder: PathBuf,
        /// Why not.
        #[source]
        source: OpenError,
    },
    /// The operating system gives no random bytes.
    #[error("cannot make a token for the viewer")]
    RandomToken {
        /// Why not.
        #[source]
        source: getrandom::Error,
    },
}

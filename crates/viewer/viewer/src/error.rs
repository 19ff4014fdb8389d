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
    /// The copies of pinned traces cannot be read.
    #[error("cannot open the folder of pinned traces")]
    Pins {
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The operating system gives no random bytes.
    #[error("cannot make a token for the viewer")]
    RandomToken {
        /// Why not.
        #[source]
        source: getrandom::Error,
    },
}

impl Error {
    /// Whether another process has the store open.
    pub fn is_in_use(&self) -> bool {
        matches!(self, Error::Store { source: OpenError::InUse { .. }, .. })
    }

    /// Whether the store's files are to blame, for what they are or may not become.
    pub fn is_of_files(&self) -> bool {
        match self {
            Error::Store { source, .. } => !matches!(source, OpenError::Thread(_)),
            Error::Pins { .. } => true,
            Error::RandomToken { .. } => false,
        }
    }
}

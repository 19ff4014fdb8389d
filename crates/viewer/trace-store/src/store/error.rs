//! What can go wrong with the files, in the words of whoever has to mend it.

use crate::{AppendError, ReadError};
use rusqlite::ErrorCode;
use std::{io, path::PathBuf};

/// Why a store cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The folder cannot be made or written to.
    #[error("cannot use the folder {}; check that it exists and can be written to", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// Another process has it open.
    #[error("{} is in use by another process; stop that one, or give this one another folder", path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// The journal cannot be read or written.
    #[error("cannot use {}; if it is damaged, move its folder away to begin with an empty store", path.display())]
    Journal {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        #[source]
        source: rusqlite::Error,
    },
    /// A file of blocks cannot be opened at present, though it may be whole.
    #[error("cannot open {}; check its owner, the limit of open files, and that no other program has it open", path.display())]
    Blocks {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        #[source]
        source: rusqlite::Error,
    },
    /// It was written by another version.
    #[error(
        "{} has format {found} and this version reads format {known}; update, or use another folder",
        path.display()
    )]
    Format {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: i64,
        /// The format of this version.
        known: i64,
    },
    /// A thread cannot be started.
    #[error("cannot start the threads of the store")]
    Thread(#[source] io::Error),
}

/// Why something was not written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WriteError {
    #[error(transparent)]
    Sql(#[from] rusqlite::Error),
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("the store is closed")]
    Closed,
    #[error("{0}")]
    Read(#[from] ReadError),
}

impl WriteError {
    fn is_disk_full(&self) -> bool {
        match self {
            WriteError::Sql(error) => error.sqlite_error_code() == Some(ErrorCode::DiskFull),
            WriteError::Io(error) => error.kind() == io::ErrorKind::StorageFull,
            WriteError::Closed | WriteError::Read(_) => false,
        }
    }

    /// For whoever appends.
    pub(crate) fn to_append_error(&self) -> AppendError {
        match self {
            WriteError::Closed => AppendError::Closed,
            error if error.is_disk_full() => AppendError::DiskFull,
            error => AppendError::Failed(error.to_string()),
        }
    }
}

//! Why rows were not moved.

use std::path::PathBuf;

use crate::Error;

/// Why an export or an import did not happen.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransferError {
    /// The database could not be used.
    #[error("the database did not do it")]
    Database(#[from] Error),
    /// The file could not be read or written.
    #[error("cannot read or write {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// The file is not what was written.
    #[error("{} was changed or is not complete: {what}; make the export anew", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
        /// What differs.
        what: String,
    },
    /// A line is no row of the store.
    #[error("line {line} of {}: {reason}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// Rows are there already.
    #[error("table {table} of {name} has rows already; import into an empty database")]
    NotEmpty {
        /// The store.
        name: &'static str,
        /// Its table.
        table: &'static str,
    },
}

//! The folder that a process keeps its files in. Only the folder: databases are the business of `durable`.

use std::{
    io,
    path::{Path, PathBuf},
};

/// The data folder of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DataDir {
    /// This folder.
    Folder(PathBuf),
    /// Nothing survives the process: tests and `up --ephemeral`.
    Ephemeral,
}

/// Why a data folder cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot write to the data folder {}; choose another with --data or `data` in the configuration", folder.display())]
pub struct DataDirError {
    folder: PathBuf,
    #[source]
    source: io::Error,
}

impl DataDir {
    /// The folder, if there is one.
    pub fn folder(&self) -> Option<&Path> {
        match self {
            DataDir::Folder(folder) => Some(folder),
            DataDir::Ephemeral => None,
        }
    }

    /// Creates the folder when it is missing and proves that a file can be written there, before any role opens
    /// a database in it.
    pub fn prepare(&self) -> Result<(), DataDirError> {
        let DataDir::Folder(folder) = self else { return Ok(()) };
        // A file without a name, or with a name of its own: others may be preparing the folder at this moment.
        std::fs::create_dir_all(folder)
            .and_then(|()| tempfile::tempfile_in(folder))
            .map(drop)
            .map_err(|source| DataDirError { folder: folder.clone(), source })
    }
}

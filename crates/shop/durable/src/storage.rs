//! Which database a process keeps its data in, and where.
//!
//! For the binary, which makes a [`Storage`] of the configuration, and for the services, each of which has one place
//! where it picks the dialect of its store: `store::open`.

use std::path::{Path, PathBuf};

use waypost_telemetry::Telemetry;

use crate::{Error, Location, SharedFile, database, postgres};

/// Where the roles of a process keep their data.
///
/// Not `#[non_exhaustive]`: whoever adds a kind is led by the compiler to every place that picks a dialect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Storage {
    /// SQLite files that belong to this process, one per database or one for all.
    Embedded(Files),
    /// A PostgreSQL server that processes share, with a schema per service.
    Postgres(Box<postgres::Server>),
}

/// Where the files of embedded databases are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Files {
    /// In this folder.
    Folder(PathBuf),
    /// In temporary folders that go with the process.
    Ephemeral,
    /// All of them in this one file, whose writer they share.
    Shared(SharedFile),
}

/// The name of the file that the roles of one process share.
const SHARED: &str = "waypost.db";

impl Storage {
    /// Files in this folder.
    pub fn in_folder(folder: impl AsRef<Path>) -> Storage {
        Storage::Embedded(Files::Folder(folder.as_ref().to_path_buf()))
    }

    /// Files that go with the process.
    pub fn ephemeral() -> Storage {
        Storage::Embedded(Files::Ephemeral)
    }
}

impl Files {
    /// The place of the database with this name: `order` is `order.db` in the folder.
    pub fn database(&self, name: &str) -> Location {
        match self {
            Files::Folder(folder) => Location::File(folder.join(format!("{name}.db"))),
            Files::Ephemeral => Location::Ephemeral,
            Files::Shared(file) => Location::Within(file.clone()),
        }
    }

    /// One file in this folder for all databases: `waypost.db`.
    pub fn shared_in(folder: impl AsRef<Path>) -> Files {
        Files::Shared(SharedFile::at(folder.as_ref().join(SHARED)))
    }

    /// Whether they go with the process.
    pub fn are_ephemeral(&self) -> bool {
        match self {
            Files::Folder(_) => false,
            Files::Ephemeral => true,
            Files::Shared(file) => file.path().is_none(),
        }
    }

    /// Runs what opens a store in these files on a thread that may block.
    ///
    /// Cancel safety: the store is opened all the same, and dropped.
    pub async fn open<S, E>(
        &self,
        telemetry: &Telemetry,
        open: impl FnOnce(&Files, &Telemetry) -> Result<S, E> + Send + 'static,
    ) -> Result<S, E>
    where
        S: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        let (files, telemetry) = (self.clone(), telemetry.clone());
        database::on_blocking_thread(move || open(&files, &telemetry)).await
    }
}

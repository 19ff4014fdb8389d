//! One step of a move after the other, each found by what is in the folder.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::{Layout, copy, tables};
use crate::database::{self, Sharing};
use crate::migration::Record;
use crate::{Error, Files};

/// How long another process may have the shared file, moving stores itself.
const WAIT: Duration = Duration::from_secs(10);

/// How often it is looked whether it still has.
const LOOK: Duration = Duration::from_millis(50);

/// The file that stores share.
pub(super) fn shared_file(folder: &Path) -> PathBuf {
    path_of(&Files::shared_in(folder), "")
}

/// The file that a store has for itself.
pub(super) fn own_file(folder: &Path, store: &str) -> PathBuf {
    path_of(&Files::Folder(folder.to_path_buf()), store)
}

fn path_of(files: &Files, store: &str) -> PathBuf {
    files.database(store).path().map(Path::to_path_buf).unwrap_or_default()
}

fn with_end(path: &Path, end: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(end);
    PathBuf::from(name)
}

/// The names that a store's file has.
struct Names {
    own: PathBuf,
    moving: PathBuf,
    new: PathBuf,
    moved: PathBuf,
}

impl Names {
    fn of(folder: &Path, store: &str) -> Names {
        let own = own_file(folder, store);
        let with = |end| with_end(&own, end);
        Names { moving: with(".moving"), new: with(".new"), moved: with(".moved"), own }
    }

    /// The name of a file that is there only while the store is moved.
    fn on_the_way(&self) -> Option<&Path> {
        [&self.moving, &self.new, &self.moved].into_iter().find(|path| path.exists()).map(PathBuf::as_path)
    }
}

/// Whether it takes more than a look at names to know that a store is where it is to be.
pub(super) fn may_have_to_move(folder: &Path, store: &str, layout: Layout) -> bool {
    let names = Names::of(folder, store);
    names.on_the_way().is_some()
        || match layout {
            Layout::Shared => names.own.exists(),
            Layout::PerRole => shared_file(folder).exists(),
        }
}

/// The file of a store that is on its way, or in a file of its own beside the shared one.
pub(super) fn unsettled(folder: &Path, store: &str, in_shared: bool) -> Option<PathBuf> {
    let names = Names::of(folder, store);
    let own = (in_shared && names.own.exists()).then_some(names.own.as_path());
    names.on_the_way().or(own).map(Path::to_path_buf)
}

/// That a command cannot say which file counts.
pub(super) fn interrupted(path: &Path) -> Error {
    let hint = "data was being moved between it and waypost.db; start the roles once, which ends the move";
    database::open_error(path, hint, io::Error::from(io::ErrorKind::AlreadyExists))
}

fn in_both(path: &Path) -> Error {
    let hint = "the folder has data of this role in waypost.db as well; move the one that is not to be used out of the folder";
    database::open_error(path, hint, io::Error::from(io::ErrorKind::AlreadyExists))
}

/// A data folder whose shared file nobody else uses.
pub(super) struct Folder {
    path: PathBuf,
    shared: PathBuf,
    /// Opened when it is needed, made when it is missing then.
    connection: Option<Connection>,
    _lock: File,
}

impl Folder {
    pub(super) fn lock(path: &Path) -> Result<Folder, Error> {
        let shared = shared_file(path);
        let begin = Instant::now();
        let lock = loop {
            match database::lock(&shared, Sharing::Exclusive) {
                Err(Error::InUse { .. }) if begin.elapsed() < WAIT => std::thread::sleep(LOOK),
                other => break other?,
            }
        };
        Ok(Folder { path: path.to_path_buf(), shared, connection: None, _lock: lock })
    }

    /// Whether a file that a store is to leave is in nobody's use, as far as can be known before.
    pub(super) fn check_unused(&self, store: &str, layout: Layout) -> Result<(), Error> {
        let own = own_file(&self.path, store);
        if layout == Layout::Shared && own.exists() {
            database::lock(&own, Sharing::Exclusive)?;
        }
        Ok(())
    }

    /// Does what is next for a store; false when it is where it is to be.
    pub(super) fn step(&mut self, store: &'static str, layout: Layout) -> Result<bool, Error> {
        let names = Names::of(&self.path, store);
        let in_shared = self.has(store)?;
        if names.new.exists() {
            // What a copy that did not come to its end has left.
            self.remove(&names.new)?;
        } else if names.moved.exists() {
            if names.own.exists() {
                return Err(in_both(&names.own));
            }
            if in_shared {
                let shared = self.shared()?;
                copy::drop_from_shared(shared, store).map_err(|error| self.explain(error))?;
            } else {
                self.rename(&names.moved, &names.own)?;
            }
        } else if names.moving.exists() {
            if names.own.exists() {
                return Err(in_both(&names.own));
            }
            match (in_shared, layout) {
                (true, _) => self.remove(&names.moving)?,
                (false, Layout::PerRole) => self.rename(&names.moving, &names.own)?,
                (false, Layout::Shared) => {
                    let shared = self.shared()?;
                    copy::into_shared(shared, &names.moving, store).map_err(|error| self.explain(error))?;
                    self.sync()?;
                }
            }
        } else if names.own.exists() && in_shared {
            return Err(in_both(&names.own));
        } else if names.own.exists() && layout == Layout::Shared {
            let _lock = set_out(&names.own)?;
            self.shared()?;
            self.rename(&names.own, &names.moving)?;
        } else if in_shared && layout == Layout::PerRole {
            copy_out(&self.shared, &names.new, store)
                .map_err(|error| database::explain(&names.new, error))?;
            self.rename(&names.new, &names.moved)?;
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    /// Closes the shared file, and removes it when no store is in it.
    pub(super) fn finish(mut self) -> Result<(), Error> {
        if !self.shared.exists() {
            return Ok(());
        }
        let is_empty = tables::are_none(self.shared()?).map_err(|error| self.explain(error))?;
        if let Some(connection) = self.connection.take() {
            close(connection).map_err(|error| self.explain(error))?;
        }
        if is_empty {
            let shared = self.shared.clone();
            self.remove(&shared)?;
        }
        Ok(())
    }

    fn has(&mut self, store: &'static str) -> Result<bool, Error> {
        if !self.shared.exists() {
            return Ok(false);
        }
        Record::of(store).is_in(self.shared()?).map_err(|error| self.explain(error))
    }

    fn shared(&mut self) -> Result<&mut Connection, Error> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => database::open_or_make(&self.shared)?,
        };
        Ok(self.connection.insert(connection))
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<(), Error> {
        fs::rename(from, to).map_err(|error| failed(from, error))?;
        self.sync()
    }

    /// The logs beside it first: one that is left would be taken for that of the next file of this name.
    fn remove(&self, path: &Path) -> Result<(), Error> {
        for end in ["-wal", "-shm", "-journal", ""] {
            let file = with_end(path, end);
            match fs::remove_file(&file) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(&file, error)),
                _ => {}
            }
        }
        self.sync()
    }

    /// The names in the folder are on the disk from here on.
    fn sync(&self) -> Result<(), Error> {
        database::sync_folder(&self.path).map_err(|error| failed(&self.path, error))
    }

    fn explain(&self, error: Error) -> Error {
        database::explain(&self.shared, error)
    }
}

fn failed(path: &Path, error: io::Error) -> Error {
    database::open_error(
        path,
        "it cannot be moved; check the rights on it and its folder, and the disk",
        error,
    )
}

/// Makes a database that nobody has open complete in its one file, and gives its lock.
fn set_out(path: &Path) -> Result<File, Error> {
    let alone = database::open_alone(path)?;
    close(alone.connection).map_err(|error| database::explain(path, error))?;
    Ok(alone.lock)
}

/// Closes a database so that no log is beside it.
fn close(connection: Connection) -> Result<(), Error> {
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |_| Ok(()))?;
    connection.query_row("PRAGMA journal_mode = DELETE", (), |_| Ok(()))?;
    connection.close().map_err(|(_, error)| Error::from(error))
}

/// Fills a new file with what a store has in the shared one.
fn copy_out(shared: &Path, new: &Path, store: &'static str) -> Result<(), Error> {
    let mut own = database::open_or_make(new)?;
    copy::out_of_shared(&mut own, shared, store)?;
    close(own)
}

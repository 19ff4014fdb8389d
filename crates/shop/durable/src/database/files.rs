//! The files of a database: folder, lock, connections and what to say when one of them cannot be had.

use std::error::Error as StdError;
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use tempfile::TempDir;

use super::{DatabaseOptions, Sharing};
use crate::Error;

/// Prepared statements kept a connection; more than any service has.
const CACHED_STATEMENTS: usize = 256;

/// After a checkpoint the log is cut down to this size.
const LOG_SIZE_LIMIT: i64 = 64 * 1024 * 1024;

/// The folder and the lock, held for as long as the database is open.
pub(super) struct Files {
    path: PathBuf,
    // Fields are dropped in this order: the lock's file is closed before its folder is removed.
    _lock: File,
    _temporary: Option<TempDir>,
}

impl Files {
    /// Makes the folder and takes the lock.
    pub(super) fn prepare(options: &DatabaseOptions) -> Result<Files, Error> {
        let (path, temporary) = if let Some(path) = options.location.path() {
            make_folder(folder_of(path)).map_err(|source| unusable_folder(path, source))?;
            (path.to_path_buf(), None)
        } else {
            let folder = tempfile::Builder::new()
                .prefix("waypost-")
                .tempdir()
                .map_err(|source| unusable_folder(&std::env::temp_dir(), source))?;
            (folder.path().join(format!("{}.db", options.name)), Some(folder))
        };
        let lock = lock(&path, options.sharing)?;
        Ok(Files { path, _lock: lock, _temporary: temporary })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

/// Opens a database for its writer; the file is made when it is missing.
pub(super) fn open_writer(path: &Path, options: &DatabaseOptions) -> Result<Connection, Error> {
    let flags =
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    open(path, flags, options.busy_timeout)
        .and_then(|connection| set_up_writer(connection, options.max_pages))
        .map_err(|error| explain(path, error))
}

/// Opens a database that is there for a reader.
pub(super) fn open_reader(path: &Path, options: &DatabaseOptions) -> Result<Connection, Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    open(path, flags, options.busy_timeout).map_err(|error| explain(path, error))
}

/// Opens a database that exists, without its lock and without changing it.
pub(crate) fn open_existing(path: &Path) -> Result<Connection, Error> {
    // Not read-only: reading a write-ahead log may need its index file to be made.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    open(path, flags, Duration::from_secs(5)).map_err(|error| explain(path, error))
}

/// A database that exists and that no other process has open for as long as this is there.
pub(crate) struct Alone {
    /// The way into it.
    pub(crate) connection: Connection,
    /// Its lock, for whoever gives the connection away.
    pub(crate) lock: File,
}

/// Opens a database that exists, for its rows to be moved.
pub(crate) fn open_alone(path: &Path) -> Result<Alone, Error> {
    let missing = || io::Error::from(io::ErrorKind::NotFound);
    if !path.exists() {
        return Err(open_error(path, "there is no such file; choose the data folder that has it", missing()));
    }
    let lock = lock(path, Sharing::Exclusive)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection =
        open(path, flags, Duration::from_secs(5)).and_then(|connection| set_up_writer(connection, None));
    Ok(Alone { connection: connection.map_err(|error| explain(path, error))?, lock })
}

/// Opens a database to move rows into it or out of it, and makes it when it is missing. Keys to other tables are not looked
/// after: rows are moved as they are. The caller has its lock.
pub(crate) fn open_or_make(path: &Path) -> Result<Connection, Error> {
    let flags =
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    open(path, flags, Duration::from_secs(5))
        .and_then(|connection| set_up_writer(connection, None))
        .and_then(|connection| {
            connection.pragma_update(None, "foreign_keys", false)?;
            Ok(connection)
        })
        .map_err(|error| explain(path, error))
}

/// The error of a thread that could not be started.
pub(super) fn no_thread(path: &Path, error: io::Error) -> Error {
    open_error(path, "the system refused another thread; raise the limit of threads", error)
}

fn open(path: &Path, flags: OpenFlags, busy_timeout: Duration) -> Result<Connection, Error> {
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(busy_timeout)?;
    connection.set_prepared_statement_cache_capacity(CACHED_STATEMENTS);
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    Ok(connection)
}

fn set_up_writer(connection: Connection, max_pages: Option<u32>) -> Result<Connection, Error> {
    let mode: String = connection.query_row("PRAGMA journal_mode = WAL", (), |row| row.get(0))?;
    if !mode.eq_ignore_ascii_case("wal") {
        return Err(Error::from(rusqlite::Error::SqliteFailure(
            rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CANTOPEN),
            Some(format!("the file system offers no write-ahead log (journal mode {mode})")),
        )));
    }
    // NORMAL would lose acknowledged commits when the power fails.
    connection.pragma_update(None, "synchronous", "FULL")?;
    // On macOS a sync alone leaves the data in the disk's cache; elsewhere this changes nothing.
    connection.pragma_update(None, "fullfsync", true)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.query_row(&format!("PRAGMA journal_size_limit = {LOG_SIZE_LIMIT}"), (), |_| Ok(()))?;
    if let Some(pages) = max_pages {
        connection.query_row(&format!("PRAGMA max_page_count = {pages}"), (), |_| Ok(()))?;
    }
    Ok(connection)
}

/// Takes the advisory lock of a database. It lies beside the database's own file: closing any handle of that one would
/// drop SQLite's locks on it (POSIX locks belong to the process).
pub(crate) fn lock(path: &Path, sharing: Sharing) -> Result<File, Error> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(PathBuf::from(name))
        .map_err(|source| unusable_folder(path, source))?;
    let taken = match sharing {
        Sharing::Exclusive => file.try_lock(),
        Sharing::Shared => file.try_lock_shared(),
    };
    match taken {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            Err(Error::InUse { folder: folder_of(path).to_path_buf(), file: path.to_path_buf() })
        }
        Err(TryLockError::Error(source)) => {
            Err(open_error(path, "the file system offers no file locks; use a local disk", source))
        }
    }
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Makes a folder and those above it that are missing, and syncs every folder that got a new entry: the name of a new
/// folder is on the disk only when the folder that holds it is synced. The names of the database's own files are synced
/// by SQLite.
pub fn make_folder(folder: &Path) -> io::Result<()> {
    let changed = folders_with_new_entries(folder, Path::exists);
    std::fs::create_dir_all(folder)?;
    changed.into_iter().try_for_each(sync_folder)
}

/// The folders that get a new entry when `folder` is made, the innermost first.
fn folders_with_new_entries(folder: &Path, exists: impl Fn(&Path) -> bool) -> Vec<&Path> {
    let made =
        folder.ancestors().take_while(|ancestor| !ancestor.as_os_str().is_empty() && !exists(ancestor));
    made.map(folder_of).collect()
}

/// Has the names in a folder on the disk.
#[cfg(unix)]
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Elsewhere a folder cannot be opened as a file, and its entries are durable by themselves.
#[cfg(not(unix))]
pub(crate) fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

fn unusable_folder(path: &Path, source: io::Error) -> Error {
    let hint = match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "no room left on the disk; free space in its folder"
        }
        io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => {
            "its folder cannot be written; give this user the right to write there, or choose another data folder"
        }
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
            "a part of its path is a file and not a folder; choose another data folder"
        }
        _ => {
            "its folder cannot be used; check that it exists and can be written, or choose another data folder"
        }
    };
    open_error(path, hint, source)
}

/// Adds the file and what to do to an error of opening it.
pub(crate) fn explain(path: &Path, error: Error) -> Error {
    let hint = match &error {
        Error::Corrupt(_) => {
            "the file is damaged or is no SQLite database; restore it from a backup, or move it away to start anew"
        }
        Error::Full(_) => "no room left on the disk; free space in its folder",
        Error::Io(_) => {
            "the file cannot be read or written; check the rights on it and its folder, and the disk"
        }
        Error::Busy(_) => "another program holds it locked; stop that program",
        _ => return error,
    };
    open_error(path, hint, error)
}

pub(crate) fn open_error(
    path: &Path,
    hint: &'static str,
    source: impl StdError + Send + Sync + 'static,
) -> Error {
    Error::Open { path: path.to_path_buf(), hint, source: Arc::new(source) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_folder_that_gets_a_new_entry_is_synced() {
        let exists = |path: &Path| path == Path::new("/srv") || path == Path::new("/");
        let changed = |folder| folders_with_new_entries(Path::new(folder), exists);
        assert_eq!(changed("/srv/shop/data"), [Path::new("/srv/shop"), Path::new("/srv")]);
        assert_eq!(changed("/srv"), Vec::<&Path>::new());
        assert_eq!(changed("data/shop"), [Path::new("data"), Path::new(".")]);
    }
}

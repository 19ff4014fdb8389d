//! What SQLite said, in the words of this crate.

use rusqlite::ffi;

use crate::error::{Cause, ConstraintKind, Error};

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Error {
        let Some(code) = error.sqlite_error().copied() else {
            return Error::Statement(Cause::new("SQLITE_ERROR", error));
        };
        match code.code {
            // What was read is not what the last commit left: the counterpart of a serialisation failure.
            _ if code.extended_code == ffi::SQLITE_BUSY_SNAPSHOT => {
                Error::Conflict(Cause::new("SQLITE_BUSY_SNAPSHOT", error))
            }
            ffi::ErrorCode::DatabaseBusy
            | ffi::ErrorCode::DatabaseLocked
            | ffi::ErrorCode::FileLockingProtocolFailed => Error::Busy(Cause::new("SQLITE_BUSY", error)),
            ffi::ErrorCode::DiskFull => full(error),
            // The index file of the write-ahead log could not be made larger, which fails for want of room alone.
            _ if code.extended_code == ffi::SQLITE_IOERR_SHMSIZE => full(error),
            ffi::ErrorCode::DatabaseCorrupt | ffi::ErrorCode::NotADatabase => {
                Error::Corrupt(Cause::new("SQLITE_CORRUPT", error))
            }
            ffi::ErrorCode::ConstraintViolation => constraint(code.extended_code, error),
            ffi::ErrorCode::SystemIoFailure | ffi::ErrorCode::ReadOnly | ffi::ErrorCode::CannotOpen => {
                Error::Io(Cause::new("SQLITE_IOERR", error))
            }
            _ => Error::Statement(Cause::new("SQLITE_ERROR", error)),
        }
    }
}

fn full(error: rusqlite::Error) -> Error {
    Error::Full(Cause::new("SQLITE_FULL", error))
}

fn constraint(extended_code: i32, error: rusqlite::Error) -> Error {
    let (kind, code) = match extended_code {
        ffi::SQLITE_CONSTRAINT_UNIQUE | ffi::SQLITE_CONSTRAINT_PRIMARYKEY | ffi::SQLITE_CONSTRAINT_ROWID => {
            (ConstraintKind::Unique, "SQLITE_CONSTRAINT_UNIQUE")
        }
        ffi::SQLITE_CONSTRAINT_CHECK => (ConstraintKind::Check, "SQLITE_CONSTRAINT_CHECK"),
        ffi::SQLITE_CONSTRAINT_FOREIGNKEY => (ConstraintKind::ForeignKey, "SQLITE_CONSTRAINT_FOREIGNKEY"),
        ffi::SQLITE_CONSTRAINT_NOTNULL => (ConstraintKind::NotNull, "SQLITE_CONSTRAINT_NOTNULL"),
        _ => (ConstraintKind::Other, "SQLITE_CONSTRAINT"),
    };
    // SQLite names the constraint only in its message: "UNIQUE constraint failed: orders.id".
    let message = error.to_string();
    let name = match message.split_once("failed: ") {
        Some((_, name)) => name.to_owned(),
        None if kind == ConstraintKind::ForeignKey => "foreign key".to_owned(),
        None => message,
    };
    Error::Constraint { name, kind, source: Cause::new(code, error) }
}

/// What a failed COMMIT means. When the sync fails the log may hold the commit whole all the same: SQLite has forgotten it,
/// but recovery after a crash believes the log. Every other failure comes before the last frame is written.
pub(super) fn failed_commit(error: Error) -> Error {
    let Error::Io(cause) = &error else { return error };
    let failure = cause.downcast_ref::<rusqlite::Error>().and_then(rusqlite::Error::sqlite_error);
    match failure.map(|failure| failure.extended_code) {
        Some(ffi::SQLITE_IOERR_FSYNC | ffi::SQLITE_IOERR_DIR_FSYNC) => {
            Error::OutcomeUnknown(std::sync::Arc::new(error))
        }
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commit_that_fails_with(code: i32) -> Error {
        failed_commit(Error::from(rusqlite::Error::SqliteFailure(ffi::Error::new(code), None)))
    }

    #[test]
    fn a_commit_whose_sync_failed_is_neither_done_nor_undone() {
        let unknown = commit_that_fails_with(ffi::SQLITE_IOERR_FSYNC);
        assert!(matches!(unknown, Error::OutcomeUnknown(_)), "{unknown:?}");
        assert!(unknown.is_retryable());
    }

    #[test]
    fn a_commit_that_could_not_be_written_is_undone() {
        assert!(matches!(commit_that_fails_with(ffi::SQLITE_IOERR_WRITE), Error::Io(_)));
        assert!(matches!(commit_that_fails_with(ffi::SQLITE_FULL), Error::Full(_)));
        assert!(matches!(commit_that_fails_with(ffi::SQLITE_BUSY), Error::Busy(_)));
    }

    #[test]
    fn a_write_after_a_read_that_is_out_of_date_is_a_conflict() {
        let folder = tempfile::tempdir().unwrap();
        let open = || rusqlite::Connection::open(folder.path().join("two.db")).unwrap();
        let (one, two) = (open(), open());
        one.query_row("PRAGMA journal_mode = WAL", (), |_| Ok(())).unwrap();
        one.execute_batch("CREATE TABLE rows (id INTEGER); BEGIN DEFERRED").unwrap();
        one.query_row("SELECT count(*) FROM rows", (), |_| Ok(())).unwrap();
        two.execute("INSERT INTO rows VALUES (1)", ()).unwrap();
        let lost = Error::from(one.execute("INSERT INTO rows VALUES (2)", ()).unwrap_err());
        assert!(matches!(lost, Error::Conflict(_)), "{lost:?}");
    }
}

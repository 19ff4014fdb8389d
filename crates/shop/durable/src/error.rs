//! The one error of this crate: what was attempted, how the store answered, and whether asking again can help.
//!
//! For callers that must choose between a retry, an answer to a client and an alarm. `Clone`, because a commit that
//! fails is told to every unit in it.

use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::Arc;

use rusqlite::ffi;
use waypost_telemetry::{ErrorType, error::ErrorClass};

/// Why a database, outbox, inbox or broker operation did not happen.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Another process held the write lock for longer than the busy time-out. Nothing was written.
    #[error("the database stayed locked by another connection for the whole busy time-out")]
    Busy(#[source] Arc<rusqlite::Error>),
    /// No room: the disk, or the page limit of the database. Nothing of the unit was written.
    #[error("no room left for the database; free disk space in its folder, the writer goes on by itself")]
    Full(#[source] Arc<rusqlite::Error>),
    /// The file is damaged or is no SQLite database.
    #[error("the database file is damaged or is not a database; restore it from a backup or move it away")]
    Corrupt(#[source] Arc<rusqlite::Error>),
    /// A constraint refused the statement.
    #[error("constraint {name} refused the statement")]
    Constraint {
        /// What refused: `table.column` (several joined by `, `) for a unique or not-null constraint, the constraint's
        /// own name for a check, `foreign key` for a foreign key.
        name: String,
        /// Which kind of constraint.
        kind: ConstraintKind,
        #[source]
        source: Arc<rusqlite::Error>,
    },
    /// Reading or writing the file failed, or the folder is read-only.
    #[error("reading or writing the database file failed")]
    Io(#[source] Arc<rusqlite::Error>),
    /// Any other answer of SQLite: a wrong statement, a row of another type than expected.
    #[error("the database refused the statement")]
    Sqlite(#[source] Arc<rusqlite::Error>),
    /// The group's transaction was lost with another unit's failure; nothing of this unit was written.
    #[error("the unit was rolled back together with its group")]
    GroupRolledBack(#[source] Arc<Error>),
    /// The disk did not sync the commit. Nothing of it can be seen now, but after a crash of the process or the machine
    /// recovery may find it whole: whether the unit happened is not known until it is asked for, by its key or id.
    #[error("the disk did not sync the commit; whether the unit is kept is not known")]
    OutcomeUnknown(#[source] Arc<Error>),
    /// The database was closed, or is closing.
    #[error("database {0} is closed")]
    Closed(&'static str),
    /// The code of a unit panicked; its savepoint was rolled back.
    #[error("unit {operation} panicked: {message}")]
    Panicked {
        /// The operation's name as given to `write` or `read`.
        operation: &'static str,
        /// The panic's message.
        message: String,
    },
    /// Another process has this database open.
    #[error(
        "data folder {} is in use: another process has {} open; stop it, or use another data folder",
        folder.display(), file.display()
    )]
    InUse {
        /// The folder that holds the database.
        folder: PathBuf,
        /// The database's file.
        file: PathBuf,
    },
    /// The file or its folder cannot be opened.
    #[error("cannot open database {}: {hint}", path.display())]
    Open {
        /// The database's file.
        path: PathBuf,
        /// What is wrong and what to do about it.
        hint: &'static str,
        #[source]
        source: Arc<dyn std::error::Error + Send + Sync>,
    },
    /// The stored schema and the program's migrations do not fit together, or a migration failed.
    #[error("migration {id}: {problem}")]
    Migration {
        /// The migration's id.
        id: String,
        /// What does not fit.
        problem: MigrationProblem,
        #[source]
        source: Option<Arc<Error>>,
    },
    /// Somebody else took over a claim, lease or partition in the meantime; this holder's write was refused.
    #[error("{what} was taken over by another holder")]
    Fenced {
        /// What was taken over.
        what: String,
    },
    /// A stored value cannot be read back.
    #[error("stored {what} is malformed")]
    Malformed {
        /// Which value.
        what: &'static str,
    },
    /// A broker did not take or give records.
    #[error("the broker did not do it: {reason}")]
    Broker {
        /// What it said.
        reason: String,
        /// Whether the same call can succeed later. False is said of what was asked (a record that is too large), never
        /// of a broker that is away or set up wrongly.
        retryable: bool,
    },
}

/// Kinds of constraints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConstraintKind {
    /// A primary key or a unique index.
    Unique,
    /// A CHECK clause.
    Check,
    /// A foreign key.
    ForeignKey,
    /// NOT NULL.
    NotNull,
    /// A trigger's RAISE, a STRICT column type and the rest.
    Other,
}

/// Why migrations do not fit a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MigrationProblem {
    /// Its text is not the one that was applied.
    #[error(
        "its text changed after it was applied; restore the old text and put the change into a new migration"
    )]
    Changed,
    /// The database has it, the program does not.
    #[error(
        "the database has it, this program does not know it; the data is of a newer version, so run that version"
    )]
    Unknown,
    /// A later migration was applied before it.
    #[error("it stands before one that was already applied; new migrations go to the end of the list")]
    OutOfOrder,
    /// Two migrations of the list have this id.
    #[error("the list holds it twice")]
    Duplicate,
    /// Its statements failed.
    #[error("its statements failed; nothing of it was applied")]
    Failed,
}

impl Error {
    /// Whether the same call can succeed later without anybody changing it.
    pub fn is_retryable(&self) -> bool {
        match self {
            Error::Busy(_)
            | Error::Full(_)
            | Error::Io(_)
            | Error::GroupRolledBack(_)
            | Error::OutcomeUnknown(_) => true,
            Error::Broker { retryable, .. } => *retryable,
            _ => false,
        }
    }

    /// Whether what was asked is at fault: asking the same again never helps, asking for something else does.
    pub fn is_refusal(&self) -> bool {
        match self {
            Error::Constraint { .. } | Error::Malformed { .. } => true,
            Error::Broker { retryable, .. } => !retryable,
            _ => false,
        }
    }

    /// Whether the database or broker is at fault, whatever was asked: locked, full, failing, closed, damaged. Waiting
    /// or mending it helps; giving up on what was asked does not.
    pub fn is_infrastructure(&self) -> bool {
        match self {
            Error::Busy(_)
            | Error::Full(_)
            | Error::Io(_)
            | Error::Corrupt(_)
            | Error::GroupRolledBack(_)
            | Error::OutcomeUnknown(_)
            | Error::Closed(_)
            | Error::InUse { .. }
            | Error::Open { .. } => true,
            Error::Broker { retryable, .. } => *retryable,
            _ => false,
        }
    }

    /// Whether the cause is that there is no room left on the disk.
    pub fn is_full(&self) -> bool {
        match self {
            Error::Full(_) => true,
            Error::GroupRolledBack(cause) | Error::OutcomeUnknown(cause) => cause.is_full(),
            Error::Open { source, .. } => {
                let io = source.downcast_ref::<std::io::Error>();
                source.downcast_ref::<Error>().is_some_and(Error::is_full)
                    || io.is_some_and(|error| error.kind() == std::io::ErrorKind::StorageFull)
            }
            _ => false,
        }
    }

    /// Whether a unique constraint on `name` (`table.column`) refused the statement.
    pub fn violates_unique(&self, name: &str) -> bool {
        matches!(self, Error::Constraint { kind: ConstraintKind::Unique, name: violated, .. } if violated == name)
    }
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Error {
        let Some(code) = error.sqlite_error().copied() else {
            return Error::Sqlite(Arc::new(error));
        };
        match code.code {
            ffi::ErrorCode::DatabaseBusy
            | ffi::ErrorCode::DatabaseLocked
            | ffi::ErrorCode::FileLockingProtocolFailed => Error::Busy(Arc::new(error)),
            ffi::ErrorCode::DiskFull => Error::Full(Arc::new(error)),
            // The index file of the write-ahead log could not be made larger, which fails for want of room alone.
            _ if code.extended_code == ffi::SQLITE_IOERR_SHMSIZE => Error::Full(Arc::new(error)),
            ffi::ErrorCode::DatabaseCorrupt | ffi::ErrorCode::NotADatabase => Error::Corrupt(Arc::new(error)),
            ffi::ErrorCode::ConstraintViolation => constraint(code.extended_code, error),
            ffi::ErrorCode::SystemIoFailure | ffi::ErrorCode::ReadOnly | ffi::ErrorCode::CannotOpen => {
                Error::Io(Arc::new(error))
            }
            _ => Error::Sqlite(Arc::new(error)),
        }
    }
}

fn constraint(extended_code: i32, error: rusqlite::Error) -> Error {
    let kind = match extended_code {
        ffi::SQLITE_CONSTRAINT_UNIQUE | ffi::SQLITE_CONSTRAINT_PRIMARYKEY | ffi::SQLITE_CONSTRAINT_ROWID => {
            ConstraintKind::Unique
        }
        ffi::SQLITE_CONSTRAINT_CHECK => ConstraintKind::Check,
        ffi::SQLITE_CONSTRAINT_FOREIGNKEY => ConstraintKind::ForeignKey,
        ffi::SQLITE_CONSTRAINT_NOTNULL => ConstraintKind::NotNull,
        _ => ConstraintKind::Other,
    };
    // SQLite names the constraint only in its message: "UNIQUE constraint failed: orders.id".
    let message = error.to_string();
    let name = match message.split_once("failed: ") {
        Some((_, name)) => name.to_owned(),
        None if kind == ConstraintKind::ForeignKey => "foreign key".to_owned(),
        None => message,
    };
    Error::Constraint { name, kind, source: Arc::new(error) }
}

impl ErrorType for Error {
    fn error_type(&self) -> Cow<'static, str> {
        let name = match self {
            Error::Busy(_) => "SQLITE_BUSY",
            Error::Full(_) => "SQLITE_FULL",
            Error::Corrupt(_) => "SQLITE_CORRUPT",
            Error::Constraint { kind, .. } => match kind {
                ConstraintKind::Unique => "SQLITE_CONSTRAINT_UNIQUE",
                ConstraintKind::Check => "SQLITE_CONSTRAINT_CHECK",
                ConstraintKind::ForeignKey => "SQLITE_CONSTRAINT_FOREIGNKEY",
                ConstraintKind::NotNull => "SQLITE_CONSTRAINT_NOTNULL",
                ConstraintKind::Other => "SQLITE_CONSTRAINT",
            },
            Error::Io(_) => "SQLITE_IOERR",
            Error::Sqlite(_) => "SQLITE_ERROR",
            Error::GroupRolledBack(_) => "group_rolled_back",
            Error::OutcomeUnknown(_) => "commit_outcome_unknown",
            Error::Closed(_) => "database_closed",
            Error::Panicked { .. } => "panic",
            Error::InUse { .. } => "database_in_use",
            Error::Open { .. } => "database_open",
            Error::Migration { .. } => "migration",
            Error::Fenced { .. } => "fenced",
            Error::Malformed { .. } => "malformed",
            Error::Broker { .. } => "broker_unavailable",
        };
        Cow::Borrowed(name)
    }

    fn class(&self) -> ErrorClass {
        if self.is_infrastructure() { ErrorClass::Dependency } else { ErrorClass::Internal }
    }
}

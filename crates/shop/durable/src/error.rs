//! The one error of this crate: what was attempted, how the store answered, and whether asking again can help.
//!
//! For callers that must choose between a retry, an answer to a client and an alarm, and for every dialect of a
//! database: no variant names a library, what the database itself said is a [`Cause`]. `Clone`, because a commit that
//! fails is told to every unit in it.
//!
//! What became of the unit: nothing of it is written, whatever the variant, but for [`Error::OutcomeUnknown`]. Whoever
//! takes an error for "nothing was written" asks [`crate::settle`] first, or repeats a unit that has the effect of once.

use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use waypost_errors::ErrorCode;
use waypost_telemetry::{ErrorType, error::ErrorClass};

/// What the database itself said, whichever database it is.
#[derive(Clone, Debug)]
pub struct Cause {
    code: Cow<'static, str>,
    error: Arc<dyn std::error::Error + Send + Sync>,
}

impl Cause {
    /// The answer of a database. `code` is its own name for it, such as `SQLITE_BUSY` or `40001`, and becomes the
    /// `error.type` of spans: one of few, without any value in it.
    pub fn new(
        code: impl Into<Cow<'static, str>>,
        error: impl std::error::Error + Send + Sync + 'static,
    ) -> Cause {
        Cause { code: code.into(), error: Arc::new(error) }
    }

    /// The database's own name for it.
    pub fn code(&self) -> &str {
        &self.code
    }

    /// The error of the library, for a dialect that has to look closer.
    pub(crate) fn downcast_ref<E: std::error::Error + 'static>(&self) -> Option<&E> {
        self.error.downcast_ref()
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl std::error::Error for Cause {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.error.source()
    }
}

/// Why a database, outbox, inbox or broker operation did not happen.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Another process held the write lock for longer than the busy time-out, or no connection was free. Nothing was
    /// written.
    #[error(
        "the database stayed busy for the whole time-out: another connection holds a lock, or none was free"
    )]
    Busy(#[source] Cause),
    /// The database server did not answer: it is away, the connection broke, or it is no more the one that takes writes.
    /// Nothing was written. The embedded database never raises it.
    #[error("the database server did not answer")]
    Unavailable(#[source] Cause),
    /// A database server cannot be used as it is: what a start is refused with.
    #[error("cannot use database {place}: {hint}")]
    Server {
        /// Where it is: `host:port/database`.
        place: String,
        /// What is wrong and what to do about it.
        hint: &'static str,
        #[source]
        source: Arc<Error>,
    },
    /// The unit lost against another one that ran at the same time: a serialisation failure or a deadlock. Nothing of it
    /// was written; run again it sees what the other one did. The embedded database has one writer and never raises it.
    ///
    /// Who runs it again: [`crate::settle`], for units whose caller would otherwise give up; the relay, the consumer
    /// and the periodic workers, with their next round; everybody else answers `unavailable`, and the caller repeats the
    /// request under the same key.
    #[error("the unit lost against another one that ran at the same time")]
    Conflict(#[source] Cause),
    /// No room: the disk, or the page limit of the database. Nothing of the unit was written.
    #[error("no room left for the database; free disk space in its folder, the writer goes on by itself")]
    Full(#[source] Cause),
    /// The file is damaged or is no database.
    #[error("the database file is damaged or is not a database; restore it from a backup or move it away")]
    Corrupt(#[source] Cause),
    /// A constraint refused the statement.
    #[error("constraint {name} refused the statement")]
    Constraint {
        /// What refused: `table.column` (several joined by `, `) for a unique or not-null constraint, the constraint's
        /// own name for a check, `foreign key` for a foreign key.
        name: String,
        /// Which kind of constraint.
        kind: ConstraintKind,
        #[source]
        source: Cause,
    },
    /// Reading or writing the file failed, or the folder is read-only.
    #[error("reading or writing the database file failed")]
    Io(#[source] Cause),
    /// Any other answer of the database: a wrong statement, a row of another type than expected.
    #[error("the database refused the statement")]
    Statement(#[source] Cause),
    /// The group's transaction was lost with another unit's failure; nothing of this unit was written.
    #[error("the unit was rolled back together with its group")]
    GroupRolledBack(#[source] Arc<Error>),
    /// The commit was not acknowledged: whether the unit happened is not known until it is asked for, by its key or id.
    /// In the embedded form the disk did not sync it: nothing of it can be seen now, but after a crash of the process or
    /// the machine recovery may find it whole. On a database server the connection was lost while it committed.
    ///
    /// Who asks: an order's placing and its journal, through [`crate::settle`], and on PostgreSQL whatever runs in groups, by
    /// running again. Everything else is repeated by its caller and then finds what it has done: stock and payments by order and attempt, the provider's ledger by key, events by
    /// their id, an operator's command by the rows of the journal.
    #[error("the commit was not acknowledged; whether the unit is kept is not known")]
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
            | Error::Conflict(_)
            | Error::Full(_)
            | Error::Io(_)
            | Error::Unavailable(_)
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
            | Error::Conflict(_)
            | Error::Full(_)
            | Error::Io(_)
            | Error::Unavailable(_)
            | Error::Server { .. }
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

    /// What a caller outside is answered.
    pub fn code(&self) -> ErrorCode {
        if self.is_full() {
            ErrorCode::StorageFull
        } else if self.is_retryable() || matches!(self, Error::Closed(_)) {
            ErrorCode::Unavailable
        } else {
            ErrorCode::Internal
        }
    }

    /// Whether a unique constraint on `name` (`table.column`) refused the statement.
    pub fn violates_unique(&self, name: &str) -> bool {
        matches!(self, Error::Constraint { kind: ConstraintKind::Unique, name: violated, .. } if violated == name)
    }
}

impl ErrorType for Error {
    fn error_type(&self) -> Cow<'static, str> {
        let name = match self {
            Error::Busy(cause)
            | Error::Conflict(cause)
            | Error::Full(cause)
            | Error::Corrupt(cause)
            | Error::Constraint { source: cause, .. }
            | Error::Io(cause)
            | Error::Unavailable(cause)
            | Error::Statement(cause) => return cause.code.clone(),
            Error::GroupRolledBack(_) => "group_rolled_back",
            Error::OutcomeUnknown(_) => "commit_outcome_unknown",
            Error::Closed(_) => "database_closed",
            Error::Panicked { .. } => "panic",
            Error::InUse { .. } => "database_in_use",
            Error::Open { .. } => "database_open",
            Error::Server { .. } => "database_server",
            Error::Migration { .. } => "migration",
            Error::Fenced { .. } => "fenced",
            Error::Malformed { .. } => "malformed",
            Error::Broker { retryable: true, .. } => "broker_unavailable",
            Error::Broker { retryable: false, .. } => "broker_refused",
        };
        Cow::Borrowed(name)
    }

    fn class(&self) -> ErrorClass {
        if self.is_infrastructure() { ErrorClass::Dependency } else { ErrorClass::Internal }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cause() -> Cause {
        Cause::new("40001", std::io::Error::other("could not serialize access"))
    }

    #[test]
    fn an_error_is_typed_by_the_databases_own_code() {
        assert_eq!(Error::Conflict(cause()).error_type(), "40001");
        let refused =
            Error::Constraint { name: "orders.id".to_owned(), kind: ConstraintKind::Unique, source: cause() };
        assert_eq!(refused.error_type(), "40001");
    }

    #[test]
    fn what_a_caller_is_answered_follows_from_whether_it_helps_to_repeat() {
        let full = || Arc::new(Error::Full(cause()));
        for (error, code) in [
            (Error::Conflict(cause()), ErrorCode::Unavailable),
            (Error::Busy(cause()), ErrorCode::Unavailable),
            (Error::Closed("order"), ErrorCode::Unavailable),
            (Error::OutcomeUnknown(Arc::new(Error::Io(cause()))), ErrorCode::Unavailable),
            (Error::OutcomeUnknown(full()), ErrorCode::StorageFull),
            (Error::GroupRolledBack(full()), ErrorCode::StorageFull),
            (Error::Corrupt(cause()), ErrorCode::Internal),
            (Error::Statement(cause()), ErrorCode::Internal),
        ] {
            assert_eq!(error.code(), code, "{error:?}");
        }
        assert_eq!(Error::Conflict(cause()).class(), ErrorClass::Dependency);
        assert_eq!(Error::Statement(cause()).class(), ErrorClass::Internal);
    }

    #[test]
    fn the_text_of_the_database_is_told_once() {
        let error = Error::Statement(cause());
        let texts: Vec<String> =
            std::iter::successors(Some(&error as &dyn std::error::Error), |at| at.source())
                .map(ToString::to_string)
                .collect();
        assert_eq!(texts, ["the database refused the statement", "could not serialize access"]);
    }
}

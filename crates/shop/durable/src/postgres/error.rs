//! What PostgreSQL and its driver said, in the words of this crate.

use std::borrow::Cow;
use std::sync::Arc;

use sqlx::error::{DatabaseError, ErrorKind};
use waypost_telemetry::ErrorType as _;

use crate::error::{Cause, ConstraintKind, Error};

impl From<sqlx::Error> for Error {
    /// Of a statement whose transaction was not asked to commit yet: nothing of it is written.
    fn from(error: sqlx::Error) -> Error {
        match &error {
            sqlx::Error::Database(refused) => of_server(refused.as_ref()),
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::WorkerCrashed => Error::Unavailable(Cause::new("connection_lost", error)),
            sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => {
                Error::Statement(Cause::new("decode", error))
            }
            sqlx::Error::RowNotFound => Error::Statement(Cause::new("row_not_found", error)),
            _ => Error::Statement(Cause::new("driver", error)),
        }
    }
}

/// `too_many_connections`: the server has none left.
pub(super) const NO_CONNECTION_LEFT: &str = "53300";

/// The table of SQLSTATE codes: <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
fn of_server(refused: &dyn DatabaseError) -> Error {
    let code = refused.code().unwrap_or(Cow::Borrowed("XX000")).into_owned();
    let cause = || Cause::new(code.clone(), Said(refused.message().to_owned()));
    let kind = match refused.kind() {
        ErrorKind::UniqueViolation => Some(ConstraintKind::Unique),
        ErrorKind::ForeignKeyViolation => Some(ConstraintKind::ForeignKey),
        ErrorKind::NotNullViolation => Some(ConstraintKind::NotNull),
        ErrorKind::CheckViolation => Some(ConstraintKind::Check),
        // A trigger's RAISE, and a value that its column cannot take.
        _ if code == "P0001" || code.starts_with("23") || code.starts_with("22") => {
            Some(ConstraintKind::Other)
        }
        _ => None,
    };
    if let Some(kind) = kind {
        let name = refused.constraint().unwrap_or(refused.message()).to_owned();
        return Error::Constraint { name, kind, source: cause() };
    }
    match code.as_str() {
        // serialization_failure, deadlock_detected
        "40001" | "40P01" => Error::Conflict(cause()),
        // disk_full
        "53100" => Error::Full(cause()),
        // lock_not_available, query_canceled, too_many_connections, out_of_memory, configuration_limit_exceeded
        "55P03" | "57014" | "53300" | "53200" | "53400" => Error::Busy(cause()),
        // The server goes, comes, or is a replica by now; 08: the connection.
        "57P01" | "57P02" | "57P03" | "57P05" | "25006" | "25P03" => Error::Unavailable(cause()),
        _ if code.starts_with("08") => Error::Unavailable(cause()),
        // io_error
        "58030" => Error::Io(cause()),
        "XX001" | "XX002" => Error::Corrupt(cause()),
        _ => Error::Statement(cause()),
    }
}

/// The SQLSTATE of an error that the server gave.
pub(super) fn sqlstate(error: &Error) -> Option<String> {
    let code = error.error_type();
    let is_sqlstate = code.len() == 5 && code.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_uppercase());
    is_sqlstate.then(|| code.into_owned())
}

/// What the server said, without the values of its detail.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Said(String);

/// No answer within the time that the client waits.
pub(super) fn unanswered() -> Error {
    let silent = std::io::Error::new(std::io::ErrorKind::TimedOut, "the server did not answer in time");
    Error::Unavailable(Cause::new("timeout", silent))
}

/// Whether somebody cut the connection, as a proxy, a balancer or a network does that lets the next one through. No answer at
/// all, and nobody there, is something else: asking again at once does not help.
pub(super) fn was_cut(error: &Error) -> bool {
    use std::io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    let Error::Unavailable(cause) = error else { return false };
    match cause.downcast_ref() {
        Some(sqlx::Error::Io(error)) => {
            matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof)
        }
        // What the driver makes of an end where the server's word on TLS should stand.
        Some(sqlx::Error::Protocol(_)) => true,
        _ => false,
    }
}

/// A server that takes no writes: a standby that has not taken over, or one that was told not to.
pub(super) fn read_only() -> Error {
    Error::Unavailable(Cause::new("25006", ReadOnly))
}

#[derive(Debug, thiserror::Error)]
#[error("the server takes no writes: it is a standby, or default_transaction_read_only is on")]
struct ReadOnly;

/// What an error means that came after the commit was sent: the server may have carried it out, unless it said that it did
/// not.
pub(super) fn of_commit(error: Error) -> Error {
    match error {
        Error::Unavailable(_) | Error::Io(_) | Error::Busy(_) => Error::OutcomeUnknown(Arc::new(error)),
        refused => refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_that_breaks_is_no_answer_and_after_the_commit_was_sent_it_may_be_done() {
        let broken = || Error::from(sqlx::Error::Io(std::io::ErrorKind::ConnectionReset.into()));
        assert!(matches!(broken(), Error::Unavailable(_)) && broken().is_retryable());
        assert!(matches!(of_commit(broken()), Error::OutcomeUnknown(_)));
        assert!(matches!(of_commit(unanswered()), Error::OutcomeUnknown(_)));
    }

    #[test]
    fn a_connection_that_was_cut_is_worth_another_and_one_that_is_refused_is_not() {
        let broken = |kind: std::io::ErrorKind| Error::from(sqlx::Error::Io(kind.into()));
        assert!(was_cut(&broken(std::io::ErrorKind::ConnectionReset)));
        assert!(was_cut(&broken(std::io::ErrorKind::UnexpectedEof)));
        assert!(was_cut(&Error::from(sqlx::Error::Protocol(
            "unexpected response from SSLRequest".to_owned()
        ))));
        assert!(!was_cut(&broken(std::io::ErrorKind::ConnectionRefused)) && !was_cut(&unanswered()));
    }

    #[test]
    fn a_commit_that_lost_against_another_is_not_done() {
        let lost = Error::Conflict(Cause::new("40001", Said("could not serialize access".to_owned())));
        assert!(matches!(of_commit(lost), Error::Conflict(_)));
    }
}

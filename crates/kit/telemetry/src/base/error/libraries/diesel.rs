//! Errors of diesel.

use std::borrow::Cow;

use super::super::{ErrorClass, ErrorType, known};

impl ErrorType for diesel::result::Error {
    /// diesel's kind of what the database said, for example `unique_violation`, `database` where it has none; else what
    /// failed: `not_found`, `deserialization`, `rollback_transaction`.
    fn error_type(&self) -> Cow<'static, str> {
        use diesel::result::{DatabaseErrorKind, Error};
        match self {
            Error::DatabaseError(DatabaseErrorKind::Unknown, _) => "database".into(),
            Error::DatabaseError(kind, _) => known::snake_case(&format!("{kind:?}")).into(),
            Error::NotFound => "not_found".into(),
            Error::InvalidCString(_) => "invalid_c_string".into(),
            Error::QueryBuilderError(_) => "query_builder".into(),
            Error::DeserializationError(_) => "deserialization".into(),
            Error::SerializationError(_) => "serialization".into(),
            Error::RollbackTransaction => "rollback_transaction".into(),
            Error::RollbackErrorOnCommit { commit_error, .. } => commit_error.error_type(),
            Error::AlreadyInTransaction => "already_in_transaction".into(),
            Error::NotInTransaction => "not_in_transaction".into(),
            Error::BrokenTransactionManager => "broken_transaction_manager".into(),
            _ => "diesel".into(),
        }
    }

    fn class(&self) -> ErrorClass {
        use diesel::result::{DatabaseErrorKind, Error};
        match self {
            Error::DatabaseError(
                DatabaseErrorKind::ClosedConnection | DatabaseErrorKind::UnableToSendCommand,
                _,
            ) => ErrorClass::Dependency,
            Error::DatabaseError(DatabaseErrorKind::SerializationFailure, _) => ErrorClass::Overload,
            Error::NotFound => ErrorClass::Caller,
            Error::RollbackTransaction => ErrorClass::Refused,
            _ => ErrorClass::Internal,
        }
    }
}

impl ErrorType for diesel::ConnectionError {
    /// `bad_connection`, `invalid_connection_url`, `invalid_c_string`, or that of what it did first.
    fn error_type(&self) -> Cow<'static, str> {
        match self {
            Self::BadConnection(_) => "bad_connection".into(),
            Self::InvalidConnectionUrl(_) => "invalid_connection_url".into(),
            Self::InvalidCString(_) => "invalid_c_string".into(),
            Self::CouldntSetupConfiguration(error) => error.error_type(),
            _ => "diesel".into(),
        }
    }

    fn class(&self) -> ErrorClass {
        if matches!(self, Self::BadConnection(_)) { ErrorClass::Dependency } else { ErrorClass::Internal }
    }

    /// Without the URL, which may hold a password.
    fn text(&self) -> String {
        match self {
            Self::BadConnection(_) => "the database cannot be reached".to_owned(),
            Self::InvalidConnectionUrl(_) | Self::InvalidCString(_) => "the URL is not valid".to_owned(),
            _ => "the connection cannot be set up".to_owned(),
        }
    }
}

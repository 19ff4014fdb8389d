//! Errors of sqlx.

use std::borrow::Cow;

use super::super::{ErrorClass, ErrorType};

impl ErrorType for sqlx::Error {
    /// The SQLSTATE (SQLite: the extended result code) if the database gave one, else what failed, for example
    /// `pool_timed_out`.
    fn error_type(&self) -> Cow<'static, str> {
        use sqlx::Error;
        match self {
            Error::Database(error) => match error.code() {
                Some(code) => code.into_owned().into(),
                None => "database".into(),
            },
            Error::Io(error) => error.error_type(),
            Error::Configuration(_) => "configuration".into(),
            Error::InvalidArgument(_) => "invalid_argument".into(),
            Error::Tls(_) => "tls".into(),
            Error::Protocol(_) => "protocol".into(),
            Error::RowNotFound => "row_not_found".into(),
            Error::TypeNotFound { .. } => "type_not_found".into(),
            Error::ColumnIndexOutOfBounds { .. } => "column_index_out_of_bounds".into(),
            Error::ColumnNotFound(_) => "column_not_found".into(),
            Error::ColumnDecode { .. } => "column_decode".into(),
            Error::Encode(_) => "encode".into(),
            Error::Decode(_) => "decode".into(),
            Error::PoolTimedOut => "pool_timed_out".into(),
            Error::PoolClosed => "pool_closed".into(),
            Error::WorkerCrashed => "worker_crashed".into(),
            _ => "sqlx".into(),
        }
    }

    fn class(&self) -> ErrorClass {
        use sqlx::Error;
        match self {
            Error::PoolTimedOut => ErrorClass::Overload,
            Error::Io(_) | Error::Tls(_) | Error::PoolClosed | Error::Protocol(_) => ErrorClass::Dependency,
            _ => ErrorClass::Internal,
        }
    }
}

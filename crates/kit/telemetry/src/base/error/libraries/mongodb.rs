//! Errors of the mongodb driver.

use std::borrow::Cow;

use super::super::{ErrorClass, ErrorType};

impl ErrorType for mongodb::error::Error {
    /// The code that the server gave, for example `11000`; the kind of an input or output error; else what failed:
    /// `server_selection`, `connection_pool_cleared`.
    fn error_type(&self) -> Cow<'static, str> {
        use mongodb::error::{ErrorKind, WriteFailure};
        match &*self.kind {
            ErrorKind::Command(error) => error.code.to_string().into(),
            ErrorKind::Write(WriteFailure::WriteError(error)) => error.code.to_string().into(),
            ErrorKind::Write(WriteFailure::WriteConcernError(error)) => error.code.to_string().into(),
            ErrorKind::InsertMany(error) => {
                let written = error.write_errors.iter().flatten().next().map(|error| error.code);
                let code = written.or_else(|| error.write_concern_error.as_ref().map(|error| error.code));
                code.map_or("insert_many".into(), |code| code.to_string().into())
            }
            ErrorKind::Io(error) => error.error_type(),
            ErrorKind::Authentication { .. } => "authentication".into(),
            ErrorKind::BulkWrite(_) => "bulk_write".into(),
            ErrorKind::ConnectionPoolCleared { .. } => "connection_pool_cleared".into(),
            ErrorKind::DnsResolve { .. } => "dns_resolve".into(),
            ErrorKind::IncompatibleServer { .. } => "incompatible_server".into(),
            ErrorKind::Internal { .. } => "internal".into(),
            ErrorKind::InvalidArgument { .. } => "invalid_argument".into(),
            ErrorKind::InvalidResponse { .. } => "invalid_response".into(),
            ErrorKind::InvalidTlsConfig { .. } => "invalid_tls_config".into(),
            ErrorKind::ServerSelection { .. } => "server_selection".into(),
            ErrorKind::SessionsNotSupported => "sessions_not_supported".into(),
            ErrorKind::Shutdown => "shutdown".into(),
            ErrorKind::Transaction { .. } => "transaction".into(),
            _ => "mongodb".into(),
        }
    }

    fn class(&self) -> ErrorClass {
        use mongodb::error::ErrorKind;
        match &*self.kind {
            ErrorKind::Command(error) if error.code == 50 => ErrorClass::Timeout,
            ErrorKind::InvalidArgument { .. } | ErrorKind::Internal { .. } => ErrorClass::Internal,
            _ => ErrorClass::Dependency,
        }
    }

    /// The kind alone: what the server says holds values, such as a key that is there already.
    fn text(&self) -> String {
        format!("mongodb: {}", self.error_type().replace('_', " "))
    }
}

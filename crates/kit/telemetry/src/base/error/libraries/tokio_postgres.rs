//! Errors of tokio-postgres.

use std::borrow::Cow;

use super::super::{ErrorClass, ErrorType};

/// Whether this is the error of a question that was answered with another number of rows than it wants.
pub(crate) fn is_row_count(error: &tokio_postgres::Error) -> bool {
    step_of(error) == Some("row_count")
}

/// What failed. tokio-postgres keeps the kinds of its errors to itself, and shows each by a text of its own, in which
/// nothing but numbers and names of columns comes after the beginning.
fn step_of(error: &tokio_postgres::Error) -> Option<&'static str> {
    let steps = [
        ("timeout waiting for server", "timeout"),
        ("connection closed", "connection_closed"),
        ("error communicating with the server", "io"),
        ("error connecting to server", "connect"),
        ("error performing TLS handshake", "tls"),
        ("authentication error", "authentication"),
        ("unexpected message from server", "unexpected_message"),
        ("error serializing parameter", "to_sql"),
        ("error deserializing column", "from_sql"),
        ("invalid column", "column"),
        ("query returned an unexpected number of columns", "column_count"),
        ("query returned an unexpected number of rows", "row_count"),
        ("expected ", "parameters"),
        ("error parsing response from server", "parse"),
        ("error encoding message to server", "encode"),
        ("invalid con", "config"),
    ];
    let text = error.to_string();
    steps.into_iter().find(|(beginning, _)| text.starts_with(beginning)).map(|(_, step)| step)
}

impl ErrorType for tokio_postgres::Error {
    /// The SQLSTATE if the server gave one; the kind of an input or output error, for example `connection_refused`; else what
    /// failed: `timeout`, `connection_closed`, `authentication`, `row_count`.
    fn error_type(&self) -> Cow<'static, str> {
        if let Some(code) = self.code() {
            return code.code().to_owned().into();
        }
        let step = step_of(self);
        let cause = std::error::Error::source(self).and_then(<dyn std::error::Error>::downcast_ref);
        match (step, cause) {
            (Some("io" | "connect"), Some(cause)) => std::io::Error::error_type(cause),
            _ => step.unwrap_or("tokio_postgres").into(),
        }
    }

    fn class(&self) -> ErrorClass {
        // Classes of SQLSTATE: no room, an operator, the system; and what could not be done at once.
        let class = self.code().and_then(|code| code.code().get(..2));
        match (class, step_of(self)) {
            (Some("53"), _) => ErrorClass::Overload,
            (Some("08" | "57" | "58"), _) => ErrorClass::Dependency,
            (None, Some("timeout")) => ErrorClass::Timeout,
            (None, Some("connection_closed" | "io" | "connect" | "tls" | "unexpected_message")) => {
                ErrorClass::Dependency
            }
            _ => ErrorClass::Internal,
        }
    }
}

//! The one error of this crate, and what of it leaves the process.

use crate::domain::Refusal;
use std::borrow::Cow;
use waypost_api::{ErrorCode, FieldError};
use waypost_telemetry::{ErrorType, error::ErrorClass};

/// Why a request was refused or failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request has bad fields.
    #[error("{} fields of the request are not valid", .0.len())]
    Invalid(Vec<FieldError>),
    /// A rule says no.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The database did not do what it was asked.
    #[error("the inventory database failed")]
    Store(#[from] waypost_durable::Error),
}

impl Error {
    /// Its row in the table of errors.
    pub fn code(&self) -> ErrorCode {
        match self {
            Error::Invalid(_) => ErrorCode::InvalidRequest,
            Error::Refused(refusal) => refusal.code(),
            Error::Store(error) => error.code(),
        }
    }
}

impl ErrorType for Error {
    fn error_type(&self) -> Cow<'static, str> {
        match self {
            Error::Store(error) => error.error_type(),
            Error::Invalid(_) | Error::Refused(_) => Cow::Borrowed(self.code().as_str()),
        }
    }

    fn is_failure(&self) -> bool {
        self.code().is_failure()
    }

    fn class(&self) -> ErrorClass {
        match self {
            Error::Store(error) => error.class(),
            Error::Invalid(_) | Error::Refused(_) => self.code().class(),
        }
    }
}

impl From<Error> for waypost_api::Error {
    /// What the database said stays here.
    fn from(error: Error) -> waypost_api::Error {
        match error {
            Error::Invalid(fields) => waypost_api::Error::invalid_fields(fields),
            Error::Refused(refusal) => waypost_api::Error::new(refusal.code(), refusal.to_string()),
            Error::Store(_) => waypost_api::Error::of(error.code()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_that_is_away_is_a_dependency() {
        let error = Error::Store(waypost_durable::Error::Closed("inventory"));
        assert_eq!((error.error_type().as_ref(), error.class()), ("database_closed", ErrorClass::Dependency));
    }
}

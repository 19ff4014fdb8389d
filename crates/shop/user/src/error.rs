//! The one error of this crate, and what of it leaves the process.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use waypost_api::{ErrorCode, UserId};
use waypost_resilience::throttle::Away;
use waypost_telemetry::{ErrorType, error::ErrorClass};

/// Why a request was refused or failed. `Clone`, because callers that wait for the same user share the outcome.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no such user.
    #[error("user {0} does not exist")]
    UnknownUser(UserId),
    /// The user or the password is wrong; which of them is not told.
    #[error("the user id or the password is wrong")]
    BadCredentials,
    /// Too many wrong passwords for the account came from the address.
    #[error("too many wrong passwords for this account came from this address")]
    TooManyFailures {
        /// When the next attempt is checked.
        retry_after: Duration,
    },
    /// Wrong passwords cannot be counted at the moment, and none is checked that is not.
    #[error("wrong passwords cannot be counted")]
    Uncounted(#[source] Away),
    /// Too many passwords wait to be hashed.
    #[error("too many logins at once")]
    Overloaded,
    /// A stored row cannot be read back.
    #[error("stored {what} is malformed")]
    Malformed {
        /// Which value.
        what: &'static str,
    },
    /// The database did not do its part.
    #[error("the user database failed")]
    Store(#[from] waypost_durable::Error),
    /// A lookup that others waited for failed.
    #[error("the lookup of the user failed")]
    Lookup(#[source] Arc<Error>),
}

impl Error {
    /// Its row in the table of errors.
    pub fn code(&self) -> ErrorCode {
        match self {
            Error::UnknownUser(_) => ErrorCode::UserNotFound,
            Error::BadCredentials => ErrorCode::BadCredentials,
            Error::TooManyFailures { .. } => ErrorCode::RateLimited,
            Error::Uncounted(_) => ErrorCode::Unavailable,
            Error::Overloaded => ErrorCode::Overloaded,
            Error::Lookup(error) => error.code(),
            Error::Store(error) => error.code(),
            Error::Malformed { .. } => ErrorCode::Internal,
        }
    }
}

impl ErrorType for Error {
    fn error_type(&self) -> Cow<'static, str> {
        match self {
            Error::Store(error) => error.error_type(),
            Error::Lookup(error) => error.error_type(),
            _ => Cow::Borrowed(self.code().as_str()),
        }
    }

    fn is_failure(&self) -> bool {
        self.code().is_failure()
    }

    fn class(&self) -> ErrorClass {
        match self {
            Error::Store(error) => error.class(),
            Error::Lookup(error) => error.class(),
            _ => self.code().class(),
        }
    }
}

impl From<Error> for waypost_api::Error {
    /// What the database said stays here.
    fn from(error: Error) -> waypost_api::Error {
        match error {
            Error::UnknownUser(_) | Error::BadCredentials => {
                waypost_api::Error::new(error.code(), error.to_string())
            }
            Error::TooManyFailures { retry_after } => {
                waypost_api::Error::new(error.code(), error.to_string()).with_retry_after(retry_after)
            }
            Error::Uncounted(_) | Error::Overloaded => {
                waypost_api::Error::of(error.code()).with_retry_after(Duration::from_secs(1))
            }
            Error::Malformed { .. } | Error::Store(_) | Error::Lookup(_) => {
                waypost_api::Error::of(error.code())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_that_is_away_is_a_dependency() {
        let error = Error::Store(waypost_durable::Error::Closed("user"));
        assert_eq!((error.error_type().as_ref(), error.class()), ("database_closed", ErrorClass::Dependency));
    }
}

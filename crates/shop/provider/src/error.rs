//! Why the provider did not do what it was asked.

use std::borrow::Cow;

use waypost_telemetry::{ErrorType, error::ErrorClass};

use crate::domain::Refusal;

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A rule refused it.
    #[error("the request was refused")]
    Refused(#[from] Refusal),
    /// The database did not do its part.
    #[error("the provider's database failed")]
    Database(#[from] waypost_durable::Error),
    /// A stored row cannot be read back.
    #[error("stored {what} is malformed")]
    Malformed {
        /// Which value.
        what: &'static str,
    },
    /// A fault that was asked for in the configuration.
    #[error("an injected fault")]
    Injected,
}

impl ErrorType for Error {
    fn error_type(&self) -> Cow<'static, str> {
        match self {
            Error::Refused(refusal) => Cow::Borrowed(refusal.code()),
            Error::Database(error) => error.error_type(),
            Error::Malformed { .. } => Cow::Borrowed("malformed"),
            Error::Injected => Cow::Borrowed("injected"),
        }
    }

    fn is_failure(&self) -> bool {
        !matches!(self, Error::Refused(_))
    }

    fn class(&self) -> ErrorClass {
        match self {
            Error::Refused(_) => ErrorClass::Refused,
            Error::Database(error) => error.class(),
            Error::Malformed { .. } | Error::Injected => ErrorClass::Internal,
        }
    }
}

//! The one error of this crate.

use std::borrow::Cow;
use waypost_telemetry::{ErrorType, error::ErrorClass};

/// Why an event was not handled, or the role could not be built.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The record is no order event that can be read. Trying again does not help.
    #[error("cannot read the order event")]
    Malformed(#[source] serde_json::Error),
    /// The database did not do what it was asked.
    #[error("the notification database failed")]
    Store(#[from] waypost_durable::Error),
}

impl ErrorType for Error {
    fn error_type(&self) -> Cow<'static, str> {
        match self {
            Error::Malformed(_) => Cow::Borrowed("malformed_event"),
            Error::Store(error) => error.error_type(),
        }
    }

    fn class(&self) -> ErrorClass {
        match self {
            Error::Malformed(_) => ErrorClass::Caller,
            Error::Store(error) => error.class(),
        }
    }
}

//! The one error of this crate, and what of it leaves the process.

use crate::domain::IllegalMove;
use std::borrow::Cow;
use waypost_api::ErrorCode;
use waypost_durable::StoreError;
use waypost_resilience::grpc::ChannelError;
use waypost_telemetry::{ErrorType, error::ErrorClass};

/// Why a request was refused or failed, or why the role could not be built.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A rule says no, or another service did.
    #[error(transparent)]
    Refused(#[from] waypost_api::Error),
    /// The database did not do what it was asked.
    #[error("the order database failed")]
    Store(#[from] waypost_durable::Error),
    /// I13 was about to be broken; nothing was written.
    #[error("an order was about to make a move that there is not")]
    Illegal(#[from] IllegalMove),
    /// The steps of the saga do not fit together.
    #[error("the plan of the saga cannot work")]
    Plan(#[from] waypost_durable::saga::PlanError),
    /// The address of a service is not one.
    #[error("cannot call the {service} service")]
    Channel {
        /// Which service.
        service: &'static str,
        /// What is wrong with its address.
        #[source]
        source: ChannelError,
    },
}

impl Error {
    /// Its row in the table of errors.
    pub fn code(&self) -> ErrorCode {
        match self {
            Error::Refused(error) => error.code,
            Error::Store(error) => error.code(),
            Error::Illegal(_) | Error::Plan(_) | Error::Channel { .. } => ErrorCode::Internal,
        }
    }
}

impl From<ErrorCode> for Error {
    fn from(code: ErrorCode) -> Error {
        Error::Refused(code.into())
    }
}

impl StoreError for Error {
    fn database(&self) -> Option<&waypost_durable::Error> {
        match self {
            Error::Store(error) => Some(error),
            _ => None,
        }
    }
}

impl ErrorType for Error {
    fn error_type(&self) -> Cow<'static, str> {
        match self {
            Error::Store(error) => error.error_type(),
            other => Cow::Borrowed(other.code().as_str()),
        }
    }

    fn is_failure(&self) -> bool {
        self.code().is_failure()
    }

    fn class(&self) -> ErrorClass {
        match self {
            Error::Refused(error) => error.class(),
            Error::Store(error) => error.class(),
            Error::Illegal(_) | Error::Plan(_) | Error::Channel { .. } => ErrorClass::Internal,
        }
    }
}

impl From<Error> for waypost_api::Error {
    /// What the database said stays here.
    fn from(error: Error) -> waypost_api::Error {
        match error {
            Error::Refused(error) => error,
            other => waypost_api::Error::of(other.code()),
        }
    }
}

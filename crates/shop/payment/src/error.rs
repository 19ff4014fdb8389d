//! The one error of this crate, and what of it leaves the process.

use crate::{
    domain::{Contradiction, Refusal},
    provider::ProviderError,
};
use std::borrow::Cow;
use waypost_api::ErrorCode;
use waypost_telemetry::{ErrorType, error::ErrorClass};

/// Why a request was refused or failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A rule, or the provider, says no.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The provider may or may not have done it. Asking again with the same key tells.
    #[error("the outcome at the payment provider is not known")]
    OutcomeUnknown(#[source] ProviderError),
    /// The provider knows nothing of a charge that it must have, or has not moved it.
    #[error("the payment provider has not settled the payment yet")]
    Unsettled,
    /// The provider says what cannot be.
    #[error("the payment provider contradicts our books")]
    Contradiction(#[from] Contradiction),
    /// The database did not do what it was asked.
    #[error("the payment database failed")]
    Store(#[from] waypost_durable::Error),
    /// The configured address of the provider is no URL.
    #[error("payment.provider.url is not http://host:port or https://host:port: {0:?}")]
    ProviderUrl(String),
    /// The provider cannot be called over TLS as it is configured.
    #[error("TLS to the payment provider: {0}")]
    ProviderTls(String),
}

impl Error {
    /// Its row in the table of errors.
    pub fn code(&self) -> ErrorCode {
        match self {
            Error::Refused(refusal) => refusal.code(),
            // Nothing can be paid until somebody puts it right, so callers are to stop calling for a while.
            Error::OutcomeUnknown(ProviderError::OurFault { .. }) => ErrorCode::Unavailable,
            // Not `provider_failed`, which would read as "nothing was done": the same key has to be tried again.
            Error::OutcomeUnknown(_) | Error::Unsettled | Error::Contradiction(_) => {
                ErrorCode::PaymentUnknown
            }
            Error::Store(error) => error.code(),
            Error::ProviderUrl(_) | Error::ProviderTls(_) => ErrorCode::Internal,
        }
    }
}

impl ErrorType for Error {
    fn error_type(&self) -> Cow<'static, str> {
        match self {
            Error::OutcomeUnknown(error) => error.error_type(),
            Error::Contradiction(_) => Cow::Borrowed("provider_contradiction"),
            Error::Store(error) => error.error_type(),
            Error::Refused(_) | Error::Unsettled | Error::ProviderUrl(_) | Error::ProviderTls(_) => {
                Cow::Borrowed(self.code().as_str())
            }
        }
    }

    fn is_failure(&self) -> bool {
        self.code().is_failure()
    }

    fn class(&self) -> ErrorClass {
        match self {
            Error::Refused(_) => ErrorClass::Refused,
            Error::OutcomeUnknown(error) => error.class(),
            Error::Store(error) => error.class(),
            Error::Unsettled | Error::Contradiction(_) => ErrorClass::Dependency,
            Error::ProviderUrl(_) | Error::ProviderTls(_) => ErrorClass::Internal,
        }
    }
}

impl From<Error> for waypost_api::Error {
    /// What the database and the provider said stays here, but for the provider's own decline code.
    fn from(error: Error) -> waypost_api::Error {
        match error {
            Error::Refused(refusal) => {
                let answer = waypost_api::Error::new(refusal.code(), refusal.to_string());
                match refusal {
                    Refusal::Declined(reason) | Refusal::Rejected { reason, .. } => {
                        answer.with_provider_code(reason)
                    }
                    _ => answer,
                }
            }
            other => waypost_api::Error::of(other.code()),
        }
    }
}

//! Why the provider's answer is missing, no, or not to be used.

use http::StatusCode;
use std::borrow::Cow;
use waypost_telemetry::{ErrorType, error::ErrorClass};

type Source = Box<dyn std::error::Error + Send + Sync>;

/// A call to the provider that gave no charge.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// The provider said no, and did nothing. The only variant after which the outcome is known.
    #[error("the payment provider refused with status {} and code {code}", status.as_u16())]
    Refused {
        /// The HTTP status.
        status: StatusCode,
        /// Its own code, or `http_<status>`.
        code: String,
    },
    /// A request with the same key is still running there.
    #[error("the payment provider still works on an earlier request with the same key")]
    StillRunning,
    /// The provider does not take the request on: our key, our address of it, or the request itself is wrong. Says
    /// nothing about the payment, and does not go away by itself.
    #[error("the payment provider does not take our requests: status {} and code {code}", status.as_u16())]
    OurFault {
        /// The HTTP status.
        status: StatusCode,
        /// Its own code, or `http_<status>`.
        code: String,
    },
    /// No answer in time.
    #[error("the payment provider did not answer in time")]
    Timeout,
    /// No connection, or it broke.
    #[error("the connection to the payment provider failed")]
    Connection(#[source] Source),
    /// The provider failed, or asked to be left alone for a while.
    #[error("the payment provider failed with status {}", .0.as_u16())]
    Failed(StatusCode),
    /// The answer is too long or broke off.
    #[error("the answer of the payment provider could not be read")]
    Unreadable(#[source] Source),
    /// The answer is not what was agreed on.
    #[error("the answer of the payment provider is malformed")]
    Malformed(#[source] Source),
    /// The request could not be built; it was not sent.
    #[error("the request to the payment provider could not be built")]
    Unsendable(#[source] Source),
}

impl ErrorType for ProviderError {
    fn error_type(&self) -> Cow<'static, str> {
        match self {
            ProviderError::Refused { .. } => Cow::Borrowed("provider_refused"),
            ProviderError::StillRunning => Cow::Borrowed("provider_still_running"),
            ProviderError::OurFault { .. } => Cow::Borrowed("provider_denied"),
            ProviderError::Timeout => Cow::Borrowed("provider_timeout"),
            ProviderError::Connection(_) => Cow::Borrowed("provider_unreachable"),
            ProviderError::Failed(status) => Cow::Owned(status.as_u16().to_string()),
            ProviderError::Unreadable(_) => Cow::Borrowed("provider_unreadable"),
            ProviderError::Malformed(_) => Cow::Borrowed("provider_malformed"),
            ProviderError::Unsendable(_) => Cow::Borrowed("provider_unsendable"),
        }
    }

    fn class(&self) -> ErrorClass {
        match self {
            ProviderError::Refused { .. } => ErrorClass::Refused,
            ProviderError::Timeout => ErrorClass::Timeout,
            ProviderError::Unsendable(_) | ProviderError::OurFault { .. } => ErrorClass::Internal,
            ProviderError::StillRunning
            | ProviderError::Connection(_)
            | ProviderError::Failed(_)
            | ProviderError::Unreadable(_)
            | ProviderError::Malformed(_) => ErrorClass::Dependency,
        }
    }
}

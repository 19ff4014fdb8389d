//! Why a record was not taken.

use waypost_telemetry::ErrorType;

use crate::Error;

/// Why a broker did not take a record.
#[derive(Clone, Debug, thiserror::Error)]
pub enum PublishError {
    /// It may be taken later, and may be in the topic already: the broker is away, or did not answer in time.
    #[error(transparent)]
    Retryable(Error),
    /// It is not in the topic and never will be: it is too large, or damaged. Later ones of its key can be taken.
    #[error(transparent)]
    Refused(Error),
}

impl PublishError {
    /// Whether publishing the same record again can help.
    pub fn is_retryable(&self) -> bool {
        matches!(self, PublishError::Retryable(_))
    }

    /// What is assumed of a record that a broker gave no result for.
    pub(crate) fn unanswered() -> PublishError {
        let reason = "it gave no result for the record".to_owned();
        PublishError::Retryable(Error::Broker { reason, retryable: true })
    }
}

impl ErrorType for PublishError {
    fn inner(&self) -> Option<&dyn ErrorType> {
        match self {
            PublishError::Retryable(error) | PublishError::Refused(error) => Some(error),
        }
    }
}

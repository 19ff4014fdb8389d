//! Why a request is not kept.

use waypost_trace_model::{RefusalReason, otlp::DecodeError};
use waypost_trace_store::AppendError;

/// Why a request is not kept. It is counted in the ledger, and its sender is told.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// It cannot be decompressed or decoded; sending it again would end the same.
    #[error("cannot read the request: {0}")]
    Malformed(String),
    /// It is in a format or encoding that is not spoken here.
    #[error("{0}")]
    Unsupported(String),
    /// It is too large, before or after decompression.
    #[error("the request is larger than {limit} bytes; send smaller batches")]
    TooLarge {
        /// The limit.
        limit: usize,
    },
    /// It has too many records.
    #[error("more than {limit} records in one request; send smaller batches")]
    TooManyRecords {
        /// The limit.
        limit: usize,
    },
    /// Its body did not arrive in time.
    #[error("the request's body did not arrive in time")]
    Slow,
    /// Its connection ended before its body did, so that there is nobody to tell and nothing to count.
    #[error("the connection ended within the request")]
    Interrupted,
    /// Too much is on its way to the store; the same request may be sent again after a moment.
    #[error("too much is on its way to the disk; try again after a moment")]
    Overloaded,
    /// The store did not take it, and has counted it.
    #[error(transparent)]
    Store(AppendError),
}

impl From<DecodeError> for Refused {
    fn from(error: DecodeError) -> Refused {
        match error {
            DecodeError::TooManyRecords { limit } => Refused::TooManyRecords { limit },
            other => Refused::Malformed(other.to_string()),
        }
    }
}

impl Refused {
    /// Whether the sender may send the same again after a moment.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Refused::Overloaded | Refused::Store(_))
    }

    /// Whether it is the sender who is to wait, rather than the store that is in trouble.
    pub(crate) fn is_overload(&self) -> bool {
        matches!(self, Refused::Overloaded | Refused::Store(AppendError::Overloaded))
    }

    /// Why, in the words of the ledger; `None` when there is nothing to count or the store has counted it.
    pub(crate) fn reason(&self) -> Option<RefusalReason> {
        match self {
            Refused::Malformed(_) | Refused::Unsupported(_) | Refused::Slow => Some(RefusalReason::Malformed),
            Refused::TooLarge { .. } | Refused::TooManyRecords { .. } => Some(RefusalReason::TooLarge),
            Refused::Overloaded => Some(RefusalReason::Overloaded),
            Refused::Interrupted | Refused::Store(_) => None,
        }
    }

    /// What the sender is told: not what the disk said.
    pub fn told(&self) -> String {
        match self {
            Refused::Store(AppendError::Failed(_)) => {
                "the store cannot be written to; try again later".to_owned()
            }
            other => other.to_string(),
        }
    }
}

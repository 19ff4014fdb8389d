//! Why a question is not answered. Each API writes it in its own way.

use crate::reads::Unread;
use http::StatusCode;
use waypost_trace_store::ReadError;

/// Why a question is not answered. What is displayed may be shown to whoever asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A parameter that is missing or cannot be understood.
    #[error("parameter '{name}': {reason}")]
    Parameter {
        /// Its name, as it was sent.
        name: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The body is not what it should be.
    #[error("the body is not OTLP JSON: {0}")]
    Body(String),
    /// The body could not be read, with the status that says why.
    #[error("cannot read the body: {reason}")]
    UnreadBody {
        /// 413 when it is too large.
        status: StatusCode,
        /// In a few words.
        reason: String,
    },
    /// No such trace is kept.
    #[error("trace not found")]
    TraceNotFound,
    /// Jaeger answers this from an archive, which there is none of.
    #[error("archive storage is not configured")]
    NoArchive,
    /// Too many others read, or it took too long.
    #[error(transparent)]
    Unread(Unread),
    /// The store failed.
    #[error("the store cannot be read")]
    Read(#[from] ReadError),
    /// A defect of this program.
    #[error("the query failed")]
    Failed,
}

impl From<Unread> for Error {
    fn from(unread: Unread) -> Error {
        match unread {
            Unread::Panicked => Error::Failed,
            other => Error::Unread(other),
        }
    }
}

impl Error {
    pub(crate) fn parameter(name: &'static str, reason: impl Into<String>) -> Error {
        Error::Parameter { name, reason: reason.into() }
    }

    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Error::Parameter { .. } | Error::Body(_) => StatusCode::BAD_REQUEST,
            Error::UnreadBody { status, .. } => *status,
            Error::TraceNotFound => StatusCode::NOT_FOUND,
            Error::Unread(_) | Error::Read(ReadError::Closed) => StatusCode::SERVICE_UNAVAILABLE,
            Error::NoArchive | Error::Read(_) | Error::Failed => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// Logs what the answer does not tell.
    pub(crate) fn log(&self) {
        if let Error::Read(source) = self {
            tracing::error!(error = %source, "a query could not read the store");
        }
    }
}

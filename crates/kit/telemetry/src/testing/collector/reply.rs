//! How a request is answered.

use std::time::Duration;

/// An answer, the same over HTTP and gRPC as far as they have the same.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    pub(super) kind: ReplyKind,
    pub(super) after: Duration,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum ReplyKind {
    Success { rejected: u64, message: String },
    Failure { http: u16, grpc: u32, retry_after: Option<Duration> },
    Cut,
    Hang,
}

impl Reply {
    fn new(kind: ReplyKind) -> Self {
        Self { kind, after: Duration::ZERO }
    }

    fn failure(http: u16, grpc: u32) -> Self {
        Self::new(ReplyKind::Failure { http, grpc, retry_after: None })
    }

    /// Takes everything.
    pub fn ok() -> Self {
        Self::partial(0, "")
    }

    /// Takes the request but for so many of its items. With none and a message it is a warning.
    pub fn partial(rejected: u64, message: &str) -> Self {
        Self::new(ReplyKind::Success { rejected, message: message.to_owned() })
    }

    /// Is away for a moment: 503, `UNAVAILABLE`. May be tried again.
    pub fn unavailable() -> Self {
        Self::failure(503, 14)
    }

    /// Is overrun and says when to come again: 429 with `Retry-After` in whole seconds, `RESOURCE_EXHAUSTED` with `RetryInfo`.
    pub fn throttled(retry_after: Duration) -> Self {
        Self::new(ReplyKind::Failure { http: 429, grpc: 8, retry_after: Some(retry_after) })
    }

    /// Will never take it: 400, `INVALID_ARGUMENT`.
    pub fn refused() -> Self {
        Self::failure(400, 3)
    }

    /// Any other status over HTTP and code of gRPC.
    pub fn status(http: u16, grpc: u32) -> Self {
        Self::failure(http, grpc)
    }

    /// Ends the connection over HTTP, or the stream over gRPC, without an answer.
    pub fn cut() -> Self {
        Self::new(ReplyKind::Cut)
    }

    /// Never answers.
    pub fn hang() -> Self {
        Self::new(ReplyKind::Hang)
    }

    /// Only after this time.
    #[must_use]
    pub fn after(mut self, delay: Duration) -> Self {
        self.after = delay;
        self
    }

    pub(super) fn is_success(&self) -> bool {
        matches!(self.kind, ReplyKind::Success { .. })
    }
}

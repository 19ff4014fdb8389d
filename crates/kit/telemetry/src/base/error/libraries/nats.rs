//! Errors of async-nats.

use std::borrow::Cow;

use super::super::{ErrorClass, ErrorType, known};

impl<Kind> ErrorType for async_nats::error::Error<Kind>
where
    Kind: Clone + std::fmt::Debug + std::fmt::Display + PartialEq,
{
    /// The kind that the client gives it, for example `timed_out` or `no_responders`.
    fn error_type(&self) -> Cow<'static, str> {
        // What a variant holds may be the server's word.
        let kind = format!("{:?}", self.kind());
        let end = kind.find(|letter: char| !letter.is_alphanumeric()).unwrap_or(kind.len());
        known::snake_case(kind.get(..end).unwrap_or_default()).into()
    }

    fn class(&self) -> ErrorClass {
        match &*self.error_type() {
            "timed_out" => ErrorClass::Timeout,
            "max_ack_pending" => ErrorClass::Overload,
            "invalid_subject" | "max_payload_exceeded" => ErrorClass::Internal,
            _ => ErrorClass::Dependency,
        }
    }

    /// The kind alone: what the server says may hold a subject.
    fn text(&self) -> String {
        self.error_type().replace('_', " ")
    }
}

//! The error that crosses every border of Waypost: between services as a [`tonic::Status`], to the outside as a
//! problem document ([`crate::Problem`]).
//!
//! Invariants: its text is ours and may be shown to a client; what a library or a driver said stays in the log
//! and on the span of the process where it happened. It is bounded in size.

use std::{borrow::Cow, fmt, time::Duration};

use waypost_telemetry::{ErrorType, error::ErrorClass};

use crate::{ErrorCode, FieldError};

/// Why a request was refused or failed, in words that may leave the process.
///
/// ```
/// use waypost_errors::{Error, ErrorCode};
/// let error = Error::new(ErrorCode::OutOfStock, "3 of prod456 were asked for, 1 is left");
/// assert_eq!(error.code.http_status(), 409);
/// assert_eq!(error.to_string(), "out_of_stock: 3 of prod456 were asked for, 1 is left");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// Which error it is; everything general about it follows from here.
    pub code: ErrorCode,
    /// What happened this time. May be shown to a client.
    pub detail: String,
    /// One entry a bad field.
    pub fields: Vec<FieldError>,
    /// How long to wait before the next try.
    pub retry_after: Option<Duration>,
    /// The payment provider's own code, as in `insufficient_funds`.
    pub provider_code: Option<String>,
}

impl Error {
    /// Longest detail that is kept, in bytes. A gRPC message travels percent-encoded in a header, which triples
    /// it at worst, and a peer refuses headers above 16 KiB.
    pub(crate) const MAX_DETAIL: usize = 1024;
    /// Most field errors that are kept.
    pub(crate) const MAX_FIELDS: usize = 32;

    /// An error with its detail. What is too long is cut.
    pub fn new(code: ErrorCode, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: cut(detail.into(), Self::MAX_DETAIL),
            fields: Vec::new(),
            retry_after: None,
            provider_code: None,
        }
    }

    /// An error about which there is nothing to say beyond its title.
    pub fn of(code: ErrorCode) -> Self {
        Self::new(code, code.title())
    }

    /// An error of the fields of a request: `unknown_field` when that is all that is wrong, else
    /// `invalid_request`. At most 32 are kept; the detail tells how many there were.
    pub fn invalid_fields(mut fields: Vec<FieldError>) -> Self {
        let only_unknown = fields.iter().all(|field| field.code == crate::FieldCode::UnknownField);
        let code = if only_unknown && !fields.is_empty() {
            ErrorCode::UnknownField
        } else {
            ErrorCode::InvalidRequest
        };
        let count = fields.len();
        fields.truncate(Self::MAX_FIELDS);
        let detail = match (count, fields.as_slice()) {
            (1, [field]) if field.pointer.is_empty() => format!("the body {}", field.detail),
            (1, [field]) => format!("{} {}", field.pointer, field.detail),
            (count, shown) if count > shown.len() => {
                format!("{count} fields are not valid; the first {} are listed", shown.len())
            }
            (count, _) => format!("{count} fields are not valid"),
        };
        Self { fields, ..Self::new(code, detail) }
    }

    /// An error of our own side. The cause is not taken: record it on the span and in the log where it happened.
    pub fn internal() -> Self {
        Self::of(ErrorCode::Internal)
    }

    /// Adds a bad field.
    #[must_use]
    pub fn with_field(mut self, field: FieldError) -> Self {
        if self.fields.len() < Self::MAX_FIELDS {
            self.fields.push(field);
        }
        self
    }

    /// Says how long to wait before the next try.
    #[must_use]
    pub fn with_retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// Adds the payment provider's own code. A code with other characters than `A-Z a-z 0-9 _ . -`, or longer
    /// than 64, is left out: it comes from outside and goes into headers and attributes.
    #[must_use]
    pub fn with_provider_code(mut self, code: impl Into<String>) -> Self {
        self.provider_code = Some(code.into()).filter(|code| is_provider_code(code));
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.detail)
    }
}

impl std::error::Error for Error {}

impl From<ErrorCode> for Error {
    fn from(code: ErrorCode) -> Self {
        Self::of(code)
    }
}

impl ErrorType for Error {
    fn error_type(&self) -> Cow<'static, str> {
        Cow::Borrowed(self.code.as_str())
    }

    fn is_failure(&self) -> bool {
        self.code.is_failure()
    }

    fn class(&self) -> ErrorClass {
        self.code.class()
    }
}

pub(crate) fn is_provider_code(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'))
}

/// Cuts a text to at most `max` bytes, at a border between characters.
pub(crate) fn cut(mut text: String, max: usize) -> String {
    text.truncate(text.floor_char_boundary(max));
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FieldCode;

    #[test]
    fn a_callers_mistake_is_no_failure_of_ours() {
        assert!(!Error::of(ErrorCode::OutOfStock).is_failure());
        assert!(!Error::of(ErrorCode::RateLimited).is_failure());
        assert!(Error::of(ErrorCode::Unavailable).is_failure());
        assert_eq!(Error::of(ErrorCode::OutOfStock).error_type(), "out_of_stock");
        assert_eq!(Error::of(ErrorCode::OutOfStock).class(), ErrorClass::Refused);
        assert_eq!(Error::of(ErrorCode::UserNotFound).class(), ErrorClass::Caller);
        assert_eq!(Error::of(ErrorCode::Internal).class(), ErrorClass::Internal);
    }

    #[test]
    fn the_detail_of_bad_fields_names_the_one_or_counts_the_many() {
        let field = |name: &str, code| FieldError::new(format!("/{name}"), code, "is wrong");
        let one = Error::invalid_fields(vec![field("quantity", FieldCode::TooLarge)]);
        assert_eq!(one.detail, "/quantity is wrong");
        let unknown = Error::invalid_fields(vec![field("colour", FieldCode::UnknownField)]);
        assert_eq!(unknown.code, ErrorCode::UnknownField);
        let many = Error::invalid_fields(vec![field("a", FieldCode::Required); 100]);
        assert_eq!(many.detail, "100 fields are not valid; the first 32 are listed");
        assert_eq!(many.fields.len(), 32);
    }

    #[test]
    fn a_long_detail_is_cut_between_two_characters() {
        let error = Error::new(ErrorCode::Internal, "é".repeat(2000));
        assert_eq!(error.detail.len(), 1024);
        assert_eq!(cut("aé".to_owned(), 2), "a");
    }

    #[test]
    fn a_provider_code_with_strange_characters_is_left_out() {
        let error = Error::of(ErrorCode::PaymentDeclined);
        assert_eq!(
            error.clone().with_provider_code("insufficient_funds").provider_code.as_deref(),
            Some("insufficient_funds")
        );
        assert_eq!(error.with_provider_code("a\r\nb").provider_code, None);
    }
}

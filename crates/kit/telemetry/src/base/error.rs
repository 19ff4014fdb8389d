//! What telemetry has to know of an error: its class, and whether it is one at all.
//!
//! An error type says so by [`ErrorType`]. Recording it is the business of [`crate::record_error`]; nothing here
//! knows a span or a handle.

use std::borrow::Cow;
use std::convert::Infallible;
use std::error::Error;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use opentelemetry::KeyValue;
use opentelemetry::logs::Severity;

/// What kind of trouble an error is: whose move it is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorClass {
    /// The caller asked for something that cannot be done so: it must change the request.
    Caller,
    /// A rule of the business said no: out of stock, declined.
    Refused,
    /// Something this service depends on is away or failed.
    Dependency,
    /// Time ran out.
    Timeout,
    /// Too much at once.
    Overload,
    /// A defect, or anything not known better.
    Internal,
}

impl ErrorClass {
    /// Its name in telemetry.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Caller => "caller",
            Self::Refused => "refused",
            Self::Dependency => "dependency",
            Self::Timeout => "timeout",
            Self::Overload => "overload",
            Self::Internal => "internal",
        }
    }
}

/// An error that telemetry can classify. One method is enough:
///
/// ```
/// use std::borrow::Cow;
/// use waypost_telemetry::ErrorType;
///
/// #[derive(Debug)]
/// struct OutOfStock;
/// # impl std::fmt::Display for OutOfStock {
/// #     fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str("out of stock") }
/// # }
/// impl std::error::Error for OutOfStock {}
///
/// impl ErrorType for OutOfStock {
///     fn error_type(&self) -> Cow<'static, str> {
///         "out_of_stock".into()
///     }
/// }
/// ```
pub trait ErrorType: Error {
    /// `error.type`: a name from a small fixed set, the same on spans and metrics. Never holds ids or input.
    fn error_type(&self) -> Cow<'static, str>;

    /// Whether the operation failed. `false` for answers that are no trouble, such as "there is no such order":
    /// the span's status stays unset and nothing is logged.
    fn is_failure(&self) -> bool {
        true
    }

    /// Severity of the log record.
    fn severity(&self) -> Severity {
        Severity::Error
    }

    /// Whose move it is.
    fn class(&self) -> ErrorClass {
        ErrorClass::Internal
    }

    /// Facts for the span and the log record, for example the code of a payment provider. Nothing secret.
    fn attributes(&self) -> Vec<KeyValue> {
        Vec::new()
    }

    /// Tells whether two errors of one trace are the same error on its way up. By default the text of the
    /// innermost source, so that wrapping keeps it. An error that is turned into another type without its source
    /// should be given the same text.
    fn fingerprint(&self) -> u64 {
        fingerprint_of(&match innermost(self.source()) {
            Some(source) => source.to_string(),
            None => self.to_string(),
        })
    }

    /// `exception.type`: the Rust type.
    fn type_name(&self) -> &'static str {
        std::any::type_name::<Self>()
    }
}

/// The fingerprint of an error whose innermost text is `text`, for own implementations of
/// [`ErrorType::fingerprint`].
pub fn fingerprint_of(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

fn innermost<'a>(source: Option<&'a (dyn Error + 'static)>) -> Option<&'a (dyn Error + 'static)> {
    std::iter::successors(source, |error| (*error).source()).last()
}

impl ErrorType for Infallible {
    fn error_type(&self) -> Cow<'static, str> {
        match *self {}
    }
}

impl<E: ErrorType> ErrorType for Box<E> {
    fn error_type(&self) -> Cow<'static, str> {
        (**self).error_type()
    }

    fn is_failure(&self) -> bool {
        (**self).is_failure()
    }

    fn severity(&self) -> Severity {
        (**self).severity()
    }

    fn class(&self) -> ErrorClass {
        (**self).class()
    }

    fn attributes(&self) -> Vec<KeyValue> {
        (**self).attributes()
    }

    fn fingerprint(&self) -> u64 {
        (**self).fingerprint()
    }

    fn type_name(&self) -> &'static str {
        (**self).type_name()
    }
}

impl<E: ErrorType + ?Sized> ErrorType for Arc<E> {
    fn error_type(&self) -> Cow<'static, str> {
        (**self).error_type()
    }

    fn is_failure(&self) -> bool {
        (**self).is_failure()
    }

    fn severity(&self) -> Severity {
        (**self).severity()
    }

    fn class(&self) -> ErrorClass {
        (**self).class()
    }

    fn attributes(&self) -> Vec<KeyValue> {
        (**self).attributes()
    }

    fn fingerprint(&self) -> u64 {
        (**self).fingerprint()
    }

    fn type_name(&self) -> &'static str {
        (**self).type_name()
    }
}

impl ErrorType for std::io::Error {
    /// The kind in snake case, for example `connection_refused`.
    fn error_type(&self) -> Cow<'static, str> {
        let kind = format!("{:?}", self.kind());
        let mut name = String::with_capacity(kind.len() + 4);
        for letter in kind.chars() {
            if letter.is_ascii_uppercase() && !name.is_empty() {
                name.push('_');
            }
            name.push(letter.to_ascii_lowercase());
        }
        name.into()
    }

    fn class(&self) -> ErrorClass {
        use std::io::ErrorKind;
        match self.kind() {
            ErrorKind::TimedOut => ErrorClass::Timeout,
            ErrorKind::ConnectionRefused
            | ErrorKind::ConnectionReset
            | ErrorKind::ConnectionAborted
            | ErrorKind::HostUnreachable
            | ErrorKind::NetworkUnreachable
            | ErrorKind::NotConnected
            | ErrorKind::BrokenPipe => ErrorClass::Dependency,
            _ => ErrorClass::Internal,
        }
    }
}

impl ErrorType for tokio::time::error::Elapsed {
    fn error_type(&self) -> Cow<'static, str> {
        "timeout".into()
    }

    fn class(&self) -> ErrorClass {
        ErrorClass::Timeout
    }
}

#[cfg(feature = "_tonic")]
impl ErrorType for tonic::Status {
    /// The code's name as on the wire's documentation, for example `NOT_FOUND`.
    fn error_type(&self) -> Cow<'static, str> {
        grpc_code_name(self.code()).into()
    }

    fn is_failure(&self) -> bool {
        self.code() != tonic::Code::Ok
    }

    fn class(&self) -> ErrorClass {
        use tonic::Code;
        match self.code() {
            Code::InvalidArgument
            | Code::NotFound
            | Code::AlreadyExists
            | Code::PermissionDenied
            | Code::Unauthenticated
            | Code::OutOfRange
            | Code::Cancelled => ErrorClass::Caller,
            Code::FailedPrecondition | Code::Aborted => ErrorClass::Refused,
            Code::Unavailable => ErrorClass::Dependency,
            Code::DeadlineExceeded => ErrorClass::Timeout,
            Code::ResourceExhausted => ErrorClass::Overload,
            Code::Ok | Code::Unknown | Code::Unimplemented | Code::Internal | Code::DataLoss => {
                ErrorClass::Internal
            }
        }
    }

    /// The message alone, which an error that was turned into a status shares with it.
    fn fingerprint(&self) -> u64 {
        fingerprint_of(self.message())
    }
}

#[cfg(feature = "_tonic")]
/// The name of a gRPC code in the conventions: `OK`, `NOT_FOUND`.
pub(crate) fn grpc_code_name(code: tonic::Code) -> &'static str {
    use tonic::Code;
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

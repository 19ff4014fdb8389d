//! What telemetry has to know of an error: its class, and whether it is one at all.
//!
//! An error type says so by [`ErrorType`]. Errors that are no `Error` themselves (boxed ones, anyhow's, eyre's,
//! plain text) come in by [`AsErrorType`], which is what [`crate::SpanBuilder::run`] and [`crate::record_error`] take.
//! Recording is the business of [`crate::record_error`]; nothing here knows a span or a handle.

mod classification;
mod classifiers;
mod details;
mod foreign;
mod grouping;
mod known;
mod libraries;

use std::borrow::Cow;
use std::error::Error;
use std::hash::{DefaultHasher, Hash, Hasher};

use opentelemetry::KeyValue;
use opentelemetry::logs::Severity;

pub use classification::Classification;
pub(crate) use classification::Classified;
pub use classifiers::{ClassifyError, add_classifier};
pub(crate) use details::by_rule;
pub use details::{ERROR_CLASS, ERROR_CODE, ERROR_FINGERPRINT, ERROR_RETRYABLE, ErrorDetails};
pub use foreign::AsErrorType;
#[cfg(feature = "tracing")]
pub(crate) use foreign::error_type_of;
pub(crate) use grouping::group_of;
pub use grouping::masked;
#[cfg(feature = "_tonic")]
pub(crate) use known::grpc_code_name;
#[cfg(feature = "tokio-postgres")]
pub(crate) use libraries::is_row_count;

/// What kind of trouble an error is: whose move it is now.
///
/// ```
/// use waypost_telemetry::ErrorType;
/// use waypost_telemetry::error::ErrorClass;
///
/// assert_eq!(ErrorClass::Refused.as_str(), "refused");
/// assert_eq!(std::io::Error::from(std::io::ErrorKind::TimedOut).class(), ErrorClass::Timeout);
/// ```
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

    /// Whether an attempt that failed so may succeed later.
    fn is_retryable(self) -> bool {
        matches!(self, Self::Dependency | Self::Timeout | Self::Overload)
    }

    /// Severity of the log record of such an error: a caller's mistake and a refusal are business as usual.
    fn severity(self) -> Severity {
        match self {
            Self::Caller | Self::Refused => Severity::Info,
            Self::Dependency | Self::Timeout | Self::Overload | Self::Internal => Severity::Error,
        }
    }
}

/// An error that telemetry can classify. Every method has a default; the one to write is
/// [`error_type`](Self::error_type):
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
///
/// An error that only wraps another one names it once, in [`inner`](Self::inner), and every default asks it:
///
/// ```
/// use waypost_telemetry::ErrorType;
///
/// #[derive(Debug)]
/// struct InStep {
///     step: &'static str,
///     error: std::io::Error,
/// }
/// # impl std::fmt::Display for InStep {
/// #     fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { write!(f, "step {} failed", self.step) }
/// # }
/// # impl std::error::Error for InStep {
/// #     fn source(&self) -> Option<&(dyn std::error::Error + 'static)> { Some(&self.error) }
/// # }
/// impl ErrorType for InStep {
///     fn inner(&self) -> Option<&dyn ErrorType> {
///         Some(&self.error)
///     }
/// }
///
/// let error = InStep { step: "pay", error: std::io::ErrorKind::TimedOut.into() };
/// assert_eq!(error.error_type(), "timed_out");
/// ```
pub trait ErrorType: Error {
    /// The error that answers for this one wherever a method is not written out. For wrappers.
    fn inner(&self) -> Option<&dyn ErrorType> {
        None
    }

    /// `error.type`: a name from a small fixed set, the same on spans and metrics. Never holds ids or input.
    ///
    /// By default that of the first source whose type the kit knows (`std::io::Error`, a `tonic::Status`, with
    /// the features of that name sqlx's, reqwest's and others), else the name of the Rust type in snake case.
    fn error_type(&self) -> Cow<'static, str> {
        match self.inner().or_else(|| known::first_in(self.source())) {
            Some(known) => known.error_type(),
            None => known::snake_case(short_name(self.type_name())).into(),
        }
    }

    /// Whether the operation failed. `false` for answers that are no trouble, such as "there is no such order":
    /// the span's status stays unset and nothing is logged.
    fn is_failure(&self) -> bool {
        self.inner().is_none_or(ErrorType::is_failure)
    }

    /// Severity of the log record; by default `INFO` for [`ErrorClass::Caller`] and [`ErrorClass::Refused`], `ERROR`
    /// for the others.
    fn severity(&self) -> Severity {
        self.inner().map_or_else(|| self.class().severity(), ErrorType::severity)
    }

    /// Whose move it is.
    fn class(&self) -> ErrorClass {
        self.inner().map_or(ErrorClass::Internal, ErrorType::class)
    }

    /// Whether the same attempt may succeed later; by default if the class is [`ErrorClass::Dependency`],
    /// [`ErrorClass::Timeout`] or [`ErrorClass::Overload`].
    fn may_be_retried(&self) -> bool {
        self.inner().map_or_else(|| self.class().is_retryable(), ErrorType::may_be_retried)
    }

    /// The program's own code for it, as in a table of error codes.
    fn error_code(&self) -> Option<Cow<'static, str>> {
        self.inner().and_then(ErrorType::error_code)
    }

    /// Facts for the span and the log record, for example the code of a payment provider. Nothing secret.
    fn attributes(&self) -> Vec<KeyValue> {
        self.inner().map(ErrorType::attributes).unwrap_or_default()
    }

    /// The text of the span's status and of the log record; by default what `Display` says.
    fn text(&self) -> String {
        self.inner().map_or_else(|| self.to_string(), ErrorType::text)
    }

    /// Tells whether two errors of one trace are the same error on its way up. By default the text of the
    /// innermost source, so that wrapping keeps it. An error that is turned into another type without its source
    /// should be given the same text.
    fn fingerprint(&self) -> u64 {
        if let Some(inner) = self.inner() {
            return inner.fingerprint();
        }
        fingerprint_of(&match innermost(self.source()) {
            Some(source) => source.to_string(),
            None => self.to_string(),
        })
    }

    /// `exception.type`: the Rust type.
    fn type_name(&self) -> &'static str {
        self.inner().map_or_else(std::any::type_name::<Self>, ErrorType::type_name)
    }
}

/// The fingerprint of an error whose innermost text is `text`, for own implementations of
/// [`ErrorType::fingerprint`].
///
/// ```
/// use waypost_telemetry::error::fingerprint_of;
///
/// assert_eq!(fingerprint_of("the disk is full"), fingerprint_of("the disk is full"));
/// assert_ne!(fingerprint_of("the disk is full"), fingerprint_of("no route to host"));
/// ```
pub fn fingerprint_of(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

fn innermost<'a>(source: Option<&'a (dyn Error + 'static)>) -> Option<&'a (dyn Error + 'static)> {
    std::iter::successors(source, |error| (*error).source()).last()
}

/// `Failed` of `shop::pay::Failed<std::io::Error>`.
fn short_name(type_name: &'static str) -> &'static str {
    let without_generics = type_name.split('<').next().unwrap_or(type_name);
    without_generics.rsplit("::").next().unwrap_or(without_generics)
}

/// What an error says, without what a known error must not say, such as the address that a request was sent to.
pub(crate) fn text_of(error: &(dyn Error + 'static)) -> String {
    known::of(error).map_or_else(|| error.to_string(), ErrorType::text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_is_named_by_its_last_part() {
        assert_eq!(short_name("a::b::PayFailed<std::io::Error>"), "PayFailed");
        assert_eq!(known::snake_case("PayFailed"), "pay_failed");
        assert_eq!(known::snake_case("IOError"), "io_error");
    }
}

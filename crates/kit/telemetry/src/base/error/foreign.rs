//! Errors that are no `Error` themselves: boxed ones, those of anyhow and eyre, and plain text.
//!
//! For those the source chain is searched for the first error of a type that the kit knows, and that one answers; if
//! there is none, `error.type` is `_OTHER`, as the conventions ask.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::sync::Arc;

use opentelemetry::KeyValue;
use opentelemetry::logs::Severity;

use super::classifiers::{self, Found};
use super::{ErrorClass, ErrorType, fingerprint_of, known};

/// `error.type` of an error of which nothing is known.
const OTHER: &str = "_OTHER";

/// What can be recorded as a failure: every [`ErrorType`], and errors that hide theirs.
///
/// Implemented for `Box<dyn Error>` (with and without `Send + Sync`), `Box<dyn ErrorType>`, `String`, `&'static str`,
/// and with the features of that name for `anyhow::Error` and `eyre::Report`. Those are searched along their sources for
/// a type that the kit knows. An error type of one's own inside them cannot be found that way: use
/// [`crate::SpanBuilder::run_with`] and `downcast_ref`.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// use waypost_telemetry::testing::TestTelemetry;
///
/// let telemetry = TestTelemetry::new("order-service");
/// let _failed: Result<(), Box<dyn std::error::Error + Send + Sync>> = telemetry
///     .span("read-config")
///     .run(async {
///         std::fs::read("/there/is/no/such/file")?;
///         Ok(())
///     })
///     .await;
/// telemetry.tree().assert_matches("read-config INTERNAL order-service ERROR error.type=not_found");
/// # });
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` says nothing about itself to telemetry",
    label = "not an `ErrorType`",
    note = "implement `waypost_telemetry::ErrorType` for it (an empty `impl` is enough), or use `run_with(future, |error| ..)`",
    note = "errors of anyhow, eyre, sqlx, tokio-postgres, diesel, redis, reqwest, rusqlite, serde_json and hyper need the cargo feature of that name, those of rdkafka `kafka`, of async-memcached `memcached`, of async-nats `nats`, of lapin `rabbitmq`, of mongodb `mongodb`"
)]
pub trait AsErrorType {
    /// Shows the failure as an [`ErrorType`].
    fn with_error_type(&self, look: &mut dyn FnMut(&dyn ErrorType));
}

impl<E: ErrorType + ?Sized> AsErrorType for E {
    fn with_error_type(&self, look: &mut dyn FnMut(&dyn ErrorType)) {
        look(&self);
    }
}

/// Pointers that are as good as what they point at, also if that has no size.
macro_rules! transparent {
    ($([$($generics:tt)*] $pointer:ty),+) => {$(
        impl<$($generics)*> ErrorType for $pointer {
            fn inner(&self) -> Option<&dyn ErrorType> {
                (**self).inner()
            }

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

            fn may_be_retried(&self) -> bool {
                (**self).may_be_retried()
            }

            fn error_code(&self) -> Option<Cow<'static, str>> {
                (**self).error_code()
            }

            fn attributes(&self) -> Vec<KeyValue> {
                (**self).attributes()
            }

            fn text(&self) -> String {
                (**self).text()
            }

            fn fingerprint(&self) -> u64 {
                (**self).fingerprint()
            }

            fn type_name(&self) -> &'static str {
                (**self).type_name()
            }
        }
    )+};
}

transparent!([E: ErrorType + ?Sized] &E, [E: ErrorType + ?Sized] Arc<E>, [E: ErrorType] Box<E>);

/// `Box<dyn ErrorType>` is no `Error` by the rules of the standard library.
macro_rules! boxed_error_type {
    ($($object:ty),+) => {$(
        impl AsErrorType for Box<$object> {
            fn with_error_type(&self, look: &mut dyn FnMut(&dyn ErrorType)) {
                (**self).with_error_type(look);
            }
        }
    )+};
}

boxed_error_type!(dyn ErrorType, dyn ErrorType + Send, dyn ErrorType + Send + Sync);

macro_rules! boxed_error {
    ($($object:ty),+) => {$(
        impl AsErrorType for Box<$object> {
            fn with_error_type(&self, look: &mut dyn FnMut(&dyn ErrorType)) {
                look(&Hidden::new(&**self, "Box<dyn Error>"));
            }
        }
    )+};
}

boxed_error!(dyn Error, dyn Error + Send, dyn Error + Send + Sync);

#[cfg(feature = "anyhow")]
impl AsErrorType for anyhow::Error {
    fn with_error_type(&self, look: &mut dyn FnMut(&dyn ErrorType)) {
        look(&Hidden::new(&**self, "anyhow::Error"));
    }
}

#[cfg(feature = "eyre")]
impl AsErrorType for eyre::Report {
    fn with_error_type(&self, look: &mut dyn FnMut(&dyn ErrorType)) {
        look(&Hidden::new(&**self, "eyre::Report"));
    }
}

macro_rules! text {
    ($($text:ty),+) => {$(
        impl AsErrorType for $text {
            fn with_error_type(&self, look: &mut dyn FnMut(&dyn ErrorType)) {
                look(&Text { text: self, holder: std::any::type_name::<Self>() });
            }
        }
    )+};
}

text!(String, &'static str, Cow<'static, str>);

/// `error.type` of any error: that of the first one in its chain whose type is known, else `_OTHER`.
#[cfg(feature = "tracing")]
pub(crate) fn error_type_of(error: &(dyn Error + 'static)) -> Cow<'static, str> {
    Hidden::new(error, "dyn Error").error_type()
}

/// An error behind a pointer that hides its type.
struct Hidden<'a> {
    error: &'a (dyn Error + 'static),
    holder: &'static str,
    /// Who answers for it.
    found: Option<Found<'a>>,
}

impl<'a> Hidden<'a> {
    fn new(error: &'a (dyn Error + 'static), holder: &'static str) -> Self {
        Self { error, holder, found: classifiers::find(error) }
    }
}

impl fmt::Debug for Hidden<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.error, f)
    }
}

impl fmt::Display for Hidden<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.error, f)
    }
}

impl Error for Hidden<'_> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.error.source()
    }
}

impl ErrorType for Hidden<'_> {
    fn inner(&self) -> Option<&dyn ErrorType> {
        match &self.found {
            Some(Found::Known(known)) => Some(*known),
            _ => None,
        }
    }

    fn error_type(&self) -> Cow<'static, str> {
        match &self.found {
            Some(Found::Classified(classification)) => classification.error_type().clone(),
            Some(Found::Known(known)) => known.error_type(),
            None => OTHER.into(),
        }
    }

    fn is_failure(&self) -> bool {
        match &self.found {
            Some(Found::Classified(classification)) => classification.is_failure(),
            Some(Found::Known(known)) => known.is_failure(),
            None => true,
        }
    }

    fn class(&self) -> ErrorClass {
        match &self.found {
            Some(Found::Classified(classification)) => classification.error_class(),
            Some(Found::Known(known)) => known.class(),
            None => ErrorClass::Internal,
        }
    }

    fn severity(&self) -> Severity {
        match &self.found {
            Some(Found::Classified(classification)) => classification.log_severity(),
            Some(Found::Known(known)) => known.severity(),
            None => ErrorClass::Internal.severity(),
        }
    }

    fn may_be_retried(&self) -> bool {
        match &self.found {
            Some(Found::Classified(classification)) => classification.may_be_retried(),
            Some(Found::Known(known)) => known.may_be_retried(),
            None => false,
        }
    }

    fn error_code(&self) -> Option<Cow<'static, str>> {
        match &self.found {
            Some(Found::Classified(classification)) => classification.own_code().cloned(),
            Some(Found::Known(known)) => known.error_code(),
            None => None,
        }
    }

    fn attributes(&self) -> Vec<KeyValue> {
        match &self.found {
            Some(Found::Classified(classification)) => classification.attributes().to_vec(),
            Some(Found::Known(known)) => known.attributes(),
            None => Vec::new(),
        }
    }

    /// The outermost text says what was attempted; the known error is in the chain.
    fn text(&self) -> String {
        match known::of(self.error) {
            Some(known) => known.text(),
            None => self.error.to_string(),
        }
    }

    fn type_name(&self) -> &'static str {
        self.inner().map_or(self.holder, ErrorType::type_name)
    }
}

struct Text<'a> {
    text: &'a str,
    holder: &'static str,
}

impl fmt::Debug for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text)
    }
}

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text)
    }
}

impl Error for Text<'_> {}

impl ErrorType for Text<'_> {
    fn error_type(&self) -> Cow<'static, str> {
        OTHER.into()
    }

    fn fingerprint(&self) -> u64 {
        fingerprint_of(self.text)
    }

    fn type_name(&self) -> &'static str {
        self.holder
    }
}

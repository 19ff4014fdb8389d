//! A class given to an error by the code that has it, for errors whose type says nothing.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;

use opentelemetry::KeyValue;
use opentelemetry::logs::Severity;

use super::{ErrorClass, ErrorType};

/// What telemetry has to know of one error, said by a closure of [`crate::SpanBuilder::run_with`].
///
/// A `&'static str` is an `error.type` alone; an [`ErrorClass`] names itself.
///
/// ```
/// use waypost_telemetry::error::{Classification, ErrorClass};
///
/// let declined = Classification::new("card_declined").class(ErrorClass::Refused).attr("payment.code", "e42");
/// let unknown: Classification = "provider_failed".into();
/// let absent = Classification::no_failure();
/// # let _ = (declined, unknown, absent);
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Classification {
    error_type: Cow<'static, str>,
    class: ErrorClass,
    severity: Option<Severity>,
    is_failure: bool,
    attributes: Vec<KeyValue>,
}

impl Classification {
    /// A failure with this `error.type`: a name from a small fixed set.
    pub fn new(error_type: impl Into<Cow<'static, str>>) -> Self {
        Self {
            error_type: error_type.into(),
            class: ErrorClass::Internal,
            severity: None,
            is_failure: true,
            attributes: Vec::new(),
        }
    }

    /// An answer that is no trouble: the span's status stays unset and nothing is logged.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// use waypost_telemetry::error::Classification;
    /// use waypost_telemetry::testing::TestTelemetry;
    ///
    /// let telemetry = TestTelemetry::new("order-service");
    /// let find = telemetry.span("find").run_with(async { Err::<(), _>("no such order") }, |_| Classification::no_failure());
    /// find.await.unwrap_err();
    /// telemetry.tree().assert_matches("find INTERNAL order-service");
    /// # });
    /// ```
    pub fn no_failure() -> Self {
        Self { is_failure: false, ..Self::new("") }
    }

    /// Whose move it is; [`ErrorClass::Internal`] unless said.
    pub fn class(mut self, class: ErrorClass) -> Self {
        self.class = class;
        self
    }

    /// Severity of the log record; that of the class unless said.
    ///
    /// ```
    /// use waypost_telemetry::error::Classification;
    /// use waypost_telemetry::opentelemetry::logs::Severity;
    ///
    /// let quiet = Classification::new("stale_price").severity(Severity::Debug);
    /// # let _ = quiet;
    /// ```
    pub fn severity(mut self, severity: Severity) -> Self {
        self.severity = Some(severity);
        self
    }

    /// A fact for the span and the log record. Nothing secret.
    pub fn attr(mut self, key: &'static str, value: impl Into<opentelemetry::Value>) -> Self {
        self.attributes.push(KeyValue::new(key, value));
        self
    }
}

impl From<&'static str> for Classification {
    fn from(error_type: &'static str) -> Self {
        Self::new(error_type)
    }
}

impl From<ErrorClass> for Classification {
    fn from(class: ErrorClass) -> Self {
        Self::new(class.as_str()).class(class)
    }
}

/// An error with the class that was given to it.
pub(crate) struct Classified<'a, E> {
    pub(crate) error: &'a E,
    pub(crate) classification: Classification,
}

impl<E: fmt::Display> fmt::Debug for Classified<'_, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl<E: fmt::Display> fmt::Display for Classified<'_, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl<E: fmt::Display> Error for Classified<'_, E> {}

impl<E: fmt::Display> ErrorType for Classified<'_, E> {
    fn error_type(&self) -> Cow<'static, str> {
        self.classification.error_type.clone()
    }

    fn is_failure(&self) -> bool {
        self.classification.is_failure
    }

    fn severity(&self) -> Severity {
        self.classification.severity.unwrap_or(self.classification.class.severity())
    }

    fn class(&self) -> ErrorClass {
        self.classification.class
    }

    fn attributes(&self) -> Vec<KeyValue> {
        self.classification.attributes.clone()
    }

    fn type_name(&self) -> &'static str {
        std::any::type_name::<E>()
    }
}

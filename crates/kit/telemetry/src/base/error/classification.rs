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
    is_retryable: Option<bool>,
    code: Option<Cow<'static, str>>,
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
            is_retryable: None,
            code: None,
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

    /// Whether the same attempt may succeed later; by the class unless said.
    ///
    /// ```
    /// use waypost_telemetry::error::Classification;
    ///
    /// let busy = Classification::new("table_locked").retryable(true).code("E17");
    /// # let _ = busy;
    /// ```
    pub fn retryable(mut self, is_retryable: bool) -> Self {
        self.is_retryable = Some(is_retryable);
        self
    }

    /// The program's own code for it, as in a table of error codes.
    pub fn code(mut self, code: impl Into<Cow<'static, str>>) -> Self {
        self.code = Some(code.into());
        self
    }

    /// A fact for the span and the log record. Nothing secret.
    pub fn attr(mut self, key: &'static str, value: impl Into<opentelemetry::Value>) -> Self {
        self.attributes.push(KeyValue::new(key, value));
        self
    }
}

/// What was said, for whoever answers by it.
impl Classification {
    pub(super) fn error_type(&self) -> &Cow<'static, str> {
        &self.error_type
    }

    pub(super) fn is_failure(&self) -> bool {
        self.is_failure
    }

    pub(super) fn error_class(&self) -> ErrorClass {
        self.class
    }

    pub(super) fn log_severity(&self) -> Severity {
        self.severity.unwrap_or(self.class.severity())
    }

    pub(super) fn may_be_retried(&self) -> bool {
        self.is_retryable.unwrap_or(self.class.is_retryable())
    }

    pub(super) fn own_code(&self) -> Option<&Cow<'static, str>> {
        self.code.as_ref()
    }

    pub(super) fn attributes(&self) -> &[KeyValue] {
        &self.attributes
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
        self.classification.log_severity()
    }

    fn class(&self) -> ErrorClass {
        self.classification.class
    }

    fn may_be_retried(&self) -> bool {
        self.classification.may_be_retried()
    }

    fn error_code(&self) -> Option<Cow<'static, str>> {
        self.classification.code.clone()
    }

    fn attributes(&self) -> Vec<KeyValue> {
        self.classification.attributes.clone()
    }

    fn type_name(&self) -> &'static str {
        std::any::type_name::<E>()
    }
}

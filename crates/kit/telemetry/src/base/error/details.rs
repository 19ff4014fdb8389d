//! An error, taken apart for telemetry.

use std::borrow::Cow;

use opentelemetry::KeyValue;
use opentelemetry::logs::Severity;

use super::grouping::{group_of, masked};
use super::{AsErrorType, ErrorClass, ErrorType};
use crate::base::attributes::ERROR_TYPE;
use crate::base::config::MessageRule;

/// Attribute of the log record that holds [`ErrorType::class`].
///
/// ```
/// use waypost_telemetry::error::ERROR_CLASS;
/// use waypost_telemetry::testing::TestTelemetry;
///
/// let telemetry = TestTelemetry::new("order-service");
/// let failure = std::io::Error::from(std::io::ErrorKind::TimedOut);
/// telemetry.span("place").in_scope(|| waypost_telemetry::record_error(&failure));
/// assert_eq!(telemetry.finished_logs()[0].attribute(ERROR_CLASS), Some(&"timeout".into()));
/// ```
pub const ERROR_CLASS: &str = "waypost.error.class";
/// Attribute of spans and log records that is the same for failures that belong together.
pub const ERROR_FINGERPRINT: &str = "waypost.error.fingerprint";
/// Attribute of the log record that says whether the same attempt may succeed later.
pub const ERROR_RETRYABLE: &str = "waypost.error.retryable";
/// Attribute of the log record that holds [`ErrorType::error_code`].
pub const ERROR_CODE: &str = "waypost.error.code";

/// Longest chain of sources that is shown.
const MAX_CHAIN: usize = 16;

/// What telemetry has to know of one error: for records of one's own, answers, and tests.
///
/// [`crate::record_error`] records the same by itself.
///
/// ```
/// use waypost_telemetry::config::MessageRule;
/// use waypost_telemetry::error::{ErrorClass, ErrorDetails};
///
/// let late = std::io::Error::new(std::io::ErrorKind::TimedOut, "no answer from 10.0.0.7 in 3s");
/// let details = ErrorDetails::of(&late);
/// assert_eq!((details.error_type(), details.class()), ("timed_out", ErrorClass::Timeout));
/// assert!(details.is_retryable());
/// assert_eq!(details.message(MessageRule::Masked).as_deref(), Some("no answer from ? in ?"));
///
/// // The same failure with other values belongs to the same group.
/// let later = std::io::Error::new(std::io::ErrorKind::TimedOut, "no answer from 10.0.0.9 in 5s");
/// assert_eq!(details.fingerprint(), ErrorDetails::of(&later).fingerprint());
/// let attributes = details.attributes(MessageRule::Masked);
/// assert!(attributes.iter().any(|attribute| attribute.key.as_str() == "waypost.error.fingerprint"));
/// ```
#[derive(Clone, Debug)]
pub struct ErrorDetails {
    error_type: Cow<'static, str>,
    type_name: &'static str,
    class: ErrorClass,
    severity: Severity,
    is_failure: bool,
    is_retryable: bool,
    code: Option<Cow<'static, str>>,
    text: String,
    chain: Vec<String>,
    attributes: Vec<KeyValue>,
}

impl ErrorDetails {
    /// Takes an error apart; boxed errors too, by the first known type along their sources.
    pub fn of(error: &(impl AsErrorType + ?Sized)) -> Self {
        let mut details = None;
        error.with_error_type(&mut |failure| details = Some(Self::of_type(failure)));
        details.unwrap_or_else(|| Self::of_type(&std::io::Error::from(std::io::ErrorKind::Other)))
    }

    pub(crate) fn of_type(failure: &dyn ErrorType) -> Self {
        Self {
            error_type: failure.error_type(),
            type_name: failure.type_name(),
            class: failure.class(),
            severity: failure.severity(),
            is_failure: failure.is_failure(),
            is_retryable: failure.may_be_retried(),
            code: failure.error_code(),
            text: failure.text(),
            chain: chain_of(failure),
            attributes: failure.attributes(),
        }
    }

    /// `error.type`.
    pub fn error_type(&self) -> &str {
        &self.error_type
    }

    /// `exception.type`: the Rust type.
    pub fn type_name(&self) -> &'static str {
        self.type_name
    }

    /// Whose move it is.
    pub fn class(&self) -> ErrorClass {
        self.class
    }

    /// Severity of the log record.
    pub fn severity(&self) -> Severity {
        self.severity
    }

    /// Whether the operation failed at all.
    pub fn is_failure(&self) -> bool {
        self.is_failure
    }

    /// Whether the same attempt may succeed later.
    pub fn is_retryable(&self) -> bool {
        self.is_retryable
    }

    /// The program's own code.
    pub fn code(&self) -> Option<&str> {
        self.code.as_deref()
    }

    /// The text, as far as a rule lets it out.
    pub fn message(&self, rule: MessageRule) -> Option<String> {
        by_rule(rule, &self.text)
    }

    /// The texts of the sources, outermost first, without repetitions of what an outer text already says.
    pub fn chain(&self, rule: MessageRule) -> Vec<String> {
        self.chain.iter().filter_map(|text| by_rule(rule, text)).collect()
    }

    /// The same for failures that belong together, as 16 hexadecimal digits: made of `error.type`, the Rust type without its generics
    /// and the innermost text without its values. Stable between runs, builds and lines of code.
    pub fn fingerprint(&self) -> String {
        let plain_type = self.type_name.split('<').next().unwrap_or_default();
        let innermost = masked(self.chain.last().unwrap_or(&self.text));
        format!("{:016x}", group_of(&[&self.error_type, plain_type, &innermost]))
    }

    /// All of it as attributes: those of the error itself first.
    pub fn attributes(&self, rule: MessageRule) -> Vec<KeyValue> {
        let mut attributes = self.attributes.clone();
        attributes.push(KeyValue::new(ERROR_TYPE, self.error_type.clone()));
        attributes.push(KeyValue::new(ERROR_CLASS, self.class.as_str()));
        attributes.push(KeyValue::new(ERROR_FINGERPRINT, self.fingerprint()));
        attributes.push(KeyValue::new(ERROR_RETRYABLE, self.is_retryable));
        attributes.extend(self.code.clone().map(|code| KeyValue::new(ERROR_CODE, code)));
        attributes.push(KeyValue::new("exception.type", self.type_name));
        attributes.extend(self.message(rule).map(|message| KeyValue::new("exception.message", message)));
        attributes
    }
}

/// A text, as far as a rule lets it out.
pub(crate) fn by_rule(rule: MessageRule, text: &str) -> Option<String> {
    match rule {
        MessageRule::Full => Some(text.to_owned()),
        MessageRule::Masked => Some(masked(text)),
        MessageRule::TypeOnly => None,
    }
}

fn chain_of(failure: &dyn ErrorType) -> Vec<String> {
    let mut chain: Vec<String> = Vec::new();
    for source in std::iter::successors(failure.source(), |source| (*source).source()).take(MAX_CHAIN) {
        let text = super::text_of(source);
        if chain.last() != Some(&text) {
            chain.push(text);
        }
    }
    chain
}

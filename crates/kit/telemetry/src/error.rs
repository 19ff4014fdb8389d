//! Recording failures: once each, in one way, without putting inner text where strangers read it.
//!
//! An error type says by [`ErrorType`] what class it belongs to. [`record_error`] then sets the current span's
//! status and `error.type`, and writes one log record with the source chain, correlated by trace and span id.
//! Exceptions are log records and not span events: the conventions deprecate the events.
//!
//! Never twice for one error: as an error passes up through several spans each span gets its status, but only
//! the innermost gets the description and causes the log record. Two errors of one trace and one service count
//! as the same if their [fingerprints](ErrorType::fingerprint) are equal, so the attempts of a retry that fail
//! alike give one record. The memory for this is a bounded ring a handle.

use std::backtrace::Backtrace;
use std::borrow::Cow;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::error::Error;
use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use opentelemetry::logs::Severity;
use opentelemetry::trace::{Status, TraceContextExt, TraceId};
use opentelemetry::{Context, KeyValue};

use crate::attributes::ERROR_TYPE;
use crate::finished::FinishedLog;
use crate::handle::Telemetry;

/// `target` of the log events of recorded failures on standard output.
pub(crate) const TARGET: &str = "waypost_telemetry::exception";
/// Attribute of the log record that holds [`ErrorType::class`].
pub const ERROR_CLASS: &str = "waypost.error.class";

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

/// Records a failure on the current span and, the first time it is seen, as a log record. See the
/// [module](self).
///
/// [`crate::SpanBuilder::run`] calls it for the error of its future; call it by hand only for failures that are
/// handled and yet should be seen.
pub fn record_error(failure: &dyn ErrorType) {
    record_in(&Context::current(), failure);
}

/// As [`record_error`], on the span of `context`.
pub(crate) fn record_in(context: &Context, failure: &dyn ErrorType) {
    if !failure.is_failure() {
        return;
    }
    let telemetry = Telemetry::of(context);
    let span = context.span();
    let error_type = failure.error_type();
    let text = failure.to_string();
    let first = telemetry.recorded_errors().first_time(span.span_context().trace_id(), failure.fingerprint());

    // The description adds something only where the error appears first and says more than its type.
    let description = if first && text != error_type { text.clone() } else { String::new() };
    span.set_status(Status::error(description));
    span.set_attribute(KeyValue::new(ERROR_TYPE, error_type.clone()));
    let attributes = failure.attributes();
    if span.span_context().is_sampled() {
        span.set_attributes(attributes.iter().cloned());
    }
    if first {
        log(&telemetry, context, failure, error_type, text, attributes);
    }
}

fn log(
    telemetry: &Telemetry,
    context: &Context,
    failure: &dyn ErrorType,
    error_type: Cow<'static, str>,
    text: String,
    mut attributes: Vec<KeyValue>,
) {
    let class = failure.class().as_str();
    let chain = chain_of(failure);
    {
        let _attached = context.clone().attach();
        print(failure.severity(), &error_type, class, &chain, &text);
    }
    if !telemetry.takes_logs() {
        return;
    }

    attributes.push(KeyValue::new(ERROR_TYPE, error_type));
    attributes.push(KeyValue::new(ERROR_CLASS, class));
    attributes.push(KeyValue::new("exception.type", failure.type_name()));
    attributes.push(KeyValue::new("exception.message", text.clone()));
    let trace = stack_trace(&text, &chain, telemetry.captures_backtraces());
    if !trace.is_empty() {
        attributes.push(KeyValue::new("exception.stacktrace", trace));
    }
    telemetry.emit(FinishedLog {
        time: SystemTime::now(),
        severity: failure.severity(),
        target: TARGET.into(),
        body: text,
        attributes,
        span: context.span().span_context().clone(),
        service_name: telemetry.shared_service_name(),
    });
}

/// The texts of the sources, outermost first, without repetitions of what an outer text already says.
fn chain_of(failure: &dyn ErrorType) -> Vec<String> {
    let mut chain: Vec<String> = Vec::new();
    for source in std::iter::successors(failure.source(), |source| (*source).source()) {
        let text = source.to_string();
        if chain.last() != Some(&text) {
            chain.push(text);
        }
    }
    chain
}

fn stack_trace(text: &str, chain: &[String], backtrace: bool) -> String {
    let mut trace = String::new();
    if !chain.is_empty() {
        trace.push_str(text);
        for cause in chain {
            let _ = write!(trace, "\ncaused by: {cause}");
        }
    }
    if backtrace {
        let _ = write!(trace, "\nrecorded at:\n{}", Backtrace::force_capture());
    }
    trace
}

/// The event for standard output. The exporters get their own record, so the bridge skips this target.
fn print(severity: Severity, error_type: &str, class: &str, chain: &[String], text: &str) {
    let caused_by = chain.join(": ");
    let caused_by = (!caused_by.is_empty()).then_some(caused_by.as_str());
    macro_rules! emit {
        ($level:expr) => {
            tracing::event!(
                target: TARGET,
                $level,
                { "error.type" = error_type, "error.class" = class, "error.caused_by" = caused_by },
                "{text}"
            )
        };
    }
    match severity {
        severity if severity >= Severity::Error => emit!(tracing::Level::ERROR),
        severity if severity >= Severity::Warn => emit!(tracing::Level::WARN),
        severity if severity >= Severity::Info => emit!(tracing::Level::INFO),
        _ => emit!(tracing::Level::DEBUG),
    }
}

/// Which errors of which traces were logged, newest last. Only failures come here, so one lock is enough.
#[derive(Debug, Default)]
pub(crate) struct RecordedErrors(Mutex<VecDeque<(TraceId, u64)>>);

impl RecordedErrors {
    const CAPACITY: usize = 1_024;

    /// Remembers an error; `false` if it was known. Outside any trace every error is new.
    fn first_time(&self, trace: TraceId, fingerprint: u64) -> bool {
        if trace == TraceId::INVALID {
            return true;
        }
        let mut recorded = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if recorded.contains(&(trace, fingerprint)) {
            return false;
        }
        if recorded.len() == Self::CAPACITY {
            recorded.pop_front();
        }
        recorded.push_back((trace, fingerprint));
        true
    }
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

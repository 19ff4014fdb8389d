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

mod stack;

use std::backtrace::Backtrace;
use std::borrow::Cow;
use std::fmt::Write as _;
use std::panic::Location;
use std::time::SystemTime;

use opentelemetry::logs::Severity;
use opentelemetry::trace::{Status, TraceContextExt};
use opentelemetry::{Context, KeyValue};

use crate::base::attributes::ERROR_TYPE;
use crate::base::error::{AsErrorType, ErrorType, text_of};
use crate::base::finished::FinishedLog;
use crate::core::handle::Telemetry;
use crate::core::recorded::Seen;

/// `target` of the log events of recorded failures on standard output.
pub(crate) const TARGET: &str = "waypost_telemetry::exception";
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

/// Records a failure on the current span and, the first time it is seen, as a log record. An error that passes
/// through several spans marks each of them and is logged once.
///
/// [`crate::SpanBuilder::run`] calls it for the error of its future; call it by hand only for failures that are
/// handled and yet should be seen. Takes every [`ErrorType`], and errors of anyhow and other boxes as they are
/// ([`AsErrorType`]).
///
/// ```
/// use waypost_telemetry::{record_error, testing::TestTelemetry};
///
/// let telemetry = TestTelemetry::new("order-service");
/// telemetry.span("read-cache").in_scope(|| {
///     let gone = std::io::Error::from(std::io::ErrorKind::NotFound);
///     record_error(&gone); // and go on without the cache
/// });
/// telemetry.tree().assert_matches("read-cache INTERNAL order-service ERROR error.type=not_found");
/// assert_eq!(telemetry.finished_logs().len(), 1);
/// ```
pub fn record_error(failure: &(impl AsErrorType + ?Sized)) {
    let context = Context::current();
    failure.with_error_type(&mut |failure| record_in(&context, failure));
}

/// As [`record_error`], on the span of `context`.
pub(crate) fn record_in(context: &Context, failure: &dyn ErrorType) {
    if !failure.is_failure() {
        return;
    }
    let telemetry = Telemetry::of(context);
    let span = context.span();
    let error_type = failure.error_type();
    let text = failure.text();
    let seen = telemetry.recorded_errors().see(span.span_context(), failure.fingerprint());

    // The description adds something only where the error appears first and says more than its type.
    let is_told = seen != Seen::Elsewhere && text != error_type;
    let description = if is_told { text.clone() } else { String::new() };
    span.set_status(Status::error(description));
    span.set_attribute(KeyValue::new(ERROR_TYPE, error_type.clone()));
    let attributes = failure.attributes();
    if span.span_context().is_sampled() || span.is_recording() {
        span.set_attributes(attributes.iter().cloned());
    }
    if seen == Seen::First {
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
        attributes.push(KeyValue::new(stack::ATTRIBUTE, trace));
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
        let text = text_of(source);
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
        let frames = stack::own_frames(&Backtrace::force_capture().to_string());
        let _ = write!(trace, "\nrecorded at:\n{frames}");
    }
    stack::bounded(trace)
}

/// Writes the log record and the line of a panic, from its hook. The span is left to whatever it unwinds through, for
/// the panic may be caught further in.
pub(crate) fn record_panic(message: &str, at: Option<&Location<'_>>, thread: Option<&str>) {
    let context = Context::current();
    let telemetry = Telemetry::of(&context);
    let place = at.map(ToString::to_string);
    tracing::error!(
        target: TARGET,
        { "error.type" = "panic", "error.class" = "internal", "code.place" = place, "thread.name" = thread },
        "{message}"
    );
    if !telemetry.takes_logs() || context.is_telemetry_suppressed() {
        return;
    }

    let mut attributes = vec![
        KeyValue::new(ERROR_TYPE, "panic"),
        KeyValue::new(ERROR_CLASS, "internal"),
        KeyValue::new("exception.type", "panic"),
        KeyValue::new("exception.message", message.to_owned()),
    ];
    if let Some(at) = at {
        attributes.push(KeyValue::new("code.file.path", at.file().to_owned()));
        attributes.push(KeyValue::new("code.line.number", i64::from(at.line())));
    }
    if let Some(thread) = thread {
        attributes.push(KeyValue::new("thread.name", thread.to_owned()));
    }
    let trace = stack_trace(message, &[], telemetry.captures_backtraces());
    if !trace.is_empty() {
        attributes.push(KeyValue::new(stack::ATTRIBUTE, trace));
    }
    telemetry.emit(FinishedLog {
        time: SystemTime::now(),
        severity: Severity::Error,
        target: TARGET.into(),
        body: message.to_owned(),
        attributes,
        span: context.span().span_context().clone(),
        service_name: telemetry.shared_service_name(),
    });
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

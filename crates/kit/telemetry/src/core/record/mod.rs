//! Recording failures: once each, in one way, without putting inner text where strangers read it.
//!
//! An error type says by [`ErrorType`] what class it belongs to. [`record_error`] then sets the current span's
//! status and `error.type`, and writes one log record with the source chain, correlated by trace and span id.
//! Exceptions are log records; span events as well where the settings ask for them, for the conventions deprecate those.
//! How much of an error's text is let out the settings say too, and it holds for spans, records and lines.
//!
//! Never twice for one error: as an error passes up through several spans each span gets its status, but only
//! the innermost gets the description and causes the log record. Two errors of one trace and one service count
//! as the same if their [fingerprints](ErrorType::fingerprint) are equal, so the attempts of a retry that fail
//! alike give one record. The memory for this is a bounded ring a handle.

mod stack;

use std::backtrace::Backtrace;
use std::fmt::Write as _;
use std::panic::Location;

use opentelemetry::logs::Severity;
use opentelemetry::trace::{Status, TraceContextExt};
use opentelemetry::{Context, KeyValue};

use crate::base::attributes::ERROR_TYPE;
use crate::base::config::ErrorSettings;
use crate::base::error::{
    AsErrorType, ERROR_CLASS, ERROR_FINGERPRINT, ERROR_RETRYABLE, ErrorDetails, ErrorType, by_rule, group_of,
    masked,
};
use crate::base::finished::FinishedLog;
use crate::core::handle::Telemetry;
use crate::core::recorded::Seen;

/// `target` of the log events of recorded failures on standard output.
pub(crate) const TARGET: &str = "waypost_telemetry::exception";
/// Name of the event of a span.
const EVENT: &str = "exception";

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
    let rule = telemetry.error_settings().messages;
    let text = by_rule(rule, &failure.text());
    let seen = telemetry.recorded_errors().see(span.span_context(), failure.fingerprint());

    // The description adds something only where the error appears first and says more than its type.
    let description = text.filter(|text| seen != Seen::Elsewhere && *text != error_type);
    span.set_status(Status::error(description.unwrap_or_default()));
    span.set_attribute(KeyValue::new(ERROR_TYPE, error_type));
    if span.span_context().is_sampled() || span.is_recording() {
        span.set_attributes(failure.attributes());
    }
    if seen == Seen::First {
        let details = ErrorDetails::of_type(failure);
        if span.is_recording() {
            span.set_attribute(KeyValue::new(ERROR_FINGERPRINT, details.fingerprint()));
        }
        log(&telemetry, context, &details);
    }
}

fn log(telemetry: &Telemetry, context: &Context, details: &ErrorDetails) {
    let ErrorSettings { messages: rule, span_events } = *telemetry.error_settings();
    let (chain, message) = (details.chain(rule), details.message(rule));
    let body = message.clone().unwrap_or_else(|| details.error_type().to_owned());
    {
        let _attached = context.clone().attach();
        print(details.severity(), details.error_type(), details.class().as_str(), &chain, &body);
    }
    if !telemetry.takes_logs() && !span_events {
        return;
    }

    let mut attributes = details.attributes(rule);
    let trace = stack_trace(&body, &chain, telemetry.captures_backtraces());
    if !trace.is_empty() {
        attributes.push(KeyValue::new(stack::ATTRIBUTE, trace));
    }
    emit(telemetry, context, details.severity(), body, attributes);
}

/// As a log record, and as an event of the span if the settings ask for it.
fn emit(
    telemetry: &Telemetry,
    context: &Context,
    severity: Severity,
    body: String,
    attributes: Vec<KeyValue>,
) {
    let span = context.span();
    if telemetry.error_settings().span_events && span.is_recording() {
        span.add_event_with_timestamp(EVENT, telemetry.clock().now(), attributes.clone());
    }
    if telemetry.takes_logs() {
        telemetry.emit(FinishedLog {
            time: telemetry.clock().now(),
            severity,
            target: TARGET.into(),
            body,
            attributes,
            span: span.span_context().clone(),
            service_name: telemetry.shared_service_name(),
        });
    }
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
    let message_shown = by_rule(telemetry.error_settings().messages, message);
    let body = message_shown.clone().unwrap_or_else(|| "panic".to_owned());
    let place = at.map(ToString::to_string);
    tracing::error!(
        target: TARGET,
        { "error.type" = "panic", "error.class" = "internal", "code.place" = place, "thread.name" = thread },
        "{body}"
    );
    if context.is_telemetry_suppressed() {
        return;
    }

    // Neither the line nor the values are part of the group.
    let file = at.map(Location::file).unwrap_or_default();
    let group = group_of(&["panic", file, &masked(message)]);
    let mut attributes = vec![
        KeyValue::new(ERROR_TYPE, "panic"),
        KeyValue::new(ERROR_CLASS, "internal"),
        KeyValue::new(ERROR_FINGERPRINT, format!("{group:016x}")),
        KeyValue::new(ERROR_RETRYABLE, false),
        KeyValue::new("exception.type", "panic"),
    ];
    attributes.extend(message_shown.map(|message| KeyValue::new("exception.message", message)));
    if let Some(at) = at {
        attributes.push(KeyValue::new("code.file.path", at.file().to_owned()));
        attributes.push(KeyValue::new("code.line.number", i64::from(at.line())));
    }
    if let Some(thread) = thread {
        attributes.push(KeyValue::new("thread.name", thread.to_owned()));
    }
    let trace = stack_trace(&body, &[], telemetry.captures_backtraces());
    if !trace.is_empty() {
        attributes.push(KeyValue::new(stack::ATTRIBUTE, trace));
    }
    emit(&telemetry, &context, Severity::Error, body, attributes);
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

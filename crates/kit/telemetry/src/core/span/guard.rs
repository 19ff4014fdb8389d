//! An open span that its owner ends: for code whose end is not the end of one future or one function.

use std::borrow::Cow;
#[cfg(any(feature = "http", feature = "mongodb", feature = "sql"))]
use std::time::Duration;
use std::time::SystemTime;

use opentelemetry::trace::{SpanContext, Status, TraceContextExt};
use opentelemetry::{Context, Key, KeyValue};

use crate::base::attributes::{ERROR_TYPE, OUTCOME};
use crate::base::error::AsErrorType;
use crate::base::value::IntoValue;
use crate::core::clock::HandleClock;
use crate::core::record;

/// How an operation ended.
///
/// ```
/// use waypost_telemetry::{Outcome, testing::TestTelemetry};
///
/// let telemetry = TestTelemetry::new("order-service");
/// telemetry.span("wait").start().end(Outcome::Cancelled);
/// telemetry.tree().assert_matches("wait INTERNAL order-service waypost.outcome=cancelled");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It did what it was asked to do. The span's status stays unset, as the conventions ask.
    Ok,
    /// It failed; the text is its low-cardinality `error.type`.
    Error(Cow<'static, str>),
    /// Its caller gave up waiting. Not an error; marked by `waypost.outcome = cancelled`.
    Cancelled,
    /// It panicked: status error, `error.type = panic`, `waypost.outcome = panic`.
    Panic,
}

impl Outcome {
    /// The `error.type` of a failure; the same on the span and on its metrics.
    #[cfg(any(feature = "http", feature = "mongodb", feature = "sql"))]
    pub(crate) fn error_type(&self) -> Option<Cow<'static, str>> {
        match self {
            Self::Ok | Self::Cancelled => None,
            Self::Error(class) => Some(class.clone()),
            Self::Panic => Some(Cow::Borrowed("panic")),
        }
    }
}

/// An open span, not attached to the thread. Ends once: by [`end`](Self::end), or when dropped as [`Outcome::Ok`]
/// ([`Outcome::Panic`] if the thread is unwinding). See [`cancelled_on_drop`](Self::cancelled_on_drop) for spans whose
/// drop means that somebody gave up.
///
/// ```
/// use waypost_telemetry::opentelemetry::trace::SpanKind;
/// use waypost_telemetry::testing::TestTelemetry;
/// use waypost_telemetry::Outcome;
///
/// let telemetry = TestTelemetry::new("order-service");
/// let span = telemetry.span("reserve-stock").kind(SpanKind::Client).start();
/// span.set("product.id", "prod456");
/// span.end(Outcome::Ok);
/// assert_eq!(telemetry.finished_spans()[0].name(), "reserve-stock");
/// ```
#[derive(Debug)]
#[must_use = "dropping the guard ends the span"]
pub struct SpanGuard {
    context: Context,
    /// When it started; `None` if it was not recorded then.
    started: Option<SystemTime>,
    clock: HandleClock,
    ended: bool,
    cancelled_on_drop: bool,
}

impl SpanGuard {
    #[inline]
    pub(super) fn new(context: Context, started: Option<SystemTime>, clock: HandleClock) -> Self {
        Self { context, started, clock, ended: false, cancelled_on_drop: false }
    }

    /// The context, for a guard that is kept while it is attached. One that has nothing left to do gives its own.
    #[inline]
    pub(super) fn lend_context(&mut self) -> Context {
        if self.records() { self.context.clone() } else { std::mem::take(&mut self.context) }
    }

    /// No span of its own: a context that is only carried on.
    #[cfg(any(feature = "http", feature = "sql"))]
    pub(crate) fn ended(context: Context) -> Self {
        Self { context, started: None, clock: HandleClock::default(), ended: true, cancelled_on_drop: false }
    }

    /// As [`is_recording`](Self::is_recording) as long as nobody ends the span behind the guard's back, and then nothing
    /// that is set is kept. Takes no lock.
    #[inline]
    pub(crate) fn records(&self) -> bool {
        self.started.is_some()
    }

    /// Sets several attributes, of which there are few.
    #[cfg(any(feature = "http", feature = "sql"))]
    pub(crate) fn set_each(&self, attributes: impl IntoIterator<Item = KeyValue>) {
        if !self.records() {
            return;
        }
        // The span's lock is taken for each: less than to move an iterator behind it.
        for attribute in attributes {
            self.context.span().set_attribute(attribute);
        }
    }

    /// From now on dropping the guard ends the span as [`Outcome::Cancelled`]: for a guard that is kept across an
    /// `await` by hand, where a drop before [`end`](Self::end) means that nobody waits any more.
    ///
    /// ```
    /// let telemetry = waypost_telemetry::testing::TestTelemetry::new("order-service");
    /// drop(telemetry.span("wait").start().cancelled_on_drop());
    /// telemetry.tree().assert_matches("wait INTERNAL order-service waypost.outcome=cancelled");
    /// ```
    pub fn cancelled_on_drop(mut self) -> Self {
        self.cancelled_on_drop = true;
        self
    }

    /// A context with this span as its span: to attach, to inject, to give to [`crate::with_context`].
    ///
    /// ```
    /// let telemetry = waypost_telemetry::testing::TestTelemetry::new("order-service");
    /// let outer = telemetry.span("outer").start();
    /// telemetry.span("inner").parent(outer.context()).in_scope(|| ());
    /// drop(outer);
    /// telemetry.tree().assert_matches("outer INTERNAL order-service\n  inner INTERNAL order-service");
    /// ```
    pub fn context(&self) -> &Context {
        &self.context
    }

    #[cfg(feature = "tracing")]
    /// A second guard of the same span, which does not end it.
    pub(crate) fn borrowed(&self) -> Self {
        let (context, clock) = (self.context.clone(), self.clock.clone());
        Self { context, started: self.started, clock, ended: true, cancelled_on_drop: false }
    }

    #[cfg(feature = "tracing")]
    /// The context of a [borrowed](Self::borrowed) guard.
    pub(crate) fn into_context(self) -> Context {
        self.context.clone()
    }

    /// Ids and flags of the span.
    pub fn span_context(&self) -> SpanContext {
        self.context.span().span_context().clone()
    }

    /// Whether what is set on it is kept: ask before building expensive attributes.
    ///
    /// ```
    /// let telemetry = waypost_telemetry::testing::TestTelemetry::new("order-service");
    /// assert!(telemetry.span("show").start().is_recording());
    /// assert!(!waypost_telemetry::Telemetry::disabled().span("show").start().is_recording());
    /// ```
    pub fn is_recording(&self) -> bool {
        self.context.span().is_recording()
    }

    /// Sets an attribute; a later value replaces an earlier one.
    ///
    /// ```
    /// let telemetry = waypost_telemetry::testing::TestTelemetry::new("order-service");
    /// let span = telemetry.span("show").start();
    /// span.set("order.items", 3);
    /// span.set_with("order.total", || 99.5);
    /// drop(span);
    /// telemetry.tree().assert_matches("show INTERNAL order-service order.items=3 order.total=99.5");
    /// ```
    pub fn set<M>(&self, key: impl Into<Key>, value: impl IntoValue<M>) {
        self.set_with(key, || value);
    }

    /// As [`Self::set`], with a value that is made only if it is kept.
    pub fn set_with<M, V: IntoValue<M>>(&self, key: impl Into<Key>, value: impl FnOnce() -> V) {
        if self.records()
            && let Some(value) = value().into_value()
        {
            self.context.span().set_attribute(KeyValue::new(key, value));
        }
    }

    #[cfg(feature = "tracing")]
    pub(crate) fn set_all(&self, attributes: Vec<KeyValue>) {
        self.context.span().set_attributes(attributes);
    }

    #[cfg(feature = "tracing")]
    pub(crate) fn set_status(&self, status: Status) {
        self.context.span().set_status(status);
    }

    /// Adds a link to another span; an invalid one is left out. Links are better known to samplers if they are given
    /// to [`crate::SpanBuilder::link`].
    pub fn link(&self, span: SpanContext) {
        if span.is_valid() {
            self.context.span().add_link(span, Vec::new());
        }
    }

    /// Renames the span, for a name that is known late.
    ///
    /// ```
    /// use waypost_telemetry::opentelemetry::KeyValue;
    ///
    /// let telemetry = waypost_telemetry::testing::TestTelemetry::new("order-service");
    /// let other = telemetry.span("other").start();
    /// let span = telemetry.span("request").start();
    /// span.rename("show-order");
    /// span.link(other.span_context());
    /// span.event("cache-miss", vec![KeyValue::new("key", "order-1")]);
    /// drop((span, other));
    /// let span = telemetry.only_span("show-order");
    /// assert_eq!((span.events().len(), span.links().len()), (1, 1));
    /// ```
    pub fn rename(&self, name: impl Into<Cow<'static, str>>) {
        self.context.span().update_name(name);
    }

    /// Adds an event.
    pub fn event(&self, name: impl Into<Cow<'static, str>>, attributes: Vec<KeyValue>) {
        self.context.span().add_event_with_timestamp(name, self.clock.now(), attributes);
    }

    /// Records a failure on this span; see [`crate::record_error`].
    ///
    /// ```
    /// let telemetry = waypost_telemetry::testing::TestTelemetry::new("order-service");
    /// let span = telemetry.span("read").start();
    /// span.record_error(&std::io::Error::from(std::io::ErrorKind::NotFound));
    /// drop(span);
    /// telemetry.tree().assert_matches("read INTERNAL order-service ERROR error.type=not_found");
    /// ```
    pub fn record_error(&self, failure: &(impl AsErrorType + ?Sized)) {
        failure.with_error_type(&mut |failure| record::record_in(&self.context, failure));
    }

    /// Sets status error and `error.type` without a log record: for failures whose cause is logged elsewhere.
    ///
    /// ```
    /// let telemetry = waypost_telemetry::testing::TestTelemetry::new("order-service");
    /// let span = telemetry.span("read").start();
    /// span.fail("stale");
    /// drop(span);
    /// telemetry.tree().assert_matches("read INTERNAL order-service ERROR error.type=stale");
    /// assert!(telemetry.finished_logs().is_empty());
    /// ```
    pub fn fail(&self, error_type: impl Into<Cow<'static, str>>) {
        if self.records() {
            let span = self.context.span();
            span.set_status(Status::error(""));
            span.set_attribute(KeyValue::new(ERROR_TYPE, error_type.into()));
        }
    }

    /// Ends the span.
    pub fn end(mut self, outcome: Outcome) {
        self.end_once(outcome);
    }

    /// Ends with what a result says.
    pub(super) fn end_with<T, E: AsErrorType>(&mut self, result: &Result<T, E>) {
        if let Err(failure) = result {
            self.record_error(failure);
        }
        self.end_once(Outcome::Ok);
    }

    #[inline]
    pub(crate) fn end_once(&mut self, outcome: Outcome) {
        self.end_at(outcome, HandleClock::now);
    }

    /// As [`end_once`](Self::end_once), for a caller that has read how long it took, so that the clock is not read again.
    #[cfg(any(feature = "http", feature = "sql"))]
    #[inline]
    pub(crate) fn end_after(&mut self, outcome: Outcome, elapsed: Duration) {
        let time = self.time_after(elapsed);
        self.end_at(outcome, |clock| time.unwrap_or_else(|| clock.now()));
    }

    /// When so much had passed since the start; `None` if the span is not recorded.
    #[cfg(any(feature = "http", feature = "sql"))]
    #[inline]
    pub(crate) fn time_after(&self, elapsed: Duration) -> Option<SystemTime> {
        self.started.and_then(|started| started.checked_add(elapsed))
    }

    #[inline]
    fn end_at(&mut self, outcome: Outcome, now: impl FnOnce(&HandleClock) -> SystemTime) {
        if std::mem::replace(&mut self.ended, true) || !self.records() {
            return;
        }
        // The work is over before it is told how.
        let time = now(&self.clock);
        match outcome {
            Outcome::Ok => {}
            Outcome::Error(error_type) => self.fail(error_type),
            Outcome::Cancelled => self.set(OUTCOME, "cancelled"),
            Outcome::Panic => {
                self.fail("panic");
                self.set(OUTCOME, "panic");
            }
        }
        self.context.span().end_with_timestamp(time);
    }
}

impl Drop for SpanGuard {
    fn drop(&mut self) {
        if self.ended || !self.records() {
            return;
        }
        let outcome = match self.cancelled_on_drop {
            _ if std::thread::panicking() => Outcome::Panic,
            true => Outcome::Cancelled,
            false => Outcome::Ok,
        };
        self.end_once(outcome);
    }
}

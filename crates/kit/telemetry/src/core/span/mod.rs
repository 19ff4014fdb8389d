//! Spans around own code.
//!
//! [`span()`] finds the handle and the parent in the current OpenTelemetry context. [`SpanBuilder::run`] takes
//! the outcome from the `Result` of a future, so that no early return and no `?` can leave a span without one.
//! A future that is dropped ends its span as cancelled, one that panics as panic; neither is lost.

mod guard;
mod run;

use std::borrow::Cow;
use std::future::Future;

use opentelemetry::trace::{Link, SpanContext, SpanKind, TraceContextExt};
use opentelemetry::{Context, Key, KeyValue, Value};

use crate::base::error::ErrorType;
use crate::core::handle::Telemetry;
pub use guard::{Outcome, SpanGuard};
pub use run::Run;

/// A span around own code, child of the current span, recorded by the current handle.
///
/// "Current" is where this is called. Where there is no handle it is where the span starts, so that
/// `with_context(context, span("x").run(work))` works as it reads.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// use waypost_telemetry::testing::TestTelemetry;
/// use waypost_telemetry::{set, span, with_context};
///
/// let telemetry = TestTelemetry::new("order-service");
/// let failed: Result<(), std::io::Error> = with_context(telemetry.context(), async {
///     span("price-order")
///         .attr("order.id", "order-1")
///         .run(async {
///             set("price.rule", "list");
///             Err(std::io::ErrorKind::TimedOut.into())
///         })
///         .await
/// })
/// .await;
///
/// assert!(failed.is_err());
/// telemetry.tree().assert_matches(
///     "price-order INTERNAL order-service ERROR order.id=order-1 price.rule=list error.type=timed_out",
/// );
/// # });
/// ```
pub fn span(name: impl Into<Cow<'static, str>>) -> SpanBuilder {
    let parent = Context::current();
    SpanBuilder {
        telemetry: Telemetry::found_in(&parent),
        parent,
        is_parent_given: false,
        is_root: false,
        span: opentelemetry::trace::SpanBuilder::from_name(name),
    }
}

impl Telemetry {
    /// A span of this handle, child of the current span. [`crate::span()`] finds the handle by itself.
    pub fn span(&self, name: impl Into<Cow<'static, str>>) -> SpanBuilder {
        SpanBuilder::new(self.clone(), Context::current(), name.into())
    }
}

/// Sets an attribute on the current span; a later value replaces an earlier one.
pub fn set(key: impl Into<Key>, value: impl Into<Value>) {
    set_on(&Context::current(), key, value);
}

/// Adds an event to the current span.
pub fn event(name: impl Into<Cow<'static, str>>, attributes: Vec<KeyValue>) {
    Context::map_current(|context| context.span().add_event(name, attributes));
}

/// Trace id of the current span, as 32 hex digits.
pub fn trace_id() -> Option<String> {
    Context::map_current(|context| {
        let span = context.span();
        let span = span.span_context();
        span.is_valid().then(|| span.trace_id().to_string())
    })
}

/// Converts key and value only if the span of `context` may be recorded.
fn set_on(context: &Context, key: impl Into<Key>, value: impl Into<Value>) {
    let span = context.span();
    // Nearly always the flag tells; what is only recorded has to be asked.
    if span.span_context().is_sampled() || span.is_recording() {
        span.set_attribute(KeyValue::new(key, value));
    }
}

/// A span about to start. Cheap: with a disabled handle nothing is converted or kept.
#[derive(Debug)]
#[must_use = "a span that is not run or started records nothing"]
pub struct SpanBuilder {
    /// `None` if none was found yet.
    telemetry: Option<Telemetry>,
    parent: Context,
    is_parent_given: bool,
    is_root: bool,
    span: opentelemetry::trace::SpanBuilder,
}

impl SpanBuilder {
    /// A span of this handle under `parent`.
    pub(crate) fn new(telemetry: Telemetry, parent: Context, name: Cow<'static, str>) -> Self {
        Self {
            telemetry: Some(telemetry),
            parent,
            is_parent_given: true,
            is_root: false,
            span: opentelemetry::trace::SpanBuilder::from_name(name),
        }
    }

    fn may_record(&self) -> bool {
        self.telemetry.as_ref().is_none_or(Telemetry::is_enabled)
    }

    /// Another name than the one it was made with.
    pub(crate) fn named(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.span.name = name.into();
        self
    }

    /// Kind; internal unless said otherwise.
    pub fn kind(mut self, kind: SpanKind) -> Self {
        self.span.span_kind = Some(kind);
        self
    }

    /// An attribute. Samplers see the attributes that are set before the start.
    pub fn attr(mut self, key: impl Into<Key>, value: impl Into<Value>) -> Self {
        if self.may_record() {
            self.span.attributes.get_or_insert_with(Vec::new).push(KeyValue::new(key, value));
        }
        self
    }

    /// A link to another span; an invalid one is left out.
    pub fn link(mut self, span: SpanContext) -> Self {
        if self.may_record() && span.is_valid() {
            self.span.links.get_or_insert_with(Vec::new).push(Link::with_context(span));
        }
        self
    }

    /// Another parent than the current context. A handle in `parent` takes over from the one found so far.
    pub fn parent(mut self, parent: &Context) -> Self {
        if let Some(telemetry) = parent.get::<Telemetry>() {
            self.telemetry = Some(telemetry.clone());
        }
        self.parent = parent.clone();
        self.is_parent_given = true;
        self
    }

    /// No parent: the root of a new trace. Baggage and handle stay.
    pub fn root(mut self) -> Self {
        self.is_root = true;
        self
    }

    /// Runs a future inside the span. Outcome and `error.type` come from its result: an error is recorded by
    /// [`crate::record_error`] unless it says that it is no failure.
    ///
    /// Dropping the returned future drops the inner one inside the span and ends the span as cancelled.
    pub fn run<T, E, F>(self, future: F) -> Run<F>
    where
        E: ErrorType,
        F: Future<Output = Result<T, E>>,
    {
        Run::new(self, future, |result, span| span.end_with(result))
    }

    /// Runs a future inside the span, whatever it gives.
    pub fn observe<F: Future>(self, future: F) -> Run<F> {
        Run::new(self, future, |_, span| span.end_once(Outcome::Ok))
    }

    /// Starts the span without attaching it; the guard ends it.
    pub fn start(self) -> SpanGuard {
        let Self { telemetry, mut parent, is_parent_given, is_root, span } = self;
        let telemetry = telemetry.or_else(|| {
            let current = Context::current();
            let found = Telemetry::found_in(&current);
            if !is_parent_given {
                parent = current;
            }
            found
        });
        let telemetry = telemetry.unwrap_or_else(Telemetry::disabled);
        if is_root {
            parent = parent.with_remote_span_context(SpanContext::empty_context());
        }
        let context = match telemetry.tracer() {
            Some(tracer) => tracer.start_in(span, &parent),
            None => unrecorded(parent),
        };
        SpanGuard::new(telemetry.carried_by(context))
    }

    /// Runs a closure inside the span, which is attached to this thread meanwhile.
    pub fn in_scope<T>(self, f: impl FnOnce() -> T) -> T {
        let span = self.start();
        let attached = span.context().clone().attach();
        let output = f();
        drop(attached);
        span.end(Outcome::Ok);
        output
    }
}

/// The same ids to pass on, but nothing that could write to or end the parent's span.
fn unrecorded(parent: Context) -> Context {
    let span = parent.span();
    if !span.is_recording() {
        return parent;
    }
    let ids = span.span_context().clone();
    parent.with_remote_span_context(ids)
}

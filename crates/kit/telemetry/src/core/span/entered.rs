//! Spans around code that does not wait: attached to the thread while it runs.

use std::fmt::Display;

use opentelemetry::{Context, ContextGuard};

use super::{Outcome, SpanBuilder, SpanGuard};
use crate::base::error::{AsErrorType, Classification, Classified};
use crate::core::record;

impl SpanBuilder {
    /// Runs a closure inside the span, which is attached to this thread meanwhile.
    ///
    /// The span ends well whatever the closure gives; for one that can fail see
    /// [`try_in_scope`](Self::try_in_scope).
    ///
    /// ```
    /// let telemetry = waypost_telemetry::testing::TestTelemetry::new("order-service");
    /// let items = telemetry.span("count").in_scope(|| 3);
    /// assert_eq!((items, telemetry.only_span("count").is_error()), (3, false));
    /// ```
    pub fn in_scope<T>(self, f: impl FnOnce() -> T) -> T {
        let mut span = self.start();
        let attached = span.lend_context().attach();
        let output = f();
        drop(attached);
        span.end(Outcome::Ok);
        output
    }

    /// As [`in_scope`](Self::in_scope); outcome and `error.type` come from the result, as in [`run`](Self::run).
    ///
    /// ```
    /// use waypost_telemetry::testing::TestTelemetry;
    ///
    /// let telemetry = TestTelemetry::new("order-service");
    /// let read = telemetry.span("read-prices").try_in_scope(|| std::fs::read("/there/is/no/such/file"));
    /// assert!(read.is_err());
    /// telemetry.tree().assert_matches("read-prices INTERNAL order-service ERROR error.type=not_found");
    /// ```
    pub fn try_in_scope<T, E: AsErrorType>(self, f: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        let mut span = self.start();
        let attached = span.context().clone().attach();
        let result = f();
        span.end_with(&result);
        drop(attached);
        result
    }

    /// As [`try_in_scope`](Self::try_in_scope), for any error: as in [`run_with`](Self::run_with).
    ///
    /// ```
    /// let telemetry = waypost_telemetry::testing::TestTelemetry::new("order-service");
    /// let parsed = telemetry.span("parse").try_in_scope_with(|| "x".parse::<u32>(), |_| "not_a_number");
    /// assert!(parsed.is_err());
    /// telemetry.tree().assert_matches("parse INTERNAL order-service ERROR error.type=not_a_number");
    /// ```
    pub fn try_in_scope_with<T, E: Display, C: Into<Classification>>(
        self,
        f: impl FnOnce() -> Result<T, E>,
        classify: impl FnOnce(&E) -> C,
    ) -> Result<T, E> {
        self.in_scope(|| {
            let result = f();
            if let Err(error) = &result {
                let classified = Classified { error, classification: classify(error).into() };
                record::record_in(&Context::current(), &classified);
            }
            result
        })
    }

    /// Starts the span and attaches it to this thread until the guard is dropped, or as long as the block lasts.
    ///
    /// The guard cannot be sent to another thread, so it cannot be kept across an `await` of a spawned task; use
    /// [`run`](Self::run) there.
    ///
    /// ```
    /// use waypost_telemetry::testing::TestTelemetry;
    /// use waypost_telemetry::{set, span};
    ///
    /// let telemetry = TestTelemetry::new("order-service");
    /// {
    ///     let _span = telemetry.span("price-order").enter();
    ///     set("order.id", "order-1");
    ///     span("look-up").in_scope(|| ());
    /// }
    /// telemetry.tree().assert_matches(
    ///     "price-order INTERNAL order-service order.id=order-1
    ///        look-up INTERNAL order-service",
    /// );
    /// ```
    pub fn enter(self) -> EnteredSpan {
        let span = self.start();
        EnteredSpan { _attached: span.context().clone().attach(), span }
    }
}

/// An open span that is the current one of its thread; made by [`SpanBuilder::enter`].
///
/// ```
/// use waypost_telemetry::{Outcome, testing::TestTelemetry};
///
/// let telemetry = TestTelemetry::new("order-service");
/// let entered = telemetry.span("place").enter();
/// entered.span().set("order.id", "order-1");
/// assert_eq!(waypost_telemetry::propagation::traceparent(entered.context()).is_some(), true);
/// entered.end(Outcome::Error("sold_out".into()));
/// telemetry.tree().assert_matches("place INTERNAL order-service ERROR order.id=order-1 error.type=sold_out");
/// ```
#[derive(Debug)]
#[must_use = "the span ends when this is dropped"]
pub struct EnteredSpan {
    // Before the span, so that nothing that its end causes happens inside it.
    _attached: ContextGuard,
    span: SpanGuard,
}

impl EnteredSpan {
    /// The span itself.
    pub fn span(&self) -> &SpanGuard {
        &self.span
    }

    /// A context with this span as its span.
    pub fn context(&self) -> &Context {
        self.span.context()
    }

    /// Ends the span with this outcome, and detaches it.
    pub fn end(self, outcome: Outcome) {
        let Self { _attached: attached, span } = self;
        drop(attached);
        span.end(outcome);
    }
}

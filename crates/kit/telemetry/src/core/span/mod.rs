//! Spans around own code.
//!
//! [`span()`] finds the handle and the parent in the current OpenTelemetry context. [`SpanBuilder::run`] takes
//! the outcome from the `Result` of a future, so that no early return and no `?` can leave a span without one.
//! A future that is dropped ends its span as cancelled, one that panics as panic; neither is lost.

mod entered;
mod guard;
mod run;
mod stream;

use std::borrow::Cow;
use std::fmt::Display;
use std::future::Future;

use opentelemetry::trace::{SpanContext, SpanKind, TraceContextExt};
use opentelemetry::{Context, Key, KeyValue, Value};

use crate::base::error::{AsErrorType, Classification, Classified};
use crate::base::value::IntoValue;
use crate::core::handle::Telemetry;
use crate::core::propagation;
use crate::core::record;
use crate::core::tracer::draft::Draft;
use crate::core::tracer::scopes::{CodeScope, ScopeNumber};
pub use entered::EnteredSpan;
pub use guard::{Outcome, SpanGuard};
pub use run::Run;
pub use stream::RunStream;

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
    let carried = parent.get::<Telemetry>().cloned();
    let is_carried = carried.is_some();
    let telemetry = carried.or_else(Telemetry::process_default);
    let draft = telemetry.as_ref().map_or_else(Draft::listed, |telemetry| Draft::of(telemetry.tracer()));
    SpanBuilder {
        telemetry,
        parent,
        is_carried,
        is_parent_given: false,
        is_root: false,
        scope: None,
        kind: SpanKind::Internal,
        name: name.into(),
        draft,
    }
}

impl Telemetry {
    /// A span of this handle, child of the current span. [`crate::span()`] finds the handle by itself.
    ///
    /// ```
    /// let telemetry = waypost_telemetry::testing::TestTelemetry::new("order-service");
    /// telemetry.span("place-order").in_scope(|| ());
    /// telemetry.tree().assert_matches("place-order INTERNAL order-service");
    /// ```
    pub fn span(&self, name: impl Into<Cow<'static, str>>) -> SpanBuilder {
        SpanBuilder::new(self.clone(), Context::current(), name.into())
    }
}

/// Sets an attribute on the current span; a later value replaces an earlier one.
///
/// ```
/// use waypost_telemetry::{set, testing::TestTelemetry};
///
/// let telemetry = TestTelemetry::new("order-service");
/// telemetry.span("price-order").in_scope(|| set("order.items", 3));
/// telemetry.tree().assert_matches("price-order INTERNAL order-service order.items=3");
/// ```
pub fn set<M>(key: impl Into<Key>, value: impl IntoValue<M>) {
    set_on(&Context::current(), key, || value);
}

/// Adds an event to the current span.
///
/// ```
/// use waypost_telemetry::opentelemetry::KeyValue;
/// use waypost_telemetry::{event, testing::TestTelemetry};
///
/// let telemetry = TestTelemetry::new("order-service");
/// telemetry.span("show-order").in_scope(|| event("cache-miss", vec![KeyValue::new("cache.key", "order-1")]));
/// let span = telemetry.only_span("show-order");
/// assert_eq!(span.events()[0].name(), "cache-miss");
/// assert_eq!(span.events()[0].attribute("cache.key"), Some(&"order-1".into()));
/// ```
pub fn event(name: impl Into<Cow<'static, str>>, attributes: Vec<KeyValue>) {
    Context::map_current(|context| {
        context.span().add_event_with_timestamp(name, Telemetry::clock_of(context).now(), attributes);
    });
}

/// Trace id of the current span, as 32 hex digits.
///
/// ```
/// use waypost_telemetry::{testing::TestTelemetry, trace_id};
///
/// let telemetry = TestTelemetry::new("order-service");
/// let answered = telemetry.span("place-order").in_scope(trace_id);
/// assert_eq!(answered, Some(telemetry.only_span("place-order").trace_id().to_string()));
/// assert_eq!(trace_id(), None);
/// ```
pub fn trace_id() -> Option<String> {
    Context::map_current(|context| {
        let span = context.span();
        let span = span.span_context();
        span.is_valid().then(|| span.trace_id().to_string())
    })
}

/// Converts key and value only if the span of `context` may be recorded.
fn set_on<M, V: IntoValue<M>>(context: &Context, key: impl Into<Key>, value: impl FnOnce() -> V) {
    let span = context.span();
    // Nearly always the flag tells; what is only recorded has to be asked.
    if (span.span_context().is_sampled() || span.is_recording())
        && let Some(value) = value().into_value()
    {
        span.set_attribute(KeyValue::new(key, value));
    }
}

/// A span about to start. Cheap: with a disabled handle nothing is converted or kept.
///
/// ```
/// use waypost_telemetry::opentelemetry::trace::SpanKind;
/// use waypost_telemetry::testing::TestTelemetry;
///
/// let telemetry = TestTelemetry::new("order-service");
/// let request = telemetry.span("request").start();
/// let outer = telemetry.span("outer").start();
/// telemetry
///     .span("charge")
///     .kind(SpanKind::Client)
///     .attr("order.id", "order-1")
///     .attr_with("order.items", || vec!["a".to_owned(), "b".to_owned()])
///     .attr_display("peer", std::net::Ipv4Addr::LOCALHOST)
///     .link(request.span_context())
///     .parent(outer.context())
///     .in_scope(|| ());
/// telemetry.span("alone").parent(outer.context()).root().in_scope(|| ());
/// drop((request, outer));
///
/// let charge = telemetry.only_span("charge");
/// assert_eq!(charge.attribute("peer"), Some(&"127.0.0.1".into()));
/// assert_eq!(charge.parent_id(), Some(telemetry.only_span("outer").span_id()));
/// assert_eq!(telemetry.only_span("alone").parent_id(), None);
/// ```
#[derive(Debug)]
#[must_use = "a span that is not run or started records nothing"]
pub struct SpanBuilder {
    /// `None` if none was found yet.
    telemetry: Option<Telemetry>,
    parent: Context,
    /// Whether `parent` is known to carry the handle.
    is_carried: bool,
    is_parent_given: bool,
    is_root: bool,
    /// `None` for the kit's own.
    scope: Option<ScopeNumber>,
    kind: SpanKind,
    name: Cow<'static, str>,
    draft: Draft,
}

impl SpanBuilder {
    /// A span of this handle under `parent`.
    pub(crate) fn new(telemetry: Telemetry, parent: Context, name: Cow<'static, str>) -> Self {
        let draft = Draft::of(telemetry.tracer());
        Self {
            telemetry: Some(telemetry),
            parent,
            is_carried: false,
            is_parent_given: true,
            is_root: false,
            scope: None,
            kind: SpanKind::Internal,
            name,
            draft,
        }
    }

    /// Another name than the one it was made with.
    pub(crate) fn named(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.name = name.into();
        self
    }

    /// The instrumentation scope: the code that opens the span. The kit's own unless said.
    pub fn scope(self, scope: &CodeScope) -> Self {
        self.scoped(scope.number())
    }

    pub(crate) fn scoped(mut self, scope: ScopeNumber) -> Self {
        self.scope = Some(scope);
        self
    }

    /// Kind; internal unless said otherwise.
    #[inline]
    pub fn kind(mut self, kind: SpanKind) -> Self {
        self.kind = kind;
        self
    }

    /// An attribute; see [`IntoValue`] for what can be one. Samplers see the attributes that are set before the start.
    // Part of what calls it, where nearly always the kind of the value is known: to move the builder there and back, and to
    // find out what to write and to free, took longer than writing.
    #[expect(clippy::inline_always, reason = "said above")]
    #[inline(always)]
    pub fn attr<M>(mut self, key: impl Into<Key>, value: impl IntoValue<M>) -> Self {
        if self.keeps()
            && let Some(value) = value.into_value()
        {
            self.push(key.into(), value);
        }
        self
    }

    /// As [`Self::attr`], with a value that is made only if the span may be recorded.
    #[inline]
    pub fn attr_with<M, V: IntoValue<M>>(mut self, key: impl Into<Key>, value: impl FnOnce() -> V) -> Self {
        if self.keeps()
            && let Some(value) = value().into_value()
        {
            self.push(key.into(), value);
        }
        self
    }

    #[expect(clippy::inline_always, reason = "as for `attr`")]
    #[inline(always)]
    fn push(&mut self, key: Key, value: Value) {
        self.draft.set(self.telemetry.as_ref().and_then(Telemetry::tracer), key, value);
    }

    /// As [`attr`](Self::attr), for a text that is borrowed: a recorded span writes it down at once, and one that is left out
    /// copies nothing.
    ///
    /// ```
    /// let telemetry = waypost_telemetry::testing::TestTelemetry::new("order-service");
    /// let order_id = String::from("order-1");
    /// telemetry.span("show-order").attr_str("order.id", &order_id).in_scope(|| ());
    /// telemetry.tree().assert_matches("show-order INTERNAL order-service order.id=order-1");
    /// ```
    #[inline]
    pub fn attr_str(mut self, key: &'static str, text: &str) -> Self {
        self.put_text(key, text);
        self
    }

    /// An attribute whose value is what `Display` says, for example an address.
    pub fn attr_display(self, key: impl Into<Key>, value: impl Display) -> Self {
        self.attr_with(key, || value.to_string())
    }

    /// Attributes that are converted already.
    #[cfg(feature = "tracing")]
    pub(crate) fn attrs(mut self, attributes: Vec<KeyValue>) -> Self {
        self.put_each(attributes.into_iter());
        self
    }

    /// Decides now whether the span is recorded, unless somebody looks at its attributes when it starts. For edges: parent,
    /// kind and links must be known. What is set afterwards is not made for a span that is left out.
    pub(crate) fn decided(self) -> Self {
        self.decided_below(None)
    }

    /// As [`decided`](Self::decided), below a caller's span that is not in the parent's context.
    pub(crate) fn decided_below(mut self, caller: Option<SpanContext>) -> Self {
        match self.telemetry.as_ref().and_then(Telemetry::tracer) {
            Some(tracer) if !tracer.is_watched() => {
                let draft = std::mem::replace(&mut self.draft, Draft::Nothing);
                self.draft = tracer.decide_early(draft, &mut self.parent, caller.as_ref());
            }
            _ => {
                if let Some(caller) = caller {
                    self.parent = self.parent.with_remote_span_context(caller);
                }
            }
        }
        self
    }

    /// Whether somebody looks at its attributes when it starts, so that it is not decided yet.
    #[cfg(feature = "http")]
    pub(crate) fn is_watched(&self) -> bool {
        matches!(self.draft, Draft::Listed(_))
    }

    /// Whether what is set may be kept.
    #[inline]
    pub(crate) fn keeps(&self) -> bool {
        !self.draft.keeps_nothing()
    }

    /// As [`attr`](Self::attr).
    #[inline]
    pub(crate) fn put(&mut self, key: &'static str, value: impl Into<Value>) {
        if self.keeps() {
            self.push(Key::from_static_str(key), value.into());
        }
    }

    /// As [`put`](Self::put), for a text that is not copied where it is written down at once.
    #[inline]
    pub(crate) fn put_text(&mut self, key: &'static str, text: &str) {
        self.draft.set_text(self.telemetry.as_ref().and_then(Telemetry::tracer), key, text);
    }

    /// Attributes whose keys are not known before.
    pub(crate) fn put_each(&mut self, attributes: impl Iterator<Item = KeyValue>) {
        for KeyValue { key, value, .. } in attributes {
            self.push(key, value);
        }
    }

    /// A link to another span; an invalid one is left out.
    pub fn link(mut self, span: SpanContext) -> Self {
        if span.is_valid() {
            self.draft.link(span);
        }
        self
    }

    /// Another parent than the current context. A handle in `parent` takes over from the one found so far; attributes that
    /// the earlier one had no use for (disabled, or a sampler that takes nothing) are not there then.
    pub fn parent(mut self, parent: &Context) -> Self {
        if let Some(telemetry) = parent.get::<Telemetry>()
            && !self.telemetry.as_ref().is_some_and(|found| found.is_same(telemetry))
        {
            let draft = std::mem::replace(&mut self.draft, Draft::Nothing);
            self.draft = draft.moved_to(telemetry.tracer());
            self.telemetry = Some(telemetry.clone());
        }
        self.parent = parent.clone();
        self.is_carried = false;
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
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let telemetry = waypost_telemetry::testing::TestTelemetry::new("order-service");
    /// let read = telemetry.span("read-prices").run(async { std::fs::read_to_string("/no/such/file") });
    /// assert!(read.await.is_err());
    /// telemetry.tree().assert_matches("read-prices INTERNAL order-service ERROR error.type=not_found");
    /// # });
    /// ```
    pub fn run<T, E, F>(self, future: F) -> Run<F>
    where
        E: AsErrorType,
        F: Future<Output = Result<T, E>>,
    {
        Run::new(self, future, |result, span| span.end_with(result))
    }

    /// As [`Self::run`], for any error: the closure says what kind of failure it is.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// use waypost_telemetry::testing::TestTelemetry;
    ///
    /// #[derive(Debug, PartialEq)]
    /// struct Declined(u32);
    /// # impl std::fmt::Display for Declined {
    /// #     fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { write!(f, "declined: {}", self.0) }
    /// # }
    ///
    /// let telemetry = TestTelemetry::new("payment-service");
    /// let charge = async { Err::<(), _>(Declined(51)) };
    /// let charged = telemetry.span("charge").run_with(charge, |declined| match declined {
    ///     Declined(51) => "insufficient_funds",
    ///     _ => "declined",
    /// });
    /// assert_eq!(charged.await, Err(Declined(51)));
    /// telemetry.tree().assert_matches("charge INTERNAL payment-service ERROR error.type=insufficient_funds");
    /// # });
    /// ```
    pub fn run_with<T, E, F, C>(
        self,
        future: F,
        classify: impl FnOnce(&E) -> C,
    ) -> Run<impl Future<Output = Result<T, E>>>
    where
        E: Display,
        F: Future<Output = Result<T, E>>,
        C: Into<Classification>,
    {
        self.observe(async move {
            let result = future.await;
            if let Err(error) = &result {
                let classified = Classified { error, classification: classify(error).into() };
                record::record_in(&Context::current(), &classified);
            }
            result
        })
    }

    /// Runs a future inside the span, whatever it gives.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let telemetry = waypost_telemetry::testing::TestTelemetry::new("order-service");
    /// assert_eq!(telemetry.span("count").observe(async { 7 }).await, 7);
    /// telemetry.tree().assert_matches("count INTERNAL order-service");
    /// # });
    /// ```
    pub fn observe<F: Future>(self, future: F) -> Run<F> {
        Run::new(self, future, |_, span| span.end_once(Outcome::Ok))
    }

    /// Starts the span without attaching it; the guard ends it.
    ///
    /// ```
    /// use waypost_telemetry::{Outcome, testing::TestTelemetry};
    ///
    /// let telemetry = TestTelemetry::new("order-service");
    /// let span = telemetry.span("watch-stock").start();
    /// span.set("stock.left", 3);
    /// span.end(Outcome::Error("stale".into())); // dropped instead, it would have ended well
    /// telemetry.tree().assert_matches("watch-stock INTERNAL order-service ERROR stock.left=3 error.type=stale");
    /// ```
    pub fn start(self) -> SpanGuard {
        let Self { telemetry, mut parent, is_carried, is_parent_given, is_root, scope, kind, name, draft } =
            self;
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
        let scoped = scope.and_then(|scope| telemetry.tracer_of(scope));
        let (context, started) = match scoped.as_ref().or_else(|| telemetry.tracer()) {
            Some(tracer) => tracer.start_in(name, kind, draft, parent),
            None => (propagation::unrecorded(parent), None),
        };
        let context = if is_carried { context } else { telemetry.carried_by(context) };
        SpanGuard::new(context, started, telemetry.clock().clone())
    }
}

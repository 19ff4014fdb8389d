//! Samplers that are put together: shares, rates, rules, what a parent decides, and samplers of the program's own.
//!
//! A sampler does not decide; it says what it intends ([`Intent`]): from which [`Threshold`] on a trace is taken, and whether
//! the threshold alone says so. The kit compares the threshold with the [`Randomness`] of the trace and writes it to the
//! `tracestate` as `ot=th`, as the specification has it for consistent probability sampling. So services with different shares
//! take nested parts of the same traces, and [`adjusted_count`] says for how many traces a sampled one stands.
//!
//! Most programs need no code for it: `traces.sampling` ([`crate::config::SamplingSettings`]) makes these samplers from
//! settings. A program with a sampler of its own hands it to [`crate::Builder::composable_sampler`].
//!
//! ```
//! use waypost_telemetry::sampling::{ComposableSampler, Intent, SpanStart};
//! use waypost_telemetry::{Builder, testing::TestTelemetry};
//!
//! /// Everything of new customers, a hundredth of the others.
//! #[derive(Debug)]
//! struct NewCustomers;
//!
//! impl ComposableSampler for NewCustomers {
//!     fn intent(&self, span: &SpanStart<'_>) -> Intent {
//!         let is_new = span.attribute("customer.is_new").is_some_and(|value| *value == true.into());
//!         Intent::ratio(if is_new { 1.0 } else { 0.01 })
//!     }
//! }
//!
//! let settings = TestTelemetry::settings("order-service");
//! let telemetry = Builder::new(settings).composable_sampler(NewCustomers).init()?;
//! telemetry.span("place").attr("customer.is_new", true).in_scope(|| ());
//! assert_eq!(telemetry.finished_spans().len(), 1);
//! # Ok::<(), waypost_telemetry::InitError>(())
//! ```

mod bucket;
mod composite;
mod debug_header;
mod parents;
mod patterns;
mod remote;
mod settings;
mod simple;
mod threshold;

use std::fmt;

use opentelemetry::trace::{Link, SpanContext, SpanKind, TraceId};
use opentelemetry::{Context, KeyValue, Value};

use crate::core::propagation::tracestate::member_of;
use crate::core::tenant;
pub(crate) use composite::Composite;
pub(crate) use debug_header::DebugHeader;
pub use parents::{ParentBased, parent_based};
pub(crate) use patterns::matches;
pub use patterns::{Rules, SpanPattern, rules};
pub(crate) use remote::Strategies;
pub(crate) use settings::SettingsSampler;
pub use simple::{AlwaysOff, AlwaysOn, RateLimited, Ratio, always_off, always_on, rate_limited, ratio};
use threshold::OtMember;
pub use threshold::{Randomness, Threshold};

/// Says what it intends with a span that is about to start.
///
/// It is asked for every span, also below others: wrap it in [`parent_based`] to have it asked for roots alone. It is on
/// the path of every span, so it must neither wait nor panic. [The module](self) has an example.
pub trait ComposableSampler: fmt::Debug + Send + Sync {
    /// What it intends with this span.
    fn intent(&self, span: &SpanStart<'_>) -> Intent;
}

impl<S: ComposableSampler + ?Sized> ComposableSampler for Box<S> {
    fn intent(&self, span: &SpanStart<'_>) -> Intent {
        (**self).intent(span)
    }
}

/// What is known of a span that is about to start.
#[derive(Debug)]
pub struct SpanStart<'a> {
    parent_context: &'a Context,
    parent: Option<&'a SpanContext>,
    trace_id: TraceId,
    name: &'a str,
    kind: &'a SpanKind,
    attributes: &'a [KeyValue],
    links: &'a [Link],
    parent_threshold: Option<Threshold>,
    randomness: Randomness,
}

impl SpanStart<'_> {
    /// The parent's span, local or remote; `None` for a root.
    pub fn parent(&self) -> Option<&SpanContext> {
        self.parent
    }

    /// The context that the span starts in: with the baggage, and with values of the program.
    pub fn parent_context(&self) -> &Context {
        self.parent_context
    }

    /// The trace it will belong to.
    pub fn trace_id(&self) -> TraceId {
        self.trace_id
    }

    /// The name it starts with.
    pub fn name(&self) -> &str {
        self.name
    }

    /// Its kind.
    pub fn kind(&self) -> &SpanKind {
        self.kind
    }

    /// The attributes it starts with. The edges of the kit set those that the conventions name as relevant for sampling.
    pub fn attributes(&self) -> &[KeyValue] {
        self.attributes
    }

    /// The attribute with this key.
    pub fn attribute(&self, key: &str) -> Option<&Value> {
        self.attributes
            .iter()
            .find(|attribute| attribute.key.as_str() == key)
            .map(|attribute| &attribute.value)
    }

    /// The links it starts with.
    pub fn links(&self) -> &[Link] {
        self.links
    }

    /// The tenant of the request, as its baggage says.
    pub fn tenant(&self) -> Option<tenant::TenantId> {
        tenant::of(self.parent_context)
    }

    /// The threshold by which the parent was sampled, if its trace state says.
    pub fn parent_threshold(&self) -> Option<Threshold> {
        self.parent_threshold
    }

    /// What the threshold is compared with.
    pub fn randomness(&self) -> Randomness {
        self.randomness
    }
}

/// What a sampler intends with a span.
///
/// ```
/// use waypost_telemetry::sampling::Intent;
///
/// let intent = Intent::ratio(0.25).attribute("sampling.rule", "checkout");
/// assert_eq!(intent.threshold().unwrap().adjusted_count(), 4.0);
/// assert_eq!(Intent::never().threshold(), None);
/// ```
#[derive(Clone, Debug)]
pub struct Intent {
    threshold: Option<Threshold>,
    is_refused: bool,
    is_reliable: bool,
    attributes: Vec<KeyValue>,
}

impl Intent {
    /// Take it.
    pub fn always() -> Self {
        Self::threshold_of(Some(Threshold::EVERYTHING))
    }

    /// Leave it out, and let the tail buffer not keep it either.
    pub fn never() -> Self {
        Self::threshold_of(None)
    }

    /// Take it if it belongs to this share of the traces, 0 to 1.
    pub fn ratio(ratio: f64) -> Self {
        Self::threshold_of(Threshold::of_ratio(ratio))
    }

    fn threshold_of(threshold: Option<Threshold>) -> Self {
        Self { threshold, is_refused: false, is_reliable: true, attributes: Vec::new() }
    }

    /// Something else than the threshold has a say, such as a rate: for how many traces a sampled one stands is then not known,
    /// and `ot=th` is not written.
    #[must_use]
    pub fn unreliable(mut self) -> Self {
        self.is_reliable = false;
        self
    }

    /// Not taken now although it belongs to the share, as when a rate is used up. The tail buffer may still keep it.
    #[must_use]
    pub fn refused(mut self) -> Self {
        self.is_refused = true;
        self
    }

    /// An attribute for the span if it is sampled.
    #[must_use]
    pub fn attribute(mut self, key: &'static str, value: impl Into<Value>) -> Self {
        self.attributes.push(KeyValue::new(key, value));
        self
    }

    /// From which threshold on it is taken; `None` if it is not.
    pub fn threshold(&self) -> Option<Threshold> {
        self.threshold
    }

    fn takes(&self, randomness: Randomness) -> bool {
        !self.is_refused && self.threshold.is_some_and(|threshold| threshold.takes(randomness))
    }
}

/// For how many traces a sampled span stands: by the `ot=th` of its trace state. `None` if that does not say.
///
/// ```
/// use waypost_telemetry::opentelemetry::trace::TraceContextExt as _;
/// use waypost_telemetry::propagation::context_from;
/// use waypost_telemetry::sampling::adjusted_count;
///
/// let traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03";
/// let context = context_from(Some(traceparent), Some("ot=th:c"));
/// assert_eq!(adjusted_count(context.span().span_context()), Some(4.0));
/// ```
pub fn adjusted_count(span: &SpanContext) -> Option<f64> {
    let member = span.trace_state().get(threshold::KEY)?;
    OtMember::parse(member).threshold.filter(|_| span.is_sampled()).map(Threshold::adjusted_count)
}

/// The member `ot` of a parent.
fn ot_of(context: &Context, parent: Option<&SpanContext>) -> Option<String> {
    member_of(context, parent?, threshold::KEY)
}

//! Context across process borders: W3C `traceparent`, `tracestate` and `baggage`.
//!
//! For layers and for code that has a carrier of its own. The formats are those of the handle
//! ([`crate::config::Propagator`]). A header that breaks the format is as good as absent; nothing an outsider
//! sends can fail a request. A `traceparent` that stands there twice is none: nobody can tell which one is meant.
//! The sampled and random flags pass, unknown flags are cleared; `tracestate` follows level 2 and passes unchanged but
//! for optional whitespace, or not at all. Own code and not the SDK's propagator, because that accepts malformed
//! headers and writes an empty `tracestate`.

mod carriers;
mod traceparent;
pub(crate) mod tracestate;

use opentelemetry::Context;
use opentelemetry::propagation::{Extractor, Injector};
use opentelemetry::trace::{SpanContext, TraceContextExt};

use crate::base::config::{BaggageSettings, Propagator};
use crate::core::baggage;
pub use carriers::{HeaderExtractor, HeaderInjector};
#[cfg(feature = "_tonic")]
pub use carriers::{MetadataExtractor, MetadataInjector};
use tracestate::RawTraceState;
pub(crate) use tracestate::text_of as tracestate_of;

const TRACEPARENT: &str = "traceparent";
const TRACESTATE: &str = "tracestate";

/// `traceparent` of the span of `context`, to store it beside data.
///
/// ```
/// use waypost_telemetry::propagation::{context_from, traceparent, tracestate};
/// use waypost_telemetry::testing::TestTelemetry;
///
/// let telemetry = TestTelemetry::new("order-service");
/// let span = telemetry.span("place").start();
/// let stored = traceparent(span.context()).unwrap();
/// // Later, from a row of a table:
/// let context = context_from(Some(&stored), Some("vendor=1"));
/// assert_eq!(traceparent(&context), Some(stored));
/// assert_eq!(tracestate(&context).as_deref(), Some("vendor=1"));
/// ```
pub fn traceparent(context: &Context) -> Option<String> {
    let span = context.span();
    let span = span.span_context();
    span.is_valid().then(|| written(span))
}

/// `tracestate` of the span of `context`, if it has one.
///
/// ```
/// use waypost_telemetry::propagation::{context_from, tracestate};
///
/// let context = context_from(Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"), Some("vendor=1"));
/// assert_eq!(tracestate(&context).as_deref(), Some("vendor=1"));
/// ```
pub fn tracestate(context: &Context) -> Option<String> {
    tracestate_of(context, context.span().span_context())
}

/// The current context with a remote parent out of stored headers; without one if they are malformed.
///
/// ```
/// use waypost_telemetry::propagation::context_from;
/// use waypost_telemetry::testing::TestTelemetry;
///
/// let telemetry = TestTelemetry::new("notification-service");
/// let stored = context_from(Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"), None);
/// telemetry.span("notify").parent(&stored).in_scope(|| ());
/// let span = telemetry.only_span("notify");
/// assert_eq!(span.trace_id().to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
/// assert!(span.parent_is_remote());
/// ```
pub fn context_from(traceparent: Option<&str>, tracestate: Option<&str>) -> Context {
    let context = Context::current();
    match traceparent.and_then(|header| RemoteParent::read(header, tracestate)) {
        Some(parent) => parent.above(&context),
        None => context.with_remote_span_context(SpanContext::empty_context()),
    }
}

/// `context` below the span of another context, as below a remote one, with all that came along with that span.
pub(crate) fn below(context: &Context, other: &Context) -> Context {
    let span = other.span().span_context().clone();
    let raw = other.get::<RawTraceState>().filter(|raw| raw.trace_id == span.trace_id());
    let context = context.with_remote_span_context(span);
    match raw {
        Some(raw) => context.with_value(raw.clone()),
        None => context,
    }
}

/// A caller's span as its headers describe it.
struct RemoteParent {
    span: SpanContext,
    raw: Option<RawTraceState>,
}

impl RemoteParent {
    fn read<'a>(traceparent: &str, tracestate: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        let (trace_id, span_id, flags) = traceparent::parse(traceparent)?;
        let (state, text) = tracestate::parse(tracestate);
        let raw = text.map(|text| RawTraceState { trace_id, text });
        Some(Self { span: SpanContext::new(trace_id, span_id, flags, true, state), raw })
    }

    fn above(self, context: &Context) -> Context {
        let context = context.with_remote_span_context(self.span);
        match self.raw {
            Some(raw) => context.with_value(raw),
            None => context,
        }
    }
}

fn written(span: &SpanContext) -> String {
    traceparent::format(span.trace_id(), span.span_id(), span.trace_flags())
}

/// The formats of one handle.
#[derive(Clone, Debug)]
pub(crate) struct Propagation {
    trace_context: bool,
    baggage: Option<BaggageSettings>,
}

impl Propagation {
    pub(crate) fn new(formats: &[Propagator], baggage: &BaggageSettings) -> Self {
        Self {
            trace_context: formats.contains(&Propagator::TraceContext),
            baggage: formats.contains(&Propagator::Baggage).then(|| baggage.clone()),
        }
    }

    pub(crate) fn inject(&self, context: &Context, carrier: &mut dyn Injector) {
        self.inject_trace_context(context, carrier);
        if let Some(rules) = &self.baggage
            && let Some(header) = baggage::header(context, rules)
        {
            carrier.set(baggage::HEADER, header);
        }
    }

    pub(crate) fn inject_trace_context(&self, context: &Context, carrier: &mut dyn Injector) {
        if !self.trace_context {
            return;
        }
        let span = context.span();
        let span = span.span_context();
        if span.is_valid() {
            carrier.set(TRACEPARENT, written(span));
            if let Some(state) = tracestate_of(context, span) {
                carrier.set(TRACESTATE, state);
            }
        }
    }

    /// The header names this reads and writes.
    pub(crate) fn fields(&self) -> Vec<String> {
        let trace_context = self.trace_context.then_some([TRACEPARENT, TRACESTATE]);
        let baggage = self.baggage.as_ref().map(|_| baggage::HEADER);
        trace_context.into_iter().flatten().chain(baggage).map(ToOwned::to_owned).collect()
    }

    /// `base` below the caller's span, without its baggage.
    pub(crate) fn extract_trace_context(&self, base: &Context, carrier: &dyn Extractor) -> Context {
        if !self.trace_context {
            return base.clone();
        }
        let parent = match carrier.get_all(TRACEPARENT).as_deref() {
            Some([traceparent]) => {
                RemoteParent::read(traceparent, carrier.get_all(TRACESTATE).into_iter().flatten())
            }
            Some(_) | None => None,
        };
        parent.map_or_else(|| base.clone(), |parent| parent.above(base))
    }

    pub(crate) fn extract(&self, base: &Context, carrier: &dyn Extractor) -> Context {
        let mut context = self.extract_trace_context(base, carrier);
        if let Some(rules) = &self.baggage
            && let Some(headers) = carrier.get_all(baggage::HEADER)
            && let Some(baggage) = baggage::parse(&headers, rules)
        {
            context = baggage::attach(&context, baggage);
        }
        context
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-02";

    #[test]
    fn stored_headers_are_read_back_as_they_were() {
        for state in [None, Some("vendor=a,other=b"), Some("foo@@bar=1,b= 2")] {
            let context = context_from(Some(PARENT), state);
            assert_eq!(traceparent(&context).as_deref(), Some(PARENT));
            assert_eq!(tracestate(&context).as_deref(), state);
            let below = below(&Context::new(), &context);
            assert_eq!(traceparent(&below).as_deref(), Some(PARENT));
            assert_eq!(tracestate(&below).as_deref(), state);
        }
    }

    #[test]
    fn a_state_without_a_parent_is_nobodys() {
        let propagation = Propagation::new(&[Propagator::TraceContext], &BaggageSettings::default());
        let carrier = HashMap::from([("tracestate".to_owned(), "a=1".to_owned())]);
        let context = propagation.extract(&Context::new(), &carrier);
        assert!(!context.span().span_context().is_valid());
        assert_eq!(tracestate(&context), None);
    }

    #[test]
    fn the_fields_are_those_of_the_formats() {
        let fields = |formats: &[Propagator]| Propagation::new(formats, &BaggageSettings::default()).fields();
        assert_eq!(fields(&[]), [""; 0]);
        let all = [Propagator::Baggage, Propagator::TraceContext];
        assert_eq!(fields(&all), ["traceparent", "tracestate", "baggage"]);
    }
}

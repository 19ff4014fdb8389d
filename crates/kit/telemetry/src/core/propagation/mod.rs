//! Context across process borders: W3C `traceparent`, `tracestate` and `baggage`, and the older formats of B3, Jaeger and X-Ray.
//!
//! For layers and for code that has a carrier of its own. The formats are those of the handle
//! ([`crate::config::Propagator`]). A header that breaks the format is as good as absent; nothing an outsider
//! sends can fail a request. A `traceparent` that stands there twice is none: nobody can tell which one is meant.
//! The sampled and random flags pass, unknown flags are cleared; `tracestate` follows level 2 and passes unchanged but
//! for optional whitespace, or not at all. Own code and not the SDK's propagator, because that accepts malformed
//! headers and writes an empty `tracestate`. Of several formats that a caller wrote, the last one of the settings counts.

mod carriers;
mod formats;
mod traceparent;
pub(crate) mod tracestate;

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::Context;
use opentelemetry::propagation::{Extractor, Injector};
use opentelemetry::trace::{SpanContext, TraceContextExt, TraceState};

use crate::base::config::{BaggageSettings, Propagator};
use crate::core::baggage;
pub use carriers::{HeaderExtractor, HeaderInjector};
#[cfg(feature = "_tonic")]
pub use carriers::{MetadataExtractor, MetadataInjector};
use formats::{Format, Note};
pub(crate) use traceparent::parse as read_traceparent;
use tracestate::RawTraceState;
pub(crate) use tracestate::text_of as tracestate_of;

const TRACEPARENT: &str = "traceparent";
const TRACESTATE: &str = "tracestate";

// The same for maps of headers, which find these without looking at the text.
static TRACEPARENT_HEADER: HeaderName = HeaderName::from_static(TRACEPARENT);
static TRACESTATE_HEADER: HeaderName = HeaderName::from_static(TRACESTATE);
static BAGGAGE_HEADER: HeaderName = HeaderName::from_static(baggage::HEADER);

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

/// The same ids to pass on, but nothing that could write to or end the parent's span.
pub(crate) fn unrecorded(parent: Context) -> Context {
    let span = parent.span();
    if !span.is_recording() {
        return parent;
    }
    let ids = span.span_context().clone();
    parent.with_remote_span_context(ids)
}

/// `context` below the span of another context, as below a remote one, with all that came along with that span.
pub(crate) fn below(context: &Context, other: &Context) -> Context {
    let span = other.span().span_context().clone();
    let raw = other.get::<RawTraceState>().filter(|raw| raw.is_of(span.trace_id()));
    let note = Note::of(other, span.trace_id());
    RemoteParent { span, raw: raw.cloned(), note }.above(context)
}

/// Whether the caller whose span this is left it to the callee to decide about the trace.
pub(crate) fn is_left_to_us(context: &Context, parent: &SpanContext) -> bool {
    parent.is_remote()
        && !parent.is_sampled()
        && Note::of(context, parent.trace_id()).is_some_and(Note::is_deferred)
}

/// A header that may be there more than once.
#[derive(Clone, Copy)]
pub(crate) enum Sent<'a> {
    None,
    /// All of it.
    One(&'a HeaderValue),
    /// More than one, or ones that are found by looking at all headers.
    Several,
}

impl<'a> Sent<'a> {
    fn of(headers: &'a HeaderMap, name: &HeaderName) -> Self {
        headers.get_all(name).iter().fold(Self::None, Self::and)
    }

    fn and(self, value: &'a HeaderValue) -> Self {
        if let Self::None = self { Self::One(value) } else { Self::Several }
    }
}

/// Headers of a map that is looked through; in a larger one each name is looked up.
const FEW_HEADERS: usize = 16;

/// The headers of W3C's formats in a map.
pub(crate) struct SentHeaders<'a> {
    all: &'a HeaderMap,
    traceparent: Sent<'a>,
    baggage: Sent<'a>,
}

impl<'a> SentHeaders<'a> {
    /// To compare a few names takes less than to hash those that are wanted.
    pub(crate) fn of(all: &'a HeaderMap) -> Self {
        if all.len() > FEW_HEADERS {
            let [traceparent, baggage] =
                [&TRACEPARENT_HEADER, &BAGGAGE_HEADER].map(|name| Sent::of(all, name));
            return Self { all, traceparent, baggage };
        }
        let mut found = Self { all, traceparent: Sent::None, baggage: Sent::None };
        for (name, value) in all {
            if *name == TRACEPARENT_HEADER {
                found.traceparent = found.traceparent.and(value);
            } else if *name == BAGGAGE_HEADER {
                found.baggage = found.baggage.and(value);
            }
        }
        found
    }

    /// The map.
    pub(crate) fn all(&self) -> &'a HeaderMap {
        self.all
    }
}

/// A caller's span as its headers describe it.
pub(crate) struct RemoteParent {
    pub(crate) span: SpanContext,
    raw: Option<RawTraceState>,
    note: Option<Note>,
}

impl RemoteParent {
    fn read<'a>(traceparent: &str, tracestate: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        let (trace_id, span_id, flags) = traceparent::parse(traceparent)?;
        let (state, text) = tracestate::parse(tracestate);
        let raw = text.map(|text| RawTraceState::new(trace_id, text));
        Some(Self { span: SpanContext::new(trace_id, span_id, flags, true, state), raw, note: None })
    }

    fn read_format(format: Format, carrier: &dyn Extractor) -> Option<Self> {
        let sent = format.read(carrier)?;
        let span = SpanContext::new(sent.trace_id, sent.span_id, sent.flags(), true, TraceState::NONE);
        Some(Self { span, raw: None, note: sent.note() })
    }

    /// Whether it brought something along that its span context cannot hold.
    pub(crate) fn has_more(&self) -> bool {
        self.raw.is_some() || self.note.is_some()
    }

    pub(crate) fn above(self, context: &Context) -> Context {
        let mut context = context.with_remote_span_context(self.span);
        if let Some(raw) = self.raw {
            context = context.with_value(raw);
        }
        if let Some(note) = self.note {
            context = context.with_value(note);
        }
        context
    }
}

fn written(span: &SpanContext) -> String {
    traceparent::format(span.trace_id(), span.span_id(), span.trace_flags()).map(char::from).iter().collect()
}

/// The values of a header.
fn texts<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    headers.get_all(name).iter().map(carriers::text_of)
}

/// One of the formats beside W3C's.
fn format_of(propagator: Propagator) -> Option<Format> {
    match propagator {
        Propagator::TraceContext | Propagator::Baggage => None,
        Propagator::B3 => Some(Format::B3),
        Propagator::B3Multi => Some(Format::B3Multi),
        Propagator::Jaeger => Some(Format::Jaeger),
        Propagator::XRay => Some(Format::XRay),
    }
}

/// The formats of one handle.
#[derive(Clone, Debug)]
pub(crate) struct Propagation {
    trace_context: bool,
    /// Formats beside it, those before it first.
    others: Vec<Format>,
    /// How many of them come behind W3C's in the settings, and count more.
    behind: usize,
    baggage: Option<BaggageSettings>,
    /// Baggage in Jaeger's headers.
    jaeger_baggage: Option<BaggageSettings>,
}

impl Propagation {
    pub(crate) fn new(formats: &[Propagator], baggage: &BaggageSettings) -> Self {
        let others = formats.iter().filter_map(|format| format_of(*format)).collect();
        let own = formats.iter().position(|format| *format == Propagator::TraceContext);
        let behind =
            formats.iter().skip(own.unwrap_or_default()).filter(|format| format_of(**format).is_some());
        Self {
            trace_context: own.is_some(),
            behind: behind.count(),
            others,
            baggage: formats.contains(&Propagator::Baggage).then(|| baggage.clone()),
            jaeger_baggage: formats.contains(&Propagator::Jaeger).then(|| baggage.clone()),
        }
    }

    pub(crate) fn inject(&self, context: &Context, carrier: &mut dyn Injector) {
        self.inject_trace_context(context, carrier);
        for (name, value) in self.jaeger_baggage_of(context) {
            carrier.set(&name, value);
        }
        if let Some(rules) = &self.baggage
            && let Some(header) = baggage::header(context, rules)
        {
            carrier.set(baggage::HEADER, header);
        }
    }

    pub(crate) fn inject_trace_context(&self, context: &Context, carrier: &mut dyn Injector) {
        let span = context.span();
        let span = span.span_context();
        for (name, value) in self.written_by_others(context, span) {
            carrier.set(name, value);
        }
        if !self.trace_context {
            return;
        }
        if span.is_valid() {
            carrier.set(TRACEPARENT, written(span));
            if let Some(state) = tracestate_of(context, span) {
                carrier.set(TRACESTATE, state);
            }
        }
    }

    /// As [`inject`](Self::inject) into a map of headers, or as [`inject_trace_context`](Self::inject_trace_context)
    /// without baggage. A `traceparent` that is sensitive stays out of the tables of HTTP/2.
    pub(crate) fn inject_headers(
        &self,
        context: &Context,
        headers: &mut HeaderMap,
        with_baggage: bool,
        is_sensitive: bool,
    ) {
        let span = context.span();
        let span = span.span_context();
        if self.trace_context && span.is_valid() {
            let written = traceparent::format(span.trace_id(), span.span_id(), span.trace_flags());
            if let Ok(mut value) = HeaderValue::from_bytes(&written) {
                value.set_sensitive(is_sensitive);
                headers.insert(&TRACEPARENT_HEADER, value);
            }
            if let Some(state) =
                tracestate_of(context, span).and_then(|state| HeaderValue::try_from(state).ok())
            {
                headers.insert(&TRACESTATE_HEADER, state);
            }
        }
        for (name, value) in self.written_by_others(context, span) {
            if let Ok(mut value) = HeaderValue::try_from(value) {
                value.set_sensitive(is_sensitive);
                headers.insert(HeaderName::from_static(name), value);
            }
        }
        if with_baggage {
            for (name, value) in self.jaeger_baggage_of(context) {
                HeaderInjector(headers).set(&name, value);
            }
        }
        if with_baggage
            && let Some(rules) = &self.baggage
            && let Some(header) = baggage::header(context, rules)
            && let Ok(value) = HeaderValue::try_from(header)
        {
            headers.insert(&BAGGAGE_HEADER, value);
        }
    }

    /// In the formats beside W3C's.
    fn written_by_others(&self, context: &Context, span: &SpanContext) -> formats::Headers {
        if self.others.is_empty() || !span.is_valid() {
            return formats::Headers::new();
        }
        let is_debug = Note::of(context, span.trace_id()).is_some_and(Note::is_debug);
        self.others.iter().flat_map(|format| format.write(span, is_debug)).collect()
    }

    /// The members that may leave, each as a header.
    fn jaeger_baggage_of(&self, context: &Context) -> Vec<(String, String)> {
        let members = self.jaeger_baggage.as_ref().and_then(|rules| baggage::header(context, rules));
        let members = members.as_deref().unwrap_or_default().split(',');
        let pairs = members.filter_map(|member| member.split(';').next()?.split_once('='));
        pairs.map(|(key, value)| (format!("{}{key}", formats::BAGGAGE_PREFIX), value.to_owned())).collect()
    }

    /// The header names this reads and writes.
    pub(crate) fn fields(&self) -> Vec<String> {
        let trace_context = self.trace_context.then_some([TRACEPARENT, TRACESTATE]);
        let others = self.others.iter().flat_map(|format| format.fields()).copied();
        let baggage = self.baggage.as_ref().map(|_| baggage::HEADER);
        trace_context.into_iter().flatten().chain(others).chain(baggage).map(ToOwned::to_owned).collect()
    }

    /// The caller's span, where `own` reads it from W3C's headers.
    fn read(
        &self,
        carrier: &dyn Extractor,
        own: impl FnOnce() -> Option<RemoteParent>,
    ) -> Option<RemoteParent> {
        let (before, behind) = self.others.split_at(self.others.len().saturating_sub(self.behind));
        let last = |formats: &[Format]| {
            formats.iter().rev().find_map(|format| RemoteParent::read_format(*format, carrier))
        };
        last(behind).or_else(own).or_else(|| last(before))
    }

    /// `base` below the caller's span, without its baggage.
    pub(crate) fn extract_trace_context(&self, base: &Context, carrier: &dyn Extractor) -> Context {
        let own = || match carrier.get_all(TRACEPARENT).as_deref() {
            Some([traceparent]) if self.trace_context => {
                RemoteParent::read(traceparent, carrier.get_all(TRACESTATE).into_iter().flatten())
            }
            Some(_) | None => None,
        };
        let parent = self.read(carrier, own);
        parent.map_or_else(|| base.clone(), |parent| parent.above(base))
    }

    /// The caller's span in a map of headers.
    pub(crate) fn read_headers(&self, sent: &SentHeaders<'_>) -> Option<RemoteParent> {
        let own = || match sent.traceparent {
            Sent::One(traceparent) if self.trace_context => {
                RemoteParent::read(carriers::text_of(traceparent), texts(sent.all, &TRACESTATE_HEADER))
            }
            Sent::None | Sent::One(_) | Sent::Several => None,
        };
        if self.others.is_empty() { own() } else { self.read(&HeaderExtractor(sent.all), own) }
    }

    /// What headers have of baggage, as far as it is read.
    pub(crate) fn sent_baggage<'a>(&self, sent: &SentHeaders<'a>) -> Sent<'a> {
        match &self.baggage {
            _ if self.jaeger_baggage.is_some() => Sent::Several,
            None => Sent::None,
            Some(_) => sent.baggage,
        }
    }

    /// `base` with the baggage in a map of headers.
    pub(crate) fn with_baggage_of(&self, base: &Context, headers: &HeaderMap) -> Context {
        let base = self.with_jaeger_baggage(base.clone(), &HeaderExtractor(headers));
        if let Some(rules) = &self.baggage
            && headers.contains_key(&BAGGAGE_HEADER)
            && let Some(baggage) = baggage::parse(&texts(headers, &BAGGAGE_HEADER).collect::<Vec<_>>(), rules)
        {
            return baggage::attach(&base, baggage);
        }
        base
    }

    /// `context` with the baggage in Jaeger's headers.
    fn with_jaeger_baggage(&self, context: Context, carrier: &dyn Extractor) -> Context {
        let Some(rules) = &self.jaeger_baggage else { return context };
        let members = carrier.keys().into_iter().filter_map(|name| {
            let key = name.get(formats::BAGGAGE_PREFIX.len()..)?;
            let is_baggage = name.to_ascii_lowercase().starts_with(formats::BAGGAGE_PREFIX);
            let value = carrier.get(name).filter(|value| is_baggage && !value.contains([',', ';']))?;
            Some(format!("{key}={value}"))
        });
        let members: Vec<String> = members.take(rules.max_members).collect();
        let members: Vec<&str> = members.iter().map(String::as_str).collect();
        match baggage::parse(&members, rules) {
            Some(baggage) => baggage::attach(&context, baggage),
            None => context,
        }
    }

    pub(crate) fn extract(&self, base: &Context, carrier: &dyn Extractor) -> Context {
        let mut context = self.with_jaeger_baggage(self.extract_trace_context(base, carrier), carrier);
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
    fn maps_of_headers_are_read_and_written_as_other_carriers() {
        let propagation = Propagation::new(&[Propagator::TraceContext, Propagator::Baggage], &all_baggage());
        let sent = [
            ("traceparent", PARENT),
            ("tracestate", "a=1"),
            ("tracestate", "foo@@bar=2"),
            ("baggage", "k=v;p"),
        ];
        let mut headers: HeaderMap = sent
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .fold(HeaderMap::new(), |mut headers, (name, value)| {
                headers.append(name, value);
                headers
            });
        let written = |context: &Context| {
            let (mut one, mut other, mut bare) = (HeaderMap::new(), HeaderMap::new(), HeaderMap::new());
            propagation.inject(context, &mut HeaderInjector(&mut one));
            propagation.inject_headers(context, &mut other, true, false);
            assert_eq!(one, other);
            propagation.inject_headers(context, &mut bare, false, true);
            assert!(bare.get("traceparent").is_none_or(HeaderValue::is_sensitive));
            other.remove("baggage");
            assert_eq!(bare, other);
            one
        };
        let read = |headers: &HeaderMap| {
            let own = propagation.with_baggage_of(&Context::new(), headers);
            propagation
                .read_headers(&SentHeaders::of(headers))
                .map_or(own.clone(), |parent| parent.above(&own))
        };
        let by_map = written(&read(&headers));
        assert_eq!(by_map, written(&propagation.extract(&Context::new(), &HeaderExtractor(&headers))));
        assert_eq!(by_map.len(), 3);
        assert_eq!(by_map["tracestate"], "a=1,foo@@bar=2");

        headers.append("traceparent", HeaderValue::from_static(PARENT));
        assert!(propagation.read_headers(&SentHeaders::of(&headers)).is_none(), "two are none");
        assert!(written(&read(&HeaderMap::new())).is_empty());
    }

    fn all_baggage() -> BaggageSettings {
        BaggageSettings { outbound: vec!["*".to_owned()], ..BaggageSettings::default() }
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

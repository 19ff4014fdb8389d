//! Trace context in formats that are older than W3C Trace Context: B3, Jaeger's, AWS X-Ray's.
//!
//! Each knows its headers and nothing of the others. What is malformed is as good as absent, as is a header that stands
//! there twice. What a span context has no place for, a debug flag or a decision that is left to the callee, stands beside it
//! in a [`Note`].

mod b3;
mod jaeger;
mod xray;

use opentelemetry::Context;
use opentelemetry::propagation::Extractor;
use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId};

pub(super) use jaeger::BAGGAGE_PREFIX;

/// One of the formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// One header `b3`.
    B3,
    /// Headers `x-b3-*`. What is read may also stand in one header, as with [`Format::B3`] and the other way round.
    B3Multi,
    /// `uber-trace-id`.
    Jaeger,
    /// `x-amzn-trace-id`.
    XRay,
}

/// What a caller says about sampling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Choice {
    Sampled,
    NotSampled,
    /// Sampled, and by all that come after.
    Debug,
    /// The callee decides.
    Deferred,
}

/// A caller's span as its headers have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sent {
    pub(super) trace_id: TraceId,
    pub(super) span_id: SpanId,
    pub(super) choice: Choice,
}

/// Headers to be written.
pub(super) type Headers = Vec<(&'static str, String)>;

impl Format {
    pub(super) fn fields(self) -> &'static [&'static str] {
        match self {
            Self::B3 => &b3::SINGLE,
            Self::B3Multi => &b3::MULTI,
            Self::Jaeger => &jaeger::FIELDS,
            Self::XRay => &xray::FIELDS,
        }
    }

    pub(super) fn read(self, carrier: &dyn Extractor) -> Option<Sent> {
        let sent = match self {
            Self::B3 => b3::read_single(carrier).or_else(|| b3::read_multi(carrier)),
            Self::B3Multi => b3::read_multi(carrier).or_else(|| b3::read_single(carrier)),
            Self::Jaeger => jaeger::read(carrier),
            Self::XRay => xray::read(carrier),
        };
        sent.filter(|sent| sent.trace_id != TraceId::INVALID && sent.span_id != SpanId::INVALID)
    }

    /// `is_debug` says whether the trace came with that flag.
    pub(super) fn write(self, span: &SpanContext, is_debug: bool) -> Headers {
        let choice = match (is_debug, span.is_sampled()) {
            (true, true) => Choice::Debug,
            (_, true) => Choice::Sampled,
            (_, false) => Choice::NotSampled,
        };
        let sent = Sent { trace_id: span.trace_id(), span_id: span.span_id(), choice };
        match self {
            Self::B3 => b3::write_single(&sent),
            Self::B3Multi => b3::write_multi(&sent),
            Self::Jaeger => jaeger::write(&sent),
            Self::XRay => xray::write(&sent),
        }
    }
}

impl Sent {
    pub(super) fn flags(&self) -> TraceFlags {
        TraceFlags::default().with_sampled(matches!(self.choice, Choice::Sampled | Choice::Debug))
    }

    pub(super) fn note(&self) -> Option<Note> {
        let (is_debug, is_deferred) = (self.choice == Choice::Debug, self.choice == Choice::Deferred);
        (is_debug || is_deferred).then_some(Note { trace_id: self.trace_id, is_debug, is_deferred })
    }
}

/// In a context, beside the span of a remote parent. Of one trace: it says nothing about others.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Note {
    trace_id: TraceId,
    is_debug: bool,
    is_deferred: bool,
}

impl Note {
    pub(super) fn of(context: &Context, trace_id: TraceId) -> Option<Self> {
        context.get::<Self>().copied().filter(|note| note.trace_id == trace_id)
    }

    pub(super) fn is_debug(self) -> bool {
        self.is_debug
    }

    pub(super) fn is_deferred(self) -> bool {
        self.is_deferred
    }
}

/// The value of a header that stands there once.
fn only<'a>(carrier: &'a dyn Extractor, name: &str) -> Option<&'a str> {
    match carrier.get_all(name)?.as_slice() {
        [value] => Some(value.trim_matches([' ', '\t'])),
        _ => None,
    }
}

/// Up to this many digits of either case, at least one.
fn hex(digits: &str, max: usize) -> Option<u128> {
    let is_hex =
        !digits.is_empty() && digits.len() <= max && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    u128::from_str_radix(digits, 16).ok().filter(|_| is_hex)
}

fn span_id(digits: &str) -> Option<SpanId> {
    u64::try_from(hex(digits, 16)?).ok().map(SpanId::from)
}

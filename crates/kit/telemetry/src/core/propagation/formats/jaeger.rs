//! Jaeger's own format: <https://www.jaegertracing.io/docs/1.6/client-libraries/#propagation-format>.
//!
//! Its baggage, a header `uberctx-{key}` for each entry, is read and written by the same rules as that of W3C.

use opentelemetry::propagation::Extractor;
use opentelemetry::trace::TraceId;
use percent_encoding::percent_decode_str;

use super::{Choice, Headers, Sent, hex, only, span_id};

const UBER_TRACE_ID: &str = "uber-trace-id";
/// In front of the keys of baggage.
pub(in crate::core::propagation) const BAGGAGE_PREFIX: &str = "uberctx-";

pub(super) const FIELDS: [&str; 1] = [UBER_TRACE_ID];

const SAMPLED: u128 = 1;
const DEBUG: u128 = 2;

/// `{trace id}:{span id}:{parent's span id}:{flags}`, ids without the zeros in front; the whole may be percent-encoded.
pub(super) fn read(carrier: &dyn Extractor) -> Option<Sent> {
    let text = percent_decode_str(only(carrier, UBER_TRACE_ID)?).decode_utf8().ok()?;
    let parts: Vec<&str> = text.split(':').collect();
    let [trace, span, _parent, flags] = *parts.as_slice() else { return None };
    let flags = hex(flags, 2)?;
    let choice = match (flags & SAMPLED != 0, flags & DEBUG != 0) {
        (true, true) => Choice::Debug,
        (true, false) => Choice::Sampled,
        (false, _) => Choice::NotSampled,
    };
    Some(Sent { trace_id: hex(trace, 32).map(TraceId::from)?, span_id: span_id(span)?, choice })
}

/// The parent's id is obsolete and 0.
pub(super) fn write(sent: &Sent) -> Headers {
    let flags = match sent.choice {
        Choice::Debug => SAMPLED | DEBUG,
        Choice::Sampled => SAMPLED,
        Choice::NotSampled | Choice::Deferred => 0,
    };
    vec![(UBER_TRACE_ID, format!("{}:{}:0:{flags:x}", sent.trace_id, sent.span_id))]
}

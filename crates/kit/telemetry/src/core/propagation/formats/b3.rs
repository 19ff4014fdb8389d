//! B3, in one header or in several: <https://github.com/openzipkin/b3-propagation>.
//!
//! Trace ids of 64 bits are read with zeros in front. A header that holds nothing but a decision has no span to go on from, and
//! is none. The id of the parent's parent is neither kept nor written.

use opentelemetry::propagation::Extractor;
use opentelemetry::trace::TraceId;

use super::{Choice, Headers, Sent, hex, only, span_id};

const B3: &str = "b3";
const TRACE_ID: &str = "x-b3-traceid";
const SPAN_ID: &str = "x-b3-spanid";
const SAMPLED: &str = "x-b3-sampled";
const FLAGS: &str = "x-b3-flags";

pub(super) const SINGLE: [&str; 1] = [B3];
pub(super) const MULTI: [&str; 4] = [TRACE_ID, SPAN_ID, SAMPLED, FLAGS];

/// `{trace id}-{span id}-{decision}-{parent's span id}`, the last two optional.
pub(super) fn read_single(carrier: &dyn Extractor) -> Option<Sent> {
    let parts: Vec<&str> = only(carrier, B3)?.split('-').collect();
    let (trace, span, choice) = match *parts.as_slice() {
        [trace, span] => (trace, span, Choice::Deferred),
        [trace, span, decision] => (trace, span, choice_of(decision)?),
        [trace, span, decision, parent] => {
            span_id(parent)?;
            (trace, span, choice_of(decision)?)
        }
        _ => return None,
    };
    Some(Sent { trace_id: trace_id(trace)?, span_id: span_id(span)?, choice })
}

pub(super) fn read_multi(carrier: &dyn Extractor) -> Option<Sent> {
    let (trace_id, span_id) = (trace_id(only(carrier, TRACE_ID)?)?, span_id(only(carrier, SPAN_ID)?)?);
    let choice = match (only(carrier, FLAGS), only(carrier, SAMPLED)) {
        (Some("1"), _) => Choice::Debug,
        (_, Some(decision)) => choice_of(decision)?,
        (_, None) => Choice::Deferred,
    };
    Some(Sent { trace_id, span_id, choice })
}

/// Older senders write words.
fn choice_of(decision: &str) -> Option<Choice> {
    match decision {
        "1" | "true" => Some(Choice::Sampled),
        "0" | "false" => Some(Choice::NotSampled),
        "d" => Some(Choice::Debug),
        _ => None,
    }
}

fn trace_id(digits: &str) -> Option<TraceId> {
    let is_whole = matches!(digits.len(), 16 | 32);
    hex(digits, 32).filter(|_| is_whole).map(TraceId::from)
}

pub(super) fn write_single(sent: &Sent) -> Headers {
    let decision = match sent.choice {
        Choice::Sampled => "1",
        Choice::Debug => "d",
        Choice::NotSampled | Choice::Deferred => "0",
    };
    vec![(B3, format!("{}-{}-{decision}", sent.trace_id, sent.span_id))]
}

/// The debug flag stands for the decision as well.
pub(super) fn write_multi(sent: &Sent) -> Headers {
    let decision = match sent.choice {
        Choice::Debug => (FLAGS, "1"),
        Choice::Sampled => (SAMPLED, "1"),
        Choice::NotSampled | Choice::Deferred => (SAMPLED, "0"),
    };
    vec![
        (TRACE_ID, sent.trace_id.to_string()),
        (SPAN_ID, sent.span_id.to_string()),
        (decision.0, decision.1.to_owned()),
    ]
}

//! What a decoded batch takes in memory, to within the allocator's rounding.

use crate::{Attribute, Batch, Event, Link, LogRecord, Refusal, Span, Value, Wire};
use std::mem::size_of;

impl Batch {
    /// Bytes of the decoded records, without those of the request that their texts are slices of. Every attribute is
    /// looked at.
    pub fn footprint(&self) -> usize {
        let spans: usize = self.spans.iter().map(span).sum();
        let logs: usize = self.logs.iter().map(log).sum();
        spans + logs + self.refused.len() * size_of::<Refusal>()
    }

    /// Bytes of the request, if the batch has it.
    pub fn wire_len(&self) -> usize {
        match &self.wire {
            Some(Wire::Traces(bytes) | Wire::Logs(bytes)) => bytes.len(),
            None => 0,
        }
    }
}

fn span(span: &Span) -> usize {
    let events: usize =
        span.events.iter().map(|event| size_of::<Event>() + attributes(&event.attributes)).sum();
    let links: usize = span.links.iter().map(|link| size_of::<Link>() + attributes(&link.attributes)).sum();
    size_of::<Span>() + attributes(&span.attributes) + events + links
}

fn log(log: &LogRecord) -> usize {
    size_of::<LogRecord>() + attributes(&log.attributes) + value(&log.body)
}

fn attributes(attributes: &[Attribute]) -> usize {
    let nested: usize = attributes.iter().map(|attribute| value(&attribute.value)).sum();
    size_of_val(attributes) + nested
}

/// Beside the value itself. Values are not nested deeper than `Limits::DEEPEST`.
fn value(of: &Value) -> usize {
    match of {
        Value::Array(values) => size_of_val(&**values) + values.iter().map(value).sum::<usize>(),
        Value::Map(entries) => attributes(entries),
        _ => 0,
    }
}

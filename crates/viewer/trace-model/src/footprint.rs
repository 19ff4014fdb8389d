//! What a decoded batch takes in memory, to within the allocator's rounding.

use std::mem::size_of;
use waypost_trace_model::{Attribute, Batch, Event, Link, LogRecord, Refusal, Span, Value, Wire};

/// Bytes of the decoded records, without those of the request that their texts are slices of.
pub(crate) fn of(batch: &Batch) -> usize {
    let spans: usize = batch.spans.iter().map(span).sum();
    let logs: usize = batch.logs.iter().map(log).sum();
    spans + logs + batch.refused.len() * size_of::<Refusal>()
}

/// Bytes of the request, if the batch has it.
pub(crate) fn of_wire(batch: &Batch) -> usize {
    match &batch.wire {
        Some(Wire::Traces(bytes) | Wire::Logs(bytes)) => bytes.len(),
        None => 0,
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

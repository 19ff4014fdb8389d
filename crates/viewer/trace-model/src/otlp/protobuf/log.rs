//! `LogRecord`.

use super::{Origin, attributes};
use crate::{
    LogRecord, RefusalReason, SpanId, Text, TraceId, Value,
    admission::{Admission, Stop, text},
    wire::{Reader, Writer},
};
use std::sync::Arc;

/// From a `LogRecord` message.
pub(in crate::otlp) fn decode(
    mut reader: Reader<'_>,
    admission: &mut Admission<'_>,
    origin: Origin<'_>,
) -> Result<LogRecord, Stop> {
    let mut record = LogRecord {
        time: 0,
        observed: 0,
        severity: 0,
        severity_text: Text::new(),
        body: Value::Empty,
        event_name: Text::new(),
        attributes: Vec::new(),
        dropped_attributes: 0,
        flags: 0,
        trace_id: None,
        span_id: None,
        resource: Arc::clone(origin.resource),
        scope: Arc::clone(origin.scope),
    };
    while let Some((number, raw)) = reader.next()? {
        match number {
            1 => record.time = reader.fixed64_of(raw)?,
            2 => record.severity = severity(reader.varint_of(raw)?),
            3 => record.severity_text = text(&reader, raw, admission.limits.text_length)?,
            5 => {
                record.body =
                    attributes::value(&reader, raw, admission).map_err(|stop| stop.within("body"))?;
            }
            6 => attributes::push(&mut record.attributes, &reader, raw, admission)?,
            7 => record.dropped_attributes = reader.uint32_of(raw)?,
            8 => record.flags = reader.fixed32_of(raw)?,
            9 => {
                let bytes = sized(reader.bytes(raw)?, 16)?;
                record.trace_id = TraceId::from_bytes(bytes);
            }
            10 => {
                let bytes = sized(reader.bytes(raw)?, 8)?;
                record.span_id = SpanId::from_bytes(bytes);
            }
            11 => record.observed = reader.fixed64_of(raw)?,
            12 => record.event_name = text(&reader, raw, admission.limits.text_length)?,
            _ => {}
        }
    }
    Ok(record)
}

/// OTLP's severity number; 0, which is "nobody said", for numbers that it does not have.
pub(in crate::otlp) fn severity(number: u64) -> u8 {
    u8::try_from(number).ok().filter(|number| *number <= 24).unwrap_or_default()
}

fn sized(id: &[u8], length: usize) -> Result<&[u8], RefusalReason> {
    if id.is_empty() || id.len() == length { Ok(id) } else { Err(RefusalReason::InvalidId) }
}

/// Writes the fields of a `LogRecord`.
pub(in crate::otlp) fn encode(record: &LogRecord, writer: &mut Writer) {
    writer.fixed64(1, record.time);
    writer.varint(2, u64::from(record.severity));
    writer.bytes(3, record.severity_text.as_bytes());
    if record.body != Value::Empty {
        writer.message(5, |writer| attributes::encode_value(&record.body, writer));
    }
    attributes::encode(6, &record.attributes, writer);
    writer.varint(7, u64::from(record.dropped_attributes));
    writer.fixed32(8, record.flags);
    if let Some(trace_id) = &record.trace_id {
        writer.bytes(9, trace_id.as_bytes());
    }
    if let Some(span_id) = &record.span_id {
        writer.bytes(10, span_id.as_bytes());
    }
    writer.fixed64(11, record.observed);
    writer.bytes(12, record.event_name.as_bytes());
}

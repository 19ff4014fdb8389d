//! OTLP as JSON: a request in protobuf's bytes written by the JSON mapping of OTLP.
//!
//! A table says what each field is called and how it is written; unknown fields are left out. Ids are hexadecimal,
//! 64-bit numbers are texts, enumerations are numbers.
//! <https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding>.

use std::fmt::Write as _;

use crate::base::wire::read::{Field, fields, varint};

/// The fields of a message.
#[derive(Debug)]
pub(crate) struct Message(&'static [(u32, &'static str, Kind)]);

#[derive(Clone, Copy, Debug)]
enum Kind {
    Text,
    Hex,
    Base64,
    Bool,
    /// A number of at most 32 bits, or an enumeration.
    Number,
    /// A 64-bit number without sign.
    Long,
    /// A 64-bit number with sign.
    SignedLong,
    ZigZag,
    Double,
    One(&'static Message),
    Many(&'static Message),
    /// Packed or not.
    ManyDoubles,
    ManyLongs,
    ManyFixedLongs,
}

use Kind::{
    Base64, Bool, Double, Hex, Long, Many, ManyDoubles, ManyFixedLongs, ManyLongs, Number, One, SignedLong,
    Text, ZigZag,
};

static ARRAY: Message = Message(&[(1, "values", Many(&VALUE))]);
static MAP: Message = Message(&[(1, "values", Many(&ATTRIBUTE))]);
static VALUE: Message = Message(&[
    (1, "stringValue", Text),
    (2, "boolValue", Bool),
    (3, "intValue", SignedLong),
    (4, "doubleValue", Double),
    (5, "arrayValue", One(&ARRAY)),
    (6, "kvlistValue", One(&MAP)),
    (7, "bytesValue", Base64),
]);
static ATTRIBUTE: Message = Message(&[(1, "key", Text), (2, "value", One(&VALUE))]);
static RESOURCE: Message =
    Message(&[(1, "attributes", Many(&ATTRIBUTE)), (2, "droppedAttributesCount", Number)]);
static SCOPE: Message = Message(&[
    (1, "name", Text),
    (2, "version", Text),
    (3, "attributes", Many(&ATTRIBUTE)),
    (4, "droppedAttributesCount", Number),
]);

/// An export request of spans.
pub(crate) static TRACES: Message = Message(&[(1, "resourceSpans", Many(&RESOURCE_SPANS))]);
static RESOURCE_SPANS: Message = Message(&[
    (1, "resource", One(&RESOURCE)),
    (2, "scopeSpans", Many(&SCOPE_SPANS)),
    (3, "schemaUrl", Text),
]);
static SCOPE_SPANS: Message =
    Message(&[(1, "scope", One(&SCOPE)), (2, "spans", Many(&SPAN)), (3, "schemaUrl", Text)]);
static SPAN: Message = Message(&[
    (1, "traceId", Hex),
    (2, "spanId", Hex),
    (3, "traceState", Text),
    (4, "parentSpanId", Hex),
    (5, "name", Text),
    (6, "kind", Number),
    (7, "startTimeUnixNano", Long),
    (8, "endTimeUnixNano", Long),
    (9, "attributes", Many(&ATTRIBUTE)),
    (10, "droppedAttributesCount", Number),
    (11, "events", Many(&EVENT)),
    (12, "droppedEventsCount", Number),
    (13, "links", Many(&LINK)),
    (14, "droppedLinksCount", Number),
    (15, "status", One(&STATUS)),
    (16, "flags", Number),
]);
static EVENT: Message = Message(&[
    (1, "timeUnixNano", Long),
    (2, "name", Text),
    (3, "attributes", Many(&ATTRIBUTE)),
    (4, "droppedAttributesCount", Number),
]);
static LINK: Message = Message(&[
    (1, "traceId", Hex),
    (2, "spanId", Hex),
    (3, "traceState", Text),
    (4, "attributes", Many(&ATTRIBUTE)),
    (5, "droppedAttributesCount", Number),
    (6, "flags", Number),
]);
static STATUS: Message = Message(&[(2, "message", Text), (3, "code", Number)]);

/// An export request of log records.
pub(crate) static LOGS: Message = Message(&[(1, "resourceLogs", Many(&RESOURCE_LOGS))]);
static RESOURCE_LOGS: Message =
    Message(&[(1, "resource", One(&RESOURCE)), (2, "scopeLogs", Many(&SCOPE_LOGS)), (3, "schemaUrl", Text)]);
static SCOPE_LOGS: Message =
    Message(&[(1, "scope", One(&SCOPE)), (2, "logRecords", Many(&LOG_RECORD)), (3, "schemaUrl", Text)]);
static LOG_RECORD: Message = Message(&[
    (1, "timeUnixNano", Long),
    (2, "severityNumber", Number),
    (3, "severityText", Text),
    (5, "body", One(&VALUE)),
    (6, "attributes", Many(&ATTRIBUTE)),
    (7, "droppedAttributesCount", Number),
    (8, "flags", Number),
    (9, "traceId", Hex),
    (10, "spanId", Hex),
    (11, "observedTimeUnixNano", Long),
    (12, "eventName", Text),
]);

/// An export request of metrics.
pub(crate) static METRICS: Message = Message(&[(1, "resourceMetrics", Many(&RESOURCE_METRICS))]);
static RESOURCE_METRICS: Message = Message(&[
    (1, "resource", One(&RESOURCE)),
    (2, "scopeMetrics", Many(&SCOPE_METRICS)),
    (3, "schemaUrl", Text),
]);
static SCOPE_METRICS: Message =
    Message(&[(1, "scope", One(&SCOPE)), (2, "metrics", Many(&METRIC)), (3, "schemaUrl", Text)]);
static METRIC: Message = Message(&[
    (1, "name", Text),
    (2, "description", Text),
    (3, "unit", Text),
    (5, "gauge", One(&GAUGE)),
    (7, "sum", One(&SUM)),
    (9, "histogram", One(&HISTOGRAM)),
    (10, "exponentialHistogram", One(&EXPONENTIAL_HISTOGRAM)),
]);
static GAUGE: Message = Message(&[(1, "dataPoints", Many(&NUMBER_POINT))]);
static SUM: Message = Message(&[
    (1, "dataPoints", Many(&NUMBER_POINT)),
    (2, "aggregationTemporality", Number),
    (3, "isMonotonic", Bool),
]);
static NUMBER_POINT: Message = Message(&[
    (2, "startTimeUnixNano", Long),
    (3, "timeUnixNano", Long),
    (4, "asDouble", Double),
    (6, "asInt", SignedLong),
    (5, "exemplars", Many(&EXEMPLAR)),
    (7, "attributes", Many(&ATTRIBUTE)),
    (8, "flags", Number),
]);
static EXEMPLAR: Message = Message(&[
    (2, "timeUnixNano", Long),
    (3, "asDouble", Double),
    (4, "spanId", Hex),
    (5, "traceId", Hex),
    (6, "asInt", SignedLong),
    (7, "filteredAttributes", Many(&ATTRIBUTE)),
]);
static HISTOGRAM: Message =
    Message(&[(1, "dataPoints", Many(&HISTOGRAM_POINT)), (2, "aggregationTemporality", Number)]);
static HISTOGRAM_POINT: Message = Message(&[
    (2, "startTimeUnixNano", Long),
    (3, "timeUnixNano", Long),
    (4, "count", Long),
    (5, "sum", Double),
    (6, "bucketCounts", ManyFixedLongs),
    (7, "explicitBounds", ManyDoubles),
    (8, "exemplars", Many(&EXEMPLAR)),
    (9, "attributes", Many(&ATTRIBUTE)),
    (10, "flags", Number),
    (11, "min", Double),
    (12, "max", Double),
]);
static EXPONENTIAL_HISTOGRAM: Message =
    Message(&[(1, "dataPoints", Many(&EXPONENTIAL_POINT)), (2, "aggregationTemporality", Number)]);
static EXPONENTIAL_POINT: Message = Message(&[
    (1, "attributes", Many(&ATTRIBUTE)),
    (2, "startTimeUnixNano", Long),
    (3, "timeUnixNano", Long),
    (4, "count", Long),
    (5, "sum", Double),
    (6, "scale", ZigZag),
    (7, "zeroCount", Long),
    (8, "positive", One(&BUCKETS)),
    (9, "negative", One(&BUCKETS)),
    (10, "flags", Number),
    (12, "min", Double),
    (13, "max", Double),
    (14, "zeroThreshold", Double),
]);
static BUCKETS: Message = Message(&[(1, "offset", ZigZag), (2, "bucketCounts", ManyLongs)]);

#[cfg(feature = "testing-collector")]
pub(crate) mod read;

/// Writes a message.
pub(crate) fn write(message: &Message, bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() * 2);
    put_message(&mut out, message, bytes);
    out
}

fn put_message(out: &mut String, message: &Message, bytes: &[u8]) {
    out.push('{');
    let mut is_first = true;
    for (number, name, kind) in message.0 {
        let mut found = fields(bytes).filter(|(given, _)| given == number).map(|(_, field)| field).peekable();
        if found.peek().is_none() {
            continue;
        }
        if !std::mem::take(&mut is_first) {
            out.push(',');
        }
        put_text(out, name);
        out.push(':');
        put_field(out, *kind, found);
    }
    out.push('}');
}

fn put_field<'a>(out: &mut String, kind: Kind, found: impl Iterator<Item = Field<'a>>) {
    let doubles = |bits: u64| double(f64::from_bits(bits));
    match kind {
        Many(message) => put_list(out, found, |out, field| put_message(out, message, field.bytes())),
        ManyDoubles => put_list(out, found.flat_map(fixed), |out, bits| out.push_str(&doubles(bits))),
        ManyFixedLongs => put_list(out, found.flat_map(fixed), put_long),
        ManyLongs => put_list(out, found.flat_map(varints), put_long),
        _ => {
            if let Some(field) = found.last() {
                put_one(out, kind, field);
            }
        }
    }
}

fn put_one(out: &mut String, kind: Kind, field: Field<'_>) {
    let number = field.number();
    match kind {
        Text => put_text(out, &field.text()),
        Hex => {
            out.push('"');
            for byte in field.bytes() {
                let _ = write!(out, "{byte:02x}");
            }
            out.push('"');
        }
        Base64 => put_text(out, &base64(field.bytes())),
        Bool => out.push_str(if number == 0 { "false" } else { "true" }),
        Number => drop(write!(out, "{number}")),
        Long => put_long(out, number),
        SignedLong => drop(write!(out, "\"{}\"", number.cast_signed())),
        ZigZag => drop(write!(out, "{}", (number >> 1).cast_signed() ^ -(number & 1).cast_signed())),
        Double => out.push_str(&double(f64::from_bits(number))),
        One(message) => put_message(out, message, field.bytes()),
        Many(_) | ManyDoubles | ManyLongs | ManyFixedLongs => {}
    }
}

fn put_list<T>(out: &mut String, items: impl Iterator<Item = T>, put: impl Fn(&mut String, T)) {
    out.push('[');
    for (place, item) in items.enumerate() {
        if place > 0 {
            out.push(',');
        }
        put(out, item);
    }
    out.push(']');
}

fn put_long(out: &mut String, number: u64) {
    let _ = write!(out, "\"{number}\"");
}

/// Numbers that JSON has no word for are texts.
fn double(number: f64) -> String {
    if number.is_nan() {
        "\"NaN\"".to_owned()
    } else if number.is_infinite() {
        if number > 0.0 { "\"Infinity\"" } else { "\"-Infinity\"" }.to_owned()
    } else {
        format!("{number:?}")
    }
}

fn put_text(out: &mut String, text: &str) {
    out.push('"');
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            letter if letter.is_control() => drop(write!(out, "\\u{:04x}", u32::from(letter))),
            letter => out.push(letter),
        }
    }
    out.push('"');
}

/// 64-bit numbers, packed in one field or each in its own.
fn fixed(field: Field<'_>) -> Vec<u64> {
    match field {
        Field::Bytes(bytes) => {
            bytes.as_chunks::<8>().0.iter().map(|number| u64::from_le_bytes(*number)).collect()
        }
        other => vec![other.number()],
    }
}

fn varints(field: Field<'_>) -> Vec<u64> {
    match field {
        Field::Bytes(mut bytes) => std::iter::from_fn(|| varint(&mut bytes)).collect(),
        other => vec![other.number()],
    }
}

pub(crate) fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let bits =
            group.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        for place in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * place)) as usize & 63];
            text.push(if place <= group.len() { char::from(digit) } else { '=' });
        }
    }
    text
}

/// Number and reason in the answer of any signal: `{"partialSuccess":{"rejectedSpans":"2","errorMessage":"x"}}`.
pub(super) fn partial_success(answer: &[u8]) -> (u64, String) {
    let Ok(answer) = serde_json::from_slice::<serde_json::Value>(answer) else { return (0, String::new()) };
    let partial = answer.get("partialSuccess");
    let names = ["rejectedSpans", "rejectedDataPoints", "rejectedLogRecords"];
    let rejected = names.iter().find_map(|name| partial?.get(name)).and_then(|rejected| match rejected {
        serde_json::Value::String(text) => text.parse().ok(),
        other => other.as_u64(),
    });
    let message = partial.and_then(|partial| partial.get("errorMessage")?.as_str()).unwrap_or_default();
    (rejected.unwrap_or(0), message.to_owned())
}

#[cfg(test)]
mod tests;

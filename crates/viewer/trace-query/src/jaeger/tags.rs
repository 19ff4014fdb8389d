//! Attributes as Jaeger's tags.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Serialize, Serializer};
use std::borrow::Cow;
use waypost_trace_model::{Attribute, Kind, Span, StatusCode, Value};

/// The largest whole number that JavaScript reads exactly; numbers beyond it are written as text.
const SAFE: u64 = (1 << 53) - 1;

/// `{"key","type","value"}`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Tag<'a> {
    pub(crate) key: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    value: TagValue<'a>,
}

#[derive(Clone, Debug, PartialEq)]
enum TagValue<'a> {
    Text(Cow<'a, str>),
    Bool(bool),
    Int(i64),
    Double(f64),
}

impl Serialize for TagValue<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            TagValue::Text(text) => serializer.serialize_str(text),
            TagValue::Bool(value) => serializer.serialize_bool(*value),
            TagValue::Int(number) if number.unsigned_abs() > SAFE => serializer.collect_str(number),
            TagValue::Int(number) => serializer.serialize_i64(*number),
            TagValue::Double(number) if number.is_finite() => serializer.serialize_f64(*number),
            // JSON has no such numbers.
            TagValue::Double(number) if number.is_nan() => serializer.serialize_str("NaN"),
            TagValue::Double(number) if *number > 0.0 => serializer.serialize_str("Infinity"),
            TagValue::Double(_) => serializer.serialize_str("-Infinity"),
        }
    }
}

impl<'a> Tag<'a> {
    pub(crate) fn text(key: &'a str, value: impl Into<Cow<'a, str>>) -> Tag<'a> {
        Tag { key, kind: "string", value: TagValue::Text(value.into()) }
    }

    fn of(attribute: &'a Attribute) -> Tag<'a> {
        let (kind, value) = match &attribute.value {
            Value::Bool(value) => ("bool", TagValue::Bool(*value)),
            Value::Int(number) => ("int64", TagValue::Int(*number)),
            Value::Double(number) => ("float64", TagValue::Double(*number)),
            Value::Bytes(bytes) => ("binary", TagValue::Text(STANDARD.encode(bytes).into())),
            text => ("string", TagValue::Text(text.display())),
        };
        Tag { key: &attribute.key, kind, value }
    }
}

/// Attributes as tags, by key unless they are wanted raw.
pub(crate) fn of_attributes<'a>(
    attributes: impl Iterator<Item = &'a Attribute>,
    is_raw: bool,
) -> Vec<Tag<'a>> {
    let mut tags: Vec<Tag<'_>> = attributes.map(Tag::of).collect();
    if !is_raw {
        tags.sort_by_key(|tag| tag.key);
    }
    tags
}

/// A span's attributes as tags, with what Jaeger has no field for: scope, kind, status and trace state. By key unless they
/// are wanted raw; of equal keys an attribute comes last, so that a reader of one sees what the span is.
pub(crate) fn of_span(span: &Span, is_raw: bool) -> Vec<Tag<'_>> {
    let mut tags = Vec::with_capacity(span.attributes.len() + 7);
    let named = [("otel.scope.name", &span.scope.name), ("otel.scope.version", &span.scope.version)];
    tags.extend(
        named.into_iter().filter(|(_, text)| !text.is_empty()).map(|(key, text)| Tag::text(key, &**text)),
    );
    let attributes = of_attributes(span.attributes.iter(), is_raw);
    if is_raw {
        tags.extend(attributes.iter().cloned());
    }
    if span.kind != Kind::Unspecified {
        tags.push(Tag::text("span.kind", span.kind.name()));
    }
    match span.status.code {
        StatusCode::Unset => {}
        StatusCode::Ok => tags.push(Tag::text("otel.status_code", "OK")),
        StatusCode::Error => {
            tags.push(Tag::text("otel.status_code", "ERROR"));
            tags.push(Tag { key: "error", kind: "bool", value: TagValue::Bool(true) });
        }
    }
    let last = [("otel.status_description", &span.status.message), ("w3c.tracestate", &span.trace_state)];
    tags.extend(
        last.into_iter().filter(|(_, text)| !text.is_empty()).map(|(key, text)| Tag::text(key, &**text)),
    );
    if !is_raw {
        tags.extend(attributes);
        // Stable: the order of equal keys stays.
        tags.sort_by_key(|tag| tag.key);
    }
    tags
}

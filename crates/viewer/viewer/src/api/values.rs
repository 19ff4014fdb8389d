//! How nanoseconds, attributes and values are written.
//!
//! Numbers of 64 bits are decimal strings, as a JSON number would lose their last digits in most readers.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{
    Serialize, Serializer,
    ser::{SerializeMap as _, SerializeSeq as _},
};
use waypost_trace_model::{Attribute, Value};

/// A point in time, or any other number of 64 bits, as a decimal string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(test, derive(ts_rs::TS), ts(type = "string"))]
pub(super) struct Decimal(pub(super) u64);

impl Serialize for Decimal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// Attributes as `[{"key","type","value"}]`.
pub(super) struct Attributes<'a>(pub(super) &'a [Attribute]);

impl Serialize for Attributes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(Entry))
    }
}

struct Entry<'a>(&'a Attribute);

impl Serialize for Entry<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(3))?;
        map.serialize_entry("key", &*self.0.key)?;
        map.serialize_entry("type", type_name(&self.0.value))?;
        map.serialize_entry("value", &Plain(&self.0.value))?;
        map.end()
    }
}

/// A value as `{"type","value"}`.
struct Typed<'a>(&'a Value);

impl Serialize for Typed<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("type", type_name(self.0))?;
        map.serialize_entry("value", &Plain(self.0))?;
        map.end()
    }
}

/// A value without its type.
pub(super) struct Plain<'a>(pub(super) &'a Value);

impl Serialize for Plain<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Empty => serializer.serialize_unit(),
            Value::Bool(value) => serializer.serialize_bool(*value),
            Value::Int(value) => serializer.collect_str(value),
            Value::Double(value) if value.is_nan() => serializer.serialize_str("NaN"),
            Value::Double(value) if value.is_infinite() => {
                serializer.serialize_str(if *value > 0.0 { "Infinity" } else { "-Infinity" })
            }
            Value::Double(value) => serializer.serialize_f64(*value),
            Value::Text(text) => serializer.serialize_str(text),
            Value::Bytes(bytes) => serializer.serialize_str(&STANDARD.encode(bytes)),
            Value::Array(values) => {
                let mut list = serializer.serialize_seq(Some(values.len()))?;
                for value in &**values {
                    list.serialize_element(&Typed(value))?;
                }
                list.end()
            }
            Value::Map(entries) => Attributes(entries).serialize(serializer),
        }
    }
}

/// The name of a value's type.
pub(super) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Empty => "empty",
        Value::Bool(_) => "bool",
        Value::Int(_) => "int",
        Value::Double(_) => "double",
        Value::Text(_) => "string",
        Value::Bytes(_) => "bytes",
        Value::Array(_) => "array",
        Value::Map(_) => "map",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_type_of_value_is_written_with_its_name() {
        let entry = |key: &'static str, value| Attribute { key: key.into(), value };
        let attributes = [
            entry("text", Value::Text("<script>\u{1}".into())),
            entry("int", Value::Int(i64::MIN)),
            entry("double", Value::Double(1.5)),
            entry("nan", Value::Double(f64::NAN)),
            entry("least", Value::Double(f64::NEG_INFINITY)),
            entry("bool", Value::Bool(true)),
            entry("bytes", Value::Bytes(vec![0, 255].into())),
            entry("empty", Value::Empty),
            entry("array", Value::Array([Value::Int(1), Value::Empty].into())),
            entry("map", Value::Map([entry("k", Value::Bool(false))].into())),
        ];
        let expected = json!([
            {"key": "text", "type": "string", "value": "<script>\u{1}"},
            {"key": "int", "type": "int", "value": "-9223372036854775808"},
            {"key": "double", "type": "double", "value": 1.5},
            {"key": "nan", "type": "double", "value": "NaN"},
            {"key": "least", "type": "double", "value": "-Infinity"},
            {"key": "bool", "type": "bool", "value": true},
            {"key": "bytes", "type": "bytes", "value": "AP8="},
            {"key": "empty", "type": "empty", "value": null},
            {"key": "array", "type": "array", "value": [{"type": "int", "value": "1"}, {"type": "empty", "value": null}]},
            {"key": "map", "type": "map", "value": [{"key": "k", "type": "bool", "value": false}]},
        ]);
        assert_eq!(serde_json::to_value(Attributes(&attributes)).unwrap(), expected);
    }
}

//! Typed attribute values.

use crate::Text;
use bytes::Bytes;
use std::{borrow::Cow, fmt, sync::Arc};

/// A key with its value. A list of them keeps the order in which they came, and a repeated key.
#[derive(Clone, Debug, PartialEq)]
pub struct Attribute {
    /// The key.
    pub key: Text,
    /// Its value.
    pub value: Value,
}

/// A value of OTLP's `AnyValue`.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Value {
    /// No value was set.
    #[default]
    Empty,
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A floating point number; NaN and the infinities are kept.
    Double(f64),
    /// Text.
    Text(Text),
    /// Bytes.
    Bytes(Bytes),
    /// Values in order, of any types.
    Array(Arc<[Value]>),
    /// Keys and values in order.
    Map(Arc<[Attribute]>),
}

impl Value {
    /// The text if it is one.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The value as a person writes it in a search: text as it is, numbers in decimal, `true` or `false`, bytes in
    /// hex, arrays and maps as JSON. Equality of search conditions is equality of this form.
    pub fn display(&self) -> Cow<'_, str> {
        match self {
            Value::Text(text) => Cow::Borrowed(text),
            other => Cow::Owned(other.to_string()),
        }
    }

    /// The number, for comparisons: of an `Int`, a `Double`, or a text that is a number.
    pub fn as_number(&self) -> Option<f64> {
        match self {
            #[expect(clippy::cast_precision_loss, reason = "a comparison with what a person typed")]
            Value::Int(number) => Some(*number as f64),
            Value::Double(number) => Some(*number),
            Value::Text(text) => text.trim().parse().ok(),
            _ => None,
        }
    }
}

/// As [`Value::display`].
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Empty => Ok(()),
            Value::Bool(value) => write!(f, "{value}"),
            Value::Int(value) => write!(f, "{value}"),
            Value::Double(value) => write!(f, "{value}"),
            Value::Text(value) => f.write_str(value),
            Value::Bytes(value) => value.iter().try_for_each(|byte| write!(f, "{byte:02x}")),
            Value::Array(_) | Value::Map(_) => write_json(self, f),
        }
    }
}

fn write_json(value: &Value, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    match value {
        Value::Empty => f.write_str("null"),
        Value::Text(text) => f.write_str(&quoted(text)),
        Value::Bytes(_) => f.write_str(&quoted(&value.to_string())),
        Value::Double(number) if !number.is_finite() => f.write_str(&quoted(&number.to_string())),
        Value::Bool(_) | Value::Int(_) | Value::Double(_) => write!(f, "{value}"),
        Value::Array(values) => {
            f.write_str("[")?;
            for (place, value) in values.iter().enumerate() {
                f.write_str(if place == 0 { "" } else { "," })?;
                write_json(value, f)?;
            }
            f.write_str("]")
        }
        Value::Map(entries) => {
            f.write_str("{")?;
            for (place, entry) in entries.iter().enumerate() {
                f.write_str(if place == 0 { "" } else { "," })?;
                write!(f, "{}:", quoted(&entry.key))?;
                write_json(&entry.value, f)?;
            }
            f.write_str("}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_read_as_a_person_writes_them() {
        let shown = |value: Value| value.display().into_owned();
        assert_eq!(shown(Value::Text("a \"b\"".into())), "a \"b\"");
        assert_eq!(shown(Value::Double(1.5)), "1.5");
        assert_eq!(shown(Value::Bytes(Bytes::from_static(&[0, 255]))), "00ff");
        let list = vec![Value::Text("x\n".into()), Value::Int(-1), Value::Empty, Value::Double(f64::NAN)];
        let entry = Attribute { key: "k".into(), value: Value::Array(list.into()) };
        assert_eq!(shown(Value::Map([entry].into())), r#"{"k":["x\n",-1,null,"NaN"]}"#);
    }
}

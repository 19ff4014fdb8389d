//! Attribute values in columns: the type of a column, and values within values as bytes.

use crate::block::bytes::{Damaged, Reader, put_bytes, put_varint, unzigzag, zigzag};
use bytes::Bytes;
use waypost_trace_model::{Attribute, Value};

/// What the values of a column are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub(crate) enum Type {
    Empty = 0,
    Bool = 1,
    Int = 2,
    Double = 3,
    Text = 4,
    Bytes = 5,
    /// Arrays and maps.
    Nested = 6,
    /// A whole list of attributes, for records that have too many different keys to give each a column.
    Whole = 7,
}

impl Type {
    pub(crate) fn of(value: &Value) -> Type {
        match value {
            Value::Empty => Type::Empty,
            Value::Bool(_) => Type::Bool,
            Value::Int(_) => Type::Int,
            Value::Double(_) => Type::Double,
            Value::Text(_) => Type::Text,
            Value::Bytes(_) => Type::Bytes,
            Value::Array(_) | Value::Map(_) => Type::Nested,
        }
    }

    pub(crate) fn from_number(number: u8) -> Result<Type, Damaged> {
        use Type::{Bool, Bytes, Double, Empty, Int, Nested, Text, Whole};
        [Empty, Bool, Int, Double, Text, Bytes, Nested, Whole]
            .get(usize::from(number))
            .copied()
            .ok_or(Damaged("a type is not known"))
    }

    /// Whether its values are kept as numbers; the others are kept as bytes.
    pub(crate) fn is_number(self) -> bool {
        matches!(self, Type::Empty | Type::Bool | Type::Int | Type::Double)
    }
}

/// The number that a value of a number column is kept as.
pub(crate) fn to_number(value: &Value) -> u64 {
    match value {
        Value::Bool(value) => u64::from(*value),
        Value::Int(value) => zigzag(*value),
        Value::Double(value) => value.to_bits(),
        _ => 0,
    }
}

/// The value of a number column.
pub(crate) fn from_number(kind: Type, number: u64) -> Value {
    match kind {
        Type::Bool => Value::Bool(number != 0),
        Type::Int => Value::Int(unzigzag(number)),
        Type::Double => Value::Double(f64::from_bits(number)),
        _ => Value::Empty,
    }
}

/// The value of a column of bytes.
pub(crate) fn from_bytes(kind: Type, bytes: Bytes) -> Result<Value, Damaged> {
    match kind {
        Type::Text => Ok(Value::Text(super::bytes::as_text(bytes)?)),
        Type::Bytes => Ok(Value::Bytes(bytes)),
        Type::Nested => {
            let mut reader = Reader::new(bytes);
            let value = get(&mut reader, 0)?;
            if reader.is_at_end() { Ok(value) } else { Err(Damaged("a value is longer than it says")) }
        }
        _ => Err(Damaged("a value has the wrong type")),
    }
}

const ARRAY: u8 = 6;
const MAP: u8 = 7;

/// Deeper values than any decoder lets pass.
const DEPTH: usize = 256;

/// A value of any type with its type before it.
pub(crate) fn put(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Array(values) => {
            out.push(ARRAY);
            put_varint(out, values.len() as u64);
            for value in values.iter() {
                put(out, value);
            }
        }
        Value::Map(entries) => {
            out.push(MAP);
            put_attributes(out, entries);
        }
        other => {
            let kind = Type::of(other);
            out.push(kind as u8);
            match other {
                Value::Text(text) => put_bytes(out, text.as_bytes()),
                Value::Bytes(bytes) => put_bytes(out, bytes),
                Value::Double(number) => out.extend_from_slice(&number.to_bits().to_le_bytes()),
                other => put_varint(out, to_number(other)),
            }
        }
    }
}

/// Keys with values of any types.
pub(crate) fn put_attributes(out: &mut Vec<u8>, attributes: &[Attribute]) {
    put_varint(out, attributes.len() as u64);
    for attribute in attributes {
        put_bytes(out, attribute.key.as_bytes());
        put(out, &attribute.value);
    }
}

/// What [`put`] wrote.
fn get(reader: &mut Reader, depth: usize) -> Result<Value, Damaged> {
    if depth > DEPTH {
        return Err(Damaged("a value is too deep"));
    }
    match reader.byte()? {
        ARRAY => {
            let count = reader.length()?;
            (0..count)
                .map(|_| get(reader, depth + 1))
                .collect::<Result<Vec<_>, _>>()
                .map(|list| Value::Array(list.into()))
        }
        MAP => Ok(Value::Map(get_entries(reader, depth + 1)?.into())),
        number => match Type::from_number(number)? {
            Type::Double => {
                let bits: [u8; 8] =
                    reader.take(8)?.as_ref().try_into().map_err(|_| Damaged("a number is short"))?;
                Ok(Value::Double(f64::from_bits(u64::from_le_bytes(bits))))
            }
            kind if kind.is_number() => Ok(from_number(kind, reader.varint()?)),
            kind => from_bytes(kind, reader.bytes()?),
        },
    }
}

/// What [`put_attributes`] wrote.
pub(crate) fn get_attributes(reader: &mut Reader) -> Result<Vec<Attribute>, Damaged> {
    get_entries(reader, 0)
}

fn get_entries(reader: &mut Reader, depth: usize) -> Result<Vec<Attribute>, Damaged> {
    let count = reader.length()?;
    (0..count).map(|_| Ok(Attribute { key: reader.text()?, value: get(reader, depth)? })).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_within_values_come_back() {
        let inner = vec![
            Value::Empty,
            Value::Bool(true),
            Value::Int(-5),
            Value::Double(-0.0),
            Value::Text("é".into()),
        ];
        let map = vec![
            Attribute { key: "".into(), value: Value::Array(inner.into()) },
            Attribute { key: "k".into(), value: Value::Bytes(Bytes::from_static(&[0, 1])) },
            Attribute { key: "k".into(), value: Value::Map(Vec::new().into()) },
        ];
        let value = Value::Map(map.into());
        let mut out = Vec::new();
        put(&mut out, &value);
        assert_eq!(from_bytes(Type::Nested, out.clone().into()).unwrap(), value);
        for end in 0..out.len() {
            assert!(from_bytes(Type::Nested, Bytes::copy_from_slice(&out[..end])).is_err(), "cut at {end}");
        }
    }
}

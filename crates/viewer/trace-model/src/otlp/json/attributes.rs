//! `KeyValue` and `AnyValue`.

use crate::{
    Attribute, Text, Value,
    admission::Room,
    json::{self, Context, Items, Object, each, fill, fill_next, skip},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::de::{MapAccess, SeqAccess};
use serde_json::json;

/// A list of attributes.
pub(super) struct Attributes<'a>(pub(super) &'a mut Vec<Attribute>);

impl Items for Attributes<'_> {
    fn item<'de, A: SeqAccess<'de>>(
        &mut self,
        seq: &mut A,
        context: &mut Context<'_>,
    ) -> Result<bool, A::Error> {
        let Some(attribute) = next_attribute(seq, context)? else { return Ok(false) };
        let allowed = context.admission.attribute(self.0.len());
        if context.allow(allowed).is_some() {
            self.0.push(attribute);
        }
        Ok(true)
    }
}

/// The next attribute of a list.
pub(super) fn next_attribute<'de, A: SeqAccess<'de>>(
    seq: &mut A,
    context: &mut Context<'_>,
) -> Result<Option<Attribute>, A::Error> {
    let mut room = Room::new(context.limits());
    let mut attribute = KeyValue { key: Text::new(), value: Value::Empty, room: &mut room, is_nested: false };
    let is_there = fill_next(&mut attribute, seq, context)?;
    Ok(is_there.then(|| Attribute { key: attribute.key, value: attribute.value }))
}

/// The value of a field that is an `AnyValue` on its own, such as the body of a log record.
pub(super) fn value<'de, A: MapAccess<'de>>(
    map: &mut A,
    context: &mut Context<'_>,
) -> Result<Value, A::Error> {
    let mut room = Room::new(context.limits());
    let mut value = AnyValue { value: Value::Empty, room: &mut room };
    fill(&mut value, map, context)?;
    Ok(value.value)
}

struct KeyValue<'r> {
    key: Text,
    value: Value,
    room: &'r mut Room,
    /// Whether its key counts as a part of a value.
    is_nested: bool,
}

impl Object for KeyValue<'_> {
    fn field<'de, A: MapAccess<'de>>(
        &mut self,
        name: &str,
        map: &mut A,
        context: &mut Context<'_>,
    ) -> Result<(), A::Error> {
        match name {
            "key" => {
                if let Some(key) = json::text(map, context.limits().key_length, context)? {
                    let counted = if self.is_nested { key.len() } else { 0 };
                    context.allow(self.room.take(counted));
                    self.key = key;
                }
            }
            "value" => {
                let mut value = AnyValue { value: Value::Empty, room: self.room };
                fill(&mut value, map, context)?;
                self.value = value.value;
            }
            _ => skip(map)?,
        }
        Ok(())
    }
}

struct AnyValue<'r> {
    value: Value,
    room: &'r mut Room,
}

impl Object for AnyValue<'_> {
    fn field<'de, A: MapAccess<'de>>(
        &mut self,
        name: &str,
        map: &mut A,
        context: &mut Context<'_>,
    ) -> Result<(), A::Error> {
        let read = match name {
            "stringValue" | "string_value" => json::text(map, self.room.bytes(), context)?.map(Value::Text),
            "boolValue" | "bool_value" => json::boolean(map)?.map(Value::Bool),
            "intValue" | "int_value" => json::number(map)?.map(Value::Int),
            "doubleValue" | "double_value" => json::double(map)?.map(Value::Double),
            "bytesValue" | "bytes_value" => json::base64(map, self.room.bytes(), context)?.map(Value::Bytes),
            "arrayValue" | "array_value" => {
                let mut array = List::<Value> { values: Vec::new(), room: self.room };
                nested(&mut array, map, context)?.then(|| Value::Array(array.values.into()))
            }
            "kvlistValue" | "kvlist_value" => {
                let mut entries = List::<Attribute> { values: Vec::new(), room: self.room };
                nested(&mut entries, map, context)?.then(|| Value::Map(entries.values.into()))
            }
            _ => return skip(map),
        };
        if let Some(value) = read {
            let length = match &value {
                Value::Text(text) => text.len(),
                Value::Bytes(bytes) => bytes.len(),
                _ => 0,
            };
            context.allow(self.room.take(length));
            self.value = value;
        }
        Ok(())
    }
}

/// An array or a map within a value.
trait Container: Object {
    fn room(&mut self) -> &mut Room;
}

/// Reads an array or a map, unless it is nested too deep; false when it is `null`.
fn nested<'de, A: MapAccess<'de>>(
    container: &mut impl Container,
    map: &mut A,
    context: &mut Context<'_>,
) -> Result<bool, A::Error> {
    if context.allow(container.room().enter()).is_none() {
        skip(map)?;
        return Ok(false);
    }
    let is_there = fill(container, map, context)?;
    container.room().leave();
    Ok(is_there)
}

/// The `values` of an array or a map.
struct List<'r, T> {
    values: Vec<T>,
    room: &'r mut Room,
}

impl<'r, T> Container for List<'r, T>
where
    List<'r, T>: Items,
{
    fn room(&mut self) -> &mut Room {
        self.room
    }
}

impl<'r, T> Object for List<'r, T>
where
    List<'r, T>: Items,
{
    fn field<'de, A: MapAccess<'de>>(
        &mut self,
        name: &str,
        map: &mut A,
        context: &mut Context<'_>,
    ) -> Result<(), A::Error> {
        if name == "values" { each(self, map, context) } else { skip(map) }
    }
}

impl<T> List<'_, T> {
    /// Keeps what was read, if there is room for another part.
    fn keep(&mut self, value: T, context: &mut Context<'_>) {
        let allowed = self.room.part(&mut context.admission);
        if context.allow(allowed).is_some() {
            self.values.push(value);
        }
    }
}

impl Items for List<'_, Value> {
    fn item<'de, A: SeqAccess<'de>>(
        &mut self,
        seq: &mut A,
        context: &mut Context<'_>,
    ) -> Result<bool, A::Error> {
        let mut value = AnyValue { value: Value::Empty, room: self.room };
        if !fill_next(&mut value, seq, context)? {
            return Ok(false);
        }
        let value = value.value;
        self.keep(value, context);
        Ok(true)
    }
}

impl Items for List<'_, Attribute> {
    fn item<'de, A: SeqAccess<'de>>(
        &mut self,
        seq: &mut A,
        context: &mut Context<'_>,
    ) -> Result<bool, A::Error> {
        let mut entry = KeyValue { key: Text::new(), value: Value::Empty, room: self.room, is_nested: true };
        if !fill_next(&mut entry, seq, context)? {
            return Ok(false);
        }
        let entry = Attribute { key: entry.key, value: entry.value };
        self.keep(entry, context);
        Ok(true)
    }
}

/// A list of attributes as JSON.
pub(super) fn write(attributes: &[Attribute]) -> serde_json::Value {
    attributes
        .iter()
        .map(|Attribute { key, value }| json!({"key": &**key, "value": write_value(value)}))
        .collect()
}

/// An `AnyValue` as JSON.
pub(super) fn write_value(value: &Value) -> serde_json::Value {
    match value {
        Value::Empty => json!({}),
        Value::Text(text) => json!({"stringValue": &**text}),
        Value::Bool(value) => json!({"boolValue": value}),
        Value::Int(number) => json!({"intValue": number.to_string()}),
        Value::Double(number) if number.is_nan() => json!({"doubleValue": "NaN"}),
        Value::Double(f64::INFINITY) => json!({"doubleValue": "Infinity"}),
        Value::Double(f64::NEG_INFINITY) => json!({"doubleValue": "-Infinity"}),
        Value::Double(number) => json!({"doubleValue": number}),
        Value::Bytes(bytes) => json!({"bytesValue": STANDARD.encode(bytes)}),
        Value::Array(values) => {
            json!({"arrayValue": {"values": values.iter().map(write_value).collect::<serde_json::Value>()}})
        }
        Value::Map(entries) => json!({"kvlistValue": {"values": write(entries)}}),
    }
}

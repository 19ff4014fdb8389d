//! `KeyValue` and `AnyValue`.

use crate::{
    Attribute, Value,
    admission::{Admission, Room, Stop, text},
    wire::{Raw, Reader, Writer},
};

/// Reads the last field of `reader`, a `KeyValue`, to the end of a list.
#[inline]
pub(super) fn push<'a>(
    list: &mut Vec<Attribute>,
    reader: &Reader<'a>,
    raw: Raw<'a>,
    admission: &mut Admission<'_>,
) -> Result<(), Stop> {
    admission.attribute(list.len())?;
    if list.is_empty() {
        list.reserve_exact(reader.run(admission.limits.attributes));
    }
    let mut room = Room::new(admission.limits);
    let attribute = key_value(reader.message(raw)?, admission, &mut room, Level::Outermost)
        .map_err(|stop| stop.within("attributes"))?;
    list.push(attribute);
    Ok(())
}

/// A value on its own, such as the body of a log record.
pub(super) fn value<'a>(
    reader: &Reader<'a>,
    raw: Raw<'a>,
    admission: &mut Admission<'_>,
) -> Result<Value, Stop> {
    let mut room = Room::new(admission.limits);
    any_value(reader.message(raw)?, admission, &mut room)
}

/// Whether a key counts as a part of a value.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Outermost,
    Nested,
}

#[inline]
fn key_value(
    mut reader: Reader<'_>,
    admission: &mut Admission<'_>,
    room: &mut Room,
    level: Level,
) -> Result<Attribute, Stop> {
    let mut key = Raw::Bytes(&[]);
    let mut value = Value::Empty;
    while let Some((number, raw)) = reader.next()? {
        match number {
            1 => key = raw,
            2 => value = any_value(reader.message(raw)?, admission, room)?,
            _ => {}
        }
    }
    let key = text(&reader, key, admission.limits.key_length)?;
    if level == Level::Nested {
        room.take(key.len())?;
    }
    Ok(Attribute { key, value })
}

#[inline]
fn any_value(mut reader: Reader<'_>, admission: &mut Admission<'_>, room: &mut Room) -> Result<Value, Stop> {
    let mut value = Value::Empty;
    while let Some((number, raw)) = reader.next()? {
        value = match number {
            1 => {
                let bytes = reader.bytes(raw)?;
                room.take(bytes.len())?;
                let text = reader.share_text(bytes);
                room.take(text.len() - bytes.len())?;
                Value::Text(text)
            }
            2 => Value::Bool(reader.varint_of(raw)? != 0),
            3 => Value::Int(reader.varint_of(raw)?.cast_signed()),
            4 => Value::Double(f64::from_bits(reader.fixed64_of(raw)?)),
            5 | 6 => container(number, reader.message(raw)?, admission, room)?,
            7 => {
                let bytes = reader.bytes(raw)?;
                room.take(bytes.len())?;
                Value::Bytes(reader.share(bytes))
            }
            _ => continue,
        };
    }
    Ok(value)
}

/// An array or a map; apart from the values that are neither, which are nearly all and are quicker alone.
#[inline(never)]
fn container(
    number: u32,
    reader: Reader<'_>,
    admission: &mut Admission<'_>,
    room: &mut Room,
) -> Result<Value, Stop> {
    room.enter()?;
    let value = if number == 5 { array(reader, admission, room)? } else { map(reader, admission, room)? };
    room.leave();
    Ok(value)
}

fn array(mut reader: Reader<'_>, admission: &mut Admission<'_>, room: &mut Room) -> Result<Value, Stop> {
    let mut values = Vec::new();
    while let Some((number, raw)) = reader.next()? {
        if number == 1 {
            room.part(admission)?;
            values.push(any_value(reader.message(raw)?, admission, room)?);
        }
    }
    Ok(Value::Array(values.into()))
}

fn map(mut reader: Reader<'_>, admission: &mut Admission<'_>, room: &mut Room) -> Result<Value, Stop> {
    let mut entries = Vec::new();
    while let Some((number, raw)) = reader.next()? {
        if number == 1 {
            room.part(admission)?;
            entries.push(key_value(reader.message(raw)?, admission, room, Level::Nested)?);
        }
    }
    Ok(Value::Map(entries.into()))
}

/// Writes a list of `KeyValue`, each as a field of this number.
pub(super) fn encode(field: u32, attributes: &[Attribute], writer: &mut Writer) {
    for Attribute { key, value } in attributes {
        writer.message(field, |writer| {
            writer.bytes(1, key.as_bytes());
            if *value != Value::Empty {
                writer.message(2, |writer| encode_value(value, writer));
            }
        });
    }
}

/// Writes the fields of an `AnyValue`.
pub(super) fn encode_value(value: &Value, writer: &mut Writer) {
    match value {
        Value::Empty => {}
        Value::Text(text) => writer.present_bytes(1, text.as_bytes()),
        Value::Bool(value) => writer.present_varint(2, u64::from(*value)),
        Value::Int(number) => writer.present_varint(3, number.cast_unsigned()),
        Value::Double(number) => writer.present_fixed64(4, number.to_bits()),
        Value::Array(values) => writer.message(5, |writer| {
            for value in values.iter() {
                writer.message(1, |writer| encode_value(value, writer));
            }
        }),
        Value::Map(entries) => writer.message(6, |writer| encode(1, entries, writer)),
        Value::Bytes(bytes) => writer.present_bytes(7, bytes),
    }
}

//! OTLP's JSON back into protobuf's bytes, for receivers in tests: the same table, read the other way.
//!
//! Strict where the mapping is: a field of the wrong type is an error. Fields that the table does not have are passed over, as
//! receivers must.

use serde_json::Value;

use super::{Kind, Message};
use crate::base::wire::{put_bytes, put_fixed32, put_fixed64, put_message, put_number, put_text, put_varint};

/// A request in JSON as its bytes.
pub(crate) fn read(message: &Message, json: &[u8]) -> Result<Vec<u8>, String> {
    let value = serde_json::from_slice(json).map_err(|error| error.to_string())?;
    let mut out = Vec::new();
    read_message(&mut out, message, &value)?;
    Ok(out)
}

fn read_message(out: &mut Vec<u8>, message: &Message, value: &Value) -> Result<(), String> {
    let object = value.as_object().ok_or("an object was expected")?;
    for (number, name, kind) in message.0 {
        match object.get(*name) {
            None | Some(Value::Null) => {}
            Some(value) => {
                read_field(out, *number, name, *kind, value).map_err(|error| format!("{name}: {error}"))?;
            }
        }
    }
    Ok(())
}

fn read_field(out: &mut Vec<u8>, number: u32, name: &str, kind: Kind, value: &Value) -> Result<(), String> {
    match kind {
        // Which value an attribute has, its field says; so it is written also if it is empty.
        Kind::Text if name == "stringValue" => {
            put_bytes(out, number, value.as_str().ok_or("a text was expected")?.as_bytes());
        }
        Kind::Bool if name == "boolValue" => {
            put_raw(out, number, value.as_bool().ok_or("true or false was expected")?.into());
        }
        Kind::Text => put_text(out, number, value.as_str().ok_or("a text was expected")?),
        Kind::Hex => put_bytes(out, number, &hex(value)?),
        // Nothing that the kit is tested with has bytes.
        Kind::Base64 => return Err("bytes are not read".to_owned()),
        Kind::Bool => put_number(out, number, value.as_bool().ok_or("true or false was expected")?.into()),
        // The one number of 32 bits that has a fixed length.
        Kind::Number if name == "flags" => {
            put_fixed32(out, number, u32::try_from(whole(value)?).map_err(|error| error.to_string())?);
        }
        Kind::Number => put_number(out, number, whole(value)?),
        Kind::Long => put_fixed64(out, number, whole(value)?),
        Kind::SignedLong if name == "intValue" => put_raw(out, number, signed(value)?.cast_unsigned()),
        Kind::SignedLong => put_fixed64(out, number, signed(value)?.cast_unsigned()),
        Kind::ZigZag => {
            let signed = signed(value)?;
            put_raw(out, number, ((signed << 1) ^ (signed >> 63)).cast_unsigned());
        }
        Kind::Double => put_fixed64(out, number, real(value)?.to_bits()),
        Kind::One(message) => put_inner(out, number, message, value)?,
        Kind::Many(message) => {
            for item in list(value)? {
                put_inner(out, number, message, item)?;
            }
        }
        Kind::ManyDoubles => {
            let reals = list(value)?.iter().map(|item| Ok(real(item)?.to_bits().to_le_bytes()));
            put_bytes(out, number, &reals.collect::<Result<Vec<_>, String>>()?.concat());
        }
        Kind::ManyFixedLongs => {
            let numbers = list(value)?.iter().map(|item| Ok(whole(item)?.to_le_bytes()));
            put_bytes(out, number, &numbers.collect::<Result<Vec<_>, String>>()?.concat());
        }
        Kind::ManyLongs => {
            let mut packed = Vec::new();
            for item in list(value)? {
                put_varint(&mut packed, whole(item)?);
            }
            put_bytes(out, number, &packed);
        }
    }
    Ok(())
}

fn put_inner(out: &mut Vec<u8>, number: u32, message: &Message, value: &Value) -> Result<(), String> {
    let mut inner = Vec::new();
    read_message(&mut inner, message, value)?;
    put_message(out, number, |out| out.extend_from_slice(&inner));
    Ok(())
}

/// A number that is written also if it is zero: which value an attribute has, its field says.
fn put_raw(out: &mut Vec<u8>, number: u32, value: u64) {
    put_varint(out, u64::from(number << 3));
    put_varint(out, value);
}

fn list(value: &Value) -> Result<&Vec<Value>, String> {
    value.as_array().ok_or_else(|| "a list was expected".to_owned())
}

/// Numbers of 64 bits are texts, and may be numbers.
fn whole(value: &Value) -> Result<u64, String> {
    let number = value.as_u64().or_else(|| value.as_str()?.parse().ok());
    number.ok_or_else(|| format!("a whole number was expected and not {value}"))
}

fn signed(value: &Value) -> Result<i64, String> {
    let number = value.as_i64().or_else(|| value.as_str()?.parse().ok());
    number.ok_or_else(|| format!("a whole number was expected and not {value}"))
}

fn real(value: &Value) -> Result<f64, String> {
    let number = match value.as_str() {
        Some("NaN") => Some(f64::NAN),
        Some("Infinity") => Some(f64::INFINITY),
        Some("-Infinity") => Some(f64::NEG_INFINITY),
        Some(text) => text.parse().ok(),
        None => value.as_f64(),
    };
    number.ok_or_else(|| format!("a number was expected and not {value}"))
}

fn hex(value: &Value) -> Result<Vec<u8>, String> {
    let text = value.as_str().filter(|text| text.len() % 2 == 0 && text.is_ascii());
    let text = text.ok_or("hexadecimal digits were expected")?;
    let byte = |at: usize| text.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok());
    (0..text.len()).step_by(2).map(byte).collect::<Option<_>>().ok_or_else(|| "not hexadecimal".to_owned())
}

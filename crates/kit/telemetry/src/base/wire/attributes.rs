//! Attributes as OTLP has them: `KeyValue { key = 1, value = 2 }` around an `AnyValue`.

use opentelemetry::{Array, KeyValue, StringValue, Value};

use super::read::{Field, fields};
use super::{BYTES, FIXED64, VARINT};
use super::{bytes_len, put_bytes, put_head, put_tag, put_varint, varint_len};

const KEY: u32 = 1;
const VALUE: u32 = 2;

// The fields of `AnyValue`.
const STRING: u32 = 1;
const BOOL: u32 = 2;
const INT: u32 = 3;
const DOUBLE: u32 = 4;
const ARRAY: u32 = 5;
const BINARY: u32 = 7;

/// Appends an attribute as field `field`, its texts cut to `max_chars`.
pub(crate) fn put_attribute(out: &mut Vec<u8>, field: u32, key: &str, value: &Value, max_chars: usize) {
    match value {
        Value::String(text) => put_text_attribute(out, field, key, text.as_str(), max_chars),
        Value::Bool(truth) => put_short(out, field, key, &[tag(BOOL, VARINT), (*truth).into()]),
        Value::I64(number) => put_number_attribute(out, field, key, *number),
        _ => put_long(out, field, key, value, max_chars),
    }
}

/// As [`put_attribute`], for a whole number.
#[expect(clippy::inline_always, reason = "as for a text")]
#[inline(always)]
pub(crate) fn put_number_attribute(out: &mut Vec<u8>, field: u32, key: &str, number: i64) {
    let value_len = match number {
        0..0x80 => 2,
        0x80..0x4000 => 3,
        0x4000..0x20_0000 => 4,
        _ => return put_long(out, field, key, &Value::I64(number), usize::MAX),
    };
    let len = 2 + key.len() + 2 + value_len;
    if len > SHORT || field > SHORT_FIELD {
        return put_long(out, field, key, &Value::I64(number), usize::MAX);
    }
    out.extend_from_slice(&[tag(field, BYTES), short(len), tag(KEY, BYTES), short(key.len())]);
    out.extend_from_slice(key.as_bytes());
    let (value, int) = (tag(VALUE, BYTES), tag(INT, VARINT));
    let [first, second, third] = [low(number), low(number >> 7), low(number >> 14)];
    match value_len {
        2 => out.extend_from_slice(&[value, 2, int, first]),
        3 => out.extend_from_slice(&[value, 3, int, first | 0x80, second]),
        _ => out.extend_from_slice(&[value, 4, int, first | 0x80, second | 0x80, third]),
    }
}

/// The low seven bits.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "only the low bits are wanted")]
fn low(number: i64) -> u8 {
    number as u8 & 0x7f
}

/// As [`put_attribute`], for a text.
#[expect(clippy::inline_always, reason = "to call it took as long as to write")]
#[inline(always)]
pub(crate) fn put_text_attribute(out: &mut Vec<u8>, field: u32, key: &str, text: &str, max_chars: usize) {
    let text = cut(text, max_chars);
    let len = 2 + key.len() + 2 + 2 + text.len();
    if len > SHORT || field > SHORT_FIELD {
        return put_long_text(out, field, key, text);
    }
    out.extend_from_slice(&[tag(field, BYTES), short(len), tag(KEY, BYTES), short(key.len())]);
    out.extend_from_slice(key.as_bytes());
    out.extend_from_slice(&[tag(VALUE, BYTES), short(2 + text.len()), tag(STRING, BYTES), short(text.len())]);
    out.extend_from_slice(text.as_bytes());
}

#[cold]
fn put_long_text(out: &mut Vec<u8>, field: u32, key: &str, text: &str) {
    put_key(out, field, key, bytes_len(text.len()));
    put_bytes(out, STRING, text.as_bytes());
}

/// `value` is the whole of an `AnyValue` of less than 128 bytes.
#[inline]
fn put_short<const N: usize>(out: &mut Vec<u8>, field: u32, key: &str, value: &[u8; N]) {
    let len = 2 + key.len() + 2 + N;
    if len > SHORT || field > SHORT_FIELD {
        put_key(out, field, key, N);
        return out.extend_from_slice(value);
    }
    out.extend_from_slice(&[tag(field, BYTES), short(len), tag(KEY, BYTES), short(key.len())]);
    out.extend_from_slice(key.as_bytes());
    out.extend_from_slice(&[tag(VALUE, BYTES), short(N)]);
    out.extend_from_slice(value);
}

fn put_long(out: &mut Vec<u8>, field: u32, key: &str, value: &Value, max_chars: usize) {
    put_key(out, field, key, value_len(value, max_chars));
    put_value(out, value, max_chars);
}

/// Everything of an attribute before the content of its value.
fn put_key(out: &mut Vec<u8>, field: u32, key: &str, value_len: usize) {
    let len = bytes_len(key.len()) + bytes_len(value_len);
    out.reserve(bytes_len(len));
    put_head(out, field, len);
    put_bytes(out, KEY, key.as_bytes());
    put_head(out, VALUE, value_len);
}

/// The longest message whose length takes one byte; so does the length of whatever is within it.
const SHORT: usize = 0x7f;
/// The highest number of a field whose tag takes one byte.
const SHORT_FIELD: u32 = 15;

/// The tag of a field up to [`SHORT_FIELD`].
#[expect(clippy::cast_possible_truncation, reason = "such fields have tags of one byte")]
const fn tag(field: u32, wire_type: u32) -> u8 {
    (field << 3 | wire_type) as u8
}

/// A length up to [`SHORT`].
#[expect(clippy::cast_possible_truncation, reason = "such lengths take one byte")]
const fn short(len: usize) -> u8 {
    len as u8
}

/// Appends attributes as fields `field`: each key once with its last value, at most `max` of them. Gives how many
/// were over that.
pub(crate) fn put_attributes(
    out: &mut Vec<u8>,
    field: u32,
    attributes: &[KeyValue],
    max: usize,
    max_chars: usize,
) -> u32 {
    let (mut written, mut over) = (0, 0);
    for (place, attribute) in attributes.iter().enumerate() {
        if attributes[..place].iter().any(|earlier| earlier.key == attribute.key) {
            continue;
        }
        if written == max {
            over += 1;
            continue;
        }
        let last = attributes[place..].iter().rfind(|later| later.key == attribute.key).unwrap_or(attribute);
        put_attribute(out, field, last.key.as_str(), &last.value, max_chars);
        written += 1;
    }
    over
}

/// Where a text of more than `max` characters has to be cut. One of at most `max` bytes needs no counting.
#[inline]
pub(crate) fn cut(text: &str, max: usize) -> &str {
    if text.len() <= max {
        return text;
    }
    match text.char_indices().nth(max) {
        Some((end, _)) => &text[..end],
        None => text,
    }
}

/// Length of an `AnyValue`, without tag and length of its own.
#[inline]
fn value_len(value: &Value, max_chars: usize) -> usize {
    match value {
        Value::Bool(_) => 2,
        Value::I64(number) => 1 + varint_len(number.cast_unsigned()),
        Value::F64(_) => 9,
        Value::String(text) => bytes_len(cut(text.as_str(), max_chars).len()),
        Value::Array(array) => bytes_len(array_len(array, max_chars)),
        other => bytes_len(other.as_str().len()),
    }
}

fn array_len(array: &Array, max_chars: usize) -> usize {
    match array {
        Array::Bool(items) => items.len() * bytes_len(2),
        Array::I64(items) => {
            items.iter().map(|number| bytes_len(1 + varint_len(number.cast_unsigned()))).sum()
        }
        Array::F64(items) => items.len() * bytes_len(9),
        Array::String(items) => {
            items.iter().map(|text| bytes_len(bytes_len(cut(text.as_str(), max_chars).len()))).sum()
        }
        _ => 0,
    }
}

#[inline]
fn put_value(out: &mut Vec<u8>, value: &Value, max_chars: usize) {
    match value {
        Value::Bool(truth) => put_bool(out, *truth),
        Value::I64(number) => put_int(out, *number),
        Value::F64(number) => put_double(out, *number),
        Value::String(text) => put_bytes(out, STRING, cut(text.as_str(), max_chars).as_bytes()),
        Value::Array(array) => {
            put_head(out, ARRAY, array_len(array, max_chars));
            put_array(out, array, max_chars);
        }
        other => put_bytes(out, STRING, other.as_str().as_bytes()),
    }
}

#[inline]
fn put_bool(out: &mut Vec<u8>, truth: bool) {
    put_tag(out, BOOL, VARINT);
    out.push(truth.into());
}

#[inline]
fn put_int(out: &mut Vec<u8>, number: i64) {
    put_tag(out, INT, VARINT);
    put_varint(out, number.cast_unsigned());
}

#[inline]
fn put_double(out: &mut Vec<u8>, number: f64) {
    put_tag(out, DOUBLE, FIXED64);
    out.extend_from_slice(&number.to_le_bytes());
}

fn put_array(out: &mut Vec<u8>, array: &Array, max_chars: usize) {
    const ITEM: u32 = 1;
    match array {
        Array::Bool(items) => items.iter().for_each(|truth| {
            put_head(out, ITEM, 2);
            put_bool(out, *truth);
        }),
        Array::I64(items) => items.iter().for_each(|number| {
            put_head(out, ITEM, 1 + varint_len(number.cast_unsigned()));
            put_int(out, *number);
        }),
        Array::F64(items) => items.iter().for_each(|number| {
            put_head(out, ITEM, 9);
            put_double(out, *number);
        }),
        Array::String(items) => items.iter().for_each(|text| {
            let text = cut(text.as_str(), max_chars);
            put_head(out, ITEM, bytes_len(text.len()));
            put_bytes(out, STRING, text.as_bytes());
        }),
        _ => {}
    }
}

/// The key of an encoded attribute, without its field's tag and length.
pub(crate) fn key_of(message: &[u8]) -> &[u8] {
    fields(message).find(|(number, _)| *number == KEY).map_or(&[], |(_, key)| key.bytes())
}

/// Reads an attribute back.
pub(crate) fn read_attribute(message: &[u8]) -> KeyValue {
    let mut attribute = KeyValue::new("", "");
    for (number, field) in fields(message) {
        match number {
            KEY => attribute.key = field.text().into(),
            VALUE => attribute.value = read_value(field.bytes()),
            _ => {}
        }
    }
    attribute
}

fn read_value(message: &[u8]) -> Value {
    match fields(message).last() {
        Some((STRING, text)) => Value::String(text.text().into()),
        Some((BOOL, truth)) => Value::Bool(truth.number() != 0),
        Some((INT, number)) => Value::I64(number.number().cast_signed()),
        Some((DOUBLE, Field::Fixed64(bits))) => Value::F64(f64::from_bits(bits)),
        Some((ARRAY, items)) => Value::Array(read_array(items.bytes())),
        Some((BINARY, bytes)) => Value::String(format!("{:?}", bytes.bytes()).into()),
        _ => Value::String("".into()),
    }
}

/// The first item says what the others are, as arrays of the API are of one kind.
fn read_array(message: &[u8]) -> Array {
    let items: Vec<Value> = fields(message).map(|(_, item)| read_value(item.bytes())).collect();
    match items.first() {
        Some(Value::Bool(_)) => {
            Array::Bool(items.iter().map(|item| matches!(item, Value::Bool(true))).collect())
        }
        Some(Value::I64(_)) => Array::I64(
            items.iter().map(|item| if let Value::I64(number) = item { *number } else { 0 }).collect(),
        ),
        Some(Value::F64(_)) => Array::F64(
            items.iter().map(|item| if let Value::F64(number) = item { *number } else { 0.0 }).collect(),
        ),
        _ => Array::String(
            items.into_iter().map(|item| StringValue::from(item.as_str().into_owned())).collect(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::common::v1::KeyValue as Message;
    use prost::Message as _;

    use super::*;

    fn all_kinds() -> Vec<KeyValue> {
        vec![
            KeyValue::new("text", "täxt"),
            KeyValue::new("empty", ""),
            KeyValue::new("truth", true),
            KeyValue::new("lie", false),
            KeyValue::new("negative", -1),
            KeyValue::new("large", i64::MAX),
            KeyValue::new("real", 0.5),
            KeyValue::new("texts", Value::Array(Array::String(vec!["a".into(), "".into()]))),
            KeyValue::new("truths", Value::Array(Array::Bool(vec![true, false]))),
            KeyValue::new("wholes", Value::Array(Array::I64(vec![0, -7]))),
            KeyValue::new("reals", Value::Array(Array::F64(vec![1.5]))),
            KeyValue::new("long", "x".repeat(20_000)),
        ]
    }

    /// Values around the lengths at which a length of one byte becomes one of two.
    fn all_lengths() -> impl Iterator<Item = KeyValue> {
        let texts =
            (100..140).flat_map(|len| ["k".repeat(8), "k".repeat(len)].map(|key| (key, "x".repeat(len))));
        let keys = (100..140).flat_map(|len| {
            let key = "k".repeat(len);
            [127, 128, 16_383, 16_384, 2_097_151, 2_097_152, -1]
                .map(|number| KeyValue::new(key.clone(), number))
                .into_iter()
                .chain([KeyValue::new(key.clone(), 0.5), KeyValue::new(key, true)])
        });
        texts.map(|(key, text)| KeyValue::new(key, text)).chain(keys)
    }

    #[test]
    fn bytes_are_those_of_the_official_messages() {
        for attribute in all_kinds().into_iter().chain(all_lengths()) {
            let mut out = Vec::new();
            put_attribute(&mut out, 9, attribute.key.as_str(), &attribute.value, usize::MAX);
            let (number, field) = fields(&out).next().unwrap();
            let expected = Message {
                key: attribute.key.to_string(),
                value: Some(attribute.value.clone().into()),
                ..Message::default()
            };
            assert_eq!((number, field.bytes()), (9, &*expected.encode_to_vec()), "{attribute:?}");
            assert_eq!(read_attribute(field.bytes()), attribute);
            assert_eq!(key_of(field.bytes()), attribute.key.as_str().as_bytes());
        }
    }

    #[test]
    fn each_key_is_written_once_with_its_last_value() {
        let given = [("a", 1), ("b", 2), ("a", 3), ("c", 4), ("a", 5)].map(|(k, v)| KeyValue::new(k, v));
        let mut out = Vec::new();
        assert_eq!(put_attributes(&mut out, 3, &given, 2, 10), 1);
        let read: Vec<_> = fields(&out).map(|(_, field)| read_attribute(field.bytes())).collect();
        assert_eq!(read, [KeyValue::new("a", 5), KeyValue::new("b", 2)]);
    }

    #[test]
    fn texts_are_cut_between_characters() {
        let list = Value::Array(Array::String(vec!["abcd".into(), "ab".into()]));
        let given = [KeyValue::new("a", "äöüß"), KeyValue::new("b", "äöü"), KeyValue::new("c", list)];
        let mut out = Vec::new();
        put_attributes(&mut out, 3, &given, 10, 3);
        let read: Vec<_> =
            fields(&out).map(|(_, field)| read_attribute(field.bytes()).value.to_string()).collect();
        assert_eq!(read, ["äöü", "äöü", "[\"abc\",\"ab\"]"]);
    }
}

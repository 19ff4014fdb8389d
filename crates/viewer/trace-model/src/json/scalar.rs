//! Texts, numbers, ids and words as values of fields. Each is `None` for `null`.

use super::Context;
use crate::{RefusalReason, Text};
use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use bytes::Bytes;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, Visitor};
use std::{fmt, marker::PhantomData};

/// A text of at most `limit` bytes. What is no Unicode in it, such as half of a surrogate pair, becomes U+FFFD.
pub(crate) fn text<'de, A: MapAccess<'de>>(
    map: &mut A,
    limit: usize,
    context: &mut Context<'_>,
) -> Result<Option<Text>, A::Error> {
    let read =
        map.next_value_seed(FromText::new("a string", |bytes: &[u8]| Ok(bounded_text(bytes, limit))))?;
    Ok(read.and_then(|text| context.allow(text)))
}

fn bounded_text(bytes: &[u8], limit: usize) -> Result<Text, RefusalReason> {
    if bytes.len() > limit {
        return Err(RefusalReason::AttributeLimit);
    }
    let text = String::from_utf8_lossy(bytes);
    if text.len() > limit { Err(RefusalReason::AttributeLimit) } else { Ok(Text::from(&*text)) }
}

/// Bytes in base64 of either alphabet, with or without padding; at most `limit` bytes.
pub(crate) fn base64<'de, A: MapAccess<'de>>(
    map: &mut A,
    limit: usize,
    context: &mut Context<'_>,
) -> Result<Option<Bytes>, A::Error> {
    let read = map.next_value_seed(FromText::new("bytes in base64", |text: &[u8]| {
        let digits = text.iter().take_while(|digit| **digit != b'=').count();
        if digits / 4 * 3 + digits % 4 * 3 / 4 > limit {
            return Ok(Err(RefusalReason::AttributeLimit));
        }
        let is_url_safe = text.iter().any(|digit| matches!(digit, b'-' | b'_'));
        let engine = if is_url_safe { &URL_SAFE } else { &STANDARD };
        engine.decode(text).map(|bytes| Ok(Bytes::from(bytes))).map_err(|_| "bytes that are not base64")
    }))?;
    Ok(read.and_then(|bytes| context.allow(bytes)))
}

const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

/// An id of exactly `N` bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Id<const N: usize> {
    /// Empty.
    Absent,
    /// Hex digits, but not the right number of them.
    WrongLength,
    /// The bytes, which may be all zero.
    Bytes([u8; N]),
}

/// An id in hex digits, upper or lower case.
pub(crate) fn id<'de, const N: usize, A: MapAccess<'de>>(map: &mut A) -> Result<Option<Id<N>>, A::Error> {
    map.next_value_seed(FromText::new("an id", |text: &[u8]| {
        if text.is_empty() {
            return Ok(Id::Absent);
        }
        let mut bytes = [0; N];
        let (pairs, rest) = text.as_chunks::<2>();
        for (place, pair) in pairs.iter().enumerate() {
            let (Some(high), Some(low)) = (digit(pair[0]), digit(pair[1])) else { return Err(NOT_HEX) };
            if let Some(byte) = bytes.get_mut(place) {
                *byte = high << 4 | low;
            }
        }
        match rest {
            [] if pairs.len() == N => Ok(Id::Bytes(bytes)),
            [last, ..] if digit(*last).is_none() => Err(NOT_HEX),
            _ => Ok(Id::WrongLength),
        }
    }))
}

const NOT_HEX: &str = "an id that is not in hex digits; OTLP JSON has ids in hex, not in base64";

fn digit(character: u8) -> Option<u8> {
    char::from(character).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// What `parse` makes of a text, as far as it is UTF-8.
pub(crate) fn parsed<'de, T, A: MapAccess<'de>>(
    map: &mut A,
    parse: impl FnOnce(&str) -> T,
) -> Result<Option<T>, A::Error> {
    map.next_value_seed(FromText::new("a string", |text: &[u8]| Ok(parse(&String::from_utf8_lossy(text)))))
}

/// A number that a text, a whole number or a floating point number may stand for.
pub(crate) trait Number: Copy {
    fn from_scalar(scalar: Scalar<'_>) -> Option<Self>;
}

impl Number for u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "checked to be whole and in range"
    )]
    fn from_scalar(scalar: Scalar<'_>) -> Option<u64> {
        match scalar {
            Scalar::Unsigned(number) => Some(number),
            Scalar::Signed(number) => u64::try_from(number).ok(),
            Scalar::Float(number) if number.fract() == 0.0 && (0.0..TWO_TO_THE_64).contains(&number) => {
                Some(number as u64)
            }
            Scalar::Text(text) => text.parse().ok().or_else(|| whole(text)?.try_into().ok()),
            Scalar::Float(_) | Scalar::Bool(_) => None,
        }
    }
}

impl Number for i64 {
    #[expect(clippy::cast_possible_truncation, reason = "checked to be whole and in range")]
    fn from_scalar(scalar: Scalar<'_>) -> Option<i64> {
        match scalar {
            Scalar::Unsigned(number) => i64::try_from(number).ok(),
            Scalar::Signed(number) => Some(number),
            Scalar::Float(number)
                if number.fract() == 0.0 && (-TWO_TO_THE_63..TWO_TO_THE_63).contains(&number) =>
            {
                Some(number as i64)
            }
            Scalar::Text(text) => text.parse().ok().or_else(|| whole(text)?.try_into().ok()),
            Scalar::Float(_) | Scalar::Bool(_) => None,
        }
    }
}

/// A whole number that is written with a point or an exponent, as protobuf's JSON allows within quotes too; exact, as no
/// floating point is between. `None` for what is not whole, or has more than 20 digits.
fn whole(text: &str) -> Option<i128> {
    let (digits, exponent) = match text.split_once(['e', 'E']) {
        Some((digits, exponent)) => (digits, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (sign, digits) = digits.strip_prefix('-').map_or((1, digits), |digits| (-1, digits));
    let (integer, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let is_number = !integer.is_empty() && (!fraction.is_empty() || !digits.contains('.'));
    if !is_number || !integer.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let all = format!("{integer}{fraction}");
    let point = i64::try_from(integer.len()).ok()? + i64::from(exponent);
    let significant = all.trim_start_matches('0');
    // Where the point is, from the first digit that counts.
    let point = point - i64::try_from(all.len() - significant.len()).ok()?;
    let significant = significant.trim_end_matches('0');
    if significant.is_empty() {
        return Some(0);
    }
    let length = i64::try_from(significant.len()).ok()?;
    let zeros = u32::try_from(point - length).ok().filter(|_| point <= 20)?;
    significant.parse::<i128>().ok()?.checked_mul(10_i128.pow(zeros))?.checked_mul(sign)
}

impl Number for u32 {
    fn from_scalar(scalar: Scalar<'_>) -> Option<u32> {
        u64::from_scalar(scalar).and_then(|number| u32::try_from(number).ok())
    }
}

const TWO_TO_THE_63: f64 = 9_223_372_036_854_775_808.0;
const TWO_TO_THE_64: f64 = 18_446_744_073_709_551_616.0;

/// A whole number, as a number or in a text.
pub(crate) fn number<'de, T: Number, A: MapAccess<'de>>(map: &mut A) -> Result<Option<T>, A::Error> {
    map.next_value_seed(FromAny::new("a whole number", |scalar: Scalar<'_>| {
        T::from_scalar(scalar).ok_or("a number that is not whole, or out of range")
    }))
}

/// A floating point number, as a number or in a text, which may be `NaN`, `Infinity` or `-Infinity`.
pub(crate) fn double<'de, A: MapAccess<'de>>(map: &mut A) -> Result<Option<f64>, A::Error> {
    #[expect(
        clippy::cast_precision_loss,
        reason = "a number without a point is the nearest double, as in JavaScript"
    )]
    map.next_value_seed(FromAny::new("a number", |scalar: Scalar<'_>| {
        let number = match scalar {
            Scalar::Unsigned(number) => Some(number as f64),
            Scalar::Signed(number) => Some(number as f64),
            Scalar::Float(number) => Some(number),
            Scalar::Text("NaN") => Some(f64::NAN),
            Scalar::Text("Infinity") => Some(f64::INFINITY),
            Scalar::Text("-Infinity") => Some(f64::NEG_INFINITY),
            Scalar::Text(text) => text.parse().ok().filter(|number: &f64| number.is_finite()),
            Scalar::Bool(_) => None,
        };
        number.ok_or("a text that is no number")
    }))
}

/// A truth value.
pub(crate) fn boolean<'de, A: MapAccess<'de>>(map: &mut A) -> Result<Option<bool>, A::Error> {
    map.next_value::<Option<bool>>()
}

/// The number of an enum: as it is, or looked up by its name. What is unknown is 0, which always means "nothing was
/// said".
pub(crate) fn word<'de, A: MapAccess<'de>>(
    map: &mut A,
    lookup: impl FnOnce(&str) -> Option<u64>,
) -> Result<Option<u64>, A::Error> {
    map.next_value_seed(FromAny::new("a number or a name", |scalar: Scalar<'_>| {
        let known = match scalar {
            Scalar::Text(name) => lookup(name).or_else(|| name.parse().ok()),
            other => u64::from_scalar(other),
        };
        Ok(known.unwrap_or(0))
    }))
}

/// The value of a field as a text of at most `limit` bytes, also when it is a number or a truth value.
pub(crate) fn any_text<'de, A: MapAccess<'de>>(
    map: &mut A,
    limit: usize,
    context: &mut Context<'_>,
) -> Result<Option<Text>, A::Error> {
    let read = map.next_value_seed(FromAny::new("a string", |scalar: Scalar<'_>| {
        Ok(match scalar {
            Scalar::Text(text) => bounded_text(text.as_bytes(), limit),
            Scalar::Bool(value) => Ok(Text::from(value.to_string())),
            Scalar::Unsigned(number) => Ok(Text::from(number.to_string())),
            Scalar::Signed(number) => Ok(Text::from(number.to_string())),
            Scalar::Float(number) => Ok(Text::from(number.to_string())),
        })
    }))?;
    Ok(read.and_then(|text| context.allow(text)))
}

/// A value that is no array, object or `null`.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Scalar<'a> {
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Text(&'a str),
}

/// Reads a string whose bytes may be anything.
struct FromText<F, T> {
    expected: &'static str,
    convert: F,
    result: PhantomData<T>,
}

impl<F: FnOnce(&[u8]) -> Result<T, &'static str>, T> FromText<F, T> {
    fn new(expected: &'static str, convert: F) -> FromText<F, T> {
        FromText { expected, convert, result: PhantomData }
    }
}

impl<'de, F: FnOnce(&[u8]) -> Result<T, &'static str>, T> DeserializeSeed<'de> for FromText<F, T> {
    type Value = Option<T>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<T>, D::Error> {
        deserializer.deserialize_option(self)
    }
}

impl<'de, F: FnOnce(&[u8]) -> Result<T, &'static str>, T> Visitor<'de> for FromText<F, T> {
    type Value = Option<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expected)
    }

    fn visit_none<E: Error>(self) -> Result<Option<T>, E> {
        Ok(None)
    }

    // Bytes and not a string: only so does the parser let through what is no Unicode.
    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<T>, D::Error> {
        deserializer.deserialize_bytes(self)
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Option<T>, E> {
        (self.convert)(bytes).map(Some).map_err(E::custom)
    }
}

/// Reads any scalar.
struct FromAny<F, T> {
    expected: &'static str,
    convert: F,
    result: PhantomData<T>,
}

impl<F: FnOnce(Scalar<'_>) -> Result<T, &'static str>, T> FromAny<F, T> {
    fn new(expected: &'static str, convert: F) -> FromAny<F, T> {
        FromAny { expected, convert, result: PhantomData }
    }

    fn convert<E: Error>(self, scalar: Scalar<'_>) -> Result<Option<T>, E> {
        (self.convert)(scalar).map(Some).map_err(E::custom)
    }
}

impl<'de, F: FnOnce(Scalar<'_>) -> Result<T, &'static str>, T> DeserializeSeed<'de> for FromAny<F, T> {
    type Value = Option<T>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<T>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<F: FnOnce(Scalar<'_>) -> Result<T, &'static str>, T> Visitor<'_> for FromAny<F, T> {
    type Value = Option<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expected)
    }

    fn visit_unit<E: Error>(self) -> Result<Option<T>, E> {
        Ok(None)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Option<T>, E> {
        self.convert(Scalar::Bool(value))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Option<T>, E> {
        self.convert(Scalar::Unsigned(number))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Option<T>, E> {
        self.convert(Scalar::Signed(number))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Option<T>, E> {
        self.convert(Scalar::Float(number))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Option<T>, E> {
        self.convert(Scalar::Text(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn whole_numbers_are_read_in_every_way_to_write_them() {
        for (text, number) in [
            ("1e3", 1000),
            ("1E3", 1000),
            ("1e+3", 1000),
            ("-1.5e1", -15),
            ("100000.000", 100_000),
            ("1200e-2", 12),
            ("0e99999", 0),
            ("0.0", 0),
            ("00012e0", 12),
            ("18446744073709551615e0", i128::from(u64::MAX)),
            ("1.8446744073709551615e19", i128::from(u64::MAX)),
        ] {
            assert_eq!(whole(text), Some(number), "{text}");
        }
        for text in ["", "e3", "1e", "1.5", "1e-1", "1.", ".5e1", "1e3.0", "1e99", "--1", "1_0", "+ 1", "NaN"]
        {
            assert_eq!(whole(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_number_with_its_point_moved_is_the_same_number(number: i64, places in 0_usize..25) {
            let digits = format!("{:0>30}", number.unsigned_abs());
            let (integer, fraction) = digits.split_at(30 - places);
            let sign = if number < 0 { "-" } else { "" };
            let text = if fraction.is_empty() { format!("{sign}{integer}e0") } else { format!("{sign}{integer}.{fraction}e{places}") };
            prop_assert_eq!(whole(&text), Some(i128::from(number)), "{}", text);
        }
    }
}

//! Decimal text to ten-thousandths and back, exactly.

use super::MoneyError;

/// Decimals that are kept.
const PLACES: i32 = 4;
const UNIT: u64 = 10_000;
/// Longer texts are refused unread. The longest amount takes 21 characters; the rest is room for zeros.
const MAX_LENGTH: usize = 64;

/// Reads a number in JSON's grammar: `-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?`.
pub(super) fn parse(text: &str) -> Result<i64, MoneyError> {
    if text.len() > MAX_LENGTH {
        return Err(if is_number(text) { MoneyError::OutOfRange } else { MoneyError::NotANumber });
    }
    let Number { negative, whole, fraction, exponent } = split(text).ok_or(MoneyError::NotANumber)?;

    // The value is `digits` times ten to the power of `power`, with no zero at either end of `digits`.
    let digits = format!("{whole}{fraction}");
    let significant = digits.trim_end_matches('0');
    let dropped_zeros = length(&digits[significant.len()..]);
    let significant = significant.trim_start_matches('0');
    if significant.is_empty() {
        return Ok(0);
    }
    let power = exponent.saturating_sub(length(fraction)).saturating_add(dropped_zeros);

    let power_of_ten_thousandths = power.saturating_add(PLACES);
    let Ok(shift) = u32::try_from(power_of_ten_thousandths) else {
        return Err(MoneyError::TooManyDecimals);
    };
    let magnitude = significant.parse::<i128>().ok();
    let scale = 10_i128.checked_pow(shift);
    let value = magnitude.zip(scale).and_then(|(magnitude, scale)| magnitude.checked_mul(scale));
    let value = value.map(|value| if negative { -value } else { value });
    value.and_then(|value| i64::try_from(value).ok()).ok_or(MoneyError::OutOfRange)
}

/// Writes ten-thousandths as the shortest exact decimal.
pub(super) fn format_unsigned(ten_thousandths: u64) -> String {
    let whole = ten_thousandths / UNIT;
    let fraction = ten_thousandths % UNIT;
    if fraction == 0 {
        return whole.to_string();
    }
    let text = format!("{whole}.{fraction:04}");
    text.trim_end_matches('0').to_owned()
}

struct Number<'a> {
    negative: bool,
    whole: &'a str,
    fraction: &'a str,
    exponent: i32,
}

fn split(text: &str) -> Option<Number<'_>> {
    let (negative, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, parse_exponent(exponent)?),
        None => (unsigned, 0),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((_, "")) => return None,
        Some((whole, fraction)) => (whole, fraction),
        None => (mantissa, ""),
    };
    let is_canonical = whole == "0" || !whole.starts_with('0');
    let is_number = !whole.is_empty() && is_canonical && all_digits(whole) && all_digits(fraction);
    is_number.then_some(Number { negative, whole, fraction, exponent })
}

/// An exponent beyond an `i32` is as good as the largest one: no mantissa of bounded length makes up for it.
fn parse_exponent(text: &str) -> Option<i32> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    if digits.is_empty() || !all_digits(digits) {
        return None;
    }
    let magnitude = digits.parse::<i32>().unwrap_or(i32::MAX);
    Some(if negative { -magnitude } else { magnitude })
}

fn is_number(text: &str) -> bool {
    split(text).is_some()
}

fn all_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

fn length(text: &str) -> i32 {
    i32::try_from(text.len()).unwrap_or(i32::MAX)
}

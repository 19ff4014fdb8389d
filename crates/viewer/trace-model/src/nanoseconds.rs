//! Durations as text writes them, in nanoseconds. Exact: no floating point touches one.
//!
//! For the query APIs, each of which says for itself which forms it takes.

/// Nanoseconds in each unit.
pub const UNITS: [(&str, u64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    // With the micro sign and with the Greek letter.
    ("\u{b5}s", 1_000),
    ("\u{3bc}s", 1_000),
    ("ms", 1_000_000),
    ("s", SECOND),
    ("m", 60 * SECOND),
    ("h", 3600 * SECOND),
];

/// Nanoseconds in a second.
pub const SECOND: u64 = 1_000_000_000;

/// How many nanoseconds a decimal number of a unit of so many is; what is finer than one is cut off. `None` when it is no
/// such number, or too large.
///
/// ```
/// use waypost_trace_model::nanoseconds::{SECOND, decimal};
/// assert_eq!(decimal("1.5", SECOND), Some(1_500_000_000));
/// assert_eq!(decimal(".5", 1_000), Some(500));
/// assert_eq!(decimal("1.2.3", SECOND), None);
/// ```
pub fn decimal(number: &str, unit: u64) -> Option<u64> {
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && part.is_empty()
        || !whole.bytes().chain(part.bytes()).all(|byte| byte.is_ascii_digit())
    {
        return None;
    }
    let whole = if whole.is_empty() { 0 } else { whole.parse::<u64>().ok()?.checked_mul(unit)? };
    // More digits say nothing about a nanosecond, and 18 of them times any unit fit.
    let part = part.get(..18).unwrap_or(part);
    let places = u32::try_from(part.len()).ok()?;
    let part = if part.is_empty() { 0 } else { part.parse::<u64>().ok()? };
    let part = u128::from(part) * u128::from(unit) / 10_u128.pow(places);
    whole.checked_add(u64::try_from(part).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decimal_is_exact_to_the_nanosecond() {
        for (number, unit, nanoseconds) in [
            ("1.5", 1_000_000, Some(1_500_000)),
            ("0.000000001", SECOND, Some(1)),
            ("1.9", 1, Some(1)),
            ("1.0000000000000000000001", 3600 * SECOND, Some(3600 * SECOND)),
            ("18446744073709551615", 1, Some(u64::MAX)),
            ("5.", SECOND, Some(5 * SECOND)),
            (".5", SECOND, Some(SECOND / 2)),
            ("18446744073709551616", 1, None),
            ("600000000", 3600 * SECOND, None),
            ("", SECOND, None),
            (".", SECOND, None),
            ("1.2.3", SECOND, None),
            ("+1", SECOND, None),
            ("1.+5", SECOND, None),
        ] {
            assert_eq!(decimal(number, unit), nanoseconds, "{number} times {unit}");
        }
    }
}

//! Durations and times as parameters write them. Exact: no floating point touches a nanosecond.

use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use waypost_trace_model::nanoseconds::{SECOND, UNITS, decimal};

/// Nanoseconds in each unit of an age.
const AGE_UNITS: [(&str, u64); 5] = [
    ("s", SECOND),
    ("m", 60 * SECOND),
    ("h", 3600 * SECOND),
    ("d", 24 * 3600 * SECOND),
    ("w", 7 * 24 * 3600 * SECOND),
];

/// A number with a unit, such as `250us` or `1.5ms`, in nanoseconds; `0` needs no unit. What is finer than a
/// nanosecond is cut off.
pub(crate) fn duration(text: &str) -> Result<u64, &'static str> {
    let refused = "must be a number with a unit: ns, us, ms, s, m or h, for example 1.5ms";
    if text == "0" {
        return Ok(0);
    }
    amount(text, &UNITS).ok_or(refused)
}

/// A point in time in nanoseconds since 1970: such a number, RFC 3339, `now`, or an age such as `15m`.
pub(crate) fn time(text: &str, now: u64) -> Result<u64, &'static str> {
    let refused = "must be a time: nanoseconds since 1970, RFC 3339, `now`, or an age such as 15m, 6h or 2d";
    if text == "now" {
        return Ok(now);
    }
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().map_err(|_| refused);
    }
    if let Some(age) = amount(text, &AGE_UNITS) {
        return Ok(now.saturating_sub(age));
    }
    // A `+` that nobody escaped arrives as a space.
    let moment = OffsetDateTime::parse(&text.replace(' ', "+"), &Rfc3339).map_err(|_| refused)?;
    u64::try_from(moment.unix_timestamp_nanos()).map_err(|_| "lies before 1970 or too far ahead")
}

/// Digits, perhaps a fraction, and one of the units.
fn amount(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.find(|letter: char| !(letter.is_ascii_digit() || letter == '.'))?;
    let (number, unit) = text.split_at(digits);
    let unit = units.iter().find(|(name, _)| *name == unit).map(|(_, nanoseconds)| *nanoseconds)?;
    // Both sides of a point have a digit here.
    if number.starts_with('.') || number.ends_with('.') {
        return None;
    }
    decimal(number, unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_exact_to_the_nanosecond() {
        assert_eq!(duration("250us"), Ok(250_000));
        assert_eq!(duration("1.5ms"), Ok(1_500_000));
        assert_eq!(duration("0.000000001s"), Ok(1));
        assert_eq!(duration("1.9ns"), Ok(1));
        assert_eq!(duration("2\u{b5}s"), duration("2\u{3bc}s"));
        assert_eq!(duration("1.0000000000000000000001h"), Ok(3600 * SECOND));
        assert_eq!(duration("18446744073709551615ns"), Ok(u64::MAX));
        assert_eq!(duration("0"), Ok(0));
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in [
            "",
            "5",
            "ms",
            ".5s",
            "5.s",
            "1.2.3s",
            "-1s",
            "1e3s",
            "5 s",
            "18446744073709551616ns",
            "600000000h",
        ] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn times_are_numbers_dates_ages_or_now() {
        let now = 1_790_000_000_123_456_789;
        assert_eq!(time("1790000000123456789", 5), Ok(now));
        assert_eq!(time("now", now), Ok(now));
        assert_eq!(time("15m", now), Ok(now - 900 * SECOND));
        assert_eq!(time("1.5d", now), Ok(now - 129_600 * SECOND));
        assert_eq!(time("9000w", now), Ok(0));
        assert_eq!(time("2026-09-21T14:13:20.123456789Z", 0), Ok(now));
        assert_eq!(time("2026-09-21T16:13:20.123456789 02:00", 0), Ok(now));
        assert_eq!(time("1970-01-01T00:00:00Z", now), Ok(0));
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in
            ["", "yesterday", "-5", "15", "1969-12-31T23:59:59Z", "2026-09-21", "18446744073709551616"]
        {
            let is_a_number = text == "15";
            assert_eq!(time(text, 0).is_ok(), is_a_number, "{text}");
        }
    }
}

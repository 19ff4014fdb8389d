//! The `grpc-timeout` header: at most eight digits and a unit (gRPC over HTTP/2).

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};

pub(super) const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

const MAX_DIGITS: usize = 8;
const MAX_VALUE: u128 = 99_999_999;

/// Reads the header. What is not written as the specification says counts as absent.
pub(super) fn read(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(GRPC_TIMEOUT)?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let is_number =
        (1..=MAX_DIGITS).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number {
        return None;
    }
    let value: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_hours(value)),
        "M" => Some(Duration::from_mins(value)),
        "S" => Some(Duration::from_secs(value)),
        "m" => Some(Duration::from_millis(value)),
        "u" => Some(Duration::from_micros(value)),
        "n" => Some(Duration::from_nanos(value)),
        _ => None,
    }
}

/// Writes the header, in the finest unit that eight digits hold; what does not fit a unit is rounded down, so
/// that a timeout never grows on the way.
pub(super) fn write(timeout: Duration) -> HeaderValue {
    let nanos = timeout.as_nanos();
    let units = [('n', 1), ('u', 1_000), ('m', 1_000_000), ('S', 1_000_000_000), ('M', 60_000_000_000)];
    let (unit, value) = units
        .into_iter()
        .map(|(unit, size)| (unit, nanos / size))
        .find(|(_, value)| *value <= MAX_VALUE)
        .unwrap_or(('M', MAX_VALUE));
    // Digits and a letter are always a header value; should that fail, no time is the safe reading.
    HeaderValue::try_from(format!("{value}{unit}")).unwrap_or(HeaderValue::from_static("0n"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn headers(value: HeaderValue) -> HeaderMap {
        HeaderMap::from_iter([(GRPC_TIMEOUT, value)])
    }

    #[test]
    fn what_the_specification_does_not_allow_counts_as_absent() {
        for text in ["", "5", "S", "5s", "+5S", "-5S", "5.5S", "123456789S", " 5S", "5SS", "5\u{e9}"] {
            let value = HeaderValue::from_bytes(text.as_bytes()).unwrap();
            assert_eq!(read(&headers(value)), None, "{text:?}");
        }
        assert_eq!(read(&HeaderMap::new()), None);
    }

    #[test]
    fn every_unit_is_read() {
        for (text, seconds) in [("2H", 7200), ("2M", 120), ("2S", 2), ("2000m", 2), ("2000000u", 2)] {
            assert_eq!(read(&headers(HeaderValue::from_static(text))), Some(Duration::from_secs(seconds)));
        }
    }

    proptest! {
        #[test]
        fn a_timeout_comes_back_no_longer_and_nearly_as_long(nanos in 0..3_600_000_000_000_u64) {
            let timeout = Duration::from_nanos(nanos);
            let back = read(&headers(write(timeout))).unwrap();
            prop_assert!(back <= timeout);
            prop_assert!(back >= timeout.mul_f64(0.9999));
        }

        #[test]
        fn any_timeout_can_be_written(secs: u64) {
            prop_assert!(read(&headers(write(Duration::from_secs(secs)))).is_some());
        }
    }
}

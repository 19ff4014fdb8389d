//! Figures as sentences have them.

use std::fmt::Write as _;

/// `7.1 %`, `100 %`, `< 0.1 %`.
pub(crate) fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if percent > 0.0 && percent < 0.1 {
        return "< 0.1 %".to_owned();
    }
    let text = format!("{percent:.1}");
    format!("{} %", text.strip_suffix(".0").unwrap_or(&text))
}

/// `250 ms`, `1.2 s`, of nanoseconds.
#[expect(clippy::cast_precision_loss, reason = "three digits are read")]
pub(crate) fn latency(nanoseconds: u64) -> String {
    let value = nanoseconds as f64;
    let (size, unit) = match nanoseconds {
        0..1_000 => (1.0, "ns"),
        1_000..1_000_000 => (1e3, "us"),
        1_000_000..1_000_000_000 => (1e6, "ms"),
        _ => (1e9, "s"),
    };
    format!("{} {unit}", digits(value / size))
}

/// Three digits that count.
pub(crate) fn digits(value: f64) -> String {
    let places = if value >= 99.95 {
        0
    } else if value >= 9.995 {
        1
    } else {
        2
    };
    let text = format!("{value:.places$}");
    if places == 0 {
        return text;
    }
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// `10 min`, `3 hours`, `90 s`, of nanoseconds.
pub(crate) fn time(nanoseconds: u64) -> String {
    let seconds = nanoseconds / 1_000_000_000;
    let (number, unit) = match seconds {
        seconds if seconds >= 172_800 && seconds.is_multiple_of(86_400) => (seconds / 86_400, "days"),
        seconds if seconds >= 3_600 && seconds.is_multiple_of(3_600) => (seconds / 3_600, "hours"),
        seconds if seconds >= 60 => (seconds / 60, "min"),
        seconds => (seconds, "s"),
    };
    let unit = if number == 1 && unit == "hours" { "hour" } else { unit };
    format!("{number} {unit}")
}

/// `1,420`.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `7.1 % errors in the last 10 min (12 of 170)`.
pub(crate) fn errors(errors: u64, calls: u64, when: &str) -> String {
    let mut text = format!("{} errors {when}", percent(share(errors, calls)));
    // Writing to a String cannot fail.
    write!(text, " ({} of {})", count(errors), count(calls)).ok();
    text
}

/// A part of all; 0 of nothing.
#[expect(clippy::cast_precision_loss, reason = "a share is read with a few digits")]
pub(crate) fn share(part: u64, all: u64) -> f64 {
    if all == 0 { 0.0 } else { part as f64 / all as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_written_as_people_read_them() {
        assert_eq!([0.0, 0.0004, 0.071, 0.5, 1.0].map(percent), ["0 %", "< 0.1 %", "7.1 %", "50 %", "100 %"]);
        assert_eq!(
            [7, 12_000, 48_200_000, 1_200_000_000, 120_000_000_000].map(latency),
            ["7 ns", "12 us", "48.2 ms", "1.2 s", "120 s"]
        );
        let times = [30, 90, 600, 3_600, 10_800, 604_800].map(|seconds| time(seconds * 1_000_000_000));
        assert_eq!(times, ["30 s", "1 min", "10 min", "1 hour", "3 hours", "7 days"]);
        assert_eq!([3, 1_420, 12_345_678].map(count), ["3", "1,420", "12,345,678"]);
        assert_eq!(errors(12, 170, "now"), "7.1 % errors now (12 of 170)");
    }
}

//! Durations as a person reads them: three significant digits and a unit.

const MICROSECOND: u64 = 1_000;
const MILLISECOND: u64 = 1_000_000;
const SECOND: u64 = 1_000_000_000;

/// `nanoseconds` as text: `850 us`, `1.23 ms`, `45.6 ms`, `250 ms`, `1.50 s`.
pub(crate) fn took(nanoseconds: u64) -> String {
    let (unit, name) = match nanoseconds {
        0..MILLISECOND => return format!("{} us", nanoseconds / MICROSECOND),
        MILLISECOND..SECOND => (MILLISECOND, "ms"),
        _ => (SECOND, "s"),
    };
    let whole = nanoseconds / unit;
    let rest = nanoseconds % unit;
    match whole {
        0..10 => format!("{whole}.{:02} {name}", rest * 100 / unit),
        10..100 => format!("{whole}.{} {name}", rest * 10 / unit),
        _ => format!("{whole} {name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_three_significant_digits() {
        let shown: Vec<String> =
            [0, 850_400, 1_234_567, 45_678_901, 250_000_000, 1_509_000_000, 75_000_000_000].map(took).into();
        assert_eq!(shown, ["0 us", "850 us", "1.23 ms", "45.6 ms", "250 ms", "1.50 s", "75.0 s"]);
    }
}

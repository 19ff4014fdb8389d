//! Query strings, and the forms that numbers, truth values, durations and times have in them.
//!
//! An empty value counts as a missing one, as in Jaeger.

use crate::error::Error;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use waypost_trace_model::nanoseconds::{UNITS, decimal};

/// The parameters of a query string in their order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Parameters(Vec<(String, String)>);

impl Parameters {
    pub(crate) fn parse(query: Option<&str>) -> Parameters {
        Parameters(form_urlencoded::parse(query.unwrap_or_default().as_bytes()).into_owned().collect())
    }

    /// The first value of that name, if it is not empty.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// Every value of that name.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The first of these names that has a value, with the value.
    pub(crate) fn any_of(&self, names: &[&'static str]) -> Option<(&'static str, &str)> {
        names.iter().find_map(|name| self.text(name).map(|value| (*name, value)))
    }

    pub(crate) fn whole(&self, name: &'static str) -> Result<Option<i64>, Error> {
        self.text(name).map(|value| whole(name, value)).transpose()
    }

    /// `true`, `1`, `t` and so on as Go reads them; false when missing.
    pub(crate) fn truth(&self, names: &[&'static str]) -> Result<bool, Error> {
        let Some((name, value)) = self.any_of(names) else { return Ok(false) };
        truth(value).ok_or_else(|| Error::parameter(name, format!("`{value}` is not true or false")))
    }
}

/// A whole number.
pub(crate) fn whole(name: &'static str, value: &str) -> Result<i64, Error> {
    value.parse().map_err(|_| Error::parameter(name, format!("`{value}` is not a whole number")))
}

/// A truth value as Go's `strconv.ParseBool` reads it.
pub(crate) fn truth(value: &str) -> Option<bool> {
    match value {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// A duration as Go writes it, such as `1.5s` or `1h30m`, in nanoseconds.
pub(crate) fn duration(name: &'static str, value: &str) -> Result<u64, Error> {
    go_duration(value)
        .ok_or_else(|| Error::parameter(name, format!("`{value}` is not a duration such as 1.5s or 250ms")))
}

fn go_duration(text: &str) -> Option<u64> {
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total = 0_u64;
    while !rest.is_empty() {
        let number_length = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, after) = rest.split_at_checked(number_length)?;
        let unit_length = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at_checked(unit_length)?;
        let scale = UNITS.iter().find(|(name, _)| *name == unit)?.1;
        total = total.checked_add(decimal(number, scale)?)?;
        rest = after;
    }
    Some(total)
}

/// A time in RFC 3339, in nanoseconds since 1970; times before that count as 1970.
///
/// Some clients do not escape the `+` of the offset, so that it arrives as a space.
pub(crate) fn rfc3339(name: &'static str, value: &str) -> Result<u64, Error> {
    let time = OffsetDateTime::parse(&value.replace(' ', "+"), &Rfc3339)
        .map_err(|_| Error::parameter(name, format!("`{value}` is not a time in RFC 3339")))?;
    Ok(u64::try_from(time.unix_timestamp_nanos().max(0)).unwrap_or(u64::MAX))
}

/// A time as text, for messages.
pub(crate) fn time_text(nanos: u64) -> String {
    let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(nanos)).ok();
    time.and_then(|time| time.format(&Rfc3339).ok()).unwrap_or_else(|| format!("{nanos} ns after 1970"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_go_writes_them() {
        for (text, nanos) in [
            ("0", 0),
            ("1.2s", 1_200_000_000),
            ("100ms", 100_000_000),
            ("1h30m", 5_400_000_000_000),
            ("250us", 250_000),
            ("250\u{b5}s", 250_000),
            ("250\u{3bc}s", 250_000),
            ("1.0000000009s", 1_000_000_000),
            (".5ms", 500_000),
            ("1.s", 1_000_000_000),
        ] {
            assert_eq!(go_duration(text), Some(nanos), "{text}");
        }
        for text in
            ["", "5", "s", "1.2.3s", "-1s", "1 s", "1x", ".s", "99999999999999999999h", "3000000h9999999999h"]
        {
            assert_eq!(go_duration(text), None, "{text}");
        }
    }

    #[test]
    fn a_time_is_read_with_its_plus_as_a_space_too() {
        let read = |text: &str| rfc3339("t", text).ok();
        assert_eq!(read("1970-01-01T00:00:01.000000002Z"), Some(1_000_000_002));
        assert_eq!(read("1970-01-01T02:00:01+02:00"), Some(1_000_000_000));
        assert_eq!(read("1970-01-01T02:00:01 02:00"), Some(1_000_000_000));
        assert_eq!(read("1969-01-01T00:00:00Z"), Some(0));
        assert_eq!(read("1970-01-01"), None);
    }

    #[test]
    fn an_empty_value_is_a_missing_one() {
        let parameters = Parameters::parse(Some("a=&b=1&b=2&c=%2B+x"));
        assert_eq!(parameters.text("a"), None);
        assert_eq!(parameters.text("b"), Some("1"));
        assert_eq!(parameters.text("c"), Some("+ x"));
        assert_eq!(parameters.all("b").collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!(parameters.any_of(&["x", "a", "b"]), Some(("b", "1")));
    }
}

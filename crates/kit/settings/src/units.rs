//! Values with their unit in the text: `"2s"`, `"64KiB"`, `0.1` or `"10%"`.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::{fmt, ops::Deref, str::FromStr};

/// A length of time, written `"500ms"`, `"2s"`, `"1h 30m"`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Duration(std::time::Duration);

impl Duration {
    /// Whole seconds.
    pub const fn from_secs(seconds: u64) -> Duration {
        Duration(std::time::Duration::from_secs(seconds))
    }

    /// Whole milliseconds.
    pub const fn from_millis(milliseconds: u64) -> Duration {
        Duration(std::time::Duration::from_millis(milliseconds))
    }

    /// As the standard library's type.
    pub const fn get(self) -> std::time::Duration {
        self.0
    }
}

impl Deref for Duration {
    type Target = std::time::Duration;

    fn deref(&self) -> &std::time::Duration {
        &self.0
    }
}

impl From<std::time::Duration> for Duration {
    fn from(value: std::time::Duration) -> Duration {
        Duration(value)
    }
}

impl From<Duration> for std::time::Duration {
    fn from(value: Duration) -> std::time::Duration {
        value.0
    }
}

impl FromStr for Duration {
    type Err = String;

    fn from_str(text: &str) -> Result<Duration, String> {
        humantime::parse_duration(text).map(Duration).map_err(|_| {
            format!("`{text}` is not a duration; write a number with its unit, such as \"2s\" or \"500ms\"")
        })
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_duration(self.0).fmt(f)
    }
}

/// A number of bytes, written `"64KiB"` (1024) or `"64KB"` (1000), or as a bare number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(u64);

/// Units, the larger first within a family, so that formatting takes the largest that divides.
const SIZE_UNITS: [(&str, u64); 7] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1_000),
    ("B", 1),
];

impl ByteSize {
    /// A number of bytes.
    pub const fn bytes(bytes: u64) -> ByteSize {
        ByteSize(bytes)
    }

    /// Units of 1024 bytes.
    pub const fn kib(kibibytes: u64) -> ByteSize {
        ByteSize(kibibytes << 10)
    }

    /// Units of 1024 * 1024 bytes.
    pub const fn mib(mebibytes: u64) -> ByteSize {
        ByteSize(mebibytes << 20)
    }

    /// In bytes.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// In bytes, as a length in memory; what does not fit is the largest length.
    pub fn as_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl FromStr for ByteSize {
    type Err = String;

    fn from_str(text: &str) -> Result<ByteSize, String> {
        let refused =
            || format!("`{text}` is not a size; write bytes, or a number with a unit, such as \"64KiB\"");
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let number: u64 = number.parse().map_err(|_| refused())?;
        let unit = unit.trim();
        let factor =
            SIZE_UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit)).map(|(_, factor)| *factor);
        let factor = if unit.is_empty() { Some(1) } else { factor };
        factor.and_then(|factor| number.checked_mul(factor)).map(ByteSize).ok_or_else(refused)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let divides = |factor: u64| self.0 != 0 && self.0.is_multiple_of(factor);
        let unit = SIZE_UNITS.iter().find(|(_, factor)| divides(*factor));
        let (name, factor) = unit.unwrap_or(&("B", 1));
        write!(f, "{}{name}", self.0 / factor)
    }
}

/// A part of a whole, from 0 to 1; written as a number or in per cent (`"10%"`).
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
pub struct Ratio(f64);

impl Ratio {
    /// Nothing of it.
    pub const ZERO: Ratio = Ratio(0.0);
    /// All of it.
    pub const ONE: Ratio = Ratio(1.0);

    /// `None` outside 0 to 1.
    pub fn new(value: f64) -> Option<Ratio> {
        (0.0..=1.0).contains(&value).then_some(Ratio(value))
    }

    /// From 0 to 1.
    pub const fn get(self) -> f64 {
        self.0
    }
}

impl FromStr for Ratio {
    type Err = String;

    fn from_str(text: &str) -> Result<Ratio, String> {
        let number = match text.strip_suffix('%') {
            Some(percent) => percent.trim().parse::<f64>().map(|value| value / 100.0),
            None => text.parse::<f64>(),
        };
        number.ok().and_then(Ratio::new).ok_or_else(|| {
            format!("`{text}` is not a ratio; write a number from 0 to 1, or per cent such as \"10%\"")
        })
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Text in, text out; some also take a bare number.
macro_rules! serde_as_text {
    ($type:ident, $expecting:literal $(, $visit:ident($number:ty))*) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<$type, D::Error> {
                struct Text;

                impl de::Visitor<'_> for Text {
                    type Value = $type;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($expecting)
                    }

                    fn visit_str<E: de::Error>(self, text: &str) -> Result<$type, E> {
                        text.parse().map_err(E::custom)
                    }

                    $(
                        fn $visit<E: de::Error>(self, number: $number) -> Result<$type, E> {
                            number.to_string().parse().map_err(E::custom)
                        }
                    )*
                }

                deserializer.deserialize_any(Text)
            }
        }
    };
}

serde_as_text!(Duration, "a duration such as \"2s\"");
serde_as_text!(ByteSize, "a size such as \"64KiB\"", visit_u64(u64), visit_i64(i64));
serde_as_text!(Ratio, "a number from 0 to 1", visit_f64(f64), visit_u64(u64), visit_i64(i64));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_unit_is_read_back_as_it_is_written() {
        for text in ["2s", "500ms", "1h 30m"] {
            assert_eq!(text.parse::<Duration>().unwrap().to_string(), text);
        }
        for text in ["64KiB", "1MiB", "1500B", "2KB", "0B"] {
            assert_eq!(text.parse::<ByteSize>().unwrap().to_string(), text);
        }
        assert_eq!("10%".parse::<Ratio>(), Ok(Ratio(0.1)));
    }

    #[test]
    fn a_value_without_sense_is_refused_with_an_example() {
        assert!("2".parse::<Duration>().unwrap_err().contains("\"2s\""));
        assert!("64 parsecs".parse::<ByteSize>().unwrap_err().contains("\"64KiB\""));
        assert!("99999999999GiB".parse::<ByteSize>().is_err());
        assert!("1.5".parse::<Ratio>().is_err());
        assert!("NaN".parse::<Ratio>().is_err());
    }
}

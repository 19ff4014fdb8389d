//! Ids of traces and spans.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::{fmt, str::FromStr};

/// Why a text is not an id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseIdError {
    /// Not between 1 and the allowed number of digits.
    #[error("an id has 1 to {0} hex digits")]
    Length(usize),
    /// A character that is no hex digit.
    #[error("`{0}` is not a hex digit")]
    Digit(char),
    /// All zero, which means "no id".
    #[error("an id of zeros is not valid")]
    Zero,
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $bytes:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; $bytes]);

        impl $name {
            /// From its bytes; `None` when they are all zero or not as many as an id has.
            pub fn from_bytes(bytes: &[u8]) -> Option<$name> {
                let bytes: [u8; $bytes] = bytes.try_into().ok()?;
                (bytes != [0; $bytes]).then_some($name(bytes))
            }

            /// Its bytes, in the order of its hex digits.
            pub fn as_bytes(&self) -> &[u8; $bytes] {
                &self.0
            }
        }

        /// Hex digits, upper or lower case; fewer than the full number are padded with zeros on the left.
        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<$name, ParseIdError> {
                if text.is_empty() || text.chars().count() > 2 * $bytes {
                    return Err(ParseIdError::Length(2 * $bytes));
                }
                let mut bytes = [0_u8; $bytes];
                for (place, digit) in text.chars().rev().enumerate() {
                    let value = digit.to_digit(16).ok_or(ParseIdError::Digit(digit))?;
                    let byte = &mut bytes[$bytes - 1 - place / 2];
                    *byte |= u8::try_from(value << (4 * (place % 2))).unwrap_or_default();
                }
                $name::from_bytes(&bytes).ok_or(ParseIdError::Zero)
            }
        }

        /// Lower-case hex digits, leading zeros included.
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<$name, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(de::Error::custom)
            }
        }
    };
}

id!(
    /// A trace: 16 bytes, never all zero.
    TraceId,
    16
);
id!(
    /// A span within its trace: 8 bytes, never all zero.
    SpanId,
    8
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_ids_are_padded_on_the_left_and_written_whole() {
        let id: TraceId = "aBc".parse().unwrap();
        assert_eq!(id.to_string(), "00000000000000000000000000000abc");
        assert_eq!(id.as_bytes()[14..], [0x0a, 0xbc]);
        assert_eq!("00f067aa0ba902b7".parse::<SpanId>().unwrap().to_string(), "00f067aa0ba902b7");
    }

    #[test]
    fn what_is_no_id_says_why() {
        assert_eq!("".parse::<SpanId>(), Err(ParseIdError::Length(16)));
        assert_eq!("00000000000000000".parse::<SpanId>(), Err(ParseIdError::Length(16)));
        assert_eq!("12g4".parse::<SpanId>(), Err(ParseIdError::Digit('g')));
        assert_eq!("0".parse::<TraceId>(), Err(ParseIdError::Zero));
        assert_eq!(SpanId::from_bytes(&[1; 7]), None);
    }
}

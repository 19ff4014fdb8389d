//! The standard library's `Duration` as a setting, for `#[serde(with = "...")]`: written as [`crate::Duration`] is.

/// `5s`, `200ms`, `1m 30s`.
pub mod std_duration {
    use crate::Duration;
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    /// As text with units.
    pub fn serialize<S: Serializer>(value: &std::time::Duration, to: S) -> Result<S::Ok, S::Error> {
        Duration::from(*value).serialize(to)
    }

    /// From text with units.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<std::time::Duration, D::Error> {
        Duration::deserialize(from).map(Duration::get)
    }
}

/// As [`std_duration`], or nothing.
pub mod optional_std_duration {
    use crate::Duration;
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    /// As text with units, or nothing.
    pub fn serialize<S: Serializer>(value: &Option<std::time::Duration>, to: S) -> Result<S::Ok, S::Error> {
        value.map(Duration::from).serialize(to)
    }

    /// From text with units, or nothing.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<std::time::Duration>, D::Error> {
        Ok(Option::<Duration>::deserialize(from)?.map(Duration::get))
    }
}

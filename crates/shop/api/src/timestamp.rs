//! A moment, to the millisecond, as messages and rows carry it.

use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use utoipa::openapi::{KnownFormat, ObjectBuilder, RefOr, Schema, SchemaFormat, Type};

/// Milliseconds since 1970 in UTC, between the years 1970 and 9999. JSON carries RFC 3339 text,
/// protobuf a `google.protobuf.Timestamp`, and a database column the number.
///
/// ```
/// let moment = waypost_api::Timestamp::from_unix_millis(1_763_710_000_123).unwrap();
/// assert_eq!(moment.to_string(), "2025-11-21T07:26:40.123Z");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// A value is not a moment between the years 1970 and 9999.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not a moment between the years 1970 and 9999")]
pub struct InvalidTimestamp;

/// 9999-12-31T23:59:59.999Z; RFC 3339 has four digits for the year.
const MAX_MILLIS: i64 = 253_402_300_799_999;

impl Timestamp {
    /// Takes milliseconds since 1970.
    pub fn from_unix_millis(millis: i64) -> Result<Self, InvalidTimestamp> {
        if (0..=MAX_MILLIS).contains(&millis) { Ok(Self(millis)) } else { Err(InvalidTimestamp) }
    }

    /// Milliseconds since 1970.
    pub const fn unix_millis(self) -> i64 {
        self.0
    }

    /// The moment a while later, at most the end of the year 9999.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        let millis = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        Self(self.0.saturating_add(millis).min(MAX_MILLIS))
    }

    /// The time from an earlier moment to this one; zero when `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// Reads RFC 3339 text with any offset. What is finer than a millisecond is cut off.
    pub fn parse(text: &str) -> Result<Self, InvalidTimestamp> {
        let moment = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| InvalidTimestamp)?;
        let millis = moment.unix_timestamp_nanos().div_euclid(1_000_000);
        Self::from_unix_millis(i64::try_from(millis).map_err(|_| InvalidTimestamp)?)
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC with milliseconds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let moment = OffsetDateTime::from_unix_timestamp(self.0.div_euclid(1000)).map_err(|_| fmt::Error)?;
        let (year, month, day) = moment.to_calendar_date();
        let (hour, minute, second) = moment.to_hms();
        let month = u8::from(month);
        let millis = self.0.rem_euclid(1000);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Timestamp({self})")
    }
}

impl From<SystemTime> for Timestamp {
    /// A clock set before 1970 or after 9999 reads as the nearest moment that can be written.
    fn from(time: SystemTime) -> Self {
        Self(0).plus(time.duration_since(UNIX_EPOCH).unwrap_or_default())
    }
}

impl From<Timestamp> for SystemTime {
    fn from(moment: Timestamp) -> Self {
        UNIX_EPOCH + moment.since(Timestamp(0))
    }
}

impl From<Timestamp> for prost_types::Timestamp {
    fn from(moment: Timestamp) -> Self {
        #[expect(clippy::cast_possible_truncation, reason = "at most 999,000,000")]
        let nanos = (moment.0.rem_euclid(1000) * 1_000_000) as i32;
        Self { seconds: moment.0.div_euclid(1000), nanos }
    }
}

impl TryFrom<prost_types::Timestamp> for Timestamp {
    type Error = InvalidTimestamp;

    /// What is finer than a millisecond is cut off.
    fn try_from(value: prost_types::Timestamp) -> Result<Self, InvalidTimestamp> {
        if !(0..1_000_000_000).contains(&value.nanos) {
            return Err(InvalidTimestamp);
        }
        let millis = value.seconds.checked_mul(1000).ok_or(InvalidTimestamp)?;
        let millis = millis.checked_add(i64::from(value.nanos / 1_000_000)).ok_or(InvalidTimestamp)?;
        Self::from_unix_millis(millis)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text).map_err(D::Error::custom)
    }
}

impl utoipa::PartialSchema for Timestamp {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
            .description(Some("A moment in UTC, RFC 3339 with milliseconds."))
            .examples(["2026-11-21T07:26:40.123Z"])
            .into()
    }
}

impl utoipa::ToSchema for Timestamp {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_offset_is_turned_into_utc() {
        let moment = Timestamp::parse("2026-11-21T09:26:40.1239+02:00").unwrap();
        assert_eq!(moment.to_string(), "2026-11-21T07:26:40.123Z");
    }

    #[test]
    fn what_is_not_a_moment_is_refused() {
        for text in ["", "yesterday", "2026-13-01T00:00:00Z", "1969-12-31T23:59:59Z", "2026-11-21"] {
            assert_eq!(Timestamp::parse(text), Err(InvalidTimestamp), "{text}");
        }
        for (seconds, nanos) in [(i64::MAX, 0), (-1, 0), (0, -1), (0, 1_000_000_000)] {
            let hostile = prost_types::Timestamp { seconds, nanos };
            assert_eq!(Timestamp::try_from(hostile), Err(InvalidTimestamp));
        }
    }

    proptest! {
        #[test]
        fn every_form_gives_the_same_moment_back(millis in 0..=MAX_MILLIS) {
            let moment = Timestamp::from_unix_millis(millis).unwrap();
            prop_assert_eq!(Timestamp::parse(&moment.to_string()), Ok(moment));
            prop_assert_eq!(Timestamp::try_from(prost_types::Timestamp::from(moment)), Ok(moment));
            prop_assert_eq!(Timestamp::from(SystemTime::from(moment)), moment);
            let json = serde_json::to_string(&moment).unwrap();
            prop_assert_eq!(serde_json::from_str::<Timestamp>(&json).unwrap(), moment);
        }
    }
}

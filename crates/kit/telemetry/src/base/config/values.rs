//! Value types of the settings: durations as people write them, headers that do not print, problems.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize, Serializer};

/// Request headers, by lower-case name. Values often hold credentials: neither `Debug` nor serializing shows them.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Headers(pub BTreeMap<String, String>);

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.0.keys().map(|name| (name, "***"))).finish()
    }
}

impl Serialize for Headers {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.keys().map(|name| (name, "***")))
    }
}

/// One setting that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The variable or the key of the file, for example `OTEL_TRACES_SAMPLER_ARG` or `traces.ratio`.
    pub name: String,
    /// What was given; `***` if it may be secret.
    pub value: String,
    /// Why it cannot be used and what would be accepted.
    pub reason: String,
}

impl Problem {
    pub(crate) fn new(name: impl Into<String>, value: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { name: name.into(), value: value.into(), reason: reason.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.value.is_empty() {
            return write!(f, "{}: {}", self.name, self.reason);
        }
        write!(f, "{} = {:?}: {}", self.name, self.value, self.reason)
    }
}

/// Everything that is wrong with the settings.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("telemetry settings cannot be used\n  {}", list(.problems))]
pub struct SettingsError {
    /// Each with name, value and reason.
    pub problems: Vec<Problem>,
}

impl SettingsError {
    /// `Ok` if there are no problems.
    pub(crate) fn check(problems: Vec<Problem>) -> Result<(), Self> {
        if problems.is_empty() { Ok(()) } else { Err(Self { problems }) }
    }
}

fn list(problems: &[Problem]) -> String {
    let lines: Vec<String> = problems.iter().map(Problem::to_string).collect();
    lines.join("\n  ")
}

/// More than anybody waits, and still a time that a clock can be moved by.
pub(super) const MAX_TIME: Duration = Duration::from_hours(24 * 365);

/// A time-out as it is waited for: 0 stands for no limit.
pub(crate) fn limited(timeout: Duration) -> Duration {
    if timeout.is_zero() { MAX_TIME } else { timeout }
}

/// `5s`, `200ms`, `1m 30s`.
pub(super) mod duration {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(in crate::base::config) fn serialize<S: Serializer>(
        value: &Duration,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&humantime::format_duration(*value))
    }

    pub(in crate::base::config) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Duration, D::Error> {
        let text = String::deserialize(deserializer)?;
        humantime::parse_duration(&text)
            .map_err(|error| D::Error::custom(format!("{text:?} is not a duration such as \"5s\" ({error})")))
    }
}

/// As [`duration`], or nothing.
pub(super) mod optional_duration {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    #[derive(Deserialize)]
    #[serde(transparent)]
    struct Written(#[serde(with = "super::duration")] Duration);

    #[expect(clippy::ref_option, reason = "the signature serde's `with` asks for")]
    pub(in crate::base::config) fn serialize<S: Serializer>(
        value: &Option<Duration>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => super::duration::serialize(value, serializer),
            None => serializer.serialize_none(),
        }
    }

    pub(in crate::base::config) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Duration>, D::Error> {
        Ok(Option::<Written>::deserialize(deserializer)?.map(|written| written.0))
    }
}

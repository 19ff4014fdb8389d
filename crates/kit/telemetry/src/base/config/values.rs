//! Value types of the settings: headers that do not print, time-outs without end.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What is shown in place of a value that may be secret.
pub(super) const HIDDEN: &str = "***";

/// Request headers, by lower-case name. Values often hold credentials: neither `Debug` nor serializing shows them.
///
/// ```
/// use waypost_telemetry::config::Headers;
///
/// let headers = Headers([("api-key".to_owned(), "secret".to_owned())].into());
/// assert_eq!(format!("{headers:?}"), "{\"api-key\": \"***\"}");
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers(pub BTreeMap<String, String>);

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.0.keys().map(|name| (name, HIDDEN))).finish()
    }
}

impl Serialize for Headers {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.keys().map(|name| (name, HIDDEN)))
    }
}

impl<'de> Deserialize<'de> for Headers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let headers = BTreeMap::<String, String>::deserialize(deserializer)?;
        // Printed settings that are fed back must not silently become the value.
        if headers.values().any(|value| value == HIDDEN) {
            return Err(D::Error::custom("*** is how a header is printed, not its value"));
        }
        Ok(Self(headers.into_iter().map(|(name, value)| (name.to_lowercase(), value)).collect()))
    }
}

/// More than anybody waits, and still a time that a clock can be moved by.
pub(super) const MAX_TIME: Duration = Duration::from_hours(24 * 365);

/// A time-out as it is waited for: 0 stands for no limit.
pub(crate) fn limited(timeout: Duration) -> Duration {
    if timeout.is_zero() { MAX_TIME } else { timeout }
}

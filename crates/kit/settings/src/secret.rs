//! A value that must not be seen.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::{any::Any, fmt};

/// What is shown in its place.
const REDACTED: &str = "[redacted]";

/// Holds a password, key or token: `Debug` and `Serialize` show `[redacted]`, and there is no `Display`.
///
/// ```
/// let key = waypost_settings::Secret::new("hunter2".to_owned());
/// assert_eq!(format!("{key:?}"), "[redacted]");
/// assert_eq!(key.expose(), "hunter2");
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret<T>(T);

impl<T> Secret<T> {
    /// Hides a value.
    pub const fn new(value: T) -> Secret<T> {
        Secret(value)
    }

    /// The value, for the one place that needs it.
    pub const fn expose(&self) -> &T {
        &self.0
    }
}

impl<T> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl<T> Serialize for Secret<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(REDACTED)
    }
}

impl<'de, T: Deserialize<'de> + 'static> Deserialize<'de> for Secret<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Secret<T>, D::Error> {
        // The inner error may quote the value.
        let value = T::deserialize(deserializer)
            .map_err(|_| de::Error::custom("wrong type; its value is not shown"))?;
        // A printed configuration that is fed back must not silently become the secret.
        let text = (&value as &dyn Any).downcast_ref::<String>();
        if text.is_some_and(|text| text == REDACTED) {
            return Err(de::Error::custom("this is how a secret is printed, not the secret itself"));
        }
        Ok(Secret(value))
    }
}

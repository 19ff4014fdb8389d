//! The one place where the store, and whoever asks it, reads the clock.

use std::time::{SystemTime, UNIX_EPOCH};

/// The present in nanoseconds since 1970; 0 with a clock that is set before.
pub fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

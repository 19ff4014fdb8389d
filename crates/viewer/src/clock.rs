//! The one place where the viewer asks for the time.

use std::time::{SystemTime, UNIX_EPOCH};

/// Nanoseconds since 1970; 0 with a clock that is set before.
pub(crate) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

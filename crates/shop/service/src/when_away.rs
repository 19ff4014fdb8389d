//! What a role does while a store that it shares with others cannot be asked.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What becomes of requests while a store that counts them cannot be asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WhenAway {
    /// They go on without it.
    #[default]
    Open,
    /// They are refused, as when a service is away.
    Closed,
}

impl fmt::Display for WhenAway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            WhenAway::Open => "open",
            WhenAway::Closed => "closed",
        })
    }
}

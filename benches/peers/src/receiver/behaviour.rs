//! The troubles of a receiver.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// How requests are treated from now on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Behaviour {
    /// Answered at once.
    #[default]
    Well,
    /// Left without an answer until so many milliseconds have gone by; then answered.
    Stalls(u64),
    /// For so many milliseconds refused: HTTP 503 with `Retry-After: 1`, gRPC UNAVAILABLE with the same in RetryInfo.
    Refuses(u64),
    /// For so many milliseconds every connection is closed, open ones and new ones.
    Cuts(u64),
    /// Each answered after so many milliseconds.
    Slow(u64),
}

/// A behaviour and when it began.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Current {
    pub(crate) since: Instant,
    pub(crate) behaviour: Behaviour,
}

impl Default for Current {
    fn default() -> Self {
        Self { since: Instant::now(), behaviour: Behaviour::Well }
    }
}

impl Current {
    fn left_of(&self, milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds).saturating_sub(self.since.elapsed())
    }

    pub(crate) fn cuts(&self) -> bool {
        matches!(self.behaviour, Behaviour::Cuts(milliseconds) if !self.left_of(milliseconds).is_zero())
    }

    pub(crate) fn refuses(&self) -> bool {
        matches!(self.behaviour, Behaviour::Refuses(milliseconds) if !self.left_of(milliseconds).is_zero())
    }

    /// How long a request waits for its answer.
    pub(crate) fn delay(&self) -> Duration {
        match self.behaviour {
            Behaviour::Stalls(milliseconds) => self.left_of(milliseconds),
            Behaviour::Slow(milliseconds) => Duration::from_millis(milliseconds),
            Behaviour::Well | Behaviour::Refuses(_) | Behaviour::Cuts(_) => Duration::ZERO,
        }
    }
}

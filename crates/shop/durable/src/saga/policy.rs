//! How often, how long and how fast.

use crate::Backoff;
use std::time::Duration;

/// How a runner repeats what failed.
///
/// A round is a number of tries of one step inside a time. Before the pivot a step gets one round, then the saga
/// turns back. From the pivot on it gets round after round with pauses between. An undo gets one round, then the
/// saga is parked as stuck. A try that did not leave the process, because the breaker is open or there was no connection,
/// is none: it waits, for as long as the round may take.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Tries of one step in a round.
    pub attempts: u32,
    /// Time of a round; no further try begins after it.
    pub budget: Duration,
    /// Deadline of one try, which its calls inherit.
    pub attempt_timeout: Duration,
    /// Pauses between the tries of a round.
    pub pause: Backoff,
    /// Tries of an undo before the saga is parked.
    pub undo_attempts: u32,
    /// Pauses between rounds, from the pivot on.
    pub round_pause: Backoff,
}

impl Default for Policy {
    fn default() -> Self {
        Policy {
            attempts: 6,
            budget: Duration::from_secs(20),
            attempt_timeout: Duration::from_secs(5),
            pause: Backoff { first: Duration::from_millis(50), max: Duration::from_secs(2) },
            undo_attempts: 8,
            round_pause: Backoff { first: Duration::from_secs(2), max: Duration::from_secs(15) },
        }
    }
}

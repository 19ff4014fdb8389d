//! The lead of one relay among several.

use std::time::Duration;

use tokio::time::Instant;

/// The lead over an outbox, for a while. What counts is the database; this is the relay's own view of it, by a clock that
/// only goes forward.
#[derive(Clone, Copy, Debug)]
pub struct Leadership {
    until: Instant,
}

impl Leadership {
    /// A lead that was asked for at this moment, so that it ends here no later than in the database.
    pub fn new(asked_at: Instant, lease: Duration) -> Leadership {
        Leadership { until: asked_at + lease }
    }

    /// How much of it is left; zero when it is over.
    pub fn remaining(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }
}

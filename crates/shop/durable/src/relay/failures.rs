//! Waiting out a broker or database that is away.

use tokio_util::sync::CancellationToken;

use crate::{Backoff, Error};

/// Failures in a row.
pub(super) struct Failures {
    backoff: Backoff,
    count: u32,
}

impl Failures {
    pub(super) fn new(backoff: Backoff) -> Failures {
        Failures { backoff, count: 0 }
    }

    /// Waits before the next try. False: a drain began, so there is none.
    pub(super) async fn wait(&mut self, error: &Error, draining: &CancellationToken) -> bool {
        self.count += 1;
        if self.count == 1 {
            tracing::warn!(%error, "events cannot be published; trying on until they are");
        }
        // A drain that began earlier ends the work here, one that begins during the wait ends the wait.
        if draining.is_cancelled() {
            return false;
        }
        tokio::select! {
            () = tokio::time::sleep(self.backoff.delay(self.count)) => {}
            () = draining.cancelled() => {}
        }
        true
    }

    pub(super) fn end(&mut self) {
        if self.count > 0 {
            tracing::info!(failures = self.count, "events are published again");
            self.count = 0;
        }
    }
}

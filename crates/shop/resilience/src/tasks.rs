//! Tasks that must outlive the request that started them.
//!
//! A saga that has begun, a transaction on PostgreSQL: work that a client's disconnect must not cancel. Each is
//! counted, so that a drain can wait for it, and traced, so that its spans keep their parent.

use std::{future::Future, time::Duration};
use tokio::task::JoinHandle;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Spawns tracked and traced tasks. Cheap to clone; all clones count together.
#[derive(Clone, Debug, Default)]
pub struct Tasks {
    tracker: TaskTracker,
    stopping: CancellationToken,
}

impl Tasks {
    /// No task yet.
    pub fn new() -> Tasks {
        Tasks::default()
    }

    /// Runs `task` to its end whatever becomes of the caller. The current OpenTelemetry context goes with it.
    /// Dropping the handle does not stop the task.
    pub fn spawn<F>(&self, task: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        waypost_telemetry::spawn(self.tracker.track_future(task))
    }

    /// Tells the tasks that the process is about to stop: what can be done at once is done, what would have to wait
    /// for better times is left to the next start. Repeating it changes nothing.
    pub fn stop(&self) {
        self.stopping.cancel();
    }

    /// Sees [`Tasks::stop`].
    pub fn stopping(&self) -> CancellationToken {
        // A child, so that who cancels it stops nobody else.
        self.stopping.child_token()
    }

    /// True from the moment of [`Tasks::stop`].
    pub fn is_stopping(&self) -> bool {
        self.stopping.is_cancelled()
    }

    /// How many have not ended.
    pub fn running(&self) -> usize {
        self.tracker.len()
    }

    /// Tells them to stop and waits until all have ended, at most `within`. Returns how many have not.
    ///
    /// Tasks may still be spawned meanwhile (a request that is being drained may start one); they are waited
    /// for too. Cancel safe.
    pub async fn finished(&self, within: Duration) -> usize {
        self.stop();
        self.tracker.close();
        // The count decides, not the time-out: the last task may end at the same moment.
        tokio::time::timeout(within, self.tracker.wait()).await.ok();
        self.running()
    }
}

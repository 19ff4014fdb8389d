//! How a handle talks to the loops on its export thread: flush, stop by a deadline, and learning that it is done.
//!
//! "Done" is the dropping of a sender: so a loop that ended for whatever reason never leaves anyone waiting.

use std::future::Future;
use std::pin::pin;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

/// How long the loops go on sending when the handle was dropped without a shutdown.
const GRACE: Duration = Duration::from_secs(5);

#[derive(Clone, Debug)]
pub(crate) enum Command {
    /// Send what is queued, then drop this.
    Flush(#[expect(dead_code, reason = "dropping it is the answer")] Sender<()>),
    /// Send what is queued until the deadline, stop, drop this.
    Stop(Instant, Sender<()>),
}

/// The handle's side; each loop has one.
pub(crate) type ControlSender = mpsc::UnboundedSender<Command>;

/// Whether every holder of the other end has dropped it before the deadline.
pub(crate) fn all_done(done: &Receiver<()>, deadline: std::time::Instant) -> bool {
    let left = deadline.saturating_duration_since(std::time::Instant::now());
    matches!(done.recv_timeout(left), Err(RecvTimeoutError::Disconnected))
}

/// The loop's side.
#[derive(Debug)]
pub(crate) struct ControlReceiver {
    commands: mpsc::UnboundedReceiver<Command>,
    flushes: Vec<Command>,
    stop_by: Option<Instant>,
    /// Dropped with the loop: the answer to those who ordered the stop.
    stop_done: Vec<Sender<()>>,
}

impl ControlReceiver {
    pub(crate) fn new() -> (ControlSender, Self) {
        let (sender, commands) = mpsc::unbounded_channel();
        (sender, Self { commands, flushes: Vec::new(), stop_by: None, stop_done: Vec::new() })
    }

    /// Waits for one command and remembers it. A handle that is gone wants everything sent and the loop stopped. Cancel
    /// safe.
    pub(crate) async fn recv(&mut self) {
        match self.commands.recv().await {
            Some(flush @ Command::Flush(_)) => self.flushes.push(flush),
            Some(Command::Stop(deadline, done)) => {
                self.stop_by = Some(self.stop_by.map_or(deadline, |known| known.min(deadline)));
                self.stop_done.push(done);
            }
            None => {
                self.stop_by.get_or_insert_with(|| Instant::now() + GRACE);
            }
        }
    }

    pub(crate) fn must_stop(&self) -> bool {
        self.stop_by.is_some()
    }

    pub(crate) fn must_flush(&self) -> bool {
        !self.flushes.is_empty()
    }

    /// The flushes asked for so far; dropping them answers.
    pub(crate) fn take_flushes(&mut self) -> Vec<Command> {
        std::mem::take(&mut self.flushes)
    }

    /// The deadline of the stop, if one was ordered.
    pub(crate) fn stop_by(&self) -> Option<Instant> {
        self.stop_by
    }

    pub(crate) fn deadline_passed(&self) -> bool {
        self.stop_by.is_some_and(|deadline| Instant::now() >= deadline)
    }

    /// Runs `work`, taking commands meanwhile; `None` if a stop's deadline came first. When a stop is ordered,
    /// `hurry` is called.
    pub(crate) async fn until_deadline<T>(
        &mut self,
        work: impl Future<Output = T>,
        hurry: impl FnOnce(),
    ) -> Option<T> {
        let mut work = pin!(work);
        loop {
            if let Some(deadline) = self.stop_by {
                hurry();
                return timeout_at(deadline, work).await.ok();
            }
            tokio::select! {
                output = &mut work => return Some(output),
                () = self.recv() => {}
            }
        }
    }
}

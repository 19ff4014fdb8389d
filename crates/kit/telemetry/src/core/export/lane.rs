//! The way of one signal to one receiver: a bounded queue, and a loop on the export thread that empties it.
//!
//! Invariant: every item that enters leaves the account's `pending` exactly once. A lane never waits for another;
//! a receiver that is down or hangs fills this lane's queue and nothing else. What is being sent when the
//! shutdown's deadline comes is abandoned and counted, its request cancelled.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::Sink;
use super::account::Account;
use super::orders::Ears;
use super::outlet::{Outlet, Sent};
use super::queue::Queue;
use crate::base::config::{BatchSettings, limited};
use crate::base::ledger::{DropReason, ExporterLedger};

/// Where callers put items.
#[derive(Debug)]
pub(crate) struct Lane<T> {
    queue: Queue<T>,
    account: Account,
    wake: Notify,
    settings: BatchSettings,
}

impl<T> Lane<T> {
    pub(crate) fn new(exporter: &'static str, mut settings: BatchSettings) -> Arc<Self> {
        // A loop that never waits would take a core.
        settings.delay = settings.delay.max(Duration::from_millis(1));
        Arc::new(Self { queue: Queue::new(), account: Account::new(exporter), wake: Notify::new(), settings })
    }
}

impl<T: Send + std::fmt::Debug> Sink<T> for Lane<T> {
    fn accept(&self, item: T) {
        let pending = self.account.enter();
        if pending > self.settings.queue_size as u64 {
            self.account.dropped(DropReason::QueueFull, 1);
        } else if self.queue.push(item).is_err() {
            self.account.dropped(DropReason::AfterShutdown, 1);
        } else if pending == self.settings.max_batch as u64 {
            self.wake.notify_one();
        }
    }

    fn ledger(&self) -> ExporterLedger {
        self.account.ledger()
    }
}

/// The reading side of a lane.
pub(crate) struct LaneLoop<T: 'static> {
    lane: Arc<Lane<T>>,
    outlet: Outlet<T>,
    ears: Ears,
    /// Taken from the queue and not yet sent.
    waiting: Vec<T>,
}

impl<T: Send + 'static> LaneLoop<T> {
    pub(crate) fn new(lane: Arc<Lane<T>>, outlet: Outlet<T>, ears: Ears) -> Self {
        Self { lane, outlet, ears, waiting: Vec::new() }
    }

    /// Runs until the shutdown is ordered or the handle is gone.
    pub(crate) async fn run(mut self) {
        let mut spare = Vec::new();
        let mut due = Instant::now() + self.lane.settings.delay;
        while !self.ears.must_stop() {
            if !self.ears.must_flush() && self.waiting.len() < self.lane.settings.max_batch {
                tokio::select! {
                    () = self.lane.wake.notified() => {}
                    () = sleep_until(due) => {}
                    () = self.ears.hear() => {}
                }
            }
            // Whoever asked for a flush before this point gets everything that is queued by now.
            let asked = self.ears.take_flushes();
            let everything = !asked.is_empty() || Instant::now() >= due;
            self.lane.queue.drain_into(&mut self.waiting, &mut spare);
            self.send_waiting(everything).await;
            if everything {
                due = Instant::now() + self.lane.settings.delay;
            }
        }
        self.lane.queue.close_into(&mut self.waiting);
        self.send_waiting(true).await;
        self.lane.account.dropped(DropReason::ShutdownDeadline, self.waiting.len() as u64);
    }

    /// Sends full batches, and the rest too if `everything` is to go. Stops early at the shutdown's deadline.
    async fn send_waiting(&mut self, everything: bool) {
        let max_batch = self.lane.settings.max_batch;
        while self.waiting.len() >= max_batch || (everything && !self.waiting.is_empty()) {
            if self.ears.deadline_passed() {
                return;
            }
            let rest = self.waiting.split_off(self.waiting.len().min(max_batch));
            let batch = std::mem::replace(&mut self.waiting, rest);
            self.send(batch).await;
        }
    }

    async fn send(&mut self, batch: Vec<T>) {
        let count = batch.len() as u64;
        let account = &self.lane.account;
        let give_up = Instant::now() + limited(self.lane.settings.export_timeout);
        let sent = self.outlet.send(batch, give_up);
        match self.ears.until_deadline(sent).await {
            Some(Sent::Accepted { rejected }) => {
                let rejected = rejected.min(count);
                account.exported(count - rejected);
                account.dropped(DropReason::Rejected, rejected);
            }
            Some(Sent::Failed) => account.dropped(DropReason::ExportFailed, count),
            None => account.dropped(DropReason::ShutdownDeadline, count),
        }
    }
}

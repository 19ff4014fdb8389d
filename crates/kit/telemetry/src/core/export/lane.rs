//! The way of one signal to one receiver: a bounded queue of frames and what became of its items.
//!
//! Invariant: every item that enters leaves the queue's places exactly once, as exported or dropped. Bounded in
//! items and in bytes. A lane never waits for another; a receiver that is down or hangs fills this lane's queue
//! and nothing else. [`super::lane_loop`] empties it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::account::Account;
use super::frame::Frame;
use crate::base::config::BatchSettings;
use crate::base::ledger::{DropReason, ExporterLedger};

/// Places taken from the queue at once, at most.
const MAX_CHUNK: usize = 256;

#[derive(Debug)]
pub(crate) struct Lane {
    pub(super) settings: BatchSettings,
    /// Host and port of the receiver, for the ledger.
    server: Option<(String, u16)>,
    account: Account,
    /// Places that nobody has taken.
    free: AtomicUsize,
    inflight: AtomicUsize,
    queue: Mutex<Queue>,
    /// Something to send, or no room.
    pub(super) wake: Notify,
    is_short: AtomicBool,
}

#[derive(Debug, Default)]
struct Queue {
    frames: VecDeque<Frame>,
    items: usize,
    bytes: usize,
    /// Frames that ever found room: what a flush waits for is below this.
    pushed: u64,
}

/// Frames that are sent as one request.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) frames: Vec<Frame>,
    pub(super) items: usize,
    /// The number of the first frame of this batch.
    pub(super) first: u64,
}

impl Lane {
    pub(crate) fn new(
        exporter: &'static str,
        server: Option<(String, u16)>,
        settings: BatchSettings,
    ) -> Arc<Self> {
        Arc::new(Self {
            server,
            account: Account::new(exporter),
            free: AtomicUsize::new(settings.queue_size),
            inflight: AtomicUsize::new(0),
            queue: Mutex::default(),
            wake: Notify::new(),
            is_short: AtomicBool::new(false),
            settings,
        })
    }

    pub(super) fn capacity(&self) -> usize {
        self.settings.queue_size
    }

    /// Whether nothing waits for more to come.
    pub(super) fn is_immediate(&self) -> bool {
        self.settings.delay.is_zero()
    }

    pub(super) fn max_batch(&self) -> usize {
        self.settings.max_batch
    }

    /// Takes places for some items; none if the queue is full. Calls for the sender when room grows scarce.
    pub(super) fn reserve(&self) -> usize {
        let chunk = (self.settings.queue_size / MAX_CHUNK).clamp(1, MAX_CHUNK);
        let take = |free: usize| (free > 0).then(|| free - free.min(chunk));
        let before = self.free.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).unwrap_or(0);
        if before <= self.settings.queue_size / 2 && !self.is_short.swap(true, Ordering::Relaxed) {
            self.wake.notify_one();
        }
        before.min(chunk)
    }

    /// Whether room grew scarce since this was last asked.
    pub(super) fn take_short(&self) -> bool {
        self.is_short.swap(false, Ordering::Relaxed)
    }

    /// Takes a frame whose items have their places; drops it if its bytes are too many.
    pub(super) fn push(&self, frame: Frame) {
        let mut queue = self.lock();
        if queue.bytes + frame.bytes > self.settings.queue_bytes {
            drop(queue);
            self.finish(frame.items, |lane| lane.dropped(DropReason::QueueFull, frame.items));
            return;
        }
        queue.pushed += 1;
        queue.items += frame.items;
        queue.bytes += frame.bytes;
        queue.frames.push_back(frame);
        let is_enough = queue.items >= self.settings.max_batch || self.is_immediate();
        drop(queue);
        if is_enough {
            self.wake.notify_one();
        }
    }

    /// Takes what one request may carry; nothing while there is less than a batch, unless `everything` is to go.
    pub(super) fn pull(&self, everything: bool, max_bytes: usize) -> Option<Batch> {
        let mut queue = self.lock();
        if queue.frames.is_empty() || (!everything && queue.items < self.settings.max_batch) {
            return None;
        }
        let mut batch = Batch { first: queue.pushed - queue.frames.len() as u64, ..Batch::default() };
        let mut bytes = 0;
        while let Some(frame) = queue.frames.front() {
            let fits =
                batch.items + frame.items <= self.settings.max_batch && bytes + frame.bytes <= max_bytes;
            if !fits && !batch.frames.is_empty() {
                break;
            }
            let Some(frame) = queue.frames.pop_front() else { break };
            queue.items -= frame.items;
            queue.bytes -= frame.bytes;
            bytes += frame.bytes;
            batch.items += frame.items;
            batch.frames.push(frame);
        }
        self.inflight.fetch_add(batch.items, Ordering::Relaxed);
        Some(batch)
    }

    /// The number that the next frame will have, and that of the oldest one that waits.
    pub(super) fn numbers(&self) -> (u64, u64) {
        let queue = self.lock();
        (queue.pushed, queue.pushed - queue.frames.len() as u64)
    }

    /// A batch has come to its end: so many items were exported, the others dropped for this reason.
    pub(super) fn settle(&self, items: usize, exported: usize, reason: DropReason) {
        self.inflight.fetch_sub(items, Ordering::Relaxed);
        self.finish(items, |lane| {
            lane.account.exported(exported as u64);
            if items > exported {
                lane.dropped(reason, items - exported);
            }
        });
    }

    /// Items that are being sent.
    pub(super) fn in_flight(&self) -> usize {
        self.inflight.load(Ordering::Relaxed)
    }

    /// Drops everything that waits.
    pub(super) fn abandon(&self, reason: DropReason) {
        let mut queue = self.lock();
        let items = std::mem::take(&mut queue.items);
        queue.bytes = 0;
        queue.frames.clear();
        drop(queue);
        self.finish(items, |lane| lane.dropped(reason, items));
    }

    /// Counts what became of items, then gives their places back: a reader never misses an item.
    fn finish(&self, items: usize, count: impl FnOnce(&Self)) {
        count(self);
        self.free.fetch_add(items, Ordering::Release);
    }

    /// Counts items that were dropped.
    pub(super) fn dropped(&self, reason: DropReason, items: usize) {
        if items > 0 {
            self.account.dropped(reason, items as u64);
        }
    }

    /// `unused`: places that were taken and hold no item yet.
    pub(super) fn ledger(&self, unused: usize) -> ExporterLedger {
        let free = self.free.load(Ordering::Acquire) + unused;
        let pending = self.settings.queue_size.saturating_sub(free) as u64;
        ExporterLedger {
            server: self.server.clone(),
            capacity: self.settings.queue_size as u64,
            pending,
            inflight: self.inflight.load(Ordering::Relaxed) as u64,
            ..self.account.ledger()
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

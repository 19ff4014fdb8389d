//! From many threads to the lanes: items are encoded where they end, into shards, and leave as frames.
//!
//! A lock is held for one item; a thread that finds its shard taken tries the others before it waits. Invariant:
//! for every lane each item is counted exactly once, as accepted or with the reason why not. A lane's free places
//! are taken in chunks, so that threads share no counter in the normal case; a small queue is taken from one by
//! one, and its bound is exact. When a lane is full the newest item is the one that is dropped: what waits was
//! there first, and nothing already encoded is thrown away.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use super::buffers::{BUFFERS, MAX_FRAME_BYTES};
use super::counts::{SHARDS, home};
use super::frame::{Envelope, Frame, Part};
use super::lane::Lane;
use super::scope::Scope;
use crate::base::ledger::{DropReason, ExporterLedger};

/// More than the tags and lengths around an envelope, or around a part, take.
const HEADS: usize = 32;
/// Room that a further part starts with; the first has a buffer for the whole frame.
const FURTHER_ROOM: usize = 1024;

#[derive(Debug)]
pub(crate) struct Frames {
    shards: [Shard; SHARDS],
    lanes: Vec<Arc<Lane>>,
    envelope: Envelope,
    /// One if a lane has no delay: its items go at once.
    max_items: usize,
    /// Bytes of the parts of a frame that can still be sent as a request; only a single item may have more.
    max_bytes: usize,
}

/// On cache lines of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Shard(Mutex<Filling>);

/// A frame that is being filled.
#[derive(Debug, Default)]
struct Filling {
    parts: Vec<Part>,
    items: usize,
    /// What the parts take in the frame.
    bytes: usize,
    /// Which lanes the items go to, as bits.
    lanes: u64,
    /// Places taken from each lane and not yet used.
    credits: Vec<usize>,
    is_closed: bool,
}

impl Frames {
    /// At most 64 lanes are served; the settings allow fewer.
    pub(crate) fn new(envelope: Envelope, lanes: Vec<Arc<Lane>>, max_request_bytes: usize) -> Self {
        // A shard may hold back no more than its share of the smallest queue, or that queue could be full with
        // nothing on its way.
        let share = |lane: &Arc<Lane>| (lane.capacity() / (2 * SHARDS)).clamp(1, lane.max_batch());
        let may_wait = lanes.iter().all(|lane| !lane.is_immediate());
        let max_items = if may_wait { lanes.iter().map(share).min().unwrap_or(1) } else { 1 };
        let filling = || Filling { credits: vec![0; lanes.len()], ..Filling::default() };
        let shards = std::array::from_fn(|_| Shard(Mutex::new(filling())));
        let max_bytes = max_request_bytes.saturating_sub(envelope.len() + HEADS);
        Self { shards, lanes, envelope, max_items, max_bytes }
    }

    /// Takes an item. `write` appends it to the items of its scope; it is not called if no lane has room.
    pub(crate) fn accept(&self, scope: &Arc<Scope>, write: impl FnOnce(&mut Vec<u8>)) {
        let mut filling = self.free_shard();
        let lanes = self.admit(&mut filling);
        if lanes == 0 {
            return;
        }
        if filling.lanes != lanes {
            self.hand_over(&mut filling);
            filling.lanes = lanes;
        }
        let items = &mut filling.part(scope).items;
        let before = items.len();
        write(items);
        let written = items.len() - before;
        filling.bytes += written;
        if filling.bytes > self.max_bytes && filling.items > 0 {
            let item = filling.part(scope).items.split_off(before);
            self.hand_over(&mut filling);
            filling.bytes += item.len();
            filling.part(scope).items = item;
        }
        filling.items += 1;
        if filling.bytes >= MAX_FRAME_BYTES || filling.items >= self.max_items {
            self.hand_over(&mut filling);
        }
    }

    /// The lanes that have a place for one more item, as bits. Counts the item as dropped at the others.
    #[inline]
    fn admit(&self, filling: &mut Filling) -> u64 {
        let mut admitted = 0;
        for (place, (lane, credit)) in self.lanes.iter().zip(&mut filling.credits).enumerate() {
            if filling.is_closed {
                lane.dropped(DropReason::AfterShutdown, 1);
                continue;
            }
            if *credit == 0 {
                *credit = lane.reserve();
            }
            if *credit == 0 {
                lane.dropped(DropReason::QueueFull, 1);
                continue;
            }
            *credit -= 1;
            admitted |= 1 << place;
        }
        admitted
    }

    fn hand_over(&self, filling: &mut Filling) {
        if filling.items == 0 {
            return;
        }
        filling.bytes = 0;
        filling.parts.retain(|part| !part.items.is_empty());
        let frame: Frame = self.envelope.seal(&mut filling.parts, std::mem::take(&mut filling.items));
        for (place, lane) in self.lanes.iter().enumerate() {
            if filling.lanes & (1 << place) != 0 {
                lane.push(frame.clone());
            }
        }
    }

    /// Hands over everything that is held back.
    pub(crate) fn sweep(&self) {
        for shard in &self.shards {
            self.hand_over(&mut shard.lock());
        }
    }

    /// Refuses items from now on and hands over what is held back.
    pub(crate) fn close(&self) {
        for shard in &self.shards {
            let mut filling = shard.lock();
            filling.is_closed = true;
            self.hand_over(&mut filling);
        }
    }

    /// The account of each lane.
    pub(crate) fn ledgers(&self) -> Vec<ExporterLedger> {
        let fillings: Vec<_> = self.shards.iter().map(Shard::lock).collect();
        let unused = |place: usize| fillings.iter().filter_map(|filling| filling.credits.get(place)).sum();
        self.lanes.iter().enumerate().map(|(place, lane)| lane.ledger(unused(place))).collect()
    }

    #[inline]
    fn free_shard(&self) -> MutexGuard<'_, Filling> {
        let home = home();
        for offset in 0..SHARDS {
            match self.shards[(home + offset) % SHARDS].0.try_lock() {
                Ok(filling) => return filling,
                Err(TryLockError::Poisoned(poisoned)) => return poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => {}
            }
        }
        self.shards[home].lock()
    }
}

impl Shard {
    fn lock(&self) -> MutexGuard<'_, Filling> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Filling {
    /// The part of a scope; nearly always the first one.
    #[inline]
    fn part(&mut self, scope: &Arc<Scope>) -> &mut Part {
        let known = self.parts.iter().position(|part| Arc::ptr_eq(&part.scope, scope));
        let place = known.unwrap_or_else(|| {
            let items = if self.parts.is_empty() { BUFFERS.take() } else { Vec::with_capacity(FURTHER_ROOM) };
            self.bytes += scope.head.len() + HEADS;
            self.parts.push(Part { scope: Arc::clone(scope), items });
            self.parts.len() - 1
        });
        &mut self.parts[place]
    }
}

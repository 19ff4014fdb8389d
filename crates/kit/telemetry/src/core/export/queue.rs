//! A queue from many threads to one: bounded by its owner, sharded so that threads seldom meet.
//!
//! Each thread pushes to a shard of its own choice; the reader swaps whole shards out. A lock is held for one
//! push or one swap, and a pusher that finds its shard taken tries the others before it waits, so a caller never
//! waits for the reader's work. It takes memory only for what it holds. Order between threads is not kept.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

/// More shards than cores that telemetry is likely to be pushed from at one moment.
const SHARDS: usize = 8;

thread_local! {
    static HOME: Cell<Option<usize>> = const { Cell::new(None) };
}

/// The shard of this thread; threads are dealt round.
fn home() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    HOME.with(|home| {
        home.get().unwrap_or_else(|| {
            let dealt = NEXT.fetch_add(1, Ordering::Relaxed) % SHARDS;
            home.set(Some(dealt));
            dealt
        })
    })
}

#[derive(Debug)]
pub(crate) struct Queue<T> {
    shards: [Shard<T>; SHARDS],
}

/// On a cache line of its own.
#[derive(Debug)]
#[repr(align(64))]
struct Shard<T>(Mutex<Slots<T>>);

#[derive(Debug)]
struct Slots<T> {
    items: Vec<T>,
    closed: bool,
}

impl<T> Queue<T> {
    pub(crate) fn new() -> Self {
        Self {
            shards: std::array::from_fn(|_| Shard(Mutex::new(Slots { items: Vec::new(), closed: false }))),
        }
    }

    /// Gives the item back if the queue is closed.
    pub(crate) fn push(&self, item: T) -> Result<(), T> {
        let mut slots = self.free_shard();
        if slots.closed {
            return Err(item);
        }
        slots.items.push(item);
        Ok(())
    }

    fn free_shard(&self) -> MutexGuard<'_, Slots<T>> {
        let home = home();
        for offset in 0..SHARDS {
            match self.shards[(home + offset) % SHARDS].0.try_lock() {
                Ok(slots) => return slots,
                Err(TryLockError::Poisoned(poisoned)) => return poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => {}
            }
        }
        self.shards[home].0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves all items to `out`. `spare` lends its capacity to the shards and gets theirs.
    pub(crate) fn drain_into(&self, out: &mut Vec<T>, spare: &mut Vec<T>) {
        for shard in &self.shards {
            std::mem::swap(&mut shard.0.lock().unwrap_or_else(PoisonError::into_inner).items, spare);
            out.append(spare);
        }
    }

    /// Refuses items from now on and moves what is left to `out`.
    pub(crate) fn close_into(&self, out: &mut Vec<T>) {
        for shard in &self.shards {
            let mut slots = shard.0.lock().unwrap_or_else(PoisonError::into_inner);
            slots.closed = true;
            out.append(&mut slots.items);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_comes_out_once_whoever_pushes() {
        let queue = Queue::new();
        let mut out = Vec::new();
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let queue = &queue;
                scope.spawn(move || (0..1_000).for_each(|n| queue.push(thread * 1_000 + n).unwrap()));
            }
            let mut spare = Vec::new();
            while out.len() < 4_000 {
                queue.drain_into(&mut out, &mut spare);
            }
        });
        out.sort_unstable();
        assert!(out.iter().copied().eq(0..4_000));
    }

    #[test]
    fn a_closed_queue_gives_items_back() {
        let queue = Queue::new();
        queue.push(1).unwrap();
        let mut left = Vec::new();
        queue.close_into(&mut left);
        assert_eq!((left, queue.push(2)), (vec![1], Err(2)));
    }
}

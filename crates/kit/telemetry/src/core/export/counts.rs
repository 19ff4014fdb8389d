//! How many spans began and ended, counted where threads do not meet.
//!
//! Each thread adds to a shard of its own choice, on a cache line of its own; only readers see all of them.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crate::base::ledger::{ParentOrigin, SamplingResult, SpanStarts};

/// More shards than cores that spans are likely to end on at one moment.
pub(super) const SHARDS: usize = 8;

thread_local! {
    static HOME: Cell<Option<usize>> = const { Cell::new(None) };
}

/// The shard of this thread; threads are dealt round.
#[inline]
pub(super) fn home() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let deal = || NEXT.fetch_add(1, Ordering::Relaxed) % SHARDS;
    // A thread that is ending has no home any more.
    HOME.try_with(|home| {
        home.get().unwrap_or_else(|| {
            let dealt = deal();
            home.set(Some(dealt));
            dealt
        })
    })
    .unwrap_or_else(|_| deal())
}

#[derive(Debug, Default)]
pub(crate) struct SpanCounts {
    shards: [Shard; SHARDS],
}

#[derive(Debug, Default)]
#[repr(align(128))]
struct Shard {
    started: [[AtomicU64; ParentOrigin::ALL.len()]; SamplingResult::ALL.len()],
    ended: AtomicU64,
}

impl SpanCounts {
    #[inline]
    pub(crate) fn started(&self, sampling: SamplingResult, parent: ParentOrigin) {
        self.shards[home()].started[sampling as usize][parent as usize].fetch_add(1, Ordering::Relaxed);
    }

    #[inline]
    pub(crate) fn ended(&self) {
        self.shards[home()].ended.fetch_add(1, Ordering::Release);
    }

    /// Starts, and recorded spans that ended. `ended` is read first, so that it is never the larger.
    pub(crate) fn read(&self) -> (SpanStarts, u64) {
        let ended = self.shards.iter().map(|shard| shard.ended.load(Ordering::Acquire)).sum();
        let mut starts = SpanStarts::default();
        for shard in &self.shards {
            for sampling in SamplingResult::ALL {
                for parent in ParentOrigin::ALL {
                    let count = shard.started[sampling as usize][parent as usize].load(Ordering::Acquire);
                    starts.add(sampling, parent, count);
                }
            }
        }
        (starts, ended)
    }
}

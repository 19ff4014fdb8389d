//! Room in memory for batches that are not in blocks yet.
//!
//! A span takes some fifty times as much in memory as in a block. What waits is therefore bounded by its footprint; who
//! finds no room waits a moment, in turn, as the thread that makes blocks is at work: that is cheaper for both sides than
//! to refuse the request and to take it once more.

use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

/// Bytes of batches in memory.
const ROOM: usize = 72 << 20;

/// At this part of the room a head becomes blocks, so that the next one can fill meanwhile.
pub(crate) const HEAD_ROOM: usize = ROOM / 3;

/// What one permit stands for.
const UNIT: usize = 1024;

/// How long a batch waits for room. Less than any sender waits for its answer.
const WAIT: Duration = Duration::from_secs(1);

/// The room of a store.
#[derive(Debug)]
pub(crate) struct Room(Arc<Semaphore>);

impl Default for Room {
    fn default() -> Room {
        Room(Arc::new(Semaphore::new(ROOM / UNIT)))
    }
}

impl Room {
    /// Takes room for so many bytes, if there is some and nobody waits for it.
    pub(crate) fn try_take(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        self.0.clone().try_acquire_many_owned(units(bytes)).ok()
    }

    /// Waits for room, for a while.
    ///
    /// Dropping the future gives the place in the row up.
    pub(crate) async fn take(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        timeout(WAIT, self.0.clone().acquire_many_owned(units(bytes))).await.ok()?.ok()
    }
}

/// A batch that is larger than the room takes all of it.
fn units(bytes: usize) -> u32 {
    let units = bytes.div_ceil(UNIT).min(ROOM / UNIT);
    u32::try_from(units).unwrap_or(u32::MAX)
}

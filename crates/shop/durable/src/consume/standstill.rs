//! What a consume loop waits for, for those who ask whether it works.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Why partitions stand still. Cheap to clone; all clones are one. For a readiness check.
#[derive(Clone, Debug, Default)]
pub struct Standstill {
    reasons: Arc<Mutex<BTreeMap<Option<u32>, String>>>,
}

impl Standstill {
    /// Why the loop, or one of its partitions, waits; `None` while everything goes on.
    pub fn reason(&self) -> Option<String> {
        let reasons = self.lock();
        let (partition, reason) = reasons.first_key_value()?;
        Some(match partition {
            None => reason.clone(),
            Some(partition) => format!("partition {partition} waits: {reason}"),
        })
    }

    /// Notes why a partition, or without one the whole loop, waits.
    pub(super) fn begin(&self, partition: Option<u32>, reason: String) {
        self.lock().insert(partition, reason);
    }

    /// It goes on, or is not ours any more.
    pub(super) fn end(&self, partition: Option<u32>) {
        self.lock().remove(&partition);
    }

    /// Ends a partition's standstill when it is dropped.
    pub(super) fn ended_on_drop(&self, partition: u32) -> EndedOnDrop {
        EndedOnDrop { standstill: self.clone(), partition }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Option<u32>, String>> {
        // Nothing panics while it is held, so a poisoned map is a whole one.
        self.reasons.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) struct EndedOnDrop {
    standstill: Standstill,
    partition: u32,
}

impl Drop for EndedOnDrop {
    fn drop(&mut self) {
        self.standstill.end(Some(self.partition));
    }
}

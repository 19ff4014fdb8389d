//! What consume loops wait for, for those who ask whether they work.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A partition of a topic, or all of it.
type Place = (String, Option<u32>);

/// Why topics or partitions stand still. Cheap to clone; all clones are one. For a readiness check.
#[derive(Clone, Debug, Default)]
pub struct Standstill {
    reasons: Arc<Mutex<BTreeMap<Place, String>>>,
}

impl Standstill {
    /// Why a loop, or one of its partitions, waits; `None` while everything goes on.
    pub fn reason(&self) -> Option<String> {
        let reasons = self.lock();
        let ((topic, partition), reason) = reasons.first_key_value()?;
        Some(match partition {
            None => reason.clone(),
            Some(partition) => format!("partition {partition} of {topic} waits: {reason}"),
        })
    }

    /// Notes why a partition, or without one the whole loop, waits.
    pub(super) fn begin(&self, topic: &str, partition: Option<u32>, reason: String) {
        self.lock().insert((topic.to_owned(), partition), reason);
    }

    /// It goes on, or is not ours any more.
    pub(super) fn end(&self, topic: &str, partition: Option<u32>) {
        self.lock().remove(&(topic.to_owned(), partition));
    }

    /// Ends a partition's standstill when it is dropped.
    pub(super) fn ended_on_drop(&self, topic: &str, partition: u32) -> EndedOnDrop {
        EndedOnDrop { standstill: self.clone(), topic: topic.to_owned(), partition }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Place, String>> {
        // Nothing panics while it is held, so a poisoned map is a whole one.
        self.reasons.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) struct EndedOnDrop {
    standstill: Standstill,
    topic: String,
    partition: u32,
}

impl Drop for EndedOnDrop {
    fn drop(&mut self) {
        self.standstill.end(&self.topic, Some(self.partition));
    }
}

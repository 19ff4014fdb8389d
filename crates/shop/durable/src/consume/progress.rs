//! What is processed and not committed yet.

use std::collections::BTreeMap;

use tokio::time::Instant;

use super::lane::Done;
use crate::broker::Progress;

/// The contiguous processed prefix of each partition, beyond what is committed. A lane works in order, so its last
/// finished record is the end of the prefix.
#[derive(Debug, Default)]
pub(super) struct Uncommitted {
    next_offsets: BTreeMap<u32, u64>,
    since: Option<Instant>,
}

impl Uncommitted {
    pub(super) fn note(&mut self, finished: &Done) {
        self.since.get_or_insert_with(Instant::now);
        self.next_offsets.insert(finished.partition, finished.next_offset);
    }

    /// Since when something waits.
    pub(super) fn since(&self) -> Option<Instant> {
        self.since
    }

    pub(super) fn is_empty(&self) -> bool {
        self.next_offsets.is_empty()
    }

    pub(super) fn progress(&self) -> Vec<Progress> {
        let progress = |(&partition, &next_offset)| Progress { partition, next_offset };
        self.next_offsets.iter().map(progress).collect()
    }

    pub(super) fn clear(&mut self) {
        *self = Uncommitted::default();
    }

    /// It could not be committed now, and is due again after the usual delay.
    pub(super) fn postpone(&mut self) {
        self.since = Some(Instant::now());
    }

    /// A partition is not ours any more.
    pub(super) fn forget(&mut self, partition: u32) {
        self.next_offsets.remove(&partition);
        if self.next_offsets.is_empty() {
            self.since = None;
        }
    }
}

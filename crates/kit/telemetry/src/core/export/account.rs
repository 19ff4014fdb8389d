//! The account of one exporter.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::base::ledger::{DropReason, ExporterLedger};

/// Counters that only move items: `pending` to `exported`, or to one of the reasons.
#[derive(Debug)]
pub(crate) struct Account {
    exporter: &'static str,
    exported: AtomicU64,
    pending: AtomicU64,
    dropped: [AtomicU64; DropReason::ALL.len()],
}

impl Account {
    pub(crate) fn new(exporter: &'static str) -> Self {
        Self {
            exporter,
            exported: AtomicU64::new(0),
            pending: AtomicU64::new(0),
            dropped: Default::default(),
        }
    }

    pub(crate) fn pending(&self) -> u64 {
        self.pending.load(Ordering::Relaxed)
    }

    /// One more item waits; gives how many now do.
    pub(crate) fn enter(&self) -> u64 {
        self.pending.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Pending items were accepted by the receiver.
    pub(crate) fn exported(&self, count: u64) {
        self.exported.fetch_add(count, Ordering::Relaxed);
        self.pending.fetch_sub(count, Ordering::Relaxed);
    }

    /// Pending items were dropped.
    pub(crate) fn dropped(&self, reason: DropReason, count: u64) {
        self.dropped[reason as usize].fetch_add(count, Ordering::Relaxed);
        self.pending.fetch_sub(count, Ordering::Relaxed);
    }

    /// An item that had been exported was dropped after all.
    pub(crate) fn taken_back(&self, reason: DropReason) {
        self.dropped[reason as usize].fetch_add(1, Ordering::Relaxed);
        self.exported.fetch_sub(1, Ordering::Relaxed);
    }

    pub(crate) fn ledger(&self) -> ExporterLedger {
        let counts =
            DropReason::ALL.map(|reason| (reason, self.dropped[reason as usize].load(Ordering::Relaxed)));
        ExporterLedger {
            exporter: self.exporter,
            exported: self.exported.load(Ordering::Relaxed),
            pending: self.pending(),
            dropped: counts.into_iter().filter(|(_, count)| *count > 0).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_index_their_own_counter() {
        for (index, reason) in DropReason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, index);
        }
    }
}

//! The account of one exporter: what was accepted, and what was dropped for which reason.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::base::ledger::{DropReason, ExporterLedger};

#[derive(Debug)]
pub(crate) struct Account {
    exporter: &'static str,
    exported: AtomicU64,
    dropped: [AtomicU64; DropReason::ALL.len()],
}

impl Account {
    pub(crate) fn new(exporter: &'static str) -> Self {
        Self { exporter, exported: AtomicU64::new(0), dropped: Default::default() }
    }

    /// Items were accepted by the receiver.
    pub(crate) fn exported(&self, count: u64) {
        self.exported.fetch_add(count, Ordering::Relaxed);
    }

    /// Items were dropped.
    pub(crate) fn dropped(&self, reason: DropReason, count: u64) {
        self.dropped[reason as usize].fetch_add(count, Ordering::Relaxed);
    }

    /// An item that had been exported was dropped after all.
    pub(crate) fn taken_back(&self, reason: DropReason) {
        self.dropped(reason, 1);
        self.exported.fetch_sub(1, Ordering::Relaxed);
    }

    /// What was counted so far; nothing waits.
    pub(crate) fn ledger(&self) -> ExporterLedger {
        let counts =
            DropReason::ALL.map(|reason| (reason, self.dropped[reason as usize].load(Ordering::Relaxed)));
        ExporterLedger {
            exporter: self.exporter,
            server: None,
            capacity: 0,
            exported: self.exported.load(Ordering::Relaxed),
            pending: 0,
            inflight: 0,
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

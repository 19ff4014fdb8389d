//! What a library says became of its spans. Only the kit keeps such an account; for the others the receiver's count
//! is all there is.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use waypost_telemetry::Ledger;

/// Recorded spans and their fate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Account {
    pub(crate) created: u64,
    pub(crate) exported: u64,
    pub(crate) pending: u64,
    pub(crate) dropped: BTreeMap<String, u64>,
}

impl Account {
    pub(crate) fn of(ledger: &Ledger) -> Self {
        let mut account = Self { created: ledger.started, exported: ledger.exported(), ..Self::default() };
        for exporter in &ledger.exporters {
            account.pending += exporter.pending;
            for (reason, count) in &exporter.dropped {
                *account.dropped.entry(reason.to_string()).or_default() += count;
            }
        }
        account
    }

    /// Adds the account of another handle.
    pub(crate) fn add(&mut self, other: &Self) {
        self.created += other.created;
        self.exported += other.exported;
        self.pending += other.pending;
        for (reason, count) in &other.dropped {
            *self.dropped.entry(reason.clone()).or_default() += count;
        }
    }

    pub(crate) fn dropped_total(&self) -> u64 {
        self.dropped.values().sum()
    }

    /// Whether the fate of every span is known.
    pub(crate) fn is_balanced(&self) -> bool {
        self.created == self.exported + self.pending + self.dropped_total()
    }

    /// What was dropped since an earlier reading.
    pub(crate) fn dropped_since(&self, earlier: &Self) -> BTreeMap<String, u64> {
        let before = |reason| earlier.dropped.get(reason).copied().unwrap_or_default();
        let since = self.dropped.iter().map(|(reason, count)| (reason.clone(), count - before(reason)));
        since.filter(|(_, count)| *count > 0).collect()
    }
}

/// Counts by reason in one line; `0` if there are none.
pub(crate) fn by_reason(dropped: &BTreeMap<String, u64>) -> String {
    if dropped.is_empty() {
        return "0".to_owned();
    }
    let parts: Vec<String> = dropped.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
    parts.join(", ")
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dropped = by_reason(&self.dropped);
        write!(f, "created {}, exported {}, dropped {dropped}", self.created, self.exported)?;
        if self.pending > 0 {
            write!(f, ", pending {}", self.pending)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_reading_shows_only_new_drops() {
        let reading = |full, failed| Account {
            created: 10,
            exported: 10 - full - failed,
            pending: 0,
            dropped: BTreeMap::from([("queue_full".to_owned(), full), ("export_failed".to_owned(), failed)]),
        };
        let (earlier, later) = (reading(2, 1), reading(5, 1));
        assert_eq!(by_reason(&later.dropped_since(&earlier)), "3 queue_full");
        assert!(later.is_balanced());
    }
}

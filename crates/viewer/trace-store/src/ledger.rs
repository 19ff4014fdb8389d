//! What was received, and what became of it.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use waypost_trace_model::{RefusalReason, Text};

/// The account of everything that ever came to a store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    /// Each service's account, by name.
    pub services: Vec<ServiceLedger>,
}

/// The account of one service: `received = stored + refused + evicted`, for spans and for log records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceLedger {
    /// The service.
    pub service: Text,
    /// Spans received.
    pub received: u64,
    /// Spans that are kept now.
    pub stored: u64,
    /// Spans that were never kept.
    pub refused: BTreeMap<RefusalReason, u64>,
    /// Spans that were kept and dropped since.
    pub evicted: BTreeMap<EvictionReason, u64>,
    /// Log records received.
    pub logs_received: u64,
    /// Log records kept now.
    pub logs_stored: u64,
    /// Log records never kept.
    pub logs_refused: u64,
    /// Log records dropped since.
    pub logs_evicted: u64,
}

/// Why something that was kept was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EvictionReason {
    /// The store was over its size.
    Size,
    /// It was older than the store keeps.
    Age,
    /// The file that held it cannot be read.
    Damaged,
}

impl EvictionReason {
    /// Every reason.
    pub const ALL: [EvictionReason; 3] = [EvictionReason::Size, EvictionReason::Age, EvictionReason::Damaged];

    /// Its name in the ledger: `size`, `age`, `damaged`.
    pub fn name(self) -> &'static str {
        match self {
            EvictionReason::Size => "size",
            EvictionReason::Age => "age",
            EvictionReason::Damaged => "damaged",
        }
    }
}

/// What is kept now, and what there is room for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Spans.
    pub spans: u64,
    /// Log records.
    pub logs: u64,
    /// Bytes on the disk, all files together; in memory for the memory store.
    pub bytes: u64,
    /// The most bytes that it will keep.
    pub budget: u64,
    /// How long it keeps what there is room for, in nanoseconds; 0 without such a limit.
    pub keeps_for: u64,
    /// Start of the oldest span, in nanoseconds since 1970.
    pub oldest: Option<u64>,
    /// Start of the newest span.
    pub newest: Option<u64>,
    /// Files.
    pub files: u64,
    /// Set while appends fail, in a few words.
    pub trouble: Option<String>,
}

//! How much a store keeps, and how carefully.

use std::time::Duration;
use waypost_trace_statistics::Bounds;

/// Settings of a store. The default needs no infrastructure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The most bytes that it keeps; beyond it the oldest is dropped, fairly for each service.
    pub budget_bytes: u64,
    /// How long it keeps what there is room for, by time of arrival; zero: no limit.
    pub keeps_for: Duration,
    /// Spans of one trace; more are refused.
    pub spans_per_trace: u64,
    /// Spans that wait in memory (and in the journal) to become a block.
    pub head_spans: usize,
    /// What waits and takes much memory becomes a block when nothing came to it for so long.
    pub rests_after: Duration,
    /// Bytes of batches that may wait for the journal; beyond it appends are refused at once.
    pub pending_bytes: usize,
    /// What "durable" means. The memory store has no use for it.
    pub sync: Durability,
    /// Bounds of the statistics.
    pub statistics: Bounds,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            budget_bytes: 10 << 30,
            keeps_for: Duration::ZERO,
            spans_per_trace: 1_000_000,
            head_spans: 8192,
            rests_after: Duration::from_secs(5),
            pending_bytes: 64 << 20,
            sync: Durability::Always,
            statistics: Bounds::default(),
        }
    }
}

impl Settings {
    /// `keeps_for` in nanoseconds.
    pub(crate) fn keeps_for_nanos(&self) -> u64 {
        u64::try_from(self.keeps_for.as_nanos()).unwrap_or(u64::MAX)
    }
}

/// When an append is durable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// When the disk says so: survives a power cut.
    #[default]
    Always,
    /// When the operating system has it: survives `kill -9`; a power cut may take the last second.
    EverySecond,
}

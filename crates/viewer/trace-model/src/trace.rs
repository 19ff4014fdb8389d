//! Traces as the store returns them.

use crate::{Kind, LogRecord, RefusalReason, Span, SpanId, StatusCode, Text, TraceId};
use std::collections::BTreeMap;

/// Everything that is kept of one trace.
#[derive(Clone, Debug, PartialEq)]
pub struct Trace {
    /// Its id.
    pub id: TraceId,
    /// Its spans by start, then span id; a span that was received twice with the same content is there once.
    pub spans: Vec<Span>,
    /// Its log records by time.
    pub logs: Vec<LogRecord>,
    /// What is known to be missing.
    pub losses: TraceLosses,
}

/// What is known to be missing from a trace, apart from what its own spans say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TraceLosses {
    /// Spans that were received and not kept.
    pub refused: BTreeMap<RefusalReason, u64>,
    /// Spans that were kept and have been dropped by retention since.
    pub evicted: u64,
}

/// A trace in one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceSummary {
    /// Its id.
    pub id: TraceId,
    /// The span without a parent; the earliest such, or else the earliest span whose parent is not there.
    pub root: SummaryRoot,
    /// Start of its earliest span, in nanoseconds since 1970.
    pub start: u64,
    /// End of its latest span, in nanoseconds since 1970.
    pub end: u64,
    /// Spans.
    pub spans: u64,
    /// Spans whose status is an error.
    pub errors: u64,
    /// Spans whose parent is not there.
    pub orphans: u64,
    /// Its services by name, each with its spans and errors.
    pub services: Vec<SummaryService>,
    /// What is known to be missing.
    pub losses: TraceLosses,
}

impl TraceSummary {
    /// From the earliest start to the latest end, in nanoseconds.
    pub fn duration(&self) -> u64 {
        self.end.saturating_sub(self.start)
    }
}

/// The span that a summary is named after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SummaryRoot {
    /// Its id.
    pub span_id: SpanId,
    /// False when its parent is named and not there.
    pub is_root: bool,
    /// Its service.
    pub service: Text,
    /// Its name.
    pub name: Text,
    /// Its kind.
    pub kind: Kind,
    /// How it went.
    pub status: StatusCode,
}

/// A service's part of a trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SummaryService {
    /// Its name.
    pub name: Text,
    /// Its spans.
    pub spans: u64,
    /// Those with an error.
    pub errors: u64,
}

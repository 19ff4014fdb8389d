//! What one request brought: records to keep, and an account of those that are not kept.

use crate::{LogRecord, Span, Text, TraceId};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// The records of one accepted request.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// Spans to keep.
    pub spans: Vec<Span>,
    /// Log records to keep.
    pub logs: Vec<LogRecord>,
    /// Records of the same request that are not kept.
    pub refused: Vec<Refusal>,
    /// The bytes that `spans` and `logs` were decoded from, when these say exactly the same. The store writes them to
    /// its journal as they are; without them it encodes the records anew.
    pub wire: Option<Wire>,
}

/// Bytes of a request that a store can decode again with [`crate::otlp`] and [`crate::Limits::none`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wire {
    /// `opentelemetry.proto.collector.trace.v1.ExportTraceServiceRequest`.
    Traces(Bytes),
    /// `opentelemetry.proto.collector.logs.v1.ExportLogsServiceRequest`.
    Logs(Bytes),
}

/// Records that are not kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Whose they are.
    pub service: Text,
    /// Their trace, if they name one.
    pub trace_id: Option<TraceId>,
    /// Why.
    pub reason: RefusalReason,
    /// How many spans.
    pub spans: u64,
    /// How many log records.
    pub logs: u64,
}

/// Why a record is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalReason {
    /// The message cannot be decoded; the number of its records is unknown and counted as one span.
    Malformed,
    /// Trace id or span id is missing, all zero, or of the wrong length.
    InvalidId,
    /// More attributes, or a longer or deeper value, than the limits allow.
    AttributeLimit,
    /// More events or links than the limits allow.
    PartLimit,
    /// Its trace already holds as many spans as the limits allow.
    TraceLimit,
    /// The request is too large, before or after decompression; counted as one span.
    TooLarge,
    /// Too much is on its way to the disk; the sender was asked to try again.
    Overloaded,
    /// The disk did not take it; the sender was asked to try again.
    Disk,
    /// The same request was already kept; the sender did not see the answer and sent it again.
    Repeated,
}

impl RefusalReason {
    /// Every reason.
    pub const ALL: [RefusalReason; 9] = [
        RefusalReason::Malformed,
        RefusalReason::InvalidId,
        RefusalReason::AttributeLimit,
        RefusalReason::PartLimit,
        RefusalReason::TraceLimit,
        RefusalReason::TooLarge,
        RefusalReason::Overloaded,
        RefusalReason::Disk,
        RefusalReason::Repeated,
    ];

    /// Its name in the ledger: `malformed`, `invalid_id`, and so on.
    pub fn name(self) -> &'static str {
        match self {
            RefusalReason::Malformed => "malformed",
            RefusalReason::InvalidId => "invalid_id",
            RefusalReason::AttributeLimit => "attribute_limit",
            RefusalReason::PartLimit => "part_limit",
            RefusalReason::TraceLimit => "trace_limit",
            RefusalReason::TooLarge => "too_large",
            RefusalReason::Overloaded => "overloaded",
            RefusalReason::Disk => "disk",
            RefusalReason::Repeated => "repeated",
        }
    }
}

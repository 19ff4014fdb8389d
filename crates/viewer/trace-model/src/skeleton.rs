//! A trace without its attributes: enough to draw and to analyse it, small enough for a hundred thousand spans.

use crate::{Kind, SpanId, StatusCode, Text, TraceId, TraceLosses};

/// The spans of one trace without their attributes.
#[derive(Clone, Debug, PartialEq)]
pub struct Skeleton {
    /// The trace.
    pub id: TraceId,
    /// Its spans by start, then span id; a span that was received twice with the same content is there once.
    pub nodes: Vec<Node>,
    /// What is known to be missing.
    pub losses: TraceLosses,
}

/// A span without its attributes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its id. Two nodes have the same one when a client erred.
    pub span_id: SpanId,
    /// The span that it is a child of.
    pub parent_span_id: Option<SpanId>,
    /// Its service.
    pub service: Text,
    /// Its name.
    pub name: Text,
    /// Its kind.
    pub kind: Kind,
    /// How it went.
    pub status: StatusCode,
    /// When it began, in nanoseconds since 1970.
    pub start: u64,
    /// When it ended, in nanoseconds since 1970; may lie before `start`.
    pub end: u64,
    /// How many attributes it has.
    pub attributes: u32,
    /// How many events it has.
    pub events: u32,
    /// How many links it has.
    pub links: u32,
    /// Whether one of the links points to its own parent: such a span follows from its parent, which does not wait.
    pub follows_from_parent: bool,
    /// How many log records were written during it.
    pub logs: u32,
    /// Attributes, events and links that the client dropped.
    pub dropped: u32,
}

impl Node {
    /// How long it took, in nanoseconds; 0 when it ended before it began.
    pub fn duration(&self) -> u64 {
        self.end.saturating_sub(self.start)
    }
}

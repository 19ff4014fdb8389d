//! A log record with everything that OTLP says about it.

use crate::{Attribute, Resource, Scope, SpanId, Text, TraceId, Value};
use std::sync::Arc;

/// A log record. One that names a trace is kept beside that trace's spans.
#[derive(Clone, Debug, PartialEq)]
pub struct LogRecord {
    /// When it happened, in nanoseconds since 1970; 0 when nobody said.
    pub time: u64,
    /// When it was first seen by a collector, in nanoseconds since 1970.
    pub observed: u64,
    /// OTLP's severity number, 0 to 24; 0 when nobody said.
    pub severity: u8,
    /// Severity in the words of the source.
    pub severity_text: Text,
    /// The message.
    pub body: Value,
    /// Name of the event, for records that are events.
    pub event_name: Text,
    /// What is known about it.
    pub attributes: Vec<Attribute>,
    /// Attributes that the client dropped.
    pub dropped_attributes: u32,
    /// W3C trace flags in the low 8 bits.
    pub flags: u32,
    /// The trace during which it was written.
    pub trace_id: Option<TraceId>,
    /// The span during which it was written.
    pub span_id: Option<SpanId>,
    /// Who wrote it.
    pub resource: Arc<Resource>,
    /// Which library wrote it.
    pub scope: Arc<Scope>,
}

impl LogRecord {
    /// When it happened, or else when it was seen.
    pub fn when(&self) -> u64 {
        if self.time == 0 { self.observed } else { self.time }
    }
}

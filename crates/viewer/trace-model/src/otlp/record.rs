//! What spans and log records have in common: they come in groups of one resource, and within it of one scope.

use crate::{
    LogRecord, Resource, Scope, Span,
    admission::{Admission, Signal, Stop},
    wire::{Reader, Writer},
};
use std::sync::Arc;

/// A span or a log record.
pub(super) trait Record: Sized {
    /// Which counts it is counted in.
    const SIGNAL: Signal;
    /// Names of the lists around it, from the outermost: in faults.
    const PATH: [&'static str; 3];
    /// Number of the field with its trace id.
    const TRACE_ID: u32;

    /// From its protobuf message.
    fn decode(reader: Reader<'_>, admission: &mut Admission<'_>, origin: Origin<'_>) -> Result<Self, Stop>;
    /// As its protobuf message.
    fn encode(&self, writer: &mut Writer);
    /// Who recorded it.
    fn origin(&self) -> Origin<'_>;
}

/// Who recorded a record, and with which library.
#[derive(Clone, Copy, Debug)]
pub(super) struct Origin<'a> {
    pub(super) resource: &'a Arc<Resource>,
    pub(super) scope: &'a Arc<Scope>,
}

impl Record for Span {
    const SIGNAL: Signal = Signal::Span;
    const PATH: [&'static str; 3] = ["resource_spans", "scope_spans", "spans"];
    const TRACE_ID: u32 = 1;

    fn decode(reader: Reader<'_>, admission: &mut Admission<'_>, origin: Origin<'_>) -> Result<Span, Stop> {
        super::protobuf::span::decode(reader, admission, origin)
    }

    fn encode(&self, writer: &mut Writer) {
        super::protobuf::span::encode(self, writer);
    }

    fn origin(&self) -> Origin<'_> {
        Origin { resource: &self.resource, scope: &self.scope }
    }
}

impl Record for LogRecord {
    const SIGNAL: Signal = Signal::Log;
    const PATH: [&'static str; 3] = ["resource_logs", "scope_logs", "log_records"];
    const TRACE_ID: u32 = 9;

    fn decode(
        reader: Reader<'_>,
        admission: &mut Admission<'_>,
        origin: Origin<'_>,
    ) -> Result<LogRecord, Stop> {
        super::protobuf::log::decode(reader, admission, origin)
    }

    fn encode(&self, writer: &mut Writer) {
        super::protobuf::log::encode(self, writer);
    }

    fn origin(&self) -> Origin<'_> {
        Origin { resource: &self.resource, scope: &self.scope }
    }
}

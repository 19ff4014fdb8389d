//! Spans, log records and traces as values, and the wire formats that they come and go in.
//!
//! For every other part of the viewer: intake decodes into these types, the store keeps them, the query APIs encode
//! them. The types follow OTLP's data model and lose nothing of it: ids, nanoseconds, typed attributes, events, links,
//! flags, trace state, resource, scope, and every count of what was dropped before it came here.
//!
//! Invariants:
//! - A [`Text`] is valid UTF-8 and usually a slice of the buffer that it was decoded from; cloning it copies nothing.
//! - Ids are never all zero; a span without a valid id is refused by the decoder, with a reason.
//! - Nothing that a decoder returns is larger than the [`Limits`] it was given.
//!
//! Left out: IO, clocks, storage. Everything here is a pure function of its arguments.

mod admission;
mod batch;
mod footprint;
mod ids;
mod json;
pub mod limits;
mod log;
pub mod nanoseconds;
pub mod otlp;
mod skeleton;
mod span;
mod trace;
mod value;
mod wire;
pub mod zipkin;

pub use batch::{Batch, Refusal, RefusalReason, Wire};
pub use bytestring::ByteString as Text;
pub use ids::{ParseIdError, SpanId, TraceId};
pub use limits::Limits;
pub use log::LogRecord;
pub use skeleton::{Node, Skeleton};
pub use span::{Event, Kind, Link, Resource, Scope, Span, Status, StatusCode};
pub use trace::{SummaryRoot, SummaryService, Trace, TraceLosses, TraceSummary};
pub use value::{Attribute, Value};

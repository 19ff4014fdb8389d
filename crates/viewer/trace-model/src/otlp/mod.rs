//! OTLP as bytes and back: protobuf and JSON.
//!
//! For intake, the store's journal, and export and import of traces. Both formats share the rules of what is kept: a
//! record beyond the [`Limits`] or without valid ids is refused and accounted for, all records of a resource or scope
//! beyond them likewise, and the rest of the request is kept. Smaller faults of clients are mended rather than refused:
//! - bytes that are not UTF-8 become U+FFFD;
//! - an unknown kind, status or severity is the same as none;
//! - an all-zero or empty parent id is none, as is an all-zero or empty id in a log record;
//! - a link without valid ids leads nowhere and is counted in [`Span::dropped_links`].
//!
//! Left out: entities of resources and indices into a dictionary of texts, which only exist in development versions.

mod group;
mod json;
mod protobuf;
mod record;

use crate::{Batch, Limits, LogRecord, Span, Wire};
use bytes::Bytes;

/// Why a whole message was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The bytes are no such message; says where and why.
    #[error("{0}")]
    Malformed(String),
    /// More records than [`Limits::records`].
    #[error("more than {limit} records in one request; send smaller batches")]
    TooManyRecords {
        /// The limit.
        limit: usize,
    },
}

/// Decodes `ExportTraceServiceRequest` (and `TracesData`, which has the same bytes) from protobuf.
///
/// A span beyond the limits, or without valid ids, is left out and accounted for in [`Batch::refused`]. When nothing was
/// refused, [`Batch::wire`] holds `bytes`.
pub fn traces_from_protobuf(bytes: &Bytes, limits: &Limits) -> Result<Batch, DecodeError> {
    let (spans, refused) = protobuf::decode(bytes, limits)?;
    let wire = refused.is_empty().then(|| Wire::Traces(bytes.clone()));
    Ok(Batch { spans, logs: Vec::new(), refused, wire })
}

/// Decodes `ExportLogsServiceRequest` from protobuf; as [`traces_from_protobuf`].
pub fn logs_from_protobuf(bytes: &Bytes, limits: &Limits) -> Result<Batch, DecodeError> {
    let (logs, refused) = protobuf::decode(bytes, limits)?;
    let wire = refused.is_empty().then(|| Wire::Logs(bytes.clone()));
    Ok(Batch { spans: Vec::new(), logs, refused, wire })
}

/// Decodes `ExportTraceServiceRequest` or `TracesData` from OTLP JSON: hex ids, 64-bit integers as strings or numbers,
/// enums as numbers or by name, camelCase or snake_case names, unknown fields ignored, bytes as base64. Without
/// [`Batch::wire`].
pub fn traces_from_json(bytes: &[u8], limits: &Limits) -> Result<Batch, DecodeError> {
    let (spans, refused) = json::decode(bytes, limits)?;
    Ok(Batch { spans, logs: Vec::new(), refused, wire: None })
}

/// Decodes `ExportLogsServiceRequest` from OTLP JSON; as [`traces_from_json`].
pub fn logs_from_json(bytes: &[u8], limits: &Limits) -> Result<Batch, DecodeError> {
    let (logs, refused) = json::decode(bytes, limits)?;
    Ok(Batch { spans: Vec::new(), logs, refused, wire: None })
}

/// Encodes spans as the protobuf of `ExportTraceServiceRequest`, grouped by equal resource and scope in order of
/// appearance. Decoding gives the same spans, in the order of the groups.
pub fn traces_to_protobuf(spans: &[Span]) -> Bytes {
    protobuf::encode(spans)
}

/// Encodes log records as the protobuf of `ExportLogsServiceRequest`; as [`traces_to_protobuf`].
pub fn logs_to_protobuf(logs: &[LogRecord]) -> Bytes {
    protobuf::encode(logs)
}

/// Spans as OTLP JSON, `{"resourceSpans":[...]}`: hex ids, 64-bit integers as strings, enums as numbers.
pub fn traces_to_json(spans: &[Span]) -> serde_json::Value {
    json::write(spans)
}

/// Log records as OTLP JSON, `{"resourceLogs":[...]}`.
pub fn logs_to_json(logs: &[LogRecord]) -> serde_json::Value {
    json::write(logs)
}

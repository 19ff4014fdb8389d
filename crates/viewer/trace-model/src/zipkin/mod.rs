//! Zipkin v2 as bytes and back: JSON and protobuf in, JSON out.
//!
//! A Zipkin span becomes a [`Span`] as OpenTelemetry's transform and the Collector's Zipkin receiver do it:
//! - `localEndpoint.serviceName` is the resource's `service.name`;
//! - tags are attributes, all of them, as they came; annotations are events;
//! - a tag `error` (other than `false`) means status error, its text is the message; `otel.status_code`, `otel.scope.name`
//!   and `otel.scope.version`, with which OpenTelemetry's exporters say so, are understood as well;
//! - the rest of the endpoints becomes `network.local.address` and `.port`, `peer.service`, `network.peer.address` and
//!   `.port`, and `debug` and `shared` become `zipkin.debug` and `zipkin.shared`;
//! - a span without a timestamp is placed by its annotations, or by what else the request has of its trace; a timestamp
//!   that cannot be microseconds is taken for nanoseconds; either is in `zipkin.timestamp` as it was sent;
//! - both halves of a shared span are kept, with the id that they share.
//!
//! The schema of the scope tells such a span from others ([`SCHEMA_URL`]), so that [`spans_to_json`] gives back what came,
//! but for the digits of ids (always 32 and 16), addresses (in their shortest form), durations of zero and empty texts
//! (left out). A tag with the name of an attribute that stands for a part of an endpoint moves that attribute to a name
//! of its own, `zipkin.remote.service` and the like.
//!
//! Left out: Zipkin v1, and Thrift.

mod json;
mod protobuf;
mod span;
mod write;

use crate::{Batch, Limits, Span, otlp::DecodeError};
use bytes::Bytes;

/// The schema of the scope of spans that came in Zipkin's format.
pub const SCHEMA_URL: &str = "https://zipkin.io/zipkin-api/";

/// Decodes a Zipkin v2 JSON list of spans.
///
/// A span beyond the limits, or without valid ids, is left out and accounted for in [`Batch::refused`].
pub fn spans_from_json(bytes: &[u8], limits: &Limits) -> Result<Batch, DecodeError> {
    json::decode(bytes, limits)
}

/// Decodes Zipkin v2 protobuf, `zipkin.proto3.ListOfSpans`; as [`spans_from_json`].
pub fn spans_from_protobuf(bytes: &Bytes, limits: &Limits) -> Result<Batch, DecodeError> {
    protobuf::decode(bytes, limits)
}

/// Spans as Zipkin v2 JSON: a list. Spans that did not come in Zipkin's format are transformed as the OpenTelemetry
/// specification says; attributes of their resources become tags too.
pub fn spans_to_json(spans: &[Span]) -> serde_json::Value {
    write::write(spans)
}

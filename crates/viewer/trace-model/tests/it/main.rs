//! The codecs from the outside: against the generated types of `opentelemetry-proto`, against recorded bytes, and against
//! bytes that mean harm.

#![expect(clippy::unwrap_used, reason = "what tests call is a test too")]

mod hostile;
mod json;
mod limits;
mod messages;
mod protobuf;
mod zipkin;
mod zipkin_bytes;

//! Export requests read back, for receivers in tests.

use super::decode;
use super::otlp::json;
use crate::base::finished::{FinishedLog, FinishedSpan};
pub(crate) use json::base64;

/// What a request is about.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Traces,
    Metrics,
    Logs,
}

pub(crate) fn spans(request: &[u8]) -> Vec<FinishedSpan> {
    decode::spans(request)
}

pub(crate) fn logs(request: &[u8]) -> Vec<FinishedLog> {
    decode::logs(request)
}

/// A request in JSON as protobuf's bytes.
pub(crate) fn read_json(kind: Kind, request: &[u8]) -> Result<Vec<u8>, String> {
    let message = match kind {
        Kind::Traces => &json::TRACES,
        Kind::Metrics => &json::METRICS,
        Kind::Logs => &json::LOGS,
    };
    json::read::read(message, request)
}

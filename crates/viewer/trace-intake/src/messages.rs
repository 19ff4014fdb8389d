//! The few messages that are answered, as protobuf and as JSON.

use crate::receive::Taken;
use bytes::Bytes;
use prost::Message;
use serde_json::{Value, json};
use std::time::Duration;
use tonic::Code;

/// `ExportTraceServiceResponse`, and those of logs and metrics, which have the same fields under other names.
#[derive(Clone, PartialEq, Message)]
struct ExportResponse {
    #[prost(message, optional, tag = "1")]
    partial_success: Option<PartialSuccess>,
}

#[derive(Clone, PartialEq, Message)]
struct PartialSuccess {
    /// `rejected_spans`, `rejected_log_records` or `rejected_data_points`.
    #[prost(int64, tag = "1")]
    rejected: i64,
    #[prost(string, tag = "2")]
    error_message: String,
}

/// `google.rpc.Status`.
#[derive(Clone, PartialEq, Message)]
struct RpcStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<prost_types::Any>,
}

/// `google.rpc.RetryInfo`.
#[derive(Clone, PartialEq, Message)]
struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    retry_delay: Option<prost_types::Duration>,
}

/// The answer to an export. `partial_success` is set when, and only when, something was not kept.
pub(crate) fn response(taken: &Taken) -> Bytes {
    let partial_success = (taken.rejected > 0).then(|| PartialSuccess {
        rejected: i64::try_from(taken.rejected).unwrap_or(i64::MAX),
        error_message: taken.message.clone(),
    });
    ExportResponse { partial_success }.encode_to_vec().into()
}

/// The same in JSON; `rejected` is the field's name.
pub(crate) fn response_json(taken: &Taken, rejected: &str) -> Value {
    if taken.rejected == 0 {
        return json!({});
    }
    // Whole numbers of 64 bits are texts in the JSON of protobuf.
    json!({"partialSuccess": {rejected: taken.rejected.to_string(), "errorMessage": taken.message}})
}

/// `google.rpc.Status`, with `RetryInfo` when the sender may come back.
pub(crate) fn status(code: Code, message: &str, retry_after: Option<Duration>) -> Bytes {
    let retry_info = |delay: Duration| {
        let seconds = i64::try_from(delay.as_secs()).unwrap_or(i64::MAX);
        let nanos = i32::try_from(delay.subsec_nanos()).unwrap_or(0);
        let info = RetryInfo { retry_delay: Some(prost_types::Duration { seconds, nanos }) };
        let type_url = "type.googleapis.com/google.rpc.RetryInfo".to_owned();
        prost_types::Any { type_url, value: info.encode_to_vec() }
    };
    let details = retry_after.into_iter().map(retry_info).collect();
    RpcStatus { code: code.into(), message: message.to_owned(), details }.encode_to_vec().into()
}

/// The same in JSON, without details: whoever speaks HTTP reads `Retry-After`.
pub(crate) fn status_json(code: Code, message: &str) -> Value {
    json!({"code": i32::from(code), "message": message})
}

//! What the doors of HTTP share: headers in, status codes out.

pub(crate) mod otlp;
pub(crate) mod zipkin;

use crate::{Refused, compression::Encoding, decode::Format};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use std::time::Duration;
use tonic::Code;
use waypost_trace_store::AppendError;

/// How the body is compressed.
fn encoding(headers: &HeaderMap) -> Result<Encoding, Refused> {
    let name = headers.get(header::CONTENT_ENCODING).map_or(Ok(""), HeaderValue::to_str);
    name.ok().and_then(Encoding::from_name).ok_or_else(|| {
        Refused::Unsupported("the content-encoding is none of identity, gzip, deflate and zstd".to_owned())
    })
}

/// In which format the body is written; `None` when nobody says.
fn format(headers: &HeaderMap) -> Result<Option<Format>, Refused> {
    let Some(content_type) = headers.get(header::CONTENT_TYPE) else { return Ok(None) };
    let essence = content_type.to_str().unwrap_or_default().split(';').next().unwrap_or_default();
    match essence.trim().to_ascii_lowercase().as_str() {
        "application/json" => Ok(Some(Format::Json)),
        "application/x-protobuf" | "application/protobuf" => Ok(Some(Format::Protobuf)),
        _ => Err(Refused::Unsupported(
            "the content-type is neither application/x-protobuf nor application/json".to_owned(),
        )),
    }
}

/// The status of a refusal, for HTTP and for `google.rpc.Status`.
fn codes(refused: &Refused) -> (StatusCode, Code) {
    match refused {
        Refused::Malformed(_) | Refused::Interrupted => (StatusCode::BAD_REQUEST, Code::InvalidArgument),
        Refused::Unsupported(_) => (StatusCode::UNSUPPORTED_MEDIA_TYPE, Code::InvalidArgument),
        Refused::TooLarge { .. } | Refused::TooManyRecords { .. } => {
            (StatusCode::PAYLOAD_TOO_LARGE, Code::ResourceExhausted)
        }
        Refused::Slow => (StatusCode::REQUEST_TIMEOUT, Code::DeadlineExceeded),
        Refused::Overloaded | Refused::Store(AppendError::Overloaded) => {
            (StatusCode::TOO_MANY_REQUESTS, Code::ResourceExhausted)
        }
        Refused::Store(_) => (StatusCode::SERVICE_UNAVAILABLE, Code::Unavailable),
    }
}

/// `Retry-After` has whole seconds, and 0 of them would mean at once.
fn retry_after(delay: Duration) -> HeaderValue {
    HeaderValue::from((delay.as_secs() + u64::from(delay.subsec_nanos() > 0)).max(1))
}

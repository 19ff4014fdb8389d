//! Bodies and messages of OTLP over HTTP and gRPC, as bytes.

use std::convert::Infallible;
use std::io::Read as _;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, header};
use http_body::{Body, Frame};

use super::reply::ReplyKind;
use super::{Protocol, Signal};
use crate::base::wire::{put_message, put_number, put_text};
use crate::core::export::received::base64;

/// Largest request, packed or not.
const MAX: usize = 64 * 1024 * 1024;

/// A body of one part and, for gRPC, trailers.
pub(super) struct AnswerBody {
    data: Option<Bytes>,
    trailers: Option<HeaderMap>,
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let data = self.data.take().filter(|data| !data.is_empty()).map(Frame::data);
        Poll::Ready(data.or_else(|| self.trailers.take().map(Frame::trailers)).map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.data.is_none() && self.trailers.is_none()
    }
}

/// Reads a body to its end.
pub(super) async fn read_body<B: Body<Data = Bytes> + Unpin>(mut body: B) -> Result<Vec<u8>, String>
where
    B::Error: std::fmt::Display,
{
    let mut bytes = Vec::new();
    loop {
        match std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
            None => return Ok(bytes),
            Some(Err(error)) => return Err(error.to_string()),
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    bytes.extend_from_slice(&data);
                }
            }
        }
        if bytes.len() > MAX {
            return Err("the request is too large".to_owned());
        }
    }
}

pub(super) fn gunzipped(packed: &[u8]) -> Result<Vec<u8>, String> {
    let mut plain = Vec::new();
    let reader = flate2::read::MultiGzDecoder::new(packed);
    reader.take(MAX as u64 + 1).read_to_end(&mut plain).map_err(|error| error.to_string())?;
    if plain.len() > MAX { Err("the request is too large".to_owned()) } else { Ok(plain) }
}

/// The one message of a gRPC request, and whether it was packed.
pub(super) fn grpc_message(body: &[u8]) -> Result<(Vec<u8>, bool), String> {
    let (head, rest) = body.split_first_chunk::<5>().ok_or("the message has no head")?;
    let [is_packed, length @ ..] = *head;
    if rest.len() != u32::from_be_bytes(length) as usize {
        return Err("one message of the length in its head was expected".to_owned());
    }
    if is_packed == 1 { Ok((gunzipped(rest)?, true)) } else { Ok((rest.to_vec(), false)) }
}

/// The answer to a request; `None` where none is given.
pub(super) fn answer(signal: Signal, protocol: Protocol, kind: &ReplyKind) -> Option<Response<AnswerBody>> {
    match (kind, protocol) {
        (ReplyKind::Cut | ReplyKind::Hang, _) => None,
        (ReplyKind::Success { rejected, message }, Protocol::Grpc) => {
            let message = success(*rejected, message);
            let mut framed = vec![0];
            framed.extend_from_slice(&u32::try_from(message.len()).unwrap_or_default().to_be_bytes());
            framed.extend_from_slice(&message);
            let mut trailers = HeaderMap::new();
            trailers.insert("grpc-status", HeaderValue::from_static("0"));
            Some(response(200, "application/grpc", framed, Some(trailers)))
        }
        (ReplyKind::Success { rejected, message }, Protocol::HttpProtobuf) => {
            Some(response(200, "application/x-protobuf", success(*rejected, message), None))
        }
        (ReplyKind::Success { rejected, message }, Protocol::HttpJson) => Some(response(
            200,
            "application/json",
            success_json(signal, *rejected, message).into_bytes(),
            None,
        )),
        (ReplyKind::Failure { grpc, retry_after, .. }, Protocol::Grpc) => {
            let mut answer = response(200, "application/grpc", Vec::new(), None);
            answer.headers_mut().insert("grpc-status", HeaderValue::from(*grpc));
            if let Some(retry_after) = retry_after
                && let Ok(details) = HeaderValue::from_str(&retry_info(*grpc, *retry_after))
            {
                answer.headers_mut().insert("grpc-status-details-bin", details);
            }
            Some(answer)
        }
        (ReplyKind::Failure { http, retry_after, .. }, _) => {
            let mut answer = response(*http, "text/plain", Vec::new(), None);
            if let Some(retry_after) = retry_after {
                answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(retry_after.as_secs()));
            }
            Some(answer)
        }
    }
}

fn response(
    status: u16,
    kind: &'static str,
    body: Vec<u8>,
    trailers: Option<HeaderMap>,
) -> Response<AnswerBody> {
    let mut response = Response::new(AnswerBody {
        data: Some(body).filter(|body| !body.is_empty()).map(Bytes::from),
        trailers,
    });
    *response.status_mut() = http::StatusCode::from_u16(status).unwrap_or_default();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

/// The export response of any signal: `partial_success` with the number and the message.
fn success(rejected: u64, message: &str) -> Vec<u8> {
    let mut out = Vec::new();
    if rejected > 0 || !message.is_empty() {
        put_message(&mut out, 1, |out| {
            put_number(out, 1, rejected);
            put_text(out, 2, message);
        });
    }
    out
}

fn success_json(signal: Signal, rejected: u64, message: &str) -> String {
    let name = match signal {
        Signal::Traces => "rejectedSpans",
        Signal::Metrics => "rejectedDataPoints",
        Signal::Logs => "rejectedLogRecords",
    };
    if rejected == 0 && message.is_empty() {
        return "{}".to_owned();
    }
    serde_json::json!({ "partialSuccess": { name: rejected.to_string(), "errorMessage": message } })
        .to_string()
}

/// `google.rpc.Status` with a `RetryInfo`, as it stands in a header.
fn retry_info(code: u32, delay: Duration) -> String {
    let mut status = Vec::new();
    put_number(&mut status, 1, code.into());
    put_message(&mut status, 3, |out| {
        put_text(out, 1, "type.googleapis.com/google.rpc.RetryInfo");
        put_message(out, 2, |out| {
            put_message(out, 1, |out| {
                put_number(out, 1, delay.as_secs());
                put_number(out, 2, delay.subsec_nanos().into());
            });
        });
    });
    base64(&status).trim_end_matches('=').to_owned()
}

//! OTLP over gRPC.
//!
//! The three services have one unary method each, so the frame of five bytes is read here and not by tonic's server: the
//! body goes through the same bounds, the same account of memory and the same decompression as that of HTTP, the
//! decoders get slices of it, and what is wrong with it is answered as OTLP wants it and counted. tonic 0.14 would answer
//! INTERNAL or OUT_OF_RANGE by itself, and takes memory for as many bytes as a frame announces before they come. Statuses
//! are tonic's.
//!
//! RESOURCE_EXHAUSTED and UNAVAILABLE are to be tried again only with `RetryInfo`
//! (<https://opentelemetry.io/docs/specs/otlp/#otlpgrpc-throttling>); without it the request is too large.

use crate::{
    Intake, Refused,
    compression::Encoding,
    decode::{Envelope, Format, Signal},
    messages,
};
use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    response::Response,
    routing::post,
};
use bytes::{BufMut as _, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use tonic::{Code, Status};

const GRPC_ENCODING: &str = "grpc-encoding";
const GRPC_ACCEPT_ENCODING: &str = "grpc-accept-encoding";

pub(crate) fn router(intake: &Intake) -> Router {
    let door = |signal| {
        post(move |State(intake): State<Intake>, request: Request| async move {
            answer(&intake, signal, request).await
        })
    };
    let path =
        |signal: &str, service: &str| format!("/opentelemetry.proto.collector.{signal}.v1.{service}/Export");
    Router::new()
        .route(&path("trace", "TraceService"), door(Signal::Traces))
        .route(&path("logs", "LogsService"), door(Signal::Logs))
        .route(&path("metrics", "MetricsService"), door(Signal::Metrics))
        .fallback(|| async { Status::unimplemented("there is no such method").into_http::<Body>() })
        .with_state(intake.clone())
}

async fn answer(intake: &Intake, signal: Signal, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    if !is_grpc(&parts.headers) {
        let refused = Refused::Unsupported("this port speaks gRPC; OTLP over HTTP has its own".to_owned());
        let refused = intake.refuse(signal, &parts, body, refused).await;
        let mut response = Response::new(Body::from(format!("{refused}\n")));
        *response.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        return response;
    }
    let outcome = match encoding(&parts.headers) {
        Ok(encoding) => {
            let envelope = Envelope { signal, format: Format::Protobuf, encoding, is_framed: true };
            intake.receive(envelope, &parts, body).await
        }
        Err(refused) => Err(intake.refuse(signal, &parts, body, refused).await),
    };
    match outcome {
        Ok(taken) => success(&messages::response(&taken)),
        Err(refused) => failure(intake, &refused),
    }
}

/// Whether messages are protobuf in frames of gRPC, not of gRPC-Web, and not in another format.
fn is_grpc(headers: &HeaderMap) -> bool {
    let content_type =
        headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    ["application/grpc", "application/grpc+proto"].iter().any(|known| essence.eq_ignore_ascii_case(known))
}

/// How messages are compressed that say that they are.
fn encoding(headers: &HeaderMap) -> Result<Encoding, Refused> {
    let name = headers.get(GRPC_ENCODING).map_or(Ok(""), HeaderValue::to_str);
    name.ok().and_then(Encoding::from_name).ok_or_else(|| {
        Refused::Unsupported("the grpc-encoding is none of identity, gzip, deflate and zstd".to_owned())
    })
}

fn success(message: &Bytes) -> Response {
    let mut frame = BytesMut::with_capacity(message.len() + 5);
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    frame.put_slice(message);
    let mut trailers = HeaderMap::new();
    trailers.insert(Status::GRPC_STATUS, HeaderValue::from_static("0"));
    let body = Full::new(frame.freeze()).with_trailers(std::future::ready(Some(Ok(trailers))));
    let mut response = Response::new(Body::new(body));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response
}

fn failure(intake: &Intake, refused: &Refused) -> Response {
    let code = match refused {
        Refused::Malformed(_) | Refused::Interrupted => Code::InvalidArgument,
        Refused::Unsupported(_) => Code::Unimplemented,
        Refused::TooLarge { .. } | Refused::TooManyRecords { .. } => Code::ResourceExhausted,
        Refused::Slow => Code::DeadlineExceeded,
        refused if refused.is_overload() => Code::ResourceExhausted,
        Refused::Overloaded | Refused::Store(_) => Code::Unavailable,
    };
    let retry_after = refused.is_retryable().then_some(intake.shared.retry_after);
    let message = refused.told();
    let details = retry_after.map(|delay| messages::status(code, &message, Some(delay))).unwrap_or_default();
    let mut response = Status::with_details(code, message, details).into_http::<Body>();
    if code == Code::Unimplemented {
        let known = HeaderValue::from_static("identity,gzip,deflate,zstd");
        response.headers_mut().insert(GRPC_ACCEPT_ENCODING, known);
    }
    response
}

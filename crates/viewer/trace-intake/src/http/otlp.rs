//! OTLP over HTTP.
//!
//! An answer is in the request's format. What is refused in part is a success with `partial_success`; what is refused as a
//! whole is a `google.rpc.Status`, and a sender is to come back only after 429 and 503
//! (<https://opentelemetry.io/docs/specs/otlp/#otlphttp-response>).
//!
//! Metrics are not kept. The specification has no answer "not taken": 404 would make every SDK log an error each minute.
//! "If the request is only partially accepted [...] the server MUST initialize the `partial_success` field and it MUST set
//! the respective `rejected_*` field with the number of [...] it rejected", and "the client MUST NOT retry the request when
//! it receives a partial success response" (<https://opentelemetry.io/docs/specs/otlp/#partial-success-1>); so all data
//! points are rejected in a success, which says why.

use super::{codes, encoding, format, retry_after};
use crate::{
    Intake, Refused,
    decode::{Envelope, Format, Signal},
    messages,
    receive::Taken,
};
use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    response::Response,
    routing::post,
};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use tonic::Code;

pub(crate) fn router(intake: &Intake) -> Router {
    let door = |signal| {
        post(move |State(intake): State<Intake>, request: Request| async move {
            answer(&intake, signal, request).await
        })
    };
    Router::new()
        .route("/v1/traces", door(Signal::Traces))
        .route("/v1/logs", door(Signal::Logs))
        .route("/v1/metrics", door(Signal::Metrics))
        .method_not_allowed_fallback(async |headers: HeaderMap| {
            no_door(&headers, StatusCode::METHOD_NOT_ALLOWED, "send records by POST")
        })
        .fallback(async |headers: HeaderMap| {
            no_door(&headers, StatusCode::NOT_FOUND, "send to /v1/traces, /v1/logs or /v1/metrics")
        })
        .with_state(intake.clone())
}

/// "The response body for all HTTP 4xx and HTTP 5xx responses MUST be a Protobuf-encoded Status message"
/// (<https://opentelemetry.io/docs/specs/otlp/#failures-1>), or its JSON.
fn no_door(headers: &HeaderMap, status: StatusCode, reason: &str) -> Response {
    let code = Code::Unimplemented;
    if let Ok(Some(Format::Protobuf)) = format(headers) {
        return response(status, Format::Protobuf, messages::status(code, reason, None));
    }
    response(status, Format::Json, messages::status_json(code, reason).to_string().into())
}

async fn answer(intake: &Intake, signal: Signal, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let missing = || Refused::Unsupported("the content-type is missing".to_owned());
    let format = format(&parts.headers).and_then(|format| format.ok_or_else(missing));
    let envelope = format.clone().and_then(|format| {
        Ok(Envelope { signal, format, encoding: encoding(&parts.headers)?, is_framed: false })
    });
    let outcome = match envelope {
        Ok(envelope) => intake.receive(envelope, &parts, body).await,
        Err(refused) => Err(intake.refuse(signal, &parts, body, refused).await),
    };
    // Whoever does not say what it speaks is answered in what a person can read.
    let format = format.unwrap_or(Format::Json);
    match outcome {
        Ok(taken) => success(signal, format, &taken),
        Err(refused) => failure(intake, format, &refused),
    }
}

fn success(signal: Signal, format: Format, taken: &Taken) -> Response {
    let rejected = match signal {
        Signal::Traces | Signal::Zipkin => "rejectedSpans",
        Signal::Logs => "rejectedLogRecords",
        Signal::Metrics => "rejectedDataPoints",
    };
    let body = match format {
        Format::Protobuf => messages::response(taken),
        Format::Json => messages::response_json(taken, rejected).to_string().into(),
    };
    response(StatusCode::OK, format, body)
}

fn failure(intake: &Intake, format: Format, refused: &Refused) -> Response {
    let (status, code) = codes(refused);
    let body = match format {
        Format::Protobuf => messages::status(code, &refused.told(), None),
        Format::Json => messages::status_json(code, &refused.told()).to_string().into(),
    };
    let mut response = response(status, format, body);
    if refused.is_retryable() {
        response.headers_mut().insert(header::RETRY_AFTER, retry_after(intake.shared.retry_after));
    }
    response
}

fn response(status: StatusCode, format: Format, body: Bytes) -> Response {
    let content_type = match format {
        Format::Protobuf => "application/x-protobuf",
        Format::Json => "application/json",
    };
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

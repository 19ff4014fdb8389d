//! Zipkin v2: 202 without a body, or a sentence.
//!
//! Zipkin has no partial success. A request of which something is kept is a success; what is not kept of it is in the
//! ledger. One of which nothing can be kept is refused, so that somebody notices.

use super::{codes, encoding, format, retry_after};
use crate::{
    Intake, Refused,
    decode::{Envelope, Format, Signal},
};
use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    response::Response,
    routing::{any, post},
};
use http::{HeaderValue, StatusCode, header};

const MISSING_TYPE: &str = "the content-type is missing";

pub(crate) fn router(intake: &Intake) -> Router {
    Router::new()
        // A page of another origin asks first; the layer around this answers it where the origin is allowed.
        .route("/api/v2/spans", post(answer).options(no_page))
        .route("/api/v1/spans", any(gone))
        .with_state(intake.clone())
}

async fn answer(State(intake): State<Intake>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    // Zipkin's own server takes JSON when nobody says. A browser sends what has no type for a page of any origin without
    // asking first, so a page has to say.
    let is_page = parts.headers.contains_key(header::ORIGIN);
    let unsaid =
        || if is_page { Err(Refused::Unsupported(MISSING_TYPE.to_owned())) } else { Ok(Format::Json) };
    let envelope = format(&parts.headers).and_then(|format| {
        let format = format.map_or_else(unsaid, Ok)?;
        Ok(Envelope { signal: Signal::Zipkin, format, encoding: encoding(&parts.headers)?, is_framed: false })
    });
    let outcome = match envelope {
        Ok(envelope) => intake.receive(envelope, &parts, body).await,
        Err(refused) => Err(intake.refuse(Signal::Zipkin, &parts, body, refused).await),
    };
    match outcome {
        Ok(taken) if taken.kept == 0 && taken.rejected > 0 => text(StatusCode::BAD_REQUEST, taken.message),
        Ok(_) => {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::ACCEPTED;
            response
        }
        Err(refused) => failure(&intake, &refused),
    }
}

fn failure(intake: &Intake, refused: &Refused) -> Response {
    let (status, _) = codes(refused);
    let mut response = text(status, refused.told());
    if refused.is_retryable() {
        response.headers_mut().insert(header::RETRY_AFTER, retry_after(intake.shared.retry_after));
    }
    response
}

async fn no_page() -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET,HEAD,POST"));
    response
}

async fn gone() -> Response {
    let sentence = "Zipkin v1 is not taken here; send Zipkin v2 to /api/v2/spans, or OTLP to port 4318";
    text(StatusCode::GONE, sentence.to_owned())
}

fn text(status: StatusCode, mut sentence: String) -> Response {
    sentence.push('\n');
    let mut response = Response::new(Body::from(sentence));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

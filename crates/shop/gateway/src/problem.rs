//! Every refusal and failure as a problem document (RFC 9457).
//!
//! A handler returns a [`Refusal`]; the [`render`] layer gives it its body, with the request's path and trace.
//! The layer also takes in what others answer without a body: the router's 404 and 405, a full shed.

use axum::{
    body::Body,
    extract::Request,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use std::time::Duration;
use waypost_api::{
    Error, ErrorCode,
    http_bodies::{PROBLEM_CONTENT_TYPE, Problem},
};

/// Attribute of a request's span: why it was refused. A refusal is no error of ours, so `error.type` stays unset.
const ERROR_CODE: &str = "waypost.error_code";

/// What a handler answers.
pub(crate) type Answer = Result<Response, Refusal>;

/// The reason not to do what was asked.
#[derive(Clone, Debug)]
pub(crate) struct Refusal(Box<Parts>);

/// Boxed, as a refusal travels through many results that are mostly not refusals.
#[derive(Clone, Debug)]
struct Parts {
    error: Error,
    headers: HeaderMap,
    failed_order: Option<FailedOrder>,
}

/// The settled order that a problem is about. What is told of it is the same each time (I2), so nothing in it is of
/// the request that asks.
#[derive(Clone, Debug)]
pub(crate) struct FailedOrder {
    /// Why it failed.
    pub(crate) failure_code: ErrorCode,
    /// The trace in which it was placed.
    pub(crate) trace_id: Option<String>,
}

impl Refusal {
    /// Adds headers to the answer.
    pub(crate) fn with_headers(mut self, headers: HeaderMap) -> Refusal {
        self.0.headers.extend(headers);
        self
    }

    /// Says that the answer is the end of an order.
    pub(crate) fn of_order(mut self, order: FailedOrder) -> Refusal {
        self.0.failed_order = Some(order);
        self
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Refusal {
        Refusal(Box::new(Parts { error, headers: HeaderMap::new(), failed_order: None }))
    }
}

impl From<ErrorCode> for Refusal {
    fn from(code: ErrorCode) -> Refusal {
        Error::of(code).into()
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let Parts { error, headers, failed_order } = *self.0;
        let mut response = (error.code.http_status(), headers).into_response();
        response.extensions_mut().insert(error);
        if let Some(order) = failed_order {
            response.extensions_mut().insert(order);
        }
        response
    }
}

/// Writes the problem document of an answer that lacks one.
pub(crate) async fn render(request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let response = next.run(request).await;
    let status = response.status();
    let is_rendered = response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|content_type| content_type.as_bytes() == PROBLEM_CONTENT_TYPE.as_bytes());
    if is_rendered || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let (mut parts, _) = response.into_parts();
    let error = parts.extensions.remove::<Error>().unwrap_or_else(|| Error::of(code_of(status)));
    describe(&mut parts.headers, &error);
    waypost_telemetry::set(ERROR_CODE, error.code.as_str());
    let (failure_code, trace_id) = match parts.extensions.remove::<FailedOrder>() {
        Some(FailedOrder { failure_code, trace_id }) => (Some(failure_code), trace_id),
        None => (None, waypost_telemetry::trace_id()),
    };
    let problem =
        Problem::new(&error).with_instance(path).with_failure_code(failure_code).with_trace_id(trace_id);
    // Strings and numbers always serialise.
    let body = serde_json::to_vec(&problem).unwrap_or_default();
    parts.headers.insert(header::CONTENT_LENGTH, body.len().into());
    Response::from_parts(parts, Body::from(body))
}

/// The headers that go with a code.
fn describe(headers: &mut HeaderMap, error: &Error) {
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_CONTENT_TYPE));
    let status = error.code.http_status();
    let wait = error.retry_after.or_else(|| default_wait(error.code));
    if let Some(wait) = wait {
        // Rounded up: a client that comes a moment early is refused again.
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        headers.entry(header::RETRY_AFTER).or_insert_with(|| HeaderValue::from(seconds));
    }
    if status == StatusCode::UNAUTHORIZED {
        let challenge = match error.code {
            ErrorCode::TokenExpired => "Bearer realm=\"waypost\", error=\"invalid_token\"",
            _ => "Bearer realm=\"waypost\"",
        };
        headers.entry(header::WWW_AUTHENTICATE).or_insert_with(|| HeaderValue::from_static(challenge));
    }
    if status == StatusCode::REQUEST_TIMEOUT {
        // The rest of the request may still be on its way (RFC 9110, section 15.5.9).
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
}

/// Where trying again makes sense but nobody said when.
fn default_wait(code: ErrorCode) -> Option<Duration> {
    let is_wait_known = matches!(code.http_status(), StatusCode::SERVICE_UNAVAILABLE | StatusCode::CONFLICT);
    (code.is_retryable() && is_wait_known).then_some(Duration::from_secs(1))
}

/// The code for an answer that none of our handlers gave.
fn code_of(status: StatusCode) -> ErrorCode {
    let same_status = |code: &&ErrorCode| code.http_status() == status;
    match status {
        StatusCode::NOT_FOUND => ErrorCode::NotFound,
        StatusCode::SERVICE_UNAVAILABLE => ErrorCode::Overloaded,
        status if status.is_server_error() => ErrorCode::Internal,
        _ => ErrorCode::ALL.iter().find(same_status).copied().unwrap_or(ErrorCode::InvalidRequest),
    }
}

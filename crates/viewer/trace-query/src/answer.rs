//! Answers as HTTP responses.

use crate::error::Error;
use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde::Serialize;

/// Says in a few words why an answer is less than what was asked for, where the API has no place for it.
const PARTIAL: HeaderName = HeaderName::from_static("waypost-partial");

/// JSON that is already written, and what it leaves out.
#[derive(Debug, Default)]
pub(crate) struct Written {
    pub(crate) body: Vec<u8>,
    pub(crate) notes: Vec<String>,
}

impl Written {
    pub(crate) fn new(value: &impl Serialize, notes: Vec<String>) -> Result<Written, Error> {
        Ok(Written { body: bytes(value)?, notes })
    }

    /// A list of JSON values between what comes before and after it.
    pub(crate) fn list(before: &str, items: &[Vec<u8>], after: &str, notes: Vec<String>) -> Written {
        let size = items.iter().map(|item| item.len() + 1).sum::<usize>();
        let mut body = Vec::with_capacity(size + before.len() + after.len());
        body.extend_from_slice(before.as_bytes());
        for (place, item) in items.iter().enumerate() {
            if place > 0 {
                body.push(b',');
            }
            body.extend_from_slice(item);
        }
        body.extend_from_slice(after.as_bytes());
        Written { body, notes }
    }
}

impl IntoResponse for Written {
    fn into_response(self) -> Response {
        let mut response = json(StatusCode::OK, self.body);
        if let Ok(value) = HeaderValue::try_from(self.notes.join("; "))
            && !self.notes.is_empty()
        {
            response.headers_mut().insert(PARTIAL, value);
        }
        response
    }
}

/// A value as JSON.
pub(crate) fn bytes(value: &impl Serialize) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(value).map_err(|error| {
        tracing::error!(%error, "an answer could not be written as JSON");
        Error::Failed
    })
}

/// A response of JSON.
pub(crate) fn json(status: StatusCode, body: Vec<u8>) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// The status of an error, with the time to wait where trying again may help.
pub(crate) fn with_status(error: &Error, mut response: Response) -> Response {
    error.log();
    *response.status_mut() = error.status();
    if error.status() == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

//! Refusals as problem documents (RFC 9457): `{"type","title","status","detail","parameter"}`.
//!
//! Every answer of the viewer's own that is not a success is one of these; the query APIs of other tools have their
//! own forms. The detail is made of what the caller sent and of the store's own words, never of inner errors' text.

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use std::fmt::Display;
use waypost_trace_query::Unread;
use waypost_trace_store::ReadError;

/// A refusal, ready to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    status: StatusCode,
    name: &'static str,
    title: &'static str,
    detail: String,
    parameter: Option<String>,
    /// In seconds.
    retry_after: Option<u32>,
}

#[derive(Serialize)]
struct Document<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    parameter: Option<&'a str>,
}

impl Problem {
    fn new(
        status: StatusCode,
        name: &'static str,
        title: &'static str,
        detail: impl Into<String>,
    ) -> Problem {
        Problem { status, name, title, detail: detail.into(), parameter: None, retry_after: None }
    }

    /// A parameter of the query or the path. `reason` continues a sentence that begins with its name.
    pub(crate) fn parameter(name: &str, reason: impl Display) -> Problem {
        let detail = format!("`{name}` {reason}");
        let status = StatusCode::BAD_REQUEST;
        let problem = Problem::new(status, "bad-parameter", "A parameter is not valid", detail);
        Problem { parameter: Some(name.to_owned()), ..problem }
    }

    /// The same problem of a parameter that is written within another one.
    pub(crate) fn within(self, name: &str) -> Problem {
        Problem { detail: format!("`{name}`: {}", self.detail), parameter: Some(name.to_owned()), ..self }
    }

    /// A body that is not what the endpoint takes.
    pub(crate) fn body(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::BAD_REQUEST, "bad-body", "The body is not valid", detail)
    }

    /// No token, or a wrong one.
    pub(crate) fn unauthorized(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", "A valid token is needed", detail)
    }

    /// A request that a page of another origin made.
    pub(crate) fn cross_site() -> Problem {
        let detail = "a page of another origin may not call the viewer";
        Problem::new(StatusCode::FORBIDDEN, "cross-site", "The request comes from another site", detail)
    }

    /// Not kept, or no such path.
    pub(crate) fn not_found(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::NOT_FOUND, "not-found", "There is no such thing", detail)
    }

    /// A path that takes other methods.
    pub(crate) fn method_not_allowed() -> Problem {
        let detail = "this path does not take this method";
        Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method", "The method is not allowed", detail)
    }

    /// A body that did not come in time.
    pub(crate) fn body_timeout() -> Problem {
        let detail = "the body did not arrive in time";
        Problem::new(StatusCode::REQUEST_TIMEOUT, "body-timeout", "The body did not arrive in time", detail)
    }

    /// A body beyond the limit.
    pub(crate) fn too_large(limit: usize) -> Problem {
        let detail = format!("the body is larger than {limit} bytes");
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", "The body is too large", detail)
    }

    /// A body of another media type than the endpoint takes.
    pub(crate) fn media_type(expected: &str) -> Problem {
        let detail = format!("the body must be of the type {expected}");
        Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "media-type", "The media type is not taken", detail)
    }

    /// A host name that the viewer does not answer to.
    pub(crate) fn misdirected(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::MISDIRECTED_REQUEST, "host", "The viewer does not go by this name", detail)
    }

    /// Too many wrong tokens from one address.
    pub(crate) fn too_many_attempts(seconds: u32) -> Problem {
        let detail = "too many wrong tokens came from this address; wait a minute";
        let status = StatusCode::TOO_MANY_REQUESTS;
        let problem = Problem::new(status, "attempts", "Too many attempts", detail);
        Problem { retry_after: Some(seconds), ..problem }
    }

    /// A fault of the viewer's own.
    pub(crate) fn internal() -> Problem {
        let detail = "the viewer failed; its log says how";
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "The viewer failed", detail)
    }

    /// As many answers of this kind are being given as are given at once.
    pub(crate) fn busy(detail: impl Into<String>) -> Problem {
        let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "busy", "The viewer is busy", detail);
        Problem { retry_after: Some(1), ..problem }
    }

    /// As much is kept of something as may be.
    pub(crate) fn full(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::CONFLICT, "full", "A bound is reached", detail)
    }

    /// The store does not answer now.
    pub(crate) fn unavailable(detail: impl Into<String>) -> Problem {
        let title = "The store cannot be read";
        let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", title, detail);
        Problem { retry_after: Some(1), ..problem }
    }
}

impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Problem {
        match error {
            ReadError::InvalidCursor => {
                Problem::parameter("after", "is not a cursor of this store; begin again without it")
            }
            ReadError::Closed => Problem::unavailable("the store is closed"),
            error => {
                tracing::error!(%error, "the store cannot be read");
                Problem::unavailable("the store cannot be read; the viewer's log says why")
            }
        }
    }
}

impl From<Unread> for Problem {
    fn from(unread: Unread) -> Problem {
        match unread {
            Unread::Busy => Problem::busy(unread.to_string()),
            Unread::Slow => Problem::unavailable(unread.to_string()),
            _ => Problem::internal(),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let document = Document {
            r#type: format!("urn:waypost:viewer:{}", self.name),
            title: self.title,
            status: self.status.as_u16(),
            detail: &self.detail,
            parameter: self.parameter.as_deref(),
        };
        // Strings and numbers always serialise.
        let body = serde_json::to_vec(&document).unwrap_or_default();
        let mut response = (self.status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if self.status == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static("Bearer realm=\"waypost viewer\"");
            headers.insert(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

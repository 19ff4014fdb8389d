//! Reads a JSON body: its type, its size and its time are checked, its content is not.

use crate::{edge::Edge, problem::Refusal};
use axum::{
    body::Bytes,
    extract::{FromRequest, Request},
    http::{HeaderMap, HeaderValue, header},
};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use waypost_api::{Error, ErrorCode};

/// The bytes of a body that claims to be JSON.
#[derive(Debug)]
pub(crate) struct JsonBody(pub(crate) Bytes);

impl FromRequest<Edge> for JsonBody {
    type Rejection = Refusal;

    async fn from_request(request: Request, edge: &Edge) -> Result<JsonBody, Refusal> {
        check_type(request.headers())?;
        let limit = edge.body_size;
        let too_large = || Error::new(ErrorCode::PayloadTooLarge, format!("the limit is {limit} bytes"));
        let announced =
            request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
        if announced.is_some_and(|length: usize| length > limit) {
            return Err(too_large().into());
        }
        let body = Limited::new(request.into_body(), limit).collect();
        let body = tokio::time::timeout(edge.body_timeout, body)
            .await
            .map_err(|_| Error::of(ErrorCode::BodyTimeout))?;
        match body {
            Ok(body) => Ok(JsonBody(body.to_bytes())),
            Err(error) if error.is::<LengthLimitError>() => Err(too_large().into()),
            Err(_) => Err(Error::new(ErrorCode::MalformedJson, "the body did not arrive whole").into()),
        }
    }
}

/// `application/json`, in UTF-8 and not compressed: a compressed body is small until it is unpacked.
fn check_type(headers: &HeaderMap) -> Result<(), Error> {
    let unsupported = |detail: &str| Err(Error::new(ErrorCode::UnsupportedMediaType, detail));
    if !headers.get_all(header::CONTENT_ENCODING).iter().all(is_identity) {
        return unsupported("the body must not be compressed");
    }
    let content_type =
        headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut parts = content_type.split(';').map(str::trim);
    if !parts.next().is_some_and(|essence| essence.eq_ignore_ascii_case("application/json")) {
        return unsupported("the body must be application/json");
    }
    let is_utf8 = |parameter: &str| match parameter.split_once('=') {
        Some((name, value)) if name.trim().eq_ignore_ascii_case("charset") => {
            value.trim().trim_matches('"').eq_ignore_ascii_case("utf-8")
        }
        _ => true,
    };
    if parts.all(is_utf8) { Ok(()) } else { unsupported("the body must be in UTF-8") }
}

/// A list of codings that change nothing. Their names are case-insensitive (RFC 9110, section 8.4.1).
fn is_identity(codings: &HeaderValue) -> bool {
    let is_identity = |coding: &str| coding.trim().eq_ignore_ascii_case("identity");
    codings.to_str().is_ok_and(|codings| codings.split(',').all(is_identity))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identity_is_taken_in_any_case_and_no_other_coding_is() {
        let is_taken = |codings: &[&str]| {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
            for coding in codings {
                headers.append(header::CONTENT_ENCODING, coding.parse().unwrap());
            }
            check_type(&headers).is_ok()
        };
        assert!(is_taken(&["Identity"]) && is_taken(&["identity, IDENTITY"]));
        for codings in [&["gzip"][..], &["identity", "gzip"], &["identity, gzip"], &["GZIP"]] {
            assert!(!is_taken(codings), "{codings:?}");
        }
    }

    fn is_taken(content_type: &str) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, content_type.parse().unwrap());
        check_type(&headers).is_ok()
    }

    #[test]
    fn json_in_utf8_is_taken_however_it_is_written() {
        assert!(is_taken("application/json"));
        assert!(is_taken("Application/JSON; charset=\"UTF-8\""));
    }

    #[test]
    fn other_types_and_charsets_are_not_guessed_at() {
        assert!(!is_taken("text/plain"));
        assert!(!is_taken("application/x-www-form-urlencoded"));
        assert!(!is_taken("application/json; charset=utf-16"));
        assert!(check_type(&HeaderMap::new()).is_err());
    }
}

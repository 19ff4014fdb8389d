//! Reads a JSON body: its type, its size and its time are checked, its content is not.
//!
//! A body is read before its request takes a place among those that are worked on: bodies that trickle would hold all
//! places and cost their senders next to nothing. What they can hold instead has its own bounds: bodies at once, bytes
//! of all of them together, and a floor for their speed.

use crate::{access, config::Config, edge::Edge, problem::Refusal};
use axum::{
    body::{Body, Bytes},
    extract::{FromRequest, MatchedPath, Request, State},
    http::{HeaderMap, HeaderValue, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http_body_util::BodyExt as _;
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout_at},
};
use waypost_api::{Error, ErrorCode};

/// Time in which a body need not keep up with the floor: a packet may be lost, and sent again after a second or two.
const GRACE: Duration = Duration::from_secs(3);

/// The bytes of a body that claims to be JSON.
#[derive(Clone, Debug)]
pub(crate) struct JsonBody(pub(crate) Bytes);

impl<S: Sync> FromRequest<S> for JsonBody {
    type Rejection = Refusal;

    async fn from_request(mut request: Request, _: &S) -> Result<JsonBody, Refusal> {
        // Every route whose row says that it takes a body went through `read`.
        request.extensions_mut().remove::<JsonBody>().ok_or_else(|| ErrorCode::Internal.into())
    }
}

/// The bodies that are on their way, over all connections.
#[derive(Debug)]
pub(crate) struct Bodies {
    count: Arc<Semaphore>,
    /// A permit a byte.
    room: Arc<Semaphore>,
    limit: usize,
    timeout: Duration,
    bytes_per_second: usize,
}

impl Bodies {
    pub(crate) fn new(config: &Config) -> Bodies {
        let permits = |count: usize| Arc::new(Semaphore::new(count.min(Semaphore::MAX_PERMITS)));
        Bodies {
            count: permits(config.bodies_at_once),
            room: permits(config.bodies_size.as_usize()),
            limit: config.body_size.as_usize(),
            timeout: config.body_timeout.get(),
            bytes_per_second: config.body_rate.as_usize(),
        }
    }

    async fn read(&self, headers: &HeaderMap, body: Body) -> Result<Bytes, Error> {
        check_type(headers)?;
        let announced =
            headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
        if announced.is_some_and(|length: usize| length > self.limit) {
            return Err(self.too_large());
        }
        let _counted =
            Arc::clone(&self.count).try_acquire_owned().map_err(|_| Error::of(ErrorCode::Overloaded))?;
        let mut arriving = Arriving { bytes: Vec::new(), held: None };
        let begun = Instant::now();
        let mut body = body;
        loop {
            let frame = timeout_at(begun + self.time_for(arriving.bytes.len()), body.frame());
            match frame.await.map_err(|_| Error::of(ErrorCode::BodyTimeout))? {
                // The room is for bodies that are on their way; from here on the places bound them.
                None => return Ok(arriving.bytes.into()),
                Some(Err(_)) => {
                    return Err(Error::new(ErrorCode::MalformedJson, "the body did not arrive whole"));
                }
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.take_in(&mut arriving, &data)?;
                    }
                }
            }
        }
    }

    fn take_in(&self, arriving: &mut Arriving, data: &Bytes) -> Result<(), Error> {
        if data.len() > self.limit - arriving.bytes.len() {
            return Err(self.too_large());
        }
        let overloaded = || Error::of(ErrorCode::Overloaded);
        let length = u32::try_from(data.len()).map_err(|_| self.too_large())?;
        let permit = Arc::clone(&self.room).try_acquire_many_owned(length).map_err(|_| overloaded())?;
        match &mut arriving.held {
            Some(held) => held.merge(permit),
            None => arriving.held = Some(permit),
        }
        arriving.bytes.extend_from_slice(data);
        Ok(())
    }

    /// Time that a body has, counted from its beginning, before more of it than `received` must have come.
    fn time_for(&self, received: usize) -> Duration {
        if self.bytes_per_second == 0 {
            return self.timeout;
        }
        let milliseconds = received.saturating_mul(1000) / self.bytes_per_second;
        let earned = Duration::from_millis(u64::try_from(milliseconds).unwrap_or(u64::MAX));
        self.timeout.min(GRACE.saturating_add(earned))
    }

    fn too_large(&self) -> Error {
        Error::new(ErrorCode::PayloadTooLarge, format!("the limit is {} bytes", self.limit))
    }
}

/// A body of which a part has come.
struct Arriving {
    bytes: Vec<u8>,
    held: Option<OwnedSemaphorePermit>,
}

/// Reads the body of a request whose route takes one, for its [`JsonBody`].
pub(crate) async fn read(State(edge): State<Edge>, request: Request, next: Next) -> Response {
    let path = request.extensions().get::<MatchedPath>();
    let row = path.and_then(|path| access::find(request.method().as_str(), path.as_str()));
    if !row.is_some_and(access::Row::takes_body) {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    match edge.bodies.read(&parts.headers, body).await {
        Ok(bytes) => {
            let mut request = Request::from_parts(parts, Body::empty());
            request.extensions_mut().insert(JsonBody(bytes));
            next.run(request).await
        }
        Err(error) => Refusal::from(error).into_response(),
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

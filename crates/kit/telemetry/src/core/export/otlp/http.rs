//! OTLP over HTTP/1.1, as protobuf or JSON.

use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;

use super::refusal::told;
use super::{Answer, Body, Connector, Posting, Refusal, Transport};

/// Bytes of an answer that are read.
const MAX_ANSWER: usize = 64 * 1024;
const PROTOBUF: HeaderValue = HeaderValue::from_static("application/x-protobuf");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

pub(crate) struct HttpTransport {
    client: Client<Connector, Body>,
    uri: Uri,
    receiver: String,
    headers: HeaderMap,
}

impl HttpTransport {
    /// Connects at the first request. `headers` were checked with the settings.
    pub(crate) fn new(uri: Uri, mut headers: HeaderMap, is_json: bool, connector: Connector) -> Self {
        headers.insert(CONTENT_TYPE, if is_json { JSON } else { PROTOBUF });
        headers.entry(USER_AGENT).or_insert(HeaderValue::from_static(super::USER_AGENT));
        let client = Client::builder(TokioExecutor::new()).build(connector);
        Self { client, receiver: uri.to_string(), uri, headers }
    }

    async fn send(&self, body: Body) -> Result<Answer, Refusal> {
        let is_compressed = body.is_compressed();
        let mut request = Request::new(body);
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = self.headers.clone();
        if is_compressed {
            request.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        let response = self.client.request(request).await.map_err(|error| Refusal {
            reason: told(&error),
            may_retry: true,
            is_unreached: error.is_connect(),
            wait: None,
        })?;
        let (head, body) = response.into_parts();
        // Read also from refusals, so that the connection can be used again.
        let body = read(body).await?;
        if head.status.is_success() {
            let is_json = head
                .headers
                .get(CONTENT_TYPE)
                .is_some_and(|kind| kind.as_bytes().to_ascii_lowercase().starts_with(b"application/json"));
            return Ok(Answer { body, is_json });
        }
        Err(Refusal {
            reason: format!("the receiver answered {}", head.status),
            may_retry: matches!(
                head.status,
                StatusCode::TOO_MANY_REQUESTS
                    | StatusCode::BAD_GATEWAY
                    | StatusCode::SERVICE_UNAVAILABLE
                    | StatusCode::GATEWAY_TIMEOUT
            ),
            is_unreached: false,
            wait: head.headers.get(RETRY_AFTER).and_then(|wait| retry_after(wait, SystemTime::now())),
        })
    }
}

impl Transport for HttpTransport {
    fn receiver(&self) -> &str {
        &self.receiver
    }

    fn post(&self, body: Body) -> Posting<'_> {
        Box::pin(self.send(body))
    }
}

/// Seconds or an HTTP date; a date that has passed means now.
fn retry_after(value: &HeaderValue, now: SystemTime) -> Option<Duration> {
    let value = value.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    Some(httpdate::parse_http_date(value).ok()?.duration_since(now).unwrap_or_default())
}

async fn read(mut body: Incoming) -> Result<Bytes, Refusal> {
    let mut answer = BytesMut::new();
    loop {
        let frame = std::future::poll_fn(|task| std::pin::Pin::new(&mut body).poll_frame(task)).await;
        let Some(frame) = frame else { return Ok(answer.freeze()) };
        let frame = frame.map_err(|error| Refusal {
            reason: told(&error),
            may_retry: true,
            is_unreached: false,
            wait: None,
        })?;
        if let Some(data) = frame.data_ref() {
            if answer.len() + data.len() > MAX_ANSWER {
                return Ok(answer.freeze());
            }
            answer.extend_from_slice(data);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_seconds_or_a_date() {
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        let wait = |text: &'static str| retry_after(&HeaderValue::from_static(text), now);
        assert_eq!(wait("3"), Some(Duration::from_secs(3)));
        assert_eq!(wait("Sun, 06 Nov 1994 08:49:40 GMT"), Some(Duration::from_secs(3)));
        assert_eq!(wait("Sun, 06 Nov 1994 08:49:30 GMT"), Some(Duration::ZERO));
        assert_eq!(wait("soon"), None);
    }
}

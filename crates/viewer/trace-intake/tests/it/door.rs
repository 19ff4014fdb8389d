//! A door on a port of its own, and the clients that knock.

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, Method, Request, StatusCode, Version};
use http_body::Frame;
use http_body_util::{BodyExt as _, Full, StreamBody, combinators::BoxBody};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use std::{convert::Infallible, time::Duration};
use waypost_service::{Drain, DrainTrigger, Limits, bind, serve};

/// A router that is served until this is dropped.
pub(crate) struct Door {
    pub(crate) url: String,
    _trigger: DrainTrigger,
}

impl Door {
    pub(crate) fn open(router: axum::Router) -> Door {
        let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let url = listener.url();
        let (trigger, drain) = Drain::new();
        drop(waypost_telemetry::spawn(serve(listener, router, Limits::default(), drain)));
        Door { url, _trigger: trigger }
    }

    pub(crate) fn post(&self, path: &str) -> Call {
        let request = Request::post(format!("{}{path}", self.url));
        Call { request, body: Full::default().boxed(), version: Version::HTTP_11 }
    }
}

/// A request to be sent.
pub(crate) struct Call {
    request: http::request::Builder,
    body: BoxBody<Bytes, Infallible>,
    version: Version,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    /// Trailers included.
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Call {
    pub(crate) fn header(self, name: &str, value: &str) -> Call {
        Call { request: self.request.header(name, value), ..self }
    }

    pub(crate) fn method(self, method: Method) -> Call {
        Call { request: self.request.method(method), ..self }
    }

    pub(crate) fn body(self, body: impl Into<Bytes>) -> Call {
        Call { body: Full::new(body.into()).boxed(), ..self }
    }

    /// In pieces, and without a length.
    pub(crate) fn chunked(self, body: &Bytes, size: usize) -> Call {
        let pieces: Vec<_> = body.chunks(size).map(|piece| Ok(Frame::data(body.slice_ref(piece)))).collect();
        Call { body: StreamBody::new(stream::iter(pieces)).boxed(), ..self }
    }

    pub(crate) fn over(self, version: Version) -> Call {
        Call { version, ..self }
    }

    pub(crate) async fn send(self) -> Answer {
        let client =
            Client::builder(TokioExecutor::new()).http2_only(self.version == Version::HTTP_2).build_http();
        let response = client.request(self.request.body(self.body).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        assert_eq!(parts.version, self.version);
        let collected = body.collect().await.unwrap();
        let mut headers = parts.headers;
        headers.extend(collected.trailers().cloned().unwrap_or_default());
        Answer { status: parts.status, headers, body: collected.to_bytes() }
    }
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// Waits until something holds, for at most ten seconds.
pub(crate) async fn until<T>(what: &str, mut holds: impl FnMut() -> Option<T>) -> T {
    let found = async {
        loop {
            if let Some(found) = holds() {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), found)
        .await
        .unwrap_or_else(|_| panic!("waited in vain until {what}"))
}

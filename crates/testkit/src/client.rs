//! A small HTTP client: one call, one answer with everything in it.

use std::net::SocketAddr;

use anyhow::Context as _;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client as Pooled;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

/// A client of one address. Clones share their connections.
#[derive(Clone, Debug)]
pub struct Client {
    base: String,
    pool: Pooled<HttpConnector, Full<Bytes>>,
}

/// An answer, read to its end.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body as it came.
    pub bytes: Bytes,
    /// The body as JSON; null when it is none.
    pub json: Value,
}

impl Client {
    /// A client of `http://address`.
    pub fn new(address: SocketAddr) -> Client {
        Client { base: format!("http://{address}"), pool: Pooled::builder(TokioExecutor::new()).build_http() }
    }

    /// Sends a request and reads the answer. A body is sent as JSON and the client names itself, unless a header says
    /// otherwise.
    ///
    /// # Errors
    /// When the exchange fails before the answer is complete.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&str>,
    ) -> anyhow::Result<Answer> {
        self.send_bytes(method, path, headers, body.map(|body| Bytes::from(body.to_owned()))).await
    }

    /// The same with a body that may be no text.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn send_bytes(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<Bytes>,
    ) -> anyhow::Result<Answer> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.base));
        if body.is_some() && !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
            request = request.header("content-type", "application/json");
        }
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("user-agent")) {
            request = request.header("user-agent", concat!("waypost-testkit/", env!("CARGO_PKG_VERSION")));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::from(body.unwrap_or_default()))?;
        let response = self.pool.request(request).await.context("the request was not answered")?;
        let (head, body) = response.into_parts();
        let bytes = body.collect().await.context("the answer broke off")?.to_bytes();
        let json = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Ok(Answer { status: head.status, headers: head.headers, bytes, json })
    }

    /// GET.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn get(&self, path: &str) -> anyhow::Result<Answer> {
        self.send(Method::GET, path, &[], None).await
    }

    /// POST with a JSON body.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn post(&self, path: &str, headers: &[(&str, &str)], body: &str) -> anyhow::Result<Answer> {
        self.send(Method::POST, path, headers, Some(body)).await
    }
}

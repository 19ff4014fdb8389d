//! A client that keeps its connections, for tests that send many requests to one address and expect some to fail.

use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;
use http::Method;
use hyper_util::client::legacy::Client as Pool;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use crate::{Answer, Body, Request};

/// A client of one address. Clones share their connections.
#[derive(Clone, Debug)]
pub struct Client {
    base: String,
    pool: Pool<HttpConnector, Body>,
}

/// Why there is no whole answer.
#[derive(Debug, thiserror::Error)]
pub enum Failed {
    /// The request was not answered.
    #[error("the request was not answered")]
    Unanswered(#[source] hyper_util::client::legacy::Error),
    /// The answer broke off.
    #[error("the answer broke off")]
    BrokeOff(#[source] hyper::Error),
}

impl Client {
    /// A client of `http://address`.
    pub fn new(address: SocketAddr) -> Self {
        Self { base: format!("http://{address}"), pool: Pool::builder(TokioExecutor::new()).build_http() }
    }

    /// A client of `http://address` that connects from this address of the machine.
    pub fn from(source: IpAddr, address: SocketAddr) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_local_address(Some(source));
        Self { base: format!("http://{address}"), pool: Pool::builder(TokioExecutor::new()).build(connector) }
    }

    /// Sends a request and reads the answer.
    ///
    /// # Errors
    /// When the exchange fails before the answer is complete.
    pub async fn request(&self, request: Request) -> Result<Answer, Failed> {
        let request = request.into_http(&self.base);
        let response = self.pool.request(request).await.map_err(Failed::Unanswered)?;
        Answer::read(response).await.map_err(Failed::BrokeOff)
    }

    /// Sends a request and reads the answer. A body is sent as JSON and the client names itself, unless a header says
    /// otherwise.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&str>,
    ) -> Result<Answer, Failed> {
        self.send_bytes(method, path, headers, body.map(|body| Bytes::from(body.to_owned()))).await
    }

    /// The same with a body that may be no text.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn send_bytes(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<Bytes>,
    ) -> Result<Answer, Failed> {
        let name = concat!("waypost-tests/", env!("CARGO_PKG_VERSION"));
        let authority = &self.base["http://".len()..];
        let mut request =
            Request::new(method.as_str(), path).header("host", authority).header("user-agent", name);
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body);
        }
        for (name, value) in headers {
            request = request.header(name, value);
        }
        self.request(request).await
    }

    /// GET.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn get(&self, path: &str) -> Result<Answer, Failed> {
        self.send(Method::GET, path, &[], None).await
    }

    /// POST with a JSON body.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn post(&self, path: &str, headers: &[(&str, &str)], body: &str) -> Result<Answer, Failed> {
        self.send(Method::POST, path, headers, Some(body)).await
    }
}

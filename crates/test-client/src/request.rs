//! Requests, built step by step.

use std::convert::Infallible;
use std::fmt::Display;
use std::net::SocketAddr;

use bytes::Bytes;
use http::header::{HOST, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Response, Version};
use http_body::Frame;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::Incoming;
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use tower::{Service, ServiceExt as _};

use crate::Answer;

/// The body of a request.
pub type Body = BoxBody<Bytes, Infallible>;

/// A request to be sent.
#[derive(Clone, Debug)]
pub struct Request {
    method: Method,
    path: String,
    headers: HeaderMap,
    body: Bytes,
    piece: Option<usize>,
    version: Version,
}

impl Request {
    /// A request without a body.
    pub fn new(method: &str, path: impl Into<String>) -> Self {
        Self {
            method: method.parse().unwrap(),
            path: path.into(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
            piece: None,
            version: Version::HTTP_11,
        }
    }

    /// GET.
    pub fn get(path: impl Into<String>) -> Self {
        Self::new("GET", path)
    }

    /// POST.
    pub fn post(path: impl Into<String>) -> Self {
        Self::new("POST", path)
    }

    /// Sets the body and calls it JSON, whatever it is.
    #[must_use]
    pub fn json(self, body: impl Display) -> Self {
        self.header("content-type", "application/json").body(body.to_string())
    }

    /// Shows a token.
    #[must_use]
    pub fn bearer(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    /// Sets a header, in the place of what it was.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.insert(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        self
    }

    /// Adds a header beside those of its name.
    #[must_use]
    pub fn and_header(mut self, name: &str, value: &str) -> Self {
        self.headers.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        self
    }

    /// Leaves a header out.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.headers.remove(name);
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn body(self, body: impl Into<Bytes>) -> Self {
        Self { body: body.into(), ..self }
    }

    /// Sends the body in pieces of this many bytes, and without a length.
    #[must_use]
    pub fn in_pieces(self, size: usize) -> Self {
        Self { piece: Some(size), ..self }
    }

    /// Sends it over another version of HTTP than 1.1.
    #[must_use]
    pub fn over(self, version: Version) -> Self {
        Self { version, ..self }
    }

    /// Its method.
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// Its path with the query.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Sends it over a connection of its own; the body of the answer is still to be read.
    pub async fn open(self, address: SocketAddr) -> Response<Incoming> {
        let version = self.version;
        let pool = pool(version);
        let response = pool.request(self.into_http(&format!("http://{address}"))).await.unwrap();
        assert_eq!(response.version(), version);
        response
    }

    /// Sends it over a connection of its own.
    pub async fn send(self, address: SocketAddr) -> Answer {
        Answer::read(self.open(address).await).await.unwrap()
    }

    /// Gives it to a service, such as a router, without a socket.
    pub async fn call<S, B>(self, service: S) -> Answer
    where
        S: Service<http::Request<Body>, Response = Response<B>>,
        S::Error: std::fmt::Debug,
        B: http_body::Body,
        B::Error: std::fmt::Debug,
    {
        Answer::read(service.oneshot(self.into_http("")).await.unwrap()).await.unwrap()
    }

    /// As the libraries write it, to `base` and its path.
    pub(crate) fn into_http(self, base: &str) -> http::Request<Body> {
        let mut request = http::Request::new(body(self.body, self.piece));
        *request.method_mut() = self.method;
        *request.uri_mut() = format!("{base}{}", self.path).parse().unwrap();
        *request.headers_mut() = self.headers;
        // HTTP/2 has the authority of the URI.
        if self.version == Version::HTTP_11 {
            request.headers_mut().entry(HOST).or_insert(HeaderValue::from_static("localhost"));
        }
        request
    }
}

fn body(bytes: Bytes, piece: Option<usize>) -> Body {
    let Some(size) = piece else { return Full::new(bytes).boxed() };
    let pieces: Vec<_> = bytes.chunks(size).map(|piece| Ok(Frame::data(bytes.slice_ref(piece)))).collect();
    StreamBody::new(futures_util::stream::iter(pieces)).boxed()
}

/// A client that keeps no connection and adds no header.
fn pool(version: Version) -> Client<HttpConnector, Body> {
    Client::builder(TokioExecutor::new())
        .pool_max_idle_per_host(0)
        .set_host(false)
        .http2_only(version == Version::HTTP_2)
        .build_http()
}

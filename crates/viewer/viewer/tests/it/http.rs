//! Requests as an outsider sends them.

use http_body_util::{BodyExt as _, Full};
use hyper::{
    HeaderMap, StatusCode,
    body::{Bytes, Incoming},
    client::conn::http1,
    header::{HOST, HeaderName, HeaderValue},
};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::net::SocketAddr;
use tokio::net::TcpStream;

#[derive(Clone, Debug)]
pub(crate) struct Request {
    method: &'static str,
    path: String,
    headers: HeaderMap,
    body: Bytes,
}

impl Request {
    pub(crate) fn new(method: &'static str, path: &str) -> Request {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_static("localhost"));
        Request { method, path: path.to_owned(), headers, body: Bytes::new() }
    }

    pub(crate) fn get(path: &str) -> Request {
        Request::new("GET", path)
    }

    pub(crate) fn post(path: &str, body: impl Into<Bytes>) -> Request {
        let request = Request::new("POST", path).header("content-type", "application/json");
        Request { body: body.into(), ..request }
    }

    /// Replaces a header that is there.
    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Request {
        self.headers.insert(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        self
    }

    pub(crate) fn without(mut self, name: &'static str) -> Request {
        self.headers.remove(name);
        self
    }

    /// The answer's head; its body is still to be read.
    pub(crate) async fn open(self, address: SocketAddr) -> hyper::Response<Incoming> {
        let Request { method, path, headers, body } = self;
        let stream = TcpStream::connect(address).await.unwrap();
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        drop(waypost_telemetry::spawn(connection));
        let mut request = hyper::Request::new(Full::new(body));
        *request.method_mut() = method.parse().unwrap();
        *request.uri_mut() = path.parse().unwrap();
        *request.headers_mut() = headers;
        sender.send_request(request).await.unwrap()
    }

    pub(crate) async fn send(self, address: SocketAddr) -> Reply {
        let (parts, body) = self.open(address).await.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Reply { status: parts.status, headers: parts.headers, body }
    }
}

#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Reply {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The problem document, whose status and media type must fit: its type's last part.
    pub(crate) fn problem(&self) -> String {
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        let problem = self.json();
        assert_eq!(problem["status"], self.status.as_u16(), "{self:?}");
        assert!(
            !problem["title"].as_str().unwrap().is_empty() && !problem["detail"].as_str().unwrap().is_empty()
        );
        problem["type"].as_str().unwrap().strip_prefix("urn:waypost:viewer:").unwrap().to_owned()
    }
}

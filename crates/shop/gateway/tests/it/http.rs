//! Requests as an outsider sends them. Every answer is held against the OpenAPI document.

use http_body_util::{BodyExt as _, Full};
use hyper::{
    HeaderMap, StatusCode,
    body::Bytes,
    client::conn::http1,
    header::{CONTENT_TYPE, HeaderName, HeaderValue},
};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::{net::SocketAddr, sync::LazyLock};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

#[derive(Clone)]
pub(crate) struct Request {
    pub(crate) method: &'static str,
    pub(crate) path: String,
    headers: HeaderMap,
    body: Bytes,
}

impl Request {
    pub(crate) fn new(method: &'static str, path: &str) -> Request {
        Request { method, path: path.to_owned(), headers: HeaderMap::new(), body: Bytes::new() }
    }

    pub(crate) fn get(path: &str) -> Request {
        Request::new("GET", path)
    }

    pub(crate) fn post(path: &str, body: &Value) -> Request {
        Request::new("POST", path).header("content-type", "application/json").body(body.to_string())
    }

    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Request {
        self.headers.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        self
    }

    pub(crate) fn token(self, token: &str) -> Request {
        self.header("authorization", &format!("Bearer {token}"))
    }

    pub(crate) fn body(mut self, body: impl Into<Bytes>) -> Request {
        self.body = body.into();
        self
    }

    pub(crate) async fn send(self, address: SocketAddr) -> Reply {
        let Request { method, path, headers, body } = self;
        let stream = TcpStream::connect(address).await.unwrap();
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        drop(waypost_telemetry::spawn(connection));
        let mut request = hyper::Request::new(Full::new(body));
        *request.method_mut() = method.parse().unwrap();
        *request.uri_mut() = path.parse().unwrap();
        *request.headers_mut() = headers;
        request.headers_mut().entry("host").or_insert(HeaderValue::from_static("test"));
        let response = sender.send_request(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let text = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
        let reply = Reply { status: parts.status, headers: parts.headers, text };
        reply.assert_is_documented(method, &path);
        reply
    }
}

#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The code of a problem document, whose status and media type must fit.
    pub(crate) fn code(&self) -> String {
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        let problem = self.json();
        assert_eq!(problem["status"], self.status.as_u16(), "{self:?}");
        assert!(problem["hint"].as_str().is_some_and(|hint| !hint.is_empty()), "{self:?}");
        problem["code"].as_str().unwrap().to_owned()
    }

    /// `pointer code` of each bad field.
    pub(crate) fn bad_fields(&self) -> Vec<String> {
        let problem = self.json();
        let errors = problem["errors"].as_array().cloned().unwrap_or_default();
        let text = |error: &Value| {
            format!("{} {}", error["pointer"].as_str().unwrap(), error["code"].as_str().unwrap())
        };
        errors.iter().map(text).collect()
    }

    fn assert_is_documented(&self, method: &str, path: &str) {
        assert_eq!(self.header("x-content-type-options"), "nosniff", "{self:?}");
        let Some(operation) = operation(method, path) else { return };
        let response = &operation["responses"][self.status.as_str()];
        assert!(response.is_object(), "{method} {path} does not document {}", self.status);
        let media_type = self.headers.get(CONTENT_TYPE).map(|value| value.to_str().unwrap());
        let media_type = media_type.and_then(|media_type| media_type.split(';').next()).unwrap_or_default();
        assert!(
            response["content"][media_type].is_object(),
            "{method} {path} {} is of type {media_type}",
            self.status
        );
    }
}

static DOCUMENT: LazyLock<Value> = LazyLock::new(|| {
    serde_json::to_value(waypost_gateway::document(waypost_gateway::Auth::Required)).unwrap()
});

/// The documented operation that a request means.
fn operation(method: &str, path: &str) -> Option<&'static Value> {
    let path = path.split('?').next().unwrap_or_default();
    let fits = |template: &str| {
        let (template, path) = (template.split('/'), path.split('/'));
        template.clone().count() == path.clone().count()
            && template.zip(path).all(|(part, actual)| part.starts_with('{') || part == actual)
    };
    let method = if method == "HEAD" { "get".to_owned() } else { method.to_ascii_lowercase() };
    let (_, item) = DOCUMENT["paths"].as_object().unwrap().iter().find(|(template, _)| fits(template))?;
    item.get(method)
}

/// Sends these bytes and reads to the end of the connection, whatever comes. A reset is an end too.
pub(crate) async fn raw(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes).await.ok();
    read_to_end(&mut stream).await
}

pub(crate) async fn read_to_end(stream: &mut TcpStream) -> String {
    let mut received = Vec::new();
    crate::shop::in_time(stream.read_to_end(&mut received)).await.ok();
    String::from_utf8_lossy(&received).into_owned()
}

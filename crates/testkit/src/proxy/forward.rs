//! One call to the target, read to its end in both directions.

use std::fmt;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri, Version, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use super::fault::{Form, Refusal};

/// An answer.
pub(super) type Reply = Response<UnsyncBoxBody<Bytes, std::convert::Infallible>>;

/// There is no answer; whoever called sees its stream reset, or its connection closed.
#[derive(Debug)]
pub(super) struct Lost;

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the call was lost on purpose")
    }
}

impl std::error::Error for Lost {}

/// A request as it came.
#[derive(Clone, Debug)]
pub(super) struct Message {
    pub(super) head: http::request::Parts,
    pub(super) body: Bytes,
}

/// Whom a proxy calls, over connections of its own.
#[derive(Debug)]
pub(super) struct Target {
    address: Mutex<Option<SocketAddr>>,
    http1: Client<HttpConnector, Full<Bytes>>,
    http2: Client<HttpConnector, Full<Bytes>>,
}

impl Default for Target {
    fn default() -> Target {
        let client = |is_http2| {
            let mut connector = HttpConnector::new();
            connector.set_nodelay(true);
            let mut builder = Client::builder(TokioExecutor::new());
            // A proxy that repeats calls on its own would not be the one that the seed describes.
            builder.retry_canceled_requests(false).http2_only(is_http2).build(connector)
        };
        Target { address: Mutex::default(), http1: client(false), http2: client(true) }
    }
}

impl Target {
    pub(super) fn set(&self, target: SocketAddr) {
        *self.address.lock().unwrap_or_else(PoisonError::into_inner) = Some(target);
    }

    pub(super) async fn call(&self, message: Message) -> Result<Reply, Lost> {
        let Message { head, body } = message;
        let address = *self.address.lock().unwrap_or_else(PoisonError::into_inner);
        let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
        let uri: Uri = format!("http://{}{path}", address.ok_or(Lost)?).parse().map_err(|_| Lost)?;
        let is_http2 = head.version == Version::HTTP_2;
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = head.method;
        *request.uri_mut() = uri;
        *request.version_mut() = head.version;
        *request.headers_mut() = end_to_end(head.headers);
        let client = if is_http2 { &self.http2 } else { &self.http1 };
        let response = client.request(request).await.map_err(|_| Lost)?;
        let (mut head, body) = response.into_parts();
        head.headers = end_to_end(head.headers);
        let body = body.collect().await.map_err(|_| Lost)?;
        let trailers = body.trailers().cloned();
        let bytes = body.to_bytes();
        let body = match trailers {
            Some(trailers) => {
                Full::new(bytes).with_trailers(std::future::ready(Some(Ok(trailers)))).boxed_unsync()
            }
            None => Full::new(bytes).boxed_unsync(),
        };
        Ok(Response::from_parts(head, body))
    }
}

/// An answer of the proxy's own, as a balancer or a gateway gives it. Every HTTP/2 call of the shop is gRPC.
pub(super) fn own(refusal: Refusal, version: Version) -> Reply {
    let Refusal { status, form } = refusal;
    let page = if form == Form::Page { "<html>said by the way</html>" } else { "" };
    let mut response = Response::new(Full::new(Bytes::from_static(page.as_bytes())).boxed_unsync());
    let headers = response.headers_mut();
    if form == Form::Grpc && version == Version::HTTP_2 {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers.insert("grpc-status", HeaderValue::from(grpc_code(status)));
        return response;
    }
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html"));
    *response.status_mut() = status;
    response
}

/// As gRPC's "HTTP to gRPC status code mapping" has it; for 409, what a conflict is called.
fn grpc_code(status: StatusCode) -> u16 {
    match status {
        StatusCode::FORBIDDEN => 7,
        StatusCode::CONFLICT => 10,
        StatusCode::NOT_FOUND => 12,
        StatusCode::SERVICE_UNAVAILABLE => 14,
        _ => 2,
    }
}

/// Without the headers that belong to one connection.
fn end_to_end(mut headers: HeaderMap) -> HeaderMap {
    for name in [header::CONNECTION, header::TRANSFER_ENCODING, header::UPGRADE] {
        headers.remove(name);
    }
    headers
}

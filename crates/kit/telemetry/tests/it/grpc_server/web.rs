//! Bodies that are not as tonic makes them: the trailers of gRPC-Web, and data in several pieces.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use axum::http::{Request, Response};
use bytes::Buf;
use bytes::buf::Chain;
use http_body_util::BodyExt as _;
use hyper::body::Frame;
use tower::{Layer as _, ServiceExt as _, service_fn};
use waypost_telemetry::testing::TestTelemetry;

use super::echo::Kind;
use crate::http_server::net::{attribute, metric, outcome, span};

fn call() -> Request<Body> {
    Request::post(Kind::Unary.path()).body(Body::empty()).unwrap()
}

/// How the server's span of a call ends whose answer has this type and body.
async fn ending(content_type: &'static str, body: &'static [u8]) -> (String, String) {
    let telemetry = TestTelemetry::new("echo");
    let answers = service_fn(move |_: Request<Body>| {
        let response = Response::builder().header("content-type", content_type);
        std::future::ready(Ok::<_, Infallible>(response.body(Body::from(body)).unwrap()))
    });
    let response = telemetry.grpc_server().layer(answers).oneshot(call()).await.unwrap();
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), body);
    let span = span(&telemetry).await;
    let code = attribute(&span, "rpc.response.status_code").unwrap();
    let label = format!("rpc_response_status_code=\"{code}\"");
    assert_eq!(metric(&telemetry, "rpc_server_call_duration_seconds_count", &[&label]), 1);
    (outcome(&span), code)
}

#[tokio::test]
async fn the_status_of_grpc_web_is_in_the_body() {
    let ended = |outcome: &str, code: &str| (outcome.to_owned(), code.to_owned());
    let ok = b"\0\0\0\0\x02hi\x80\0\0\0\x0fgrpc-status: 0\r\n";
    assert_eq!(ending("application/grpc-web+proto", ok).await, ended("ok", "OK"));
    let failed = b"\x80\0\0\0\x10grpc-status: 15\r\n";
    assert_eq!(ending("application/grpc-web", failed).await, ended("DATA_LOSS", "DATA_LOSS"));
    let text = b"AAAAAAJoaQ==gAAAAA9ncnBjLXN0YXR1czogMA0K";
    assert_eq!(ending("application/grpc-web-text+proto", text).await, ended("ok", "OK"));
    assert_eq!(ending("application/grpc-web", b"").await, ended("UNKNOWN", "UNKNOWN"));
}

/// One frame whose data lies in two places.
struct InTwoPlaces(Option<Chain<Bytes, Bytes>>);

impl hyper::body::Body for InTwoPlaces {
    type Data = Chain<Bytes, Bytes>;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Infallible>>> {
        Poll::Ready(self.0.take().map(|data| Ok(Frame::data(data))))
    }
}

#[tokio::test]
async fn messages_are_found_in_data_of_several_pieces() {
    let telemetry = TestTelemetry::new("echo");
    let answers = service_fn(async |_: Request<Body>| {
        let first = Bytes::from_static(b"\0\0\0\0\x02h");
        let data = first.chain(Bytes::from_static(b"i\0\0\0\0\x01!"));
        Ok::<_, Infallible>(Response::new(InTwoPlaces(Some(data))))
    });
    let layer = telemetry.grpc_server().message_events(true);
    let response = layer.layer(answers).oneshot(call()).await.unwrap();
    response.into_body().collect().await.unwrap();
    let span = span(&telemetry).await;
    let sizes: Vec<_> = span
        .events()
        .iter()
        .filter_map(|event| event.attribute("rpc.message.compressed_size"))
        .map(ToString::to_string)
        .collect();
    assert_eq!(sizes, ["2", "1"]);
}

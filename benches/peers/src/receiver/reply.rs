//! What the receiver answers, in both protocols.

use std::convert::Infallible;
use std::future::ready;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use http::{HeaderMap, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Empty, Full};

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");
const PROTOBUF: HeaderValue = HeaderValue::from_static("application/x-protobuf");
const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");

/// `google.rpc.Status` with code UNAVAILABLE and a `RetryInfo` of one second, in base64.
const RETRY_IN_A_SECOND: HeaderValue =
    HeaderValue::from_static("CA4aMAoodHlwZS5nb29nbGVhcGlzLmNvbS9nb29nbGUucnBjLlJldHJ5SW5mbxIECgIIAQ");

pub(crate) enum Reply {
    HttpTaken,
    HttpLater,
    GrpcTaken,
    GrpcLater,
    Malformed,
}

impl Reply {
    pub(crate) fn into_response(self) -> Response<BoxBody<Bytes, Infallible>> {
        let mut response = Response::new(Empty::new().boxed());
        match self {
            Self::HttpTaken => {
                response.headers_mut().insert(CONTENT_TYPE, PROTOBUF);
            }
            Self::HttpLater => {
                *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
                response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
            }
            Self::GrpcTaken => {
                response.headers_mut().insert(CONTENT_TYPE, GRPC);
                let trailers = HeaderMap::from_iter([(GRPC_STATUS, HeaderValue::from_static("0"))]);
                // An empty message, not compressed.
                let message = Full::new(Bytes::from_static(&[0; 5]));
                *response.body_mut() = message.with_trailers(ready(Some(Ok(trailers)))).boxed();
            }
            Self::GrpcLater => {
                response.headers_mut().insert(CONTENT_TYPE, GRPC);
                response.headers_mut().insert(GRPC_STATUS, HeaderValue::from_static("14"));
                response.headers_mut().insert(GRPC_DETAILS, RETRY_IN_A_SECOND);
            }
            Self::Malformed => *response.status_mut() = StatusCode::BAD_REQUEST,
        }
        response
    }
}

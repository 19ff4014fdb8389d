//! OTLP over gRPC, on the export thread's own runtime: a flush or shutdown can never wait for a worker that
//! waits for the flush (opentelemetry-rust #2715).

use bytes::{Buf, BufMut, Bytes};
use http::uri::PathAndQuery;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::metadata::MetadataMap;
use tonic::transport::{Channel, ClientTlsConfig, Endpoint};
use tonic::{Code, Request, Status};

use super::Refusal;

pub(crate) struct GrpcTransport {
    channel: tonic::client::Grpc<Channel>,
    receiver: String,
    method: PathAndQuery,
    headers: MetadataMap,
}

impl GrpcTransport {
    /// Connects at the first request. Must be called within a runtime.
    pub(crate) fn new(
        receiver: String,
        method: &'static str,
        headers: http::HeaderMap,
    ) -> Result<Self, tonic::transport::Error> {
        let mut endpoint = Endpoint::from_shared(receiver.clone())?.user_agent(super::USER_AGENT)?;
        if endpoint.uri().scheme_str() == Some("https") {
            endpoint = endpoint.tls_config(ClientTlsConfig::new().with_native_roots())?;
        }
        Ok(Self {
            channel: tonic::client::Grpc::new(endpoint.connect_lazy()),
            receiver,
            method: PathAndQuery::from_static(method),
            headers: MetadataMap::from_headers(headers),
        })
    }

    pub(super) fn receiver(&self) -> &str {
        &self.receiver
    }

    pub(super) async fn post(&mut self, body: Bytes) -> Result<Bytes, Refusal> {
        self.channel.ready().await.map_err(|error| Refusal {
            reason: deepest(&error),
            may_retry: true,
            wait: None,
        })?;
        let mut request = Request::new(body);
        *request.metadata_mut() = self.headers.clone();
        let answer = self.channel.unary(request, self.method.clone(), Encoded).await;
        answer.map(tonic::Response::into_inner).map_err(|status| refusal(&status))
    }
}

/// <https://opentelemetry.io/docs/specs/otlp/#failures>; `RESOURCE_EXHAUSTED` may be retried only with details
/// that hardly any receiver sends, so it is not.
fn refusal(status: &Status) -> Refusal {
    let may_retry = matches!(
        status.code(),
        Code::Cancelled
            | Code::DeadlineExceeded
            | Code::Aborted
            | Code::OutOfRange
            | Code::Unavailable
            | Code::DataLoss
    );
    let cause = std::error::Error::source(status).map(|cause| format!(": {}", deepest(cause)));
    let reason = format!(
        "the receiver answered {} {}{}",
        crate::base::error::grpc_code_name(status.code()),
        status.message(),
        cause.unwrap_or_default()
    );
    Refusal { reason, may_retry, wait: None }
}

fn deepest(error: &(dyn std::error::Error + 'static)) -> String {
    std::iter::successors(Some(error), |cause| (*cause).source())
        .last()
        .map(ToString::to_string)
        .unwrap_or_default()
}

/// Passes messages through that are encoded already.
struct Encoded;

impl Codec for Encoded {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Encoded {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        out.reserve(message.len());
        out.put(message);
        Ok(())
    }
}

impl Decoder for Encoded {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, message: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(message.copy_to_bytes(message.remaining())))
    }
}

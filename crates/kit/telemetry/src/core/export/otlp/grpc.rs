//! OTLP over gRPC, on the export thread's own runtime: a flush or shutdown can never wait for a worker that
//! waits for the flush (opentelemetry-rust #2715).

use bytes::{Buf, BufMut, Bytes};
use http::uri::PathAndQuery;
use http::{HeaderValue, Uri};
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::metadata::MetadataMap;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};

use super::refusal::{retry_delay, told};
use super::{Answer, Body, Connector, Posting, Refusal, Transport};

pub(crate) struct GrpcTransport {
    channel: Channel,
    receiver: String,
    method: PathAndQuery,
    headers: MetadataMap,
    #[cfg_attr(not(feature = "gzip"), expect(dead_code, reason = "settings that ask for it are refused"))]
    is_compressed: bool,
}

impl GrpcTransport {
    /// Connects at the first request. Must be called within a runtime.
    pub(crate) fn new(
        uri: &Uri,
        method: &'static str,
        headers: http::HeaderMap,
        is_compressed: bool,
        connector: Connector,
    ) -> Result<Self, tonic::transport::Error> {
        let agent = HeaderValue::from_static(super::USER_AGENT);
        // TLS is the connector's business. Told of https, tonic would do it once more or refuse, by features that
        // others in the build choose.
        let plain = uri.to_string().replacen("https://", "http://", 1);
        let endpoint = Endpoint::from_shared(plain)?.origin(uri.clone()).user_agent(agent)?;
        Ok(Self {
            channel: endpoint.connect_with_connector_lazy(connector),
            receiver: uri.to_string(),
            method: PathAndQuery::from_static(method),
            headers: MetadataMap::from_headers(headers),
            is_compressed,
        })
    }

    async fn send(&self, body: Body) -> Result<Answer, Refusal> {
        let mut client = tonic::client::Grpc::new(self.channel.clone());
        #[cfg(feature = "gzip")]
        if self.is_compressed {
            client = client.send_compressed(tonic::codec::CompressionEncoding::Gzip);
        }
        client.ready().await.map_err(|error| Refusal {
            reason: told(&error),
            may_retry: true,
            is_unreached: true,
            wait: None,
        })?;
        let mut request = Request::new(body);
        *request.metadata_mut() = self.headers.clone();
        let answer = client.unary(request, self.method.clone(), Encoded).await;
        answer
            .map(|answer| Answer { body: answer.into_inner(), is_json: false })
            .map_err(|status| refusal(&status))
    }
}

impl Transport for GrpcTransport {
    fn receiver(&self) -> &str {
        &self.receiver
    }

    fn post(&self, body: Body) -> Posting<'_> {
        Box::pin(self.send(body))
    }
}

/// <https://opentelemetry.io/docs/specs/otlp/#failures>; `RESOURCE_EXHAUSTED` may be retried only if the receiver says
/// when.
fn refusal(status: &Status) -> Refusal {
    let wait = retry_delay(status.details());
    let cause = std::error::Error::source(status);
    let may_retry = match status.code() {
        // No answer of the receiver, which has no cause on this side: the connection broke, or the stream was reset.
        _ if cause.is_some() => true,
        Code::Cancelled
        | Code::DeadlineExceeded
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unavailable
        | Code::DataLoss => true,
        Code::ResourceExhausted => wait.is_some(),
        _ => false,
    };
    let told = cause.map(|cause| format!(": {}", told(cause))).unwrap_or_default();
    let name = crate::base::error::grpc_code_name(status.code());
    Refusal {
        reason: format!("the receiver answered {name} {}{told}", status.message()),
        may_retry,
        is_unreached: cause
            .is_some_and(|cause| chain(cause).any(<dyn std::error::Error>::is::<tonic::ConnectError>)),
        wait,
    }
}

fn chain<'a>(
    error: &'a (dyn std::error::Error + 'static),
) -> impl Iterator<Item = &'a (dyn std::error::Error + 'static)> {
    std::iter::successors(Some(error), |cause| (*cause).source())
}

/// Passes messages through that are encoded already.
struct Encoded;

impl Codec for Encoded {
    type Encode = Body;
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
    type Item = Body;
    type Error = Status;

    fn encode(&mut self, message: Body, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        out.reserve(message.len());
        message.into_pieces().into_iter().for_each(|piece| out.put(piece));
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

//! OTLP: a batch becomes one protobuf message, sent over HTTP or gRPC until it is taken or given up.
//!
//! Encoded once, whatever the number of tries. Retried only what the protocol says may be retried, with growing
//! pauses; a receiver's wish to wait is honoured within the time there is. Own code over the official messages,
//! because the upstream exporters read the environment by themselves, cannot be stopped at a deadline, and do
//! not tell how much of a request the receiver refused.

pub(crate) mod encode;
mod grpc;
mod http;

use std::time::Duration;

use bytes::Bytes;
use opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema;
use tokio::time::{Instant, sleep, timeout_at};

use super::complaint;
use super::outlet::Sent;
pub(crate) use encode::Signal;
pub(crate) use grpc::GrpcTransport;
pub(crate) use http::HttpTransport;

const USER_AGENT: &str = concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION"));
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// The receiver of one signal.
pub(crate) struct Otlp<T: 'static> {
    pub(crate) transport: Transport,
    pub(crate) signal: &'static Signal<T>,
    pub(crate) resource: ResourceAttributesWithSchema,
    /// Longest time of one request.
    pub(crate) timeout: Duration,
}

pub(crate) enum Transport {
    Http(HttpTransport),
    Grpc(GrpcTransport),
}

/// Why a request was not taken.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) reason: String,
    pub(crate) may_retry: bool,
    /// The receiver's wish.
    pub(crate) wait: Option<Duration>,
}

impl Transport {
    fn receiver(&self) -> &str {
        match self {
            Self::Http(transport) => transport.receiver(),
            Self::Grpc(transport) => transport.receiver(),
        }
    }

    async fn post(&mut self, body: Bytes) -> Result<Bytes, Refusal> {
        match self {
            Self::Http(transport) => transport.post(body).await,
            Self::Grpc(transport) => transport.post(body).await,
        }
    }
}

impl<T: 'static> Otlp<T> {
    pub(crate) async fn send(&mut self, batch: Vec<T>, give_up: Instant) -> Sent {
        let body = Bytes::from((self.signal.encode)(batch, &self.resource));
        let mut pause = FIRST_PAUSE;
        loop {
            let refusal = match self.try_once(body.clone(), give_up).await {
                Ok(answer) => return Sent::Accepted { rejected: self.rejected(&answer) },
                Err(refusal) => refusal,
            };
            complaint::raise(self.transport.receiver(), &refusal.reason);
            let wait = refusal.wait.unwrap_or_else(|| pause.mul_f64(0.5 + 0.5 * fastrand::f64()));
            if !refusal.may_retry || Instant::now() + wait >= give_up {
                return Sent::Failed;
            }
            sleep(wait).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn try_once(&mut self, body: Bytes, give_up: Instant) -> Result<Bytes, Refusal> {
        let by = give_up.min(Instant::now() + self.timeout);
        timeout_at(by, self.transport.post(body)).await.unwrap_or_else(|_| {
            Err(Refusal { reason: "no answer in time".to_owned(), may_retry: true, wait: None })
        })
    }

    fn rejected(&self, answer: &Bytes) -> u64 {
        let (rejected, message) = (self.signal.rejected)(answer.clone());
        if rejected > 0 {
            complaint::raise(self.transport.receiver(), &format!("{rejected} items refused: {message}"));
        }
        rejected
    }
}

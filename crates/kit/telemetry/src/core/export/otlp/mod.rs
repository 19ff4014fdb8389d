//! OTLP: frames become one request, sent over HTTP or gRPC until it is taken or given up.
//!
//! Put together once, whatever the number of tries. Retried only what the protocol says may be retried, with growing
//! pauses; a receiver's wish to wait is honoured within the time there is. Own code, because the upstream exporters
//! read the environment by themselves, cannot be stopped at a deadline, and do not tell how much of a request the
//! receiver refused.

mod body;
#[cfg(feature = "_hyper")]
mod connector;
#[cfg(feature = "otlp-grpc")]
mod grpc;
mod health;
#[cfg(feature = "otlp-http")]
mod http;
pub(super) mod json;
mod refusal;
mod tls;

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, timeout_at};

use super::complaint;
use super::frame::Frame;
use super::outlet::Sent;
use crate::base::config::Compression;
use crate::base::config::limited;
use crate::base::wire::read::fields;
pub(crate) use body::Body;
use body::NoBody;
#[cfg(any(feature = "otlp-http", feature = "otlp-grpc"))]
pub(crate) use connector::Connector;
#[cfg(feature = "otlp-grpc")]
pub(crate) use grpc::GrpcTransport;
pub(crate) use health::Health;
#[cfg(feature = "otlp-http")]
pub(crate) use http::HttpTransport;
pub(crate) use refusal::Refusal;
#[cfg(feature = "jaeger-remote")]
pub(crate) use refusal::told;
#[cfg(feature = "tls")]
pub(crate) use tls::Files;
pub(crate) use tls::Tls;

const USER_AGENT: &str =
    concat!("OTel-OTLP-Exporter-Rust/", env!("CARGO_PKG_VERSION"), " ", env!("CARGO_PKG_NAME"));

/// What tells the signals apart on the wire.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Signal {
    /// Appended to the base address over HTTP.
    pub(crate) path: &'static str,
    /// The gRPC method.
    pub(crate) method: &'static str,
    /// The request as protobuf's JSON mapping describes it.
    pub(crate) json: &'static json::Message,
}

pub(crate) const TRACES: Signal = Signal {
    path: "/v1/traces",
    method: "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    json: &json::TRACES,
};

pub(crate) const METRICS: Signal = Signal {
    path: "/v1/metrics",
    method: "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
    json: &json::METRICS,
};

pub(crate) const LOGS: Signal = Signal {
    path: "/v1/logs",
    method: "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
    json: &json::LOGS,
};

/// How a request is written.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Encoding {
    Protobuf,
    /// As protobuf's JSON mapping has this message.
    Json(&'static json::Message),
    /// Spans as Zipkin's JSON.
    Zipkin,
}

/// The receiver of one signal.
pub(crate) struct Otlp {
    pub(crate) transport: Box<dyn Transport>,
    pub(crate) encoding: Encoding,
    pub(crate) compression: Compression,
    /// Longest time of one request; zero is no limit.
    pub(crate) timeout: Duration,
    pub(crate) max_request_bytes: usize,
    pub(crate) health: Health,
}

/// A future of a transport.
pub(crate) type Posting<'a> = Pin<Box<dyn Future<Output = Result<Answer, Refusal>> + Send + 'a>>;

/// How requests travel.
pub(crate) trait Transport: Send + Sync {
    /// The receiver's address, for messages.
    fn receiver(&self) -> &str;

    /// Sends one request. Cancel safe: a request that is dropped is aborted.
    fn post(&self, body: Body) -> Posting<'_>;
}

/// What a receiver answered to a request it took.
pub(crate) struct Answer {
    body: Bytes,
    is_json: bool,
}

impl Otlp {
    pub(crate) fn health(&self) -> &Health {
        &self.health
    }

    /// Bytes of frames that are put into one request. As JSON they become about twice as many; what is larger then is
    /// split.
    pub(crate) fn max_batch_bytes(&self) -> usize {
        match self.encoding {
            Encoding::Protobuf => self.max_request_bytes,
            Encoding::Json(_) | Encoding::Zipkin => self.max_request_bytes / 2,
        }
    }

    /// Tries until `give_up`. Cancel safe: a request that is dropped is aborted.
    pub(crate) async fn send(&self, frames: &[Frame], items: usize, give_up: Instant) -> Sent {
        let max = self.max_request_bytes;
        let body = match Body::new(frames, self.encoding, self.compression, max) {
            Ok(body) => body,
            Err(NoBody::TooLarge(bytes)) => {
                if items == 1 {
                    let reason = format!("dropped one item of {bytes} bytes, as a request may have {max}");
                    complaint::raise(self.transport.receiver(), &reason);
                }
                return Sent::TooLarge;
            }
            Err(NoBody::NotCompressed(error)) => {
                complaint::raise(self.transport.receiver(), &error);
                return Sent::Refused;
            }
        };
        loop {
            let Some(turn) = self.health.turn(give_up).await else { return Sent::Failed };
            let refusal = match self.try_once(body.clone(), give_up).await {
                Ok(answer) => {
                    self.health.recovered();
                    return Sent::Accepted { rejected: self.rejected(&answer) };
                }
                Err(refusal) => refusal,
            };
            complaint::raise(self.transport.receiver(), &refusal.reason);
            if !refusal.may_retry {
                self.health.recovered();
                return Sent::Refused;
            }
            if !self.health.failed(&turn, refusal.wait, refusal.is_unreached, give_up) {
                return Sent::Failed;
            }
        }
    }

    async fn try_once(&self, body: Body, give_up: Instant) -> Result<Answer, Refusal> {
        let by = give_up.min(Instant::now() + limited(self.timeout));
        timeout_at(by, self.transport.post(body)).await.unwrap_or_else(|_| {
            Err(Refusal {
                reason: "no answer in time".to_owned(),
                may_retry: true,
                is_unreached: false,
                wait: None,
            })
        })
    }

    /// How many items the receiver refused of a request it took. A message without a number is a warning.
    fn rejected(&self, answer: &Answer) -> u64 {
        let (rejected, message) =
            if answer.is_json { json::partial_success(&answer.body) } else { partial_success(&answer.body) };
        if rejected > 0 {
            complaint::raise(self.transport.receiver(), &format!("{rejected} items refused: {message}"));
        } else if !message.is_empty() {
            complaint::pass_on(self.transport.receiver(), &message);
        }
        rejected
    }
}

/// Number and reason in the answer of any signal: `partial_success { rejected = 1, error_message = 2 }`.
fn partial_success(answer: &[u8]) -> (u64, String) {
    let (mut rejected, mut message) = (0, String::new());
    for (_, partial) in fields(answer).filter(|(number, _)| *number == 1) {
        for (number, field) in fields(partial.bytes()) {
            match number {
                1 => rejected = u64::try_from(field.number().cast_signed()).unwrap_or(0),
                2 => message = field.text(),
                _ => {}
            }
        }
    }
    (rejected, message)
}

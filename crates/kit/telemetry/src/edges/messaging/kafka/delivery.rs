//! The broker's answer to a record: what is kept of the record until then, and whom it is told.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, ready};

use rdkafka::client::{ClientContext, OAuthToken};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use rdkafka::message::{DeliveryResult, Message as _, OwnedMessage, Timestamp};
use rdkafka::producer::ProducerContext;
use rdkafka::producer::future_producer::{Delivery, OwnedDeliveryResult};
use tokio::sync::oneshot;

use super::shared::Shared;
use super::statistics::Client;
use crate::base::error::ErrorType;
use crate::core::clock::Timer;
use crate::core::span::{Outcome, SpanGuard};

/// The answer, or that the client went away before there was one.
#[expect(clippy::result_large_err, reason = "the answer is rdkafka's, and brings the record back")]
pub(super) fn answered(
    answer: Result<OwnedDeliveryResult, oneshot::error::RecvError>,
) -> OwnedDeliveryResult {
    let gone = || OwnedMessage::new(None, None, String::new(), Timestamp::NotAvailable, -1, 0, None);
    answer.unwrap_or_else(|_| Err((KafkaError::Canceled, gone())))
}

/// The answer to a record that was handed over. It may be dropped; the record is sent all the same.
#[derive(Debug)]
#[must_use = "it tells whether the record was delivered"]
pub struct DeliveryFuture {
    pub(super) answer: oneshot::Receiver<OwnedDeliveryResult>,
}

impl Future for DeliveryFuture {
    type Output = OwnedDeliveryResult;

    fn poll(mut self: Pin<&mut Self>, task: &mut TaskContext<'_>) -> Poll<Self::Output> {
        let answer = ready!(Pin::new(&mut self.answer).poll(task));
        Poll::Ready(answered(answer))
    }
}

/// What is kept of a record until its delivery report.
pub(super) struct Report {
    /// Taken when it is answered.
    answer: Option<oneshot::Sender<OwnedDeliveryResult>>,
    /// None for a record of a batch, which has a span for all.
    sent: Option<Sent>,
}

struct Sent {
    shared: Arc<Shared>,
    topic: String,
    span: SpanGuard,
    timer: Timer,
}

impl Report {
    /// Of a record with this open span, and where its answer will be.
    pub(super) fn of(
        shared: &Arc<Shared>,
        topic: String,
        span: SpanGuard,
    ) -> (Self, oneshot::Receiver<OwnedDeliveryResult>) {
        let (sender, answer) = oneshot::channel();
        let timer = shared.telemetry().timer();
        let sent = Sent { shared: Arc::clone(shared), topic, span, timer };
        (Self { answer: Some(sender), sent: Some(sent) }, answer)
    }

    /// Of a record of a batch, and where its answer will be.
    pub(super) fn in_batch() -> (Self, oneshot::Receiver<OwnedDeliveryResult>) {
        let (sender, answer) = oneshot::channel();
        (Self { answer: Some(sender), sent: None }, answer)
    }

    /// Ends the span and measures.
    pub(super) fn end(&mut self, result: Result<&Delivery, &KafkaError>) {
        let Some(Sent { shared, topic, span, timer }) = self.sent.take() else { return };
        let failure = result.err().map(|error| error as &dyn ErrorType);
        shared.metrics.sent(&topic, 1, timer.elapsed(), failure);
        match result {
            Ok(delivery) => {
                span.set("messaging.destination.partition.id", delivery.partition.to_string());
                span.set("messaging.kafka.offset", delivery.offset);
                span.end(Outcome::Ok);
            }
            Err(error) => span.end(Outcome::Error(error.error_type())),
        }
    }
}

/// Gets the delivery reports, on librdkafka's side, and passes the rest on.
pub(super) struct Reports<C> {
    user: C,
    /// Whether the program asked for statistics itself.
    tells_user: bool,
    client: Arc<Client>,
}

impl<C> Reports<C> {
    pub(super) fn new(user: C, tells_user: bool, shared: &Shared) -> Self {
        Self { user, tells_user, client: Arc::clone(&shared.client) }
    }
}

impl<C: ClientContext> ClientContext for Reports<C> {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = C::ENABLE_REFRESH_OAUTH_TOKEN;

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.user.log(level, facility, message);
    }

    fn stats_raw(&self, statistics: &[u8]) {
        if let Ok(read) = serde_json::from_slice(statistics) {
            self.client.statistics.observe(&read);
        }
        if self.tells_user {
            self.user.stats_raw(statistics);
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.user.error(error, reason);
    }

    fn generate_oauth_token(&self, config: Option<&str>) -> Result<OAuthToken, Box<dyn std::error::Error>> {
        self.user.generate_oauth_token(config)
    }
}

impl<C: ClientContext> ProducerContext for Reports<C> {
    type DeliveryOpaque = Box<Report>;

    fn delivery(&self, result: &DeliveryResult<'_>, mut report: Box<Report>) {
        let answer = match result {
            Ok(message) => Ok(Delivery {
                partition: message.partition(),
                offset: message.offset(),
                timestamp: message.timestamp(),
            }),
            Err((error, message)) => Err((error.clone(), message.detach())),
        };
        report.end(answer.as_ref().map_err(|(error, _)| error));
        if let Some(sender) = report.answer.take() {
            // Whoever gave the future up does not want to know.
            drop(sender.send(answer));
        }
    }
}

impl fmt::Debug for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Report").finish_non_exhaustive()
    }
}

impl<C> fmt::Debug for Reports<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reports").field("client", &self.client).finish_non_exhaustive()
    }
}

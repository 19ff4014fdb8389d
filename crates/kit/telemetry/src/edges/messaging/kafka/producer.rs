//! Records on their way into Kafka: a span that lasts until the broker has answered.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, ready};
use std::time::{Duration, Instant};

use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, TraceContextExt as _};
use rdkafka::client::{ClientContext, DefaultClientContext, OAuthToken};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Message as _, OwnedMessage, Timestamp, ToBytes};
use rdkafka::producer::future_producer::{Delivery, OwnedDeliveryResult};
use rdkafka::producer::{BaseRecord, FutureRecord, Producer as _, ProducerContext, ThreadedProducer};
use rdkafka::util::Timeout;
use tokio::sync::oneshot;

use super::super::{MessageSpan, create_span, send_batch_span, send_span};
use super::headers::{extracted, injected};
use super::statistics::Client;
use super::{SYSTEM, Shared};
use crate::base::error::ErrorType;
use crate::core::span::{Outcome, SpanGuard};

/// How long a full queue is left alone before a record is offered again, as rdkafka's own producer has it.
const PAUSE: Duration = Duration::from_millis(100);

/// A record with what is kept of it until it is answered.
type Sending<'a, K, P> = BaseRecord<'a, K, P, Box<Report>>;

/// A producer whose records carry the context of a PRODUCER span. Used as rdkafka's `FutureProducer`: records are its
/// `FutureRecord`s, answers its `OwnedDeliveryResult`s. Clones share one client.
///
/// The span ends with the delivery report, also if whoever sent the record does not wait for that. A record that has a
/// context in its headers already keeps it, as the conventions ask: it was made elsewhere, or is handed on as a dead letter.
/// Its span is a CLIENT one then, with a link to that context.
///
/// ```no_run
/// # async fn example(config: rdkafka::ClientConfig) -> Result<(), rdkafka::error::KafkaError> {
/// use std::time::Duration;
/// use rdkafka::producer::FutureRecord;
///
/// let telemetry = waypost_telemetry::testing::TestTelemetry::new("order-service");
/// let producer = telemetry.kafka().producer(&config)?;
/// let record = FutureRecord::to("orders").key("order-1").payload("placed");
/// let delivery = producer.send(record, Duration::from_secs(5)).await.map_err(|(error, _)| error)?;
/// telemetry.tree().assert_matches("\"send orders\" PRODUCER order-service messaging.system=kafka");
/// # drop(delivery);
/// # Ok(())
/// # }
/// ```
pub struct Producer<C: ClientContext + 'static = DefaultClientContext> {
    shared: Arc<Shared>,
    native: Arc<ThreadedProducer<Reports<C>>>,
}

impl<C: ClientContext + 'static> Producer<C> {
    pub(super) fn new(shared: Arc<Shared>, native: ThreadedProducer<Reports<C>>) -> Self {
        Self { shared, native: Arc::new(native) }
    }

    /// Sends a record and waits for the broker's answer. While librdkafka's queue is full the record is offered again for
    /// up to `queue_timeout`; what comes after that is bounded by librdkafka's `delivery.timeout.ms`.
    ///
    /// Dropped before it is done it stops waiting, and no more: a record that was handed over is sent all the same.
    ///
    /// # Errors
    /// Why it was not delivered, with the record.
    pub async fn send<K: ToBytes + ?Sized, P: ToBytes + ?Sized>(
        &self,
        record: FutureRecord<'_, K, P>,
        queue_timeout: impl Into<Timeout>,
    ) -> OwnedDeliveryResult {
        let (record, answer) = self.opened(record);
        self.offer(record, answer, queue_timeout.into()).await
    }

    /// Hands a record over without waiting. The future that it gives may be dropped.
    ///
    /// # Errors
    /// Why it was not taken, with the record as it was.
    #[expect(clippy::result_large_err, reason = "the error is rdkafka's, and brings the record back")]
    pub fn send_result<'a, K: ToBytes + ?Sized, P: ToBytes + ?Sized>(
        &self,
        record: FutureRecord<'a, K, P>,
    ) -> Result<DeliveryFuture, (KafkaError, FutureRecord<'a, K, P>)> {
        let headers = record.headers.clone();
        let (record, answer) = self.opened(record);
        match self.native.send(record) {
            Ok(()) => Ok(DeliveryFuture { answer }),
            Err((error, refused)) => {
                let BaseRecord { topic, partition, payload, key, timestamp, mut delivery_opaque, .. } =
                    refused;
                delivery_opaque.end(Err(&error));
                Err((error, FutureRecord { topic, partition, payload, key, timestamp, headers }))
            }
        }
    }

    /// Sends several records of one topic: a span `create` for each, and one span `send` with links to them that ends with
    /// the last answer. The answers are in the order of the records.
    pub async fn send_batch<K: ToBytes + ?Sized, P: ToBytes + ?Sized>(
        &self,
        topic: &str,
        records: Vec<FutureRecord<'_, K, P>>,
        queue_timeout: impl Into<Timeout>,
    ) -> Vec<OwnedDeliveryResult> {
        let (shared, timeout) = (&self.shared, queue_timeout.into());
        let (created, batch) = {
            let _attached = shared.current().attach();
            let created: Vec<Context> = records.iter().map(|record| self.created(topic, record)).collect();
            let batch =
                shared.completed(send_batch_span(SYSTEM, topic, &created)).start().cancelled_on_drop();
            (created, batch)
        };
        let (started, count) = (Instant::now(), records.len());
        let sending = records.into_iter().zip(&created).map(|(mut record, context)| {
            record.headers = injected(shared.telemetry(), context, record.headers);
            let (sender, answer) = oneshot::channel();
            self.offer(based(record, Report { answer: Some(sender), sent: None }), answer, timeout)
        });
        let answers = futures_util::future::join_all(sending).await;
        let failed = answers.iter().find_map(|answer| answer.as_ref().err()).map(|(error, _)| error);
        let messages = u64::try_from(count).unwrap_or(u64::MAX);
        shared.metrics.sent(topic, messages, started.elapsed(), failed.map(|error| error as &dyn ErrorType));
        batch.end(failed.map_or(Outcome::Ok, |error| Outcome::Error(error.error_type())));
        answers
    }

    /// Waits until everything that was handed over is answered. Blocks.
    ///
    /// # Errors
    /// If the time runs out.
    pub fn flush(&self, timeout: impl Into<Timeout>) -> KafkaResult<()> {
        self.native.flush(timeout)
    }

    /// How many records wait for their answers.
    pub fn in_flight(&self) -> usize {
        usize::try_from(self.native.in_flight_count()).unwrap_or_default()
    }

    /// The record with its open span, and where its answer will be.
    fn opened<'a, K: ToBytes + ?Sized, P: ToBytes + ?Sized>(
        &self,
        mut record: FutureRecord<'a, K, P>,
    ) -> (Sending<'a, K, P>, oneshot::Receiver<OwnedDeliveryResult>) {
        let shared = &self.shared;
        let _attached = shared.current().attach();
        let made = record.headers.as_ref().map(|headers| extracted(shared.telemetry(), headers));
        let made = made.map(|made| made.span().span_context().clone()).filter(SpanContext::is_valid);
        let span = match &made {
            Some(made) => MessageSpan::handing_on(SYSTEM, record.topic).link(made.clone()),
            None => send_span(SYSTEM, record.topic),
        };
        let span = shared.completed(span);
        let span = shared.of_message(span, record.key.map(ToBytes::to_bytes), record.payload.is_none());
        let span = span.start().cancelled_on_drop();
        if made.is_none() {
            record.headers = injected(shared.telemetry(), span.context(), record.headers);
        }
        let (sender, answer) = oneshot::channel();
        let topic = record.topic.to_owned();
        let sent = Sent { shared: Arc::clone(shared), topic, span, started: Instant::now() };
        (based(record, Report { answer: Some(sender), sent: Some(sent) }), answer)
    }

    /// Hands a record over as soon as there is room for it, and waits for its answer.
    async fn offer<K: ToBytes + ?Sized, P: ToBytes + ?Sized>(
        &self,
        mut record: Sending<'_, K, P>,
        answer: oneshot::Receiver<OwnedDeliveryResult>,
        timeout: Timeout,
    ) -> OwnedDeliveryResult {
        let started = Instant::now();
        loop {
            match self.native.send(record) {
                Ok(()) => return answered(answer.await),
                Err((error, mut refused)) => {
                    let is_over = matches!(timeout, Timeout::After(timeout) if started.elapsed() >= timeout);
                    if is_over || error != KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull) {
                        refused.delivery_opaque.end(Err(&error));
                        return Err((error, owned(refused)));
                    }
                    record = refused;
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    fn created<K: ToBytes + ?Sized, P: ToBytes + ?Sized>(
        &self,
        topic: &str,
        record: &FutureRecord<'_, K, P>,
    ) -> Context {
        let span = self.shared.completed(create_span(SYSTEM, topic));
        let span = self.shared.of_message(span, record.key.map(ToBytes::to_bytes), record.payload.is_none());
        let created = span.start();
        let context = created.context().clone();
        created.end(Outcome::Ok);
        context
    }
}

fn based<K: ToBytes + ?Sized, P: ToBytes + ?Sized>(
    record: FutureRecord<'_, K, P>,
    report: Report,
) -> Sending<'_, K, P> {
    let FutureRecord { topic, partition, payload, key, timestamp, headers } = record;
    BaseRecord { topic, partition, payload, key, timestamp, headers, delivery_opaque: Box::new(report) }
}

/// A record that was not taken, as rdkafka's own producer gives it back.
fn owned<K: ToBytes + ?Sized, P: ToBytes + ?Sized>(record: Sending<'_, K, P>) -> OwnedMessage {
    OwnedMessage::new(
        record.payload.map(|payload| payload.to_bytes().to_vec()),
        record.key.map(|key| key.to_bytes().to_vec()),
        record.topic.to_owned(),
        record.timestamp.map_or(Timestamp::NotAvailable, Timestamp::CreateTime),
        record.partition.unwrap_or(-1),
        0,
        record.headers,
    )
}

#[expect(clippy::result_large_err, reason = "the answer is rdkafka's, and brings the record back")]
/// The answer, or that the client went away before there was one.
fn answered(answer: Result<OwnedDeliveryResult, oneshot::error::RecvError>) -> OwnedDeliveryResult {
    let gone = || OwnedMessage::new(None, None, String::new(), Timestamp::NotAvailable, -1, 0, None);
    answer.unwrap_or_else(|_| Err((KafkaError::Canceled, gone())))
}

/// The answer to a record that was handed over. It may be dropped; the record is sent all the same.
#[derive(Debug)]
#[must_use = "it tells whether the record was delivered"]
pub struct DeliveryFuture {
    answer: oneshot::Receiver<OwnedDeliveryResult>,
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
    started: Instant,
}

impl Report {
    /// Ends the span and measures.
    fn end(&mut self, result: Result<&Delivery, &KafkaError>) {
        let Some(Sent { shared, topic, span, started }) = self.sent.take() else { return };
        let failure = result.err().map(|error| error as &dyn ErrorType);
        shared.metrics.sent(&topic, 1, started.elapsed(), failure);
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

impl<C: ClientContext + 'static> Clone for Producer<C> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), native: Arc::clone(&self.native) }
    }
}

impl<C: ClientContext + 'static> fmt::Debug for Producer<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Producer").field("shared", &self.shared).finish_non_exhaustive()
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

//! Records on their way into Kafka: a span that lasts until the broker has answered.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, TraceContextExt as _};
use rdkafka::client::{ClientContext, DefaultClientContext};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::{OwnedMessage, Timestamp, ToBytes};
use rdkafka::producer::future_producer::OwnedDeliveryResult;
use rdkafka::producer::{BaseRecord, FutureRecord, Producer as _, ThreadedProducer};
use rdkafka::util::Timeout;
use tokio::sync::oneshot;

use super::super::{MessageSpan, create_span, send_batch_span, send_span};
use super::SYSTEM;
use super::delivery::{DeliveryFuture, Report, Reports, answered};
use super::headers::{extracted, injected};
use super::shared::Shared;
use crate::base::error::ErrorType;
use crate::core::span::Outcome;

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
        let (timer, count) = (shared.telemetry().timer(), records.len());
        let sending = records.into_iter().zip(&created).map(|(mut record, context)| {
            record.headers = injected(shared.telemetry(), context, record.headers);
            let (report, answer) = Report::in_batch();
            self.offer(based(record, report), answer, timeout)
        });
        let answers = futures_util::future::join_all(sending).await;
        let failed = answers.iter().find_map(|answer| answer.as_ref().err()).map(|(error, _)| error);
        let messages = u64::try_from(count).unwrap_or(u64::MAX);
        shared.metrics.sent(topic, messages, timer.elapsed(), failed.map(|error| error as &dyn ErrorType));
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
        let (report, answer) = Report::of(shared, record.topic.to_owned(), span);
        (based(record, report), answer)
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

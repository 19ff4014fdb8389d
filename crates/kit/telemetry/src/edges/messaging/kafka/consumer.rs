//! Messages out of Kafka: what is done with them is done in spans that lead back to who sent them.

use std::fmt;
use std::future::Future;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use opentelemetry::Context;
use opentelemetry::trace::TraceContextExt as _;
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{CommitMode, Consumer as _, ConsumerContext, StreamConsumer};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::topic_partition_list::TopicPartitionListElem;

use super::super::{MessageSpan, process_batch_span, process_span, receive_span};
use super::SYSTEM;
use super::context::Observing;
use super::headers::of_message;
use super::shared::{Shared, topics};
use crate::base::error::{AsErrorType, ErrorType};
use crate::core::clock::Timer;
use crate::core::span::Outcome;

/// A consumer whose messages are received, processed and committed in spans. Everything else of rdkafka's
/// `StreamConsumer`, which it leads to, is as it was: subscriptions, assignments, offsets.
///
/// ```no_run
/// # async fn write_mail(_: Option<&[u8]>) -> std::io::Result<()> { Ok(()) }
/// # async fn example(config: rdkafka::ClientConfig) -> Result<(), Box<dyn std::error::Error>> {
/// use rdkafka::consumer::{CommitMode, Consumer as _};
/// use rdkafka::message::Message as _;
///
/// let telemetry = waypost_telemetry::testing::TestTelemetry::new("mail");
/// let consumer = telemetry.kafka().consumer(&config)?;
/// consumer.subscribe(&["orders"])?;
/// loop {
///     let message = consumer.recv().await?;
///     consumer.process(&message, write_mail(message.payload())).await?;
///     consumer.commit_message(&message, CommitMode::Async)?;
/// }
/// # }
/// ```
pub struct Consumer<C: ConsumerContext + 'static = Observing> {
    shared: Arc<Shared>,
    native: StreamConsumer<C>,
}

impl<C: ConsumerContext + 'static> Consumer<C> {
    pub(super) fn new(shared: Arc<Shared>, native: StreamConsumer<C>) -> Self {
        Self { shared, native }
    }

    /// Waits for the next message. It has no span: how long nothing came says nothing. Cancel safe.
    ///
    /// # Errors
    /// As rdkafka's.
    pub async fn recv(&self) -> KafkaResult<BorrowedMessage<'_>> {
        let message = self.native.recv().await?;
        self.shared.metrics.delivered(message.topic(), self.shared.group(), 1);
        Ok(message)
    }

    /// Takes up to `max` messages: waits for the first, and after that for up to `wait` for more. A span `receive` with a
    /// link to the context of each, from the first message on; none if an error comes first.
    ///
    /// Dropped while it waits for more, it loses those that it has.
    ///
    /// # Errors
    /// If an error comes first. One that comes later ends the batch, and the next one begins with what follows.
    pub async fn receive_batch(&self, max: usize, wait: Duration) -> KafkaResult<Vec<BorrowedMessage<'_>>> {
        let mut stream = self.native.stream();
        let first = stream.next().await.unwrap_or(Err(KafkaError::NoMessageReceived))?;
        let timer = self.shared.telemetry().timer();
        let mut messages = vec![first];
        let more = async {
            while messages.len() < max
                && let Some(Ok(message)) = stream.next().await
            {
                messages.push(message);
            }
        };
        // That the time is over is no failure.
        let _ = tokio::time::timeout(wait, more).await;
        self.received(&messages, &timer);
        Ok(messages)
    }

    fn received(&self, messages: &[BorrowedMessage<'_>], timer: &Timer) {
        let (shared, topic) = (&self.shared, topics(messages.iter().map(Message::topic)));
        let _attached = shared.current().attach();
        let mut span = shared.in_group(shared.completed(receive_span(SYSTEM, &topic))).batch(messages.len());
        for message in messages {
            span = span.link(of_message(shared.telemetry(), message).span().span_context().clone());
        }
        let took = timer.elapsed();
        span.start().end(Outcome::Ok);
        let count = u64::try_from(messages.len()).unwrap_or(u64::MAX);
        shared.metrics.received(&topic, shared.group(), count, took, None);
    }

    /// Processes a message in a CONSUMER span that is linked to the message's context or continues it, as
    /// [`Kafka::correlation`](super::Kafka::correlation) says; the baggage that the message brought is there inside.
    /// What `work` fails with is the span's failure.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// use rdkafka::ClientConfig;
    /// use rdkafka::message::{OwnedMessage, Timestamp};
    ///
    /// let telemetry = waypost_telemetry::testing::TestTelemetry::new("mail");
    /// let consumer = telemetry.kafka().consumer(ClientConfig::new().set("group.id", "mail")).unwrap();
    /// let message = OwnedMessage::new(None, None, "orders".to_owned(), Timestamp::NotAvailable, 3, 41, None);
    /// let failed = consumer.process(&message, async { Err::<(), _>(std::io::Error::from(std::io::ErrorKind::TimedOut)) });
    /// assert!(failed.await.is_err());
    /// telemetry.tree().assert_matches("\"process orders\" CONSUMER mail ERROR error.type=timed_out");
    /// # });
    /// ```
    pub async fn process<T, E: AsErrorType>(
        &self,
        message: &impl Message,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let shared = &self.shared;
        let run = {
            let _attached = shared.current().attach();
            let stored = of_message(shared.telemetry(), message);
            let span = process_span(SYSTEM, message.topic(), &stored, shared.kafka.correlation);
            let span = shared.of_received(shared.in_group(shared.completed(span)), message);
            span.run(work)
        };
        self.measured(message.topic(), run).await
    }

    /// Processes several messages at once in one CONSUMER span: child of what is current, with a link to the context of each.
    pub async fn process_batch<T, E: AsErrorType>(
        &self,
        messages: &[impl Message],
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let (shared, topic) = (&self.shared, topics(messages.iter().map(Message::topic)));
        let run = {
            let _attached = shared.current().attach();
            let stored: Vec<Context> =
                messages.iter().map(|message| of_message(shared.telemetry(), message)).collect();
            let span = process_batch_span(SYSTEM, &topic, &stored);
            shared.in_group(shared.completed(span)).run(work)
        };
        self.measured(&topic, run).await
    }

    async fn measured<T, E: AsErrorType>(
        &self,
        topic: &str,
        run: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let timer = self.shared.telemetry().timer();
        let result = run.await;
        let (took, metrics, group) = (timer.elapsed(), &self.shared.metrics, self.shared.group());
        match &result {
            Ok(_) => metrics.processed(topic, group, took, None),
            Err(error) => error.with_error_type(&mut |failure| {
                metrics.processed(topic, group, took, failure.is_failure().then_some(failure));
            }),
        }
        result
    }

    /// As rdkafka's, in a span `commit`, which lasts until the broker has answered if `mode` is [`CommitMode::Sync`]; that
    /// blocks. Committed asynchronously, the answer goes to the context's `commit_callback`.
    ///
    /// # Errors
    /// As rdkafka's.
    pub fn commit_message(&self, message: &BorrowedMessage<'_>, mode: CommitMode) -> KafkaResult<()> {
        let placed = |span: MessageSpan| span.partition(message.partition()).offset(message.offset());
        self.settled(message.topic(), placed, || self.native.commit_message(message, mode))
    }

    /// As [`commit_message`](Self::commit_message), for these offsets.
    ///
    /// # Errors
    /// As rdkafka's.
    pub fn commit(&self, offsets: &TopicPartitionList, mode: CommitMode) -> KafkaResult<()> {
        let elements = offsets.elements();
        let topic = topics(elements.iter().map(TopicPartitionListElem::topic)).into_owned();
        self.settled(&topic, |span| span, || self.native.commit(offsets, mode))
    }

    /// As [`commit_message`](Self::commit_message), for everything that was received.
    ///
    /// # Errors
    /// As rdkafka's.
    pub fn commit_consumer_state(&self, mode: CommitMode) -> KafkaResult<()> {
        let assigned = self.native.assignment()?;
        let elements = assigned.elements();
        let topic = topics(elements.iter().map(TopicPartitionListElem::topic)).into_owned();
        self.settled(&topic, |span| span, || self.native.commit_consumer_state(mode))
    }

    fn settled(
        &self,
        topic: &str,
        placed: impl FnOnce(MessageSpan) -> MessageSpan,
        commit: impl FnOnce() -> KafkaResult<()>,
    ) -> KafkaResult<()> {
        let shared = &self.shared;
        let span = {
            let _attached = shared.current().attach();
            let span = MessageSpan::committing(SYSTEM, topic);
            placed(shared.in_group(shared.completed(span))).start()
        };
        let timer = self.shared.telemetry().timer();
        let result = commit();
        let failure = result.as_ref().err().map(|error| error as &dyn ErrorType);
        shared.metrics.settled("commit", topic, shared.group(), timer.elapsed(), failure);
        span.end(result.as_ref().err().map_or(Outcome::Ok, |error| Outcome::Error(error.error_type())));
        result
    }

    /// rdkafka's consumer, without spans.
    pub fn into_inner(self) -> StreamConsumer<C> {
        self.native
    }
}

impl<C: ConsumerContext + 'static> Deref for Consumer<C> {
    type Target = StreamConsumer<C>;

    fn deref(&self) -> &Self::Target {
        &self.native
    }
}

impl<C: ConsumerContext + 'static> fmt::Debug for Consumer<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consumer").field("shared", &self.shared).finish_non_exhaustive()
    }
}

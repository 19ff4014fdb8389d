//! Messages out of a stream: received, processed and settled in spans.

use std::fmt;
use std::future::Future;
use std::ops::Deref;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, ready};
use std::time::Duration;

use async_nats::jetstream::consumer::pull::{self, MessagesError};
use async_nats::jetstream::consumer::{self as native, IntoConsumerConfig, StreamError};
use async_nats::jetstream::{AckKind, Message};
use futures_util::{Stream, StreamExt as _};
use opentelemetry::Context;

use super::super::MessageSpan;
use super::super::client::{self as shared, Operation};
use super::super::destinations::{Named, is_pattern};
use super::headers::extracted;
use super::message::of_id;
use crate::base::error::AsErrorType;

/// A consumer of a stream whose messages are received, processed and settled in spans. It leads to that of `async-nats` for
/// everything else.
///
/// ```no_run
/// # async fn write_mail(_: &[u8]) -> std::io::Result<()> { Ok(()) }
/// # async fn example(
/// #     jetstream: waypost_telemetry::nats::JetStream,
/// # ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
/// use std::time::Duration;
/// use async_nats::jetstream::consumer::PullConsumer;
///
/// let native: PullConsumer = jetstream.get_consumer_from_stream("mail", "ORDERS").await?;
/// let consumer = jetstream.consumer(native);
/// for message in consumer.fetch(100, Duration::from_secs(1)).await? {
///     consumer.process(&message, write_mail(&message.payload)).await?;
///     consumer.ack(&message).await?;
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Consumer<T: IntoConsumerConfig = pull::Config> {
    origin: Origin,
    native: native::Consumer<T>,
}

/// Where the messages of a consumer come from.
#[derive(Clone, Debug)]
struct Origin {
    shared: Arc<shared::Client>,
    /// What it filters by, if that has wildcards.
    pattern: Option<Box<str>>,
    /// Its durable name: that of others is made up.
    group: Box<str>,
}

impl Origin {
    fn named(&self, subject: &str) -> Named {
        Named::of(subject, self.pattern.as_deref())
    }

    fn stored(&self, message: &Message) -> Context {
        extracted(self.shared.telemetry(), message.headers.as_ref())
    }

    fn count(&self, message: &Message) {
        self.shared.delivered(&self.named(&message.subject), &self.group);
    }
}

impl<T: IntoConsumerConfig> Consumer<T> {
    pub(super) fn new(shared: &Arc<shared::Client>, native: native::Consumer<T>) -> Self {
        let config = &native.cached_info().config;
        let filter = &*config.filter_subject;
        let origin = Origin {
            shared: Arc::clone(shared),
            pattern: is_pattern(filter).then(|| filter.into()),
            group: config.durable_name.as_deref().unwrap_or_default().into(),
        };
        Self { origin, native }
    }

    /// Processes a message in a CONSUMER span that is linked to the message's context or continues it, as
    /// [`Nats::correlation`](super::Nats::correlation) says; the baggage that the message brought is there inside.
    /// What `work` fails with is the span's failure. The message is not settled by that.
    pub async fn process<O, E: AsErrorType>(
        &self,
        message: &Message,
        work: impl Future<Output = Result<O, E>>,
    ) -> Result<O, E> {
        let Origin { shared, group, .. } = &self.origin;
        let destination = self.origin.named(&message.subject);
        let detail = |span| of_message(span, message);
        shared.process(&destination, group, &self.origin.stored(message), detail, work).await
    }

    /// Tells the stream that a message was processed, in a span `ack`. It ends when that is handed to the connection:
    /// [`double_ack`](Self::double_ack) waits for the answer.
    ///
    /// # Errors
    /// As `async-nats`'.
    pub async fn ack(&self, message: &Message) -> Result<(), async_nats::Error> {
        self.ack_with(message, AckKind::Ack).await
    }

    /// As [`ack`](Self::ack), with what else there is to say: a span `nak`, `term`, `progress` or `next`.
    ///
    /// # Errors
    /// As `async-nats`'.
    pub async fn ack_with(&self, message: &Message, kind: AckKind) -> Result<(), async_nats::Error> {
        let operation = self.settling(message, kind);
        let settled = message.ack_with(kind).await;
        operation.end(&settled);
        settled
    }

    /// As [`ack`](Self::ack); the span ends when the stream has said that it knows.
    ///
    /// # Errors
    /// As `async-nats`'.
    pub async fn double_ack(&self, message: &Message) -> Result<(), async_nats::Error> {
        let operation = self.settling(message, AckKind::Ack);
        let settled = message.double_ack().await;
        operation.end(&settled);
        settled
    }

    /// The consumer, without spans.
    pub fn into_inner(self) -> native::Consumer<T> {
        self.native
    }

    fn settling(&self, message: &Message, kind: AckKind) -> Operation {
        let name = match kind {
            AckKind::Ack => "ack",
            AckKind::Nak(_) => "nak",
            AckKind::Progress => "progress",
            AckKind::Next => "next",
            AckKind::Term => "term",
        };
        let Origin { shared, group, .. } = &self.origin;
        let destination = self.origin.named(&message.subject);
        Operation::settle(shared, name, destination, group, |span| of_message(span, message))
    }
}

impl Consumer<pull::Config> {
    /// Asks for up to `max` messages and waits until they are there, or for up to `wait`. A span `receive` with a link to the
    /// context of each, from the first message on; none if there is no message.
    ///
    /// Dropped before it is done, it loses those that it has, which the stream delivers again.
    ///
    /// # Errors
    /// If an error comes first. One that comes later ends the batch.
    pub async fn fetch(&self, max: usize, wait: Duration) -> Result<Vec<Message>, async_nats::Error> {
        let mut batch = self.native.batch().max_messages(max).expires(wait).messages().await?;
        let Some(first) = batch.next().await.transpose()? else { return Ok(Vec::new()) };
        let Origin { shared, pattern, group } = &self.origin;
        let timer = shared.telemetry().timer();
        let mut messages = vec![first];
        while let Some(Ok(message)) = batch.next().await {
            messages.push(message);
        }
        let stored: Vec<Context> = messages.iter().map(|message| self.origin.stored(message)).collect();
        // Of several subjects, what they are made from is what they have in common.
        let subject = messages.first().map(|message| &*message.subject).unwrap_or_default();
        let is_one = messages.iter().all(|message| &*message.subject == subject);
        let filter = &*self.native.cached_info().config.filter_subject;
        let of_all = if filter.is_empty() { self.native.cached_info().stream_name.as_str() } else { filter };
        let shown = Named::of(if is_one { subject } else { of_all }, pattern.as_deref());
        let count = messages.len();
        let detail = |span: MessageSpan| span.batch(count);
        let received = Operation::receive(shared, shown, group, &stored, detail).since(timer, count);
        received.end(&Ok::<(), std::convert::Infallible>(()));
        Ok(messages)
    }

    /// As `async-nats`', counted.
    ///
    /// # Errors
    /// As `async-nats`'.
    pub async fn messages(&self) -> Result<Messages, StreamError> {
        Ok(Messages { origin: self.origin.clone(), native: self.native.messages().await? })
    }
}

impl<T: IntoConsumerConfig> Deref for Consumer<T> {
    type Target = native::Consumer<T>;

    fn deref(&self) -> &Self::Target {
        &self.native
    }
}

/// The messages of a consumer, one by one, without an end.
pub struct Messages {
    origin: Origin,
    native: pull::Stream,
}

impl Stream for Messages {
    type Item = Result<Message, MessagesError>;

    fn poll_next(mut self: Pin<&mut Self>, task: &mut TaskContext<'_>) -> Poll<Option<Self::Item>> {
        let message = ready!(Pin::new(&mut self.native).poll_next(task));
        if let Some(Ok(message)) = &message {
            self.origin.count(message);
        }
        Poll::Ready(message)
    }
}

impl fmt::Debug for Messages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Messages").field("origin", &self.origin).finish_non_exhaustive()
    }
}

/// With where a message is, and how often it came.
fn of_message(span: MessageSpan, message: &Message) -> MessageSpan {
    let span = of_id(span, message.headers.as_ref());
    let Ok(info) = message.info() else { return span };
    let sequence = i64::try_from(info.stream_sequence).unwrap_or(i64::MAX);
    let span = span
        .attr("waypost.nats.stream", info.stream.to_owned())
        .attr("waypost.nats.stream.sequence", sequence);
    if info.delivered > 1 { span.attr("waypost.nats.deliveries", info.delivered) } else { span }
}

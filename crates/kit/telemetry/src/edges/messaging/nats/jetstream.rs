//! Messages on their way into a stream: a span that lasts until it has acknowledged them.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::ops::Deref;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, ready};

use async_nats::header::HeaderMap;
use async_nats::jetstream::Context as Native;
use async_nats::jetstream::consumer::{self, IntoConsumerConfig};
use async_nats::jetstream::context::PublishError;
use async_nats::jetstream::message::OutboundMessage;
use async_nats::jetstream::publish::PublishAck;
use async_nats::subject::ToSubject;
use bytes::Bytes;

use super::super::client::{self as shared, Operation};
use super::consumer::Consumer;
use super::message::opened;
use crate::core::spawn::spawn;

/// A `jetstream::Context` whose messages carry the context of a PRODUCER span, which ends with the acknowledgement. It leads
/// to that of `async-nats` for everything else: streams, consumers, stores. Clones share it.
///
/// ```no_run
/// # async fn example(native: async_nats::Client) -> Result<(), Box<dyn std::error::Error>> {
/// let telemetry = waypost_telemetry::testing::TestTelemetry::new("order-service");
/// let client = telemetry.nats().wrap(native);
/// let jetstream = client.jetstream(async_nats::jetstream::new((*client).clone()));
/// let ack = jetstream.publish("orders", "placed".into()).await?.await?;
/// telemetry.tree().assert_matches("\"send orders\" PRODUCER order-service waypost.nats.stream=ORDERS");
/// # drop(ack);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct JetStream {
    shared: Arc<shared::Client>,
    native: Native,
}

impl JetStream {
    pub(super) fn new(shared: &Arc<shared::Client>, native: Native) -> Self {
        Self { shared: Arc::clone(shared), native }
    }

    /// Hands a message over, in a span `send` that ends with the acknowledgement. Dropped before it is done, the span ends as
    /// cancelled; the message may have been sent.
    ///
    /// # Errors
    /// Why it was not handed over.
    pub async fn publish<S: ToSubject>(&self, subject: S, payload: Bytes) -> Result<AckFuture, PublishError> {
        self.publish_message(OutboundMessage::new(subject.to_subject(), payload, None)).await
    }

    /// As [`publish`](Self::publish), with headers.
    ///
    /// # Errors
    /// Why it was not handed over.
    pub async fn publish_with_headers<S: ToSubject>(
        &self,
        subject: S,
        headers: HeaderMap,
        payload: Bytes,
    ) -> Result<AckFuture, PublishError> {
        self.publish_message(OutboundMessage::new(subject.to_subject(), payload, Some(headers))).await
    }

    /// As [`publish`](Self::publish), for what `PublishMessage::outbound_message` has built: with an id, or with what the stream
    /// is expected to hold.
    ///
    /// # Errors
    /// Why it was not handed over.
    pub async fn publish_message(&self, message: OutboundMessage) -> Result<AckFuture, PublishError> {
        use async_nats::jetstream::context::traits::Publisher as _;

        let OutboundMessage { subject, payload, headers } = message;
        let (operation, headers) = opened(&self.shared, "send", &subject, headers);
        let message = OutboundMessage::new(subject, payload, headers);
        match self.native.publish_message(message).await {
            Ok(answer) => {
                let answer = answer.into_future();
                Ok(AckFuture { pending: Some(Pending { answer, operation }) })
            }
            Err(error) => {
                let failed = Err::<(), _>(error);
                operation.end(&failed);
                failed.map(|()| AckFuture { pending: None })
            }
        }
    }

    /// A consumer whose messages are received, processed and settled in spans.
    pub fn consumer<T: IntoConsumerConfig>(&self, native: consumer::Consumer<T>) -> Consumer<T> {
        Consumer::new(&self.shared, native)
    }

    /// The context of `async-nats`, without spans.
    pub fn into_inner(self) -> Native {
        self.native
    }
}

impl Deref for JetStream {
    type Target = Native;

    fn deref(&self) -> &Self::Target {
        &self.native
    }
}

/// The acknowledgement of a message that was handed over. It may be dropped: the span of the message ends with the answer
/// all the same, or with the time limit of `async-nats`, while the runtime runs.
#[must_use = "it tells whether the stream has the message"]
pub struct AckFuture {
    /// Until there is an answer.
    pending: Option<Pending>,
}

struct Pending {
    answer: Pin<Box<dyn Future<Output = Result<PublishAck, PublishError>> + Send>>,
    operation: Operation,
}

impl Pending {
    fn end(self, answer: &Result<PublishAck, PublishError>) {
        if let Ok(ack) = answer {
            self.operation.set("waypost.nats.stream", ack.stream.clone());
            self.operation.set("waypost.nats.stream.sequence", ack.sequence);
            self.operation.set("waypost.nats.duplicate", ack.duplicate.then_some(true));
        }
        self.operation.end(answer);
    }
}

impl Future for AckFuture {
    type Output = Result<PublishAck, PublishError>;

    fn poll(mut self: Pin<&mut Self>, task: &mut TaskContext<'_>) -> Poll<Self::Output> {
        let Some(pending) = &mut self.pending else { return Poll::Pending };
        let answer = ready!(pending.answer.as_mut().poll(task));
        if let Some(pending) = self.pending.take() {
            pending.end(&answer);
        }
        Poll::Ready(answer)
    }
}

impl Drop for AckFuture {
    fn drop(&mut self) {
        let Some(mut pending) = self.pending.take() else { return };
        if tokio::runtime::Handle::try_current().is_ok() {
            drop(spawn(async move {
                let answer = pending.answer.as_mut().await;
                pending.end(&answer);
            }));
        }
    }
}

impl fmt::Debug for AckFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AckFuture").finish_non_exhaustive()
    }
}

//! Messages on their way into NATS, and questions with their answers.

use std::ops::Deref;
use std::sync::Arc;

use async_nats::header::HeaderMap;
use async_nats::jetstream::Context as NativeJetStream;
use async_nats::subject::ToSubject;
use async_nats::{Message, PublishError, Request, RequestError, Subject, SubscribeError};
use bytes::Bytes;

use super::super::client::{self as shared, Choices};
use super::SYSTEM;
use super::jetstream::JetStream;
use super::message::opened;
use super::subscriber::Subscriber;

/// A connection whose messages carry the context of a PRODUCER span. Used as `async_nats::Client`, to which it leads for
/// everything else. Clones share it.
///
/// A message that has a context in its headers already keeps it, as the conventions ask: it was made elsewhere, or is handed
/// on. Its span is a CLIENT one then, with a link to that context.
///
/// ```no_run
/// # async fn example(native: async_nats::Client) -> Result<(), Box<dyn std::error::Error>> {
/// let telemetry = waypost_telemetry::testing::TestTelemetry::new("order-service");
/// let client = telemetry.nats().wrap(native);
/// client.publish("orders", "placed".into()).await?;
/// let stock = client.request("stock", "two books".into()).await?;
/// telemetry.tree().assert_matches("\"send orders\" PRODUCER order-service messaging.system=nats");
/// # drop(stock);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Client {
    shared: Arc<shared::Client>,
    native: async_nats::Client,
}

impl Client {
    pub(super) fn new(choices: Choices, native: async_nats::Client) -> Self {
        // Its own prefix may have been chosen; what comes after it is made up.
        let inbox = native.new_inbox();
        let prefix = inbox.rsplit_once('.').map_or("_INBOX", |(prefix, _)| prefix);
        let shared = shared::Client::new(SYSTEM, choices, &[format!("{prefix}.>").into()]);
        Self { shared, native }
    }

    /// As `async_nats::Client::publish`, in a span `send`. It ends when the message is handed to the connection: NATS
    /// itself acknowledges none, and what a connection that is away has taken is sent when it is back.
    ///
    /// # Errors
    /// As `async-nats`'.
    pub async fn publish<S: ToSubject>(&self, subject: S, payload: Bytes) -> Result<(), PublishError> {
        self.send(subject.to_subject(), None, None, payload).await
    }

    /// As [`publish`](Self::publish), with headers.
    ///
    /// # Errors
    /// As `async-nats`'.
    pub async fn publish_with_headers<S: ToSubject>(
        &self,
        subject: S,
        headers: HeaderMap,
        payload: Bytes,
    ) -> Result<(), PublishError> {
        self.send(subject.to_subject(), None, Some(headers), payload).await
    }

    /// As [`publish`](Self::publish), with a subject for answers.
    ///
    /// # Errors
    /// As `async-nats`'.
    pub async fn publish_with_reply<S: ToSubject, R: ToSubject>(
        &self,
        subject: S,
        reply: R,
        payload: Bytes,
    ) -> Result<(), PublishError> {
        self.send(subject.to_subject(), Some(reply.to_subject()), None, payload).await
    }

    /// As [`publish`](Self::publish), with headers and a subject for answers.
    ///
    /// # Errors
    /// As `async-nats`'.
    pub async fn publish_with_reply_and_headers<S: ToSubject, R: ToSubject>(
        &self,
        subject: S,
        reply: R,
        headers: HeaderMap,
        payload: Bytes,
    ) -> Result<(), PublishError> {
        self.send(subject.to_subject(), Some(reply.to_subject()), Some(headers), payload).await
    }

    /// As `async_nats::Client::request`, in a span `request` that lasts until the answer is there.
    ///
    /// # Errors
    /// As `async-nats`'.
    pub async fn request<S: ToSubject>(&self, subject: S, payload: Bytes) -> Result<Message, RequestError> {
        self.send_request(subject, Request::new().payload(payload)).await
    }

    /// As [`request`](Self::request), with headers.
    ///
    /// # Errors
    /// As `async-nats`'.
    pub async fn request_with_headers<S: ToSubject>(
        &self,
        subject: S,
        headers: HeaderMap,
        payload: Bytes,
    ) -> Result<Message, RequestError> {
        self.send_request(subject, Request::new().headers(headers).payload(payload)).await
    }

    /// As [`request`](Self::request), with a time limit or an inbox of one's own.
    ///
    /// # Errors
    /// As `async-nats`'.
    pub async fn send_request<S: ToSubject>(
        &self,
        subject: S,
        mut request: Request,
    ) -> Result<Message, RequestError> {
        let subject = subject.to_subject();
        let (operation, headers) = opened(&self.shared, "request", &subject, request.headers.take());
        request.headers = headers;
        let answer = self.native.send_request(subject, request).await;
        operation.end(&answer);
        answer
    }

    /// As `async_nats::Client::subscribe`; the messages can be processed in spans.
    ///
    /// # Errors
    /// As `async-nats`'.
    pub async fn subscribe<S: ToSubject>(&self, subject: S) -> Result<Subscriber, SubscribeError> {
        let subject = subject.to_subject();
        let native = self.native.subscribe(subject.clone()).await?;
        Ok(Subscriber::new(&self.shared, native, &subject, ""))
    }

    /// As [`subscribe`](Self::subscribe), where each message goes to one of a group.
    ///
    /// # Errors
    /// As `async-nats`'.
    pub async fn queue_subscribe<S: ToSubject>(
        &self,
        subject: S,
        queue_group: String,
    ) -> Result<Subscriber, SubscribeError> {
        let subject = subject.to_subject();
        let native = self.native.queue_subscribe(subject.clone(), queue_group.clone()).await?;
        Ok(Subscriber::new(&self.shared, native, &subject, &queue_group))
    }

    /// The streams of this connection, with a context of `async-nats` that was made with it.
    pub fn jetstream(&self, native: NativeJetStream) -> JetStream {
        JetStream::new(&self.shared, native)
    }

    /// The connection, without spans.
    pub fn into_inner(self) -> async_nats::Client {
        self.native
    }

    async fn send(
        &self,
        subject: Subject,
        reply: Option<Subject>,
        headers: Option<HeaderMap>,
        payload: Bytes,
    ) -> Result<(), PublishError> {
        let (operation, headers) = opened(&self.shared, "send", &subject, headers);
        let native = &self.native;
        let sent = match (reply, headers) {
            (None, None) => native.publish(subject, payload).await,
            (None, Some(headers)) => native.publish_with_headers(subject, headers, payload).await,
            (Some(reply), None) => native.publish_with_reply(subject, reply, payload).await,
            (Some(reply), Some(headers)) => {
                native.publish_with_reply_and_headers(subject, reply, headers, payload).await
            }
        };
        operation.end(&sent);
        sent
    }
}

impl Deref for Client {
    type Target = async_nats::Client;

    fn deref(&self) -> &Self::Target {
        &self.native
    }
}

//! Messages of a subscription: what is done with them is done in spans that lead back to who sent them.

use std::future::Future;
use std::ops::{Deref, DerefMut};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, ready};

use async_nats::Message;
use futures_util::Stream;

use super::super::client as shared;
use super::super::destinations::{Named, is_pattern};
use super::headers::extracted;
use super::message::of_id;
use crate::base::error::AsErrorType;

/// A subscription whose messages are counted and processed in spans: a stream of `async_nats::Message`, as
/// `async_nats::Subscriber` is, to which it leads for everything else.
///
/// ```no_run
/// # async fn write_mail(_: &[u8]) -> std::io::Result<()> { Ok(()) }
/// # async fn example(native: async_nats::Client) -> Result<(), Box<dyn std::error::Error>> {
/// use futures_util::StreamExt as _;
///
/// let telemetry = waypost_telemetry::testing::TestTelemetry::new("mail");
/// let client = telemetry.nats().wrap(native);
/// let mut orders = client.subscribe("orders.*.placed").await?;
/// while let Some(message) = orders.next().await {
///     orders.process(&message, write_mail(&message.payload)).await?;
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Subscriber {
    shared: Arc<shared::Client>,
    native: async_nats::Subscriber,
    /// What was subscribed to, if it has wildcards.
    pattern: Option<Box<str>>,
    group: Box<str>,
}

impl Subscriber {
    pub(super) fn new(
        shared: &Arc<shared::Client>,
        native: async_nats::Subscriber,
        subject: &str,
        group: &str,
    ) -> Self {
        let pattern = is_pattern(subject).then(|| subject.into());
        Self { shared: Arc::clone(shared), native, pattern, group: group.into() }
    }

    /// Processes a message in a CONSUMER span that is linked to the message's context or continues it, as
    /// [`Nats::correlation`](super::Nats::correlation) says; the baggage that the message brought is there inside.
    /// What `work` fails with is the span's failure.
    pub async fn process<T, E: AsErrorType>(
        &self,
        message: &Message,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let stored = extracted(self.shared.telemetry(), message.headers.as_ref());
        let destination = self.named(&message.subject);
        let detail = |span| of_id(span, message.headers.as_ref());
        self.shared.process(&destination, &self.group, &stored, detail, work).await
    }

    /// The subscription, without spans.
    pub fn into_inner(self) -> async_nats::Subscriber {
        self.native
    }

    fn named(&self, subject: &str) -> Named {
        Named::of(subject, self.pattern.as_deref())
    }
}

impl Stream for Subscriber {
    type Item = Message;

    fn poll_next(mut self: Pin<&mut Self>, task: &mut TaskContext<'_>) -> Poll<Option<Message>> {
        let message = ready!(Pin::new(&mut self.native).poll_next(task));
        if let Some(message) = &message {
            self.shared.delivered(&self.named(&message.subject), &self.group);
        }
        Poll::Ready(message)
    }
}

impl Deref for Subscriber {
    type Target = async_nats::Subscriber;

    fn deref(&self) -> &Self::Target {
        &self.native
    }
}

impl DerefMut for Subscriber {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.native
    }
}

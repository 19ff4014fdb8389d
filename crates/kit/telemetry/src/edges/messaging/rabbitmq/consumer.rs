//! Messages out of RabbitMQ: received, processed and settled in spans that lead back to who sent them.

use std::future::Future;
use std::ops::Deref;
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll, ready};

use futures_util::Stream;
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicNackOptions, BasicRejectOptions};

use super::delivery::Origin;
use crate::base::error::AsErrorType;

/// A consumer of a queue whose deliveries are counted, processed and settled in spans: a stream of `lapin`'s deliveries, as
/// `lapin::Consumer` is, to which it leads for everything else.
///
/// ```no_run
/// # async fn write_mail(_: &[u8]) -> std::io::Result<()> { Ok(()) }
/// # async fn example(channel: waypost_telemetry::rabbitmq::Channel) -> Result<(), Box<dyn std::error::Error>> {
/// use futures_util::StreamExt as _;
/// use lapin::options::{BasicAckOptions, BasicConsumeOptions};
/// use lapin::types::FieldTable;
///
/// let (options, none) = (BasicConsumeOptions::default(), FieldTable::default());
/// let mut mails = channel.basic_consume("mails".into(), "".into(), options, none).await?;
/// while let Some(delivery) = mails.next().await.transpose()? {
///     mails.process(&delivery, write_mail(&delivery.data)).await?;
///     mails.ack(&delivery, BasicAckOptions::default()).await?;
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Consumer {
    origin: Origin,
    native: lapin::Consumer,
}

impl Consumer {
    pub(super) fn new(origin: Origin, native: lapin::Consumer) -> Self {
        Self { origin, native }
    }

    /// Processes a delivery in a CONSUMER span that is linked to the message's context or continues it, as
    /// [`RabbitMq::correlation`](super::RabbitMq::correlation) says; the baggage that the message brought is there inside.
    /// What `work` fails with is the span's failure. The delivery is not settled by that.
    pub async fn process<T, E: AsErrorType>(
        &self,
        delivery: &Delivery,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        self.origin.process(delivery, work).await
    }

    /// Tells the broker that a delivery was processed, in a span `ack`. As the protocol has it, the broker does not answer: it ends
    /// when that is handed to the connection. `false` if the delivery was settled before or its channel is gone, which is a
    /// failure of the span.
    ///
    /// # Errors
    /// As `lapin`'s.
    pub async fn ack(&self, delivery: &Delivery, options: BasicAckOptions) -> lapin::Result<bool> {
        self.origin.settle("ack", delivery, delivery.ack(options)).await
    }

    /// As [`ack`](Self::ack), for a delivery that was not processed, in a span `nack`.
    ///
    /// # Errors
    /// As `lapin`'s.
    pub async fn nack(&self, delivery: &Delivery, options: BasicNackOptions) -> lapin::Result<bool> {
        self.origin.settle("nack", delivery, delivery.nack(options)).await
    }

    /// As [`ack`](Self::ack), for a delivery that was not processed, in a span `reject`.
    ///
    /// # Errors
    /// As `lapin`'s.
    pub async fn reject(&self, delivery: &Delivery, options: BasicRejectOptions) -> lapin::Result<bool> {
        self.origin.settle("reject", delivery, delivery.reject(options)).await
    }

    /// The consumer, without spans.
    pub fn into_inner(self) -> lapin::Consumer {
        self.native
    }
}

impl Stream for Consumer {
    type Item = lapin::Result<Delivery>;

    fn poll_next(mut self: Pin<&mut Self>, task: &mut TaskContext<'_>) -> Poll<Option<Self::Item>> {
        let delivery = ready!(Pin::new(&mut self.native).poll_next(task));
        if let Some(Ok(delivery)) = &delivery {
            self.origin.count(delivery);
        }
        Poll::Ready(delivery)
    }
}

impl Deref for Consumer {
    type Target = lapin::Consumer;

    fn deref(&self) -> &Self::Target {
        &self.native
    }
}

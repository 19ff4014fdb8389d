//! Messages on their way into RabbitMQ, and what is asked for one by one.

use std::future::Future;
use std::ops::Deref;
use std::sync::Arc;

use lapin::message::{BasicGetMessage, Delivery};
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicGetOptions, BasicNackOptions, BasicPublishOptions,
    BasicRejectOptions,
};
use lapin::types::{FieldTable, ShortString};
use lapin::{BasicProperties, Result};

use super::super::client::{Client, Operation, made};
use super::confirm::Confirm;
use super::consumer::Consumer;
use super::delivery::{Origin, of_place, of_properties};
use super::destination::{Place, Templates};
use super::headers::{extracted, injected};
use crate::base::error::AsErrorType;

/// A channel whose messages carry the context of a PRODUCER span. Used as `lapin::Channel`, to which it leads for everything
/// else. Clones share it.
///
/// A message that has a context in its headers already keeps it, as the conventions ask: it was made elsewhere, or is handed
/// on. Its span is a CLIENT one then, with a link to that context.
///
/// ```no_run
/// # async fn example(native: lapin::Channel) -> lapin::Result<()> {
/// use lapin::BasicProperties;
/// use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
///
/// let telemetry = waypost_telemetry::testing::TestTelemetry::new("order-service");
/// let channel = telemetry.rabbitmq().wrap(native);
/// channel.confirm_select(ConfirmSelectOptions::default()).await?;
/// let (options, properties) = (BasicPublishOptions::default(), BasicProperties::default());
/// channel.basic_publish("shop".into(), "placed".into(), options, b"two books", properties).await?.await?;
/// telemetry.tree().assert_matches("\"send shop:placed\" PRODUCER order-service messaging.system=rabbitmq");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Channel {
    shared: Arc<Client>,
    templates: Templates,
    native: lapin::Channel,
}

impl Channel {
    pub(super) fn new(shared: Arc<Client>, templates: Templates, native: lapin::Channel) -> Self {
        Self { shared, templates, native }
    }

    /// As `lapin::Channel::basic_publish`, in a span `send`. On a channel with `confirm_select` it lasts until the broker has
    /// confirmed the message; without, until the message is handed to the connection. Dropped before it is handed over, the span
    /// ends as cancelled.
    ///
    /// # Errors
    /// Why it was not handed over.
    pub async fn basic_publish(
        &self,
        exchange: ShortString,
        routing_key: ShortString,
        options: BasicPublishOptions,
        payload: &[u8],
        properties: BasicProperties,
    ) -> Result<Confirm> {
        let telemetry = self.shared.telemetry();
        let made = made(&extracted(telemetry, &properties));
        let is_made = made.is_some();
        let place = Place { exchange: exchange.as_str(), routing_key: routing_key.as_str(), queue: "" };
        let detail = |span| of_properties(of_place(span, place), &properties);
        let operation = Operation::send(&self.shared, "send", self.templates.named(place), made, detail);
        let properties = match operation.context() {
            Some(context) if !is_made => injected(telemetry, context, properties),
            _ => properties,
        };
        match self.native.basic_publish(exchange, routing_key, options, payload, properties).await {
            Ok(answer) => Ok(Confirm::new(answer, operation)),
            Err(error) => {
                let failed = Err::<Confirm, _>(error);
                operation.end(&failed);
                failed
            }
        }
    }

    /// As `lapin::Channel::basic_consume`; the deliveries can be processed and settled in spans.
    ///
    /// # Errors
    /// As `lapin`'s.
    pub async fn basic_consume(
        &self,
        queue: ShortString,
        consumer_tag: ShortString,
        options: BasicConsumeOptions,
        arguments: FieldTable,
    ) -> Result<Consumer> {
        let native = self.native.basic_consume(queue, consumer_tag, options, arguments).await?;
        let queue = native.queue();
        Ok(Consumer::new(self.origin(queue.as_str()), native))
    }

    /// As `lapin::Channel::basic_get`, in a span `receive` with a link to the message's context; none if the queue is empty.
    ///
    /// # Errors
    /// As `lapin`'s.
    pub async fn basic_get(
        &self,
        queue: ShortString,
        options: BasicGetOptions,
    ) -> Result<Option<BasicGetMessage>> {
        let (origin, timer) = (self.origin(queue.as_str()), self.shared.telemetry().timer());
        let message = self.native.basic_get(queue, options).await?;
        if let Some(message) = &message {
            origin.received(message, timer);
        }
        Ok(message)
    }

    /// Processes a message that was asked for by [`basic_get`](Self::basic_get) of this queue, as [`Consumer::process`].
    pub async fn process<T, E: AsErrorType>(
        &self,
        queue: &str,
        delivery: &Delivery,
        work: impl Future<Output = std::result::Result<T, E>>,
    ) -> std::result::Result<T, E> {
        self.origin(queue).process(delivery, work).await
    }

    /// As [`Consumer::ack`], for a message that was asked for by [`basic_get`](Self::basic_get) of this queue.
    ///
    /// # Errors
    /// As `lapin`'s.
    pub async fn ack(&self, queue: &str, delivery: &Delivery, options: BasicAckOptions) -> Result<bool> {
        self.origin(queue).settle("ack", delivery, delivery.ack(options)).await
    }

    /// As [`Consumer::nack`], for a message that was asked for by [`basic_get`](Self::basic_get) of this queue.
    ///
    /// # Errors
    /// As `lapin`'s.
    pub async fn nack(&self, queue: &str, delivery: &Delivery, options: BasicNackOptions) -> Result<bool> {
        self.origin(queue).settle("nack", delivery, delivery.nack(options)).await
    }

    /// As [`Consumer::reject`], for a message that was asked for by [`basic_get`](Self::basic_get) of this queue.
    ///
    /// # Errors
    /// As `lapin`'s.
    pub async fn reject(
        &self,
        queue: &str,
        delivery: &Delivery,
        options: BasicRejectOptions,
    ) -> Result<bool> {
        self.origin(queue).settle("reject", delivery, delivery.reject(options)).await
    }

    /// The channel, without spans.
    pub fn into_inner(self) -> lapin::Channel {
        self.native
    }

    fn origin(&self, queue: &str) -> Origin {
        Origin { shared: Arc::clone(&self.shared), templates: self.templates.clone(), queue: queue.into() }
    }
}

impl Deref for Channel {
    type Target = lapin::Channel;

    fn deref(&self) -> &Self::Target {
        &self.native
    }
}

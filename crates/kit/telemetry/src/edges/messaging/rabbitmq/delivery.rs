//! One delivery: how it is received, processed and settled, and what stands on its spans.

use std::borrow::Cow;
use std::future::Future;
use std::sync::Arc;

use lapin::BasicProperties;
use lapin::message::Delivery;

use super::super::MessageSpan;
use super::super::client::{Client, Operation};
use super::destination::{Place, Templates, made_up};
use super::headers::extracted;
use crate::base::error::{AsErrorType, ErrorType};
use crate::core::clock::Timer;

/// The queue that deliveries come from.
#[derive(Clone, Debug)]
pub(super) struct Origin {
    pub(super) shared: Arc<Client>,
    pub(super) templates: Templates,
    pub(super) queue: Box<str>,
}

impl Origin {
    fn place<'a>(&'a self, delivery: &'a Delivery) -> Place<'a> {
        Place {
            exchange: delivery.exchange.as_str(),
            routing_key: delivery.routing_key.as_str(),
            queue: &self.queue,
        }
    }

    fn detail<'a>(&'a self, delivery: &'a Delivery) -> impl FnOnce(MessageSpan) -> MessageSpan + 'a {
        move |span| of_delivery(of_place(span, self.place(delivery)), delivery)
    }

    /// A message has come that was not asked for one by one.
    pub(super) fn count(&self, delivery: &Delivery) {
        self.shared.delivered(&self.templates.named(self.place(delivery)), "");
    }

    /// A message that was asked for has come.
    pub(super) fn received(&self, delivery: &Delivery, timer: Timer) {
        let stored = extracted(self.shared.telemetry(), &delivery.properties);
        let named = self.templates.named(self.place(delivery));
        let operation = Operation::receive(&self.shared, named, "", [&stored], self.detail(delivery));
        operation.since(timer, 1).end(&Ok::<(), std::convert::Infallible>(()));
    }

    pub(super) async fn process<T, E: AsErrorType>(
        &self,
        delivery: &Delivery,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let stored = extracted(self.shared.telemetry(), &delivery.properties);
        let named = self.templates.named(self.place(delivery));
        self.shared.process(&named, "", &stored, self.detail(delivery), work).await
    }

    pub(super) async fn settle(
        &self,
        name: &'static str,
        delivery: &Delivery,
        telling: impl Future<Output = lapin::Result<bool>>,
    ) -> lapin::Result<bool> {
        let named = self.templates.named(self.place(delivery));
        let tag = i64::try_from(delivery.delivery_tag).unwrap_or(i64::MAX);
        let detail = |span: MessageSpan| {
            of_properties(span, &delivery.properties).attr("messaging.rabbitmq.message.delivery_tag", tag)
        };
        let operation = Operation::settle(&self.shared, name, named, "", detail);
        let told = telling.await;
        match &told {
            Ok(false) => operation.end(&Err::<(), _>(NotSettled)),
            told => operation.end(told),
        }
        told
    }
}

/// With what a delivery says of itself.
fn of_delivery(span: MessageSpan, delivery: &Delivery) -> MessageSpan {
    let tag = i64::try_from(delivery.delivery_tag).unwrap_or(i64::MAX);
    let span = of_properties(span, &delivery.properties).attr("messaging.rabbitmq.message.delivery_tag", tag);
    if delivery.redelivered { span.attr("waypost.rabbitmq.redelivered", true) } else { span }
}

/// The delivery was settled before, or its channel is gone and the broker will deliver it again.
#[derive(Debug, thiserror::Error)]
#[error("the delivery cannot be settled any more")]
struct NotSettled;

impl ErrorType for NotSettled {
    fn error_type(&self) -> Cow<'static, str> {
        "not_settled".into()
    }
}

/// With the routing key, unless the broker made it up.
pub(super) fn of_place(span: MessageSpan, place: Place<'_>) -> MessageSpan {
    if place.routing_key.is_empty() || made_up(place.routing_key).is_some() {
        return span;
    }
    span.attr("messaging.rabbitmq.destination.routing_key", place.routing_key.to_owned())
}

/// With the ids that a publisher gave the message.
pub(super) fn of_properties(span: MessageSpan, properties: &BasicProperties) -> MessageSpan {
    let span = match properties.message_id() {
        Some(id) => span.message_id(id.as_str()),
        None => span,
    };
    match properties.correlation_id() {
        Some(id) => span.attr("messaging.message.conversation_id", id.as_str().to_owned()),
        None => span,
    }
}

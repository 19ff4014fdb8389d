//! Spans and metrics of RabbitMQ, around the channels of `lapin`.
//!
//! [`RabbitMq`] says what is shown and wraps a channel. A [`Channel`] publishes with the context of its span in the headers; the
//! span ends when the broker has confirmed the message, also if nobody waits for it. A [`Consumer`], and [`Channel::basic_get`], give
//! deliveries that are processed in a span which is linked to the message or continues its trace, and settled in spans. Names
//! stay few: routing keys are shown by templates, names that the broker made up never. Payloads and headers are not recorded.
//! Left out: transactions, and what declares exchanges and queues.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use futures_util::StreamExt as _;
//! use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, ConfirmSelectOptions};
//! use lapin::types::FieldTable;
//! use lapin::{BasicProperties, Connection, ConnectionProperties};
//!
//! let telemetry = waypost_telemetry::testing::TestTelemetry::new("order-service");
//! let rabbitmq = telemetry.rabbitmq().server("rabbitmq.internal", 5672);
//! let connection = Connection::connect("amqp://rabbitmq.internal", ConnectionProperties::default()).await?;
//! let channel = rabbitmq.wrap(connection.create_channel().await?);
//!
//! channel.confirm_select(ConfirmSelectOptions::default()).await?;
//! let (publishing, properties) = (BasicPublishOptions::default(), BasicProperties::default());
//! channel.basic_publish("shop".into(), "orders.placed".into(), publishing, b"two books", properties).await?.await?;
//!
//! let (consuming, none) = (BasicConsumeOptions::default(), FieldTable::default());
//! let mut mails = channel.basic_consume("mails".into(), "".into(), consuming, none).await?;
//! while let Some(delivery) = mails.next().await.transpose()? {
//!     mails.process(&delivery, async { Ok::<(), std::io::Error>(()) }).await?;
//!     mails.ack(&delivery, BasicAckOptions::default()).await?;
//! }
//! # Ok(())
//! # }
//! ```

mod channel;
mod confirm;
mod consumer;
mod delivery;
mod destination;
mod headers;

use std::sync::Arc;

use super::Correlation;
use super::client::{Choices, Client};
use crate::core::handle::Telemetry;
pub use channel::Channel;
pub use confirm::Confirm;
pub use consumer::Consumer;
pub use headers::extract;

/// `messaging.system`.
const SYSTEM: &str = "rabbitmq";

/// What is shown of RabbitMQ, and what wraps channels. Cheap to clone.
///
/// ```
/// use waypost_telemetry::messaging::Correlation;
///
/// let telemetry = waypost_telemetry::testing::TestTelemetry::new("mail");
/// let rabbitmq = telemetry
///     .rabbitmq()
///     .server("rabbitmq.internal", 5672)
///     .client_id("mail-1")
///     .correlation(Correlation::Parent)
///     .routing_key_template("orders.{order}.placed");
/// assert!(format!("{rabbitmq:?}").contains("rabbitmq.internal"));
/// ```
#[derive(Clone, Debug)]
pub struct RabbitMq {
    choices: Choices,
}

impl RabbitMq {
    /// Channels whose operations are spans of this handle; the same as [`Telemetry::rabbitmq`].
    pub fn new(telemetry: &Telemetry) -> Self {
        Self { choices: Choices::new(telemetry) }
    }

    /// `server.address` and `server.port`: a channel does not tell what the program was told to reach.
    #[must_use]
    pub fn server(mut self, address: impl Into<Arc<str>>, port: u16) -> Self {
        self.choices.server = Some((address.into(), Some(port)));
        self
    }

    /// `messaging.client.id`: what the program calls this client.
    #[must_use]
    pub fn client_id(mut self, id: impl Into<Arc<str>>) -> Self {
        self.choices.client_id = Some(id.into());
        self
    }

    /// How the processing of a message belongs to the message's trace. [`Correlation::Link`] unless said.
    #[must_use]
    pub fn correlation(mut self, correlation: Correlation) -> Self {
        self.choices.correlation = correlation;
        self
    }

    /// What many routing keys are made from: `orders.{order}.placed`, where a word in braces or `*` stands for any word, and `#`
    /// for any number of them. Spans are named by it, and metrics have it in the place of the key. The first that fits counts.
    ///
    /// Without one, a channel shows 256 destinations by their names; what comes after them is `_OTHER`.
    #[must_use]
    pub fn routing_key_template(mut self, template: impl Into<Box<str>>) -> Self {
        self.choices.templates.push(template.into());
        self
    }

    /// A channel around one of `lapin`. Channels that are made with the same [`RabbitMq`] by [`wrap_each`](Self::wrap_each) share
    /// what is known of destinations.
    pub fn wrap(&self, channel: lapin::Channel) -> Channel {
        self.wrap_each()(channel)
    }

    /// What wraps the channels of one connection.
    ///
    /// ```no_run
    /// # async fn example(connection: lapin::Connection) -> lapin::Result<()> {
    /// let telemetry = waypost_telemetry::testing::TestTelemetry::new("mail");
    /// let wrap = telemetry.rabbitmq().server("rabbitmq.internal", 5672).wrap_each();
    /// let (first, second) = (wrap(connection.create_channel().await?), wrap(connection.create_channel().await?));
    /// # drop((first, second));
    /// # Ok(())
    /// # }
    /// ```
    pub fn wrap_each(&self) -> impl Fn(lapin::Channel) -> Channel + Send + Sync + use<> {
        let templates = destination::Templates::new(&self.choices.templates);
        let mut choices = self.choices.clone();
        // A destination is more than its routing key.
        choices.templates.clear();
        let shared = Client::new(SYSTEM, choices, &[]);
        move |channel| Channel::new(Arc::clone(&shared), templates.clone(), channel)
    }
}

impl Telemetry {
    /// Channels of RabbitMQ whose operations are spans of this handle.
    pub fn rabbitmq(&self) -> RabbitMq {
        RabbitMq::new(self)
    }
}

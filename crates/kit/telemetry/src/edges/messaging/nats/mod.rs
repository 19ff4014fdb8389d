//! Spans and metrics of NATS and JetStream, around the clients of `async-nats`.
//!
//! [`Nats`] says what is shown and wraps a connection. A [`Client`] publishes and asks with the context of its span in the
//! headers; a [`Subscriber`] runs the processing of a message in a span that is linked to it or continues its trace. With a
//! [`JetStream`] the span of a message lasts until the stream has acknowledged it, and a [`Consumer`] receives, processes and
//! settles in spans. Names stay few: subjects are shown by templates, those of replies never. Payloads and headers are not
//! recorded.
//! Left out: key-value and object stores, services, and what the client does by itself.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//! use futures_util::StreamExt as _;
//!
//! let telemetry = waypost_telemetry::testing::TestTelemetry::new("order-service");
//! let nats = telemetry.nats().server("nats.internal", 4222).subject_template("orders.{order}.placed");
//! let client = nats.wrap(async_nats::connect("nats.internal:4222").await?);
//!
//! let mut orders = client.queue_subscribe("orders.*.placed", "mail".to_owned()).await?;
//! client.publish("orders.17.placed", "two books".into()).await?;
//! while let Some(message) = orders.next().await {
//!     orders.process(&message, async { Ok::<(), std::io::Error>(()) }).await?;
//! }
//! # Ok(())
//! # }
//! ```

mod client;
mod consumer;
mod headers;
mod jetstream;
mod message;
mod subscriber;

use std::sync::Arc;

use super::Correlation;
use super::client::Choices;
use crate::core::handle::Telemetry;
pub use client::Client;
pub use consumer::{Consumer, Messages};
pub use headers::extract;
pub use jetstream::{AckFuture, JetStream};
pub use subscriber::Subscriber;

/// `messaging.system`.
const SYSTEM: &str = "nats";

/// What is shown of NATS, and what wraps connections. Cheap to clone.
///
/// ```
/// use waypost_telemetry::messaging::Correlation;
///
/// let telemetry = waypost_telemetry::testing::TestTelemetry::new("mail");
/// let nats = telemetry
///     .nats()
///     .server("nats.internal", 4222)
///     .client_id("mail-1")
///     .correlation(Correlation::Parent)
///     .subject_template("orders.{order}.placed");
/// assert!(format!("{nats:?}").contains("nats.internal"));
/// ```
#[derive(Clone, Debug)]
pub struct Nats {
    choices: Choices,
}

impl Nats {
    /// Clients whose operations are spans of this handle; the same as [`Telemetry::nats`].
    pub fn new(telemetry: &Telemetry) -> Self {
        Self { choices: Choices::new(telemetry) }
    }

    /// `server.address` and `server.port`: the client does not tell what it was told to reach.
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

    /// What many subjects are made from: `orders.{order}.placed`, where a word in braces or `*` stands for any word, and `>` at
    /// the end for one or more. Spans are named by it, and metrics have it in the place of the subject. The first that fits
    /// counts.
    ///
    /// Without one, a message that came by a subscription with wildcards is shown by that, and a client shows the names of 256
    /// other subjects; what comes after them is `_OTHER`.
    #[must_use]
    pub fn subject_template(mut self, template: impl Into<Box<str>>) -> Self {
        self.choices.templates.push(template.into());
        self
    }

    /// A client around a connection.
    pub fn wrap(&self, client: async_nats::Client) -> Client {
        Client::new(self.choices.clone(), client)
    }
}

impl Telemetry {
    /// Clients of NATS whose operations are spans of this handle.
    pub fn nats(&self) -> Nats {
        Nats::new(self)
    }
}

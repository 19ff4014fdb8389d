//! What is done with an order event: the user is told, once.

use crate::{
    Config, Error,
    domain::{self, Channel, Notification},
    store::{Recorded, Store},
};
use std::sync::Arc;
use waypost_api::attributes::{ORDER_ID, ORDER_STATUS, USER_ID};
use waypost_api::{OrderId, Timestamp, events::OrderEvent};
use waypost_durable::{Clock, Companion};
use waypost_telemetry::set;

/// Tells users what became of their orders. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Notifier {
    store: Arc<dyn Store>,
    clock: Clock,
    group: Arc<str>,
    channels: Arc<[Channel]>,
}

impl Notifier {
    /// A notifier over a store. The group names it in the inbox.
    pub fn new(store: Arc<dyn Store>, clock: Clock, config: &Config) -> Notifier {
        let mut channels = config.channels.clone();
        channels.sort_unstable();
        channels.dedup();
        Notifier { store, clock, group: config.group.as_str().into(), channels: channels.into() }
    }

    /// The consumer group that it works for.
    pub fn group(&self) -> &str {
        &self.group
    }

    /// Tells the user of one event. An event that comes again, or another one that says the same of the same order,
    /// tells nobody anything (I16, I18). `then` is a part of the unit that notes what was told, where both are in one file.
    pub async fn handle(&self, event: &OrderEvent, then: Option<Companion<()>>) -> Result<(), Error> {
        set(ORDER_ID, &event.order_id);
        set(ORDER_STATUS, event.status);
        set(USER_ID, &event.user_id);
        let now = Timestamp::from(self.clock.now());
        let notifications = domain::notifications(event, &self.channels, now);
        if notifications.is_empty() {
            return Ok(());
        }
        let group = self.group.to_string();
        let recorded = self.store.record(group, event.event_id.clone(), notifications, then).await?;
        set("notification.sent", i64::try_from(recorded.len()).unwrap_or(i64::MAX));
        for Recorded { channel, subject } in recorded {
            tracing::info!(order.id = %event.order_id, user.id = %event.user_id, channel = channel.as_str(), "{subject}");
        }
        Ok(())
    }
}

/// What was told, for those who look. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Notifications {
    store: Arc<dyn Store>,
}

impl Notifications {
    /// What a store holds.
    pub fn new(store: Arc<dyn Store>) -> Notifications {
        Notifications { store }
    }

    /// The notifications about an order, by kind and channel.
    pub async fn of_order(&self, order: &OrderId) -> Result<Vec<Notification>, Error> {
        self.store.of_order(order.clone()).await
    }

    /// How many notifications there are about an order.
    pub async fn count(&self, order: &OrderId) -> Result<usize, Error> {
        Ok(self.of_order(order).await?.len())
    }

    /// How many there are in all.
    pub async fn total(&self) -> Result<u64, Error> {
        self.store.total().await
    }
}

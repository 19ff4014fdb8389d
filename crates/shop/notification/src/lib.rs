//! Notifications: tells users what became of their orders, once.
//!
//! A consumer of the topic `order-events`. One event's way through this crate: `events` reads it, [`logic`] makes the
//! messages by the rules of [`domain`], and the [`store`] records them together with the inbox row. Sending is the
//! row and a log line; a real sender would follow the rows like a relay follows an outbox.
//!
//! Invariants (`docs/guarantees.md`):
//! - I16: an event has one effect, however often it is delivered;
//! - I17: what cannot be handled is parked, and the rest goes on;
//! - I18: one notification an order, kind and channel.
//!
//! Left out: the addresses of users, and any interface: the role has no socket.

mod config;
pub mod domain;
mod error;
mod events;
pub mod logic;
pub mod store;

pub use crate::{
    config::{Config, Correlation},
    error::Error,
    logic::Notifications,
};

use std::{fmt, sync::Arc};
use store::Store;
use waypost_api::events::ORDER_EVENTS_TOPIC;
use waypost_durable::{
    Clock, Storage,
    broker::Broker,
    consume::{ConsumeOptions, RetryTopics, Standstill, Subscription},
};
use waypost_service::{App, Check, Worker};
use waypost_telemetry::{Telemetry, record_error, with_context};

/// What the process lends to the role.
#[derive(Clone)]
pub struct Parts {
    /// The role's own telemetry handle; its service name is `notification-service`.
    pub telemetry: Telemetry,
    /// Which database the data is in, and where.
    pub storage: Storage,
    /// Where the events come from.
    pub broker: Arc<dyn Broker>,
    /// Where an event goes that is handled wrongly, before it is parked.
    pub retries: RetryTopics,
}

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts")
            .field("storage", &self.storage)
            .field("broker", &self.broker.system())
            .field("retries", &self.retries)
            .finish_non_exhaustive()
    }
}

/// Opens and migrates the database and returns the role.
pub async fn build(config: &Config, parts: Parts) -> Result<App, Error> {
    build_with_queries(config, parts).await.map(|(app, _)| app)
}

/// As [`build`], with a handle that tells what was sent.
pub async fn build_with_queries(config: &Config, parts: Parts) -> Result<(App, Notifications), Error> {
    let store = store::open(&parts.storage, &parts.telemetry).await?;
    let shared = Arc::clone(&store);
    let standstill = Standstill::default();
    let consumer = consumer(config, &parts, Arc::clone(&shared), Clock::system(), standstill.clone());
    let Parts { telemetry, .. } = parts;

    let (retention, every) = (config.inbox_retention.get(), config.inbox_purge_interval.get());
    let purged = Arc::clone(&shared);
    let purge = Worker::in_portions("notification-inbox-purge", every, &telemetry, move || {
        let store = Arc::clone(&purged);
        async move { store.purge_inbox(retention).await }
    });
    let (kept, every, sent) = (config.retention.get(), config.retention_interval.get(), Arc::clone(&shared));
    let retention = Worker::in_portions("notification-retention", every, &telemetry, move || {
        let store = Arc::clone(&sent);
        async move { store.delete_sent(kept).await }
    });
    let closing = Arc::clone(&store);
    let close = Worker::closing("notification-database", move || async move { closing.close().await });
    let check = Check::new("notification-database", move || {
        let store = Arc::clone(&store);
        async move { store.ping().await.map_err(|error| error.to_string()) }
    });
    let goes_on = Check::new("notification-consumer", move || {
        let reason = standstill.reason();
        async move { reason.map_or(Ok(()), Err) }
    });
    let workers = vec![consumer, purge, retention, close];
    let app = App { workers, checks: vec![check, goes_on], ..App::default() };
    Ok((app, Notifications::new(shared)))
}

/// The consumer over any store: what [`build`] makes of the embedded one. It tells `standstill` what it waits for.
pub fn consumer(
    config: &Config,
    parts: &Parts,
    store: Arc<dyn Store>,
    clock: Clock,
    standstill: Standstill,
) -> Worker {
    let notifier = logic::Notifier::new(store, clock, config);
    let options = ConsumeOptions {
        attempts: config.attempts.max(1),
        correlation: config.correlation.into(),
        ..ConsumeOptions::default()
    };
    let subscription = Subscription {
        options,
        retries: parts.retries.clone(),
        standstill,
        ..Subscription::new(Arc::clone(&parts.broker), notifier.group(), ORDER_EVENTS_TOPIC, &parts.telemetry)
    };
    let telemetry = parts.telemetry.clone();
    Worker::new("notification-consumer", move |drain| async move {
        let drain = drain.started();
        if let Err(error) = events::consume(subscription, notifier, drain).await {
            with_context(telemetry.context(), async { record_error(&error) }).await;
        }
    })
}

//! What the notification service listens to.

use crate::{Error, logic::Notifier};
use std::{future::Future, sync::Arc};
use waypost_api::events::{ORDER_EVENTS_TOPIC, OrderEvent};
use waypost_durable::{
    broker::{Broker, Delivery},
    consume::{self, ConsumeOptions, Failure, Standstill, Subscription},
};
use waypost_telemetry::{Telemetry, messaging::Correlation};

/// Handles order events until the drain. Each event is handled inside a span `process order-events`; one that cannot
/// be read is parked at once, one that is handled wrongly after some tries; while the database is away, none is.
pub(crate) async fn consume(
    broker: Arc<dyn Broker>,
    telemetry: &Telemetry,
    notifier: Notifier,
    attempts: u32,
    correlation: Correlation,
    standstill: Standstill,
    drain: impl Future<Output = ()> + Send,
) -> Result<(), waypost_durable::Error> {
    let options = ConsumeOptions { correlation, attempts: attempts.max(1), ..ConsumeOptions::default() };
    let group = notifier.group().to_owned();
    let subscription = Subscription {
        options,
        standstill,
        ..Subscription::new(broker, group, ORDER_EVENTS_TOPIC, telemetry)
    };
    let handle = move |delivery: Arc<Delivery>| {
        let notifier = notifier.clone();
        async move {
            let event = read(&delivery).map_err(Failure::Reject)?;
            Ok(notifier.handle(&event).await?)
        }
    };
    consume::run(subscription, handle, drain).await
}

fn read(delivery: &Delivery) -> Result<OrderEvent, Error> {
    serde_json::from_slice(&delivery.record.payload).map_err(Error::Malformed)
}

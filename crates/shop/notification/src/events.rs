//! What the notification service listens to.

use crate::{Error, logic::Notifier};
use std::{future::Future, sync::Arc};
use waypost_api::events::OrderEvent;
use waypost_durable::{
    broker::Delivery,
    consume::{self, Failure, Subscription},
};

/// Handles order events until the drain. Each event is handled inside a span `process order-events`; one that cannot
/// be read is parked at once, one that is handled wrongly after some tries, where it stands and in retry topics; while the
/// database is away, none is.
pub(crate) async fn consume(
    subscription: Subscription,
    notifier: Notifier,
    drain: impl Future<Output = ()> + Send,
) -> Result<(), waypost_durable::Error> {
    let handle = move |delivery: Arc<Delivery>| {
        let notifier = notifier.clone();
        async move {
            let event = read(&delivery).map_err(Failure::Reject)?;
            Ok(notifier.handle(&event, delivery.committing()).await?)
        }
    };
    consume::run(subscription, handle, drain).await
}

fn read(delivery: &Delivery) -> Result<OrderEvent, Error> {
    serde_json::from_slice(&delivery.record.payload).map_err(Error::Malformed)
}

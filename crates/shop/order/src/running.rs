//! The sagas of orders in this process: what of hosting them is about orders.
//!
//! For [`crate::logic`], which starts sagas and watches them, and for the worker that looks for unfinished ones. Admission,
//! leases, take-over and parking are [`waypost_durable::saga::host`]'s; here the facts of a unit become the order after
//! them, its history and its event, and what was settled is counted.

use crate::{
    Error,
    domain::Order,
    events,
    place_order::PlaceOrder,
    store::{Placed, Placement, Progress, Store, Taken},
};
use std::{sync::Arc, time::Duration};
use waypost_api::attributes::{ORDER_ID, ORDER_STATUS};
use waypost_api::{OrderId, OrderStatus, Timestamp};
use waypost_durable::{
    BoxFuture, Clock, Epoch,
    idempotency::Key,
    saga::{
        Batch, Finished, Loaded,
        host::{self, Advance, Host, Opened, Opening, SagaStore},
    },
};
use waypost_telemetry::{
    SpanBuilder, Telemetry,
    opentelemetry::{KeyValue, metrics::Counter},
    set, span,
};

/// The sagas of this process.
pub type Sagas = Host<OrderSagas>;

/// What became of a new order.
pub type Accepted = host::Accepted<OrderSagas>;

/// What a store answers to a host.
type Answer<'a, T> = BoxFuture<'a, Result<T, Error>>;

/// The sagas of orders, as the store of the orders keeps them.
#[derive(Debug)]
pub struct OrderSagas {
    store: Arc<dyn Store>,
    clock: Clock,
    settled: Counter<u64>,
}

impl OrderSagas {
    /// Over any store. The clock dates the moves of orders.
    pub fn new(store: Arc<dyn Store>, clock: Clock, telemetry: &Telemetry) -> OrderSagas {
        let settled = telemetry
            .meter()
            .u64_counter("waypost.order.settled")
            .with_description("Orders that came to their end, by status and failure.")
            .with_unit("{order}")
            .build();
        OrderSagas { store, clock, settled }
    }

    fn count_settled(&self, order: &Order) {
        let mut attributes = vec![KeyValue::new(ORDER_STATUS, order.status.as_str())];
        if let (OrderStatus::Failed, Some(code)) = (order.status, order.failure_code) {
            attributes.push(KeyValue::new(waypost_telemetry::attributes::ERROR_TYPE, code.as_str()));
        }
        self.settled.add(1, &attributes);
    }
}

impl SagaStore for OrderSagas {
    type Saga = PlaceOrder;
    type Id = OrderId;
    type Extra = Option<Key>;
    type Existing = Placed;
    type Error = Error;

    fn id(order: &Order) -> OrderId {
        order.id.clone()
    }

    fn after(&self, before: &Order, batch: &Batch<PlaceOrder>) -> Result<Order, Error> {
        let now = Timestamp::from(self.clock.now());
        let after = before.after(&batch.entries, batch.ending.as_ref(), now)?;
        if has_moved(before, &after) {
            set(ORDER_ID, &after.id);
            set(ORDER_STATUS, after.status);
        }
        Ok(after)
    }

    fn open<'a>(&'a self, opening: &Opening<'a, Self>) -> Answer<'a, Opened<Placed>> {
        let placement = Placement {
            order: opening.state.clone(),
            facts: opening.facts.to_vec(),
            lease: opening.lease.clone(),
            key: opening.extra.clone(),
        };
        Box::pin(async move {
            Ok(match self.store.place(placement).await? {
                Placed::New => Opened::New,
                before => Opened::Existing(before),
            })
        })
    }

    fn advance<'a>(&'a self, advance: &Advance<'a, Self>) -> Answer<'a, bool> {
        let Advance { before, after, batch, lease, .. } = *advance;
        Box::pin(async move {
            let event = if batch.ending.is_some() { events::settled(after)? } else { None };
            let progress = Progress {
                order: after.clone(),
                rows_before: batch.rows_before,
                facts: batch.entries.clone(),
                phase: batch.phase,
                lease: lease.clone(),
                moved: has_moved(before, after).then(|| after.last_move()),
                event,
            };
            self.store.advance(progress).await
        })
    }

    fn reload<'a>(&'a self, id: &OrderId, epoch: Epoch) -> Answer<'a, Option<Loaded<PlaceOrder>>> {
        let reload = self.store.reload(id.clone(), epoch);
        Box::pin(async move { Ok(reload.await?.map(Loaded::from)) })
    }

    fn unfinished(&self, max: u32) -> Answer<'_, Vec<host::Unfinished<OrderId>>> {
        Box::pin(async move {
            let unfinished = self.store.unfinished(max).await?.into_iter();
            let unfinished = unfinished.map(|order| host::Unfinished {
                id: order.id,
                traceparent: order.origin.traceparent,
                tracestate: order.origin.tracestate,
            });
            Ok(unfinished.collect())
        })
    }

    fn take_over<'a>(
        &'a self,
        id: &OrderId,
        runner: &str,
        lasts: Duration,
    ) -> Answer<'a, Option<Loaded<PlaceOrder>>> {
        let take_over = self.store.take_over(id.clone(), runner.to_owned(), lasts);
        Box::pin(async move { Ok(take_over.await?.map(Loaded::from)) })
    }

    fn renew(&self, held: Vec<(OrderId, Epoch)>, lasts: Duration) -> Answer<'_, Vec<OrderId>> {
        self.store.renew(held, lasts)
    }

    fn opening_span(&self, order: &Order) -> SpanBuilder {
        span("save-order").attr(ORDER_ID, &order.id).attr(ORDER_STATUS, order.status)
    }

    fn resuming_span(&self, id: &OrderId) -> SpanBuilder {
        span("resume-order").attr(ORDER_ID, id)
    }

    fn finished(&self, order: &Order, how: Finished) {
        let id = &order.id;
        match how {
            Finished::Ended => self.count_settled(order),
            Finished::Stuck => {
                tracing::error!(order.id = %id, "the saga is parked; it will be tried again");
            }
            Finished::Fenced => tracing::warn!(order.id = %id, "another process runs the saga"),
            Finished::Draining => tracing::info!(order.id = %id, "the saga goes on after the restart"),
        }
    }
}

impl From<Taken> for Loaded<PlaceOrder> {
    fn from(taken: Taken) -> Loaded<PlaceOrder> {
        let Taken { order, epoch, log } = taken;
        Loaded { state: order, log, epoch }
    }
}

/// True when a unit moved the order.
fn has_moved(before: &Order, after: &Order) -> bool {
    after.version != before.version
}

//! The journal of one order's saga: turns the facts of a unit into the order after them and has the store write both.

use super::Shared;
use crate::{
    Error,
    domain::Order,
    events,
    place_order::PlaceOrder,
    store::{Lease, Progress, Taken},
};
use std::sync::Arc;
use tokio::sync::watch;
use waypost_api::attributes::{ORDER_ID, ORDER_STATUS};
use waypost_durable::{
    BoxFuture,
    saga::{AppendError, Batch, Journal, Loaded, Phase},
};
use waypost_telemetry::set;

/// The journal of one order, as this process's runner keeps it.
pub(super) struct OrderJournal {
    shared: Arc<Shared>,
    /// The order as of the last row that is known here.
    order: watch::Sender<Order>,
}

impl OrderJournal {
    pub(super) fn new(shared: Arc<Shared>, order: Order) -> OrderJournal {
        OrderJournal { shared, order: watch::Sender::new(order) }
    }

    pub(super) fn watch(&self) -> watch::Receiver<Order> {
        self.order.subscribe()
    }

    pub(super) fn order(&self) -> Order {
        self.order.borrow().clone()
    }

    async fn write(&self, batch: Batch<PlaceOrder>) -> Result<Order, AppendError> {
        let now = self.shared.now();
        let before = self.order();
        let after = before.after(&batch.entries, batch.ending.as_ref(), now).map_err(failed)?;
        let has_moved = after.version != before.version;
        if has_moved {
            set(ORDER_ID, &after.id);
            set(ORDER_STATUS, after.status);
        }
        let event = if batch.ending.is_some() { events::settled(&after).map_err(failed)? } else { None };
        let progress = Progress {
            order: after.clone(),
            rows_before: batch.rows_before,
            facts: batch.entries,
            phase: batch.phase,
            lease: self.lease(batch.phase),
            moved: has_moved.then(|| after.last_move()),
            event,
        };
        match self.shared.store.advance(progress, now).await {
            Ok(true) => {
                self.order.send_replace(after.clone());
                Ok(after)
            }
            Ok(false) => Err(AppendError::Conflict),
            Err(error) => Err(failed(error)),
        }
    }

    async fn read(&self) -> Result<Loaded<PlaceOrder>, AppendError> {
        let id = self.order.borrow().id.clone();
        let taken = self.shared.store.reload(id, self.shared.name.clone()).await.map_err(failed)?;
        let Taken { order, log } = taken.ok_or(AppendError::Fenced)?;
        self.order.send_replace(order.clone());
        Ok(Loaded { state: order, log })
    }

    /// A parked saga is left alone for a while; any other is this process's for the time of a lease.
    fn lease(&self, phase: Phase) -> Lease {
        let lease = self.shared.lease();
        match phase {
            Phase::Stuck => Lease { until: self.shared.now().plus(self.shared.options.stuck_retry), ..lease },
            _ => lease,
        }
    }
}

impl Journal<PlaceOrder> for OrderJournal {
    fn append(&self, batch: Batch<PlaceOrder>) -> BoxFuture<'_, Result<Order, AppendError>> {
        Box::pin(self.write(batch))
    }

    fn reload(&self) -> BoxFuture<'_, Result<Loaded<PlaceOrder>, AppendError>> {
        Box::pin(self.read())
    }
}

fn failed(error: impl Into<Error>) -> AppendError {
    AppendError::Failed(Box::new(error.into()))
}

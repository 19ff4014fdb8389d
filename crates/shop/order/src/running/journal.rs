//! The journal of one order's saga: turns the facts of a unit into the order after them and has the store write both.

use super::Shared;
use crate::{
    Error,
    domain::{Fact, Order},
    events,
    place_order::PlaceOrder,
    store::{Lease, Progress, Taken},
};
use std::sync::Arc;
use tokio::sync::watch;
use waypost_api::attributes::{ORDER_ID, ORDER_STATUS};
use waypost_durable::{
    BoxFuture, Epoch,
    saga::{AppendError, Batch, Entry, Journal, Loaded, Phase},
    settle,
};
use waypost_telemetry::set;

/// The journal of one order, as this process's runner keeps it.
pub(super) struct OrderJournal {
    shared: Arc<Shared>,
    /// The order as of the last row that is known here.
    order: watch::Sender<Order>,
    /// In which epoch this process has it.
    epoch: Epoch,
    /// How often it was parked since anything was last achieved for it.
    parked: u32,
}

impl OrderJournal {
    /// The journal of an order with these facts so far.
    pub(super) fn new(shared: Arc<Shared>, order: Order, epoch: Epoch, facts: &[Fact]) -> OrderJournal {
        OrderJournal { shared, order: watch::Sender::new(order), epoch, parked: parked_in_a_row(facts) }
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
        let advanced = settle(|| self.shared.store.advance(progress.clone()), || self.is_written(&progress));
        match advanced.await {
            Ok(true) => {
                self.order.send_replace(after.clone());
                Ok(after)
            }
            Ok(false) => Err(AppendError::Conflict),
            Err(error) => Err(failed(error)),
        }
    }

    /// What [`crate::store::Store::advance`] would have answered of a unit whose commit was not acknowledged; `None` when
    /// the journal has no row since.
    async fn is_written(&self, progress: &Progress) -> Result<Option<bool>, Error> {
        let taken = self.shared.store.reload(progress.order.id.clone(), progress.lease.epoch).await?;
        // Another's by now: the runner has to look again.
        let Some(Taken { log, .. }) = taken else { return Ok(Some(false)) };
        let Some(later) = log.rows().checked_sub(progress.rows_before + 1) else { return Ok(None) };
        // What others write while it is ours, a wish to cancel, is a row of one fact.
        let later = usize::try_from(later).unwrap_or(usize::MAX);
        let until_ours = log.entries().len().checked_sub(later).and_then(|end| log.entries().get(..end));
        Ok(Some(until_ours.is_some_and(|facts| facts.ends_with(&progress.facts))))
    }

    async fn read(&self) -> Result<Loaded<PlaceOrder>, AppendError> {
        let id = self.order.borrow().id.clone();
        let taken = self.shared.store.reload(id, self.epoch).await.map_err(failed)?;
        let Taken { order, epoch, log } = taken.ok_or(AppendError::Fenced)?;
        self.order.send_replace(order.clone());
        Ok(Loaded { state: order, log, epoch })
    }

    /// A parked saga is left alone for a while, longer each time; any other is this process's for the time of a lease.
    fn lease(&self, phase: Phase) -> Lease {
        let lease = self.shared.lease(self.epoch);
        match phase {
            Phase::Stuck => {
                let pause = self.shared.options.stuck_retry.delay(self.parked.saturating_add(1));
                Lease { lasts: pause, ..lease }
            }
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

/// How often a saga was parked since anything was last achieved for it.
fn parked_in_a_row(facts: &[Fact]) -> u32 {
    let is_progress = |fact: &&Fact| matches!(fact, Entry::Done(..) | Entry::Undone(_) | Entry::MadeUp(_));
    let since = facts.iter().rev().take_while(|fact| !is_progress(fact));
    u32::try_from(since.filter(|fact| matches!(fact, Entry::Stuck(..))).count()).unwrap_or(u32::MAX)
}

fn failed(error: impl Into<Error>) -> AppendError {
    AppendError::Failed(Box::new(error.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Refusal;
    use waypost_api::ErrorCode;

    #[test]
    fn what_is_parked_again_is_counted_until_something_is_achieved() {
        let stuck =
            || Entry::Stuck("reserve".into(), Refusal::from(waypost_api::Error::of(ErrorCode::Unavailable)));
        let mut facts = vec![Entry::Done("authorize".into(), None), stuck(), Entry::Resumed, stuck()];
        assert_eq!(parked_in_a_row(&facts), 2);
        facts.extend([Entry::Resumed, Entry::Undone("reserve".into())]);
        assert_eq!(parked_in_a_row(&facts), 0);
        facts.push(stuck());
        assert_eq!(parked_in_a_row(&facts), 1);
    }
}

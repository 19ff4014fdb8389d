//! The journal of one saga in the hands of a host: has the store write each unit, and settles what became of it.

use super::{
    Shared,
    store::{Advance, Lease, SagaStore, StateOf},
};
use crate::{
    BoxFuture, Epoch,
    saga::{AppendError, Batch, Entry, Journal, Loaded, Phase},
    settle,
};
use std::sync::Arc;
use tokio::sync::watch;

/// The journal of one saga, as this process's runner keeps it.
pub(super) struct HostJournal<P: SagaStore> {
    shared: Arc<Shared<P>>,
    id: P::Id,
    /// The state as of the last row that is known here.
    state: watch::Sender<StateOf<P>>,
    /// In which epoch this process has it.
    epoch: Epoch,
    /// How often it was parked since anything was last achieved for it.
    parked: u32,
}

impl<P: SagaStore> HostJournal<P> {
    /// The journal of a saga as it was stored or taken over.
    pub(super) fn new(shared: Arc<Shared<P>>, id: P::Id, start: &Loaded<P::Saga>) -> Self {
        let (state, parked) = (watch::Sender::new(start.state.clone()), parked_in_a_row(start.log.entries()));
        HostJournal { shared, id, state, epoch: start.epoch, parked }
    }

    pub(super) fn watch(&self) -> watch::Receiver<StateOf<P>> {
        self.state.subscribe()
    }

    pub(super) fn state(&self) -> StateOf<P> {
        self.state.borrow().clone()
    }

    async fn write(&self, batch: Batch<P::Saga>) -> Result<StateOf<P>, AppendError> {
        let (store, before) = (&self.shared.store, self.state());
        let after = store.after(&before, &batch).map_err(failed)?;
        let lease = self.lease(batch.phase);
        let advance = Advance { id: &self.id, before: &before, after: &after, batch: &batch, lease: &lease };
        match settle(|| store.advance(&advance), || self.is_written(&batch)).await {
            Ok(true) => {
                self.state.send_replace(after.clone());
                Ok(after)
            }
            Ok(false) => Err(AppendError::Conflict),
            Err(error) => Err(failed(error)),
        }
    }

    /// What [`SagaStore::advance`] would have answered of a unit whose commit was not acknowledged; `None` when the
    /// journal has no row since.
    async fn is_written(&self, batch: &Batch<P::Saga>) -> Result<Option<bool>, P::Error> {
        let loaded = self.shared.store.reload(&self.id, self.epoch).await?;
        // Another's by now: the runner has to look again.
        let Some(Loaded { log, .. }) = loaded else { return Ok(Some(false)) };
        let Some(later) = log.rows().checked_sub(batch.rows_before + 1) else { return Ok(None) };
        // What others write while it is ours, a request to cancel, is a row of one fact.
        let later = usize::try_from(later).unwrap_or(usize::MAX);
        let until_ours = log.entries().len().checked_sub(later).and_then(|end| log.entries().get(..end));
        Ok(Some(until_ours.is_some_and(|facts| facts.ends_with(&batch.entries))))
    }

    async fn read(&self) -> Result<Loaded<P::Saga>, AppendError> {
        let loaded = self.shared.store.reload(&self.id, self.epoch).await.map_err(failed)?;
        let loaded = loaded.ok_or(AppendError::Fenced)?;
        self.state.send_replace(loaded.state.clone());
        Ok(loaded)
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

impl<P: SagaStore> Journal<P::Saga> for HostJournal<P> {
    fn append(&self, batch: Batch<P::Saga>) -> BoxFuture<'_, Result<StateOf<P>, AppendError>> {
        Box::pin(self.write(batch))
    }

    fn reload(&self) -> BoxFuture<'_, Result<Loaded<P::Saga>, AppendError>> {
        Box::pin(self.read())
    }
}

/// How often a saga was parked since anything was last achieved for it.
fn parked_in_a_row<O, R>(facts: &[Entry<O, R>]) -> u32 {
    let is_progress =
        |fact: &&Entry<O, R>| matches!(fact, Entry::Done(..) | Entry::Undone(_) | Entry::MadeUp(_));
    let since = facts.iter().rev().take_while(|fact| !is_progress(fact));
    u32::try_from(since.filter(|fact| matches!(fact, Entry::Stuck(..))).count()).unwrap_or(u32::MAX)
}

fn failed(error: impl std::error::Error + Send + Sync + 'static) -> AppendError {
    AppendError::Failed(Box::new(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_parked_again_is_counted_until_something_is_achieved() {
        let stuck = || Entry::Stuck("reserve".into(), "unavailable");
        let mut facts =
            vec![Entry::<(), _>::Done("authorize".into(), None), stuck(), Entry::Resumed, stuck()];
        assert_eq!(parked_in_a_row(&facts), 2);
        facts.extend([Entry::Resumed, Entry::Undone("reserve".into())]);
        assert_eq!(parked_in_a_row(&facts), 0);
        facts.push(stuck());
        assert_eq!(parked_in_a_row(&facts), 1);
    }
}

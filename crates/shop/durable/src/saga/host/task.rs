//! One saga of a host: from its place in the list of the active ones to the end of its run.

use super::{
    Shared,
    journal::HostJournal,
    store::{SagaStore, StateOf, Unfinished},
};
use crate::{
    Epoch,
    saga::{Finished, Loaded, Signals},
};
use std::sync::Arc;
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;
use waypost_telemetry::{propagation, record_error};

/// A saga that runs in this process, as the others see it.
pub(super) struct Active<P: SagaStore> {
    pub(super) state: watch::Receiver<StateOf<P>>,
    pub(super) cancel_requested: CancellationToken,
    pub(super) replaced: CancellationToken,
    pub(super) epoch: Epoch,
    pub(super) leased_at: Instant,
}

/// One saga of this process, entered in the list of the active ones for as long as it is there.
pub(super) struct Task<P: SagaStore> {
    /// Left when this is dropped, however the run ends.
    place: Place<P>,
    journal: HostJournal<P>,
    start: Loaded<P::Saga>,
    signals: Signals,
}

/// A place in the list of the active sagas.
struct Place<P: SagaStore> {
    shared: Arc<Shared<P>>,
    id: P::Id,
}

impl<P: SagaStore> Task<P> {
    pub(super) fn new(shared: &Arc<Shared<P>>, start: Loaded<P::Saga>) -> Self {
        let id = P::id(&start.state);
        let journal = HostJournal::new(Arc::clone(shared), id.clone(), &start);
        let signals = Signals { stop: shared.tasks.stopping(), ..Signals::default() };
        let active = Active {
            state: journal.watch(),
            cancel_requested: signals.cancel_requested.clone(),
            replaced: signals.replaced.clone(),
            epoch: start.epoch,
            leased_at: Instant::now(),
        };
        shared.active().insert(id.clone(), active);
        Task { place: Place { shared: Arc::clone(shared), id }, journal, start, signals }
    }

    pub(super) fn watch(&self) -> watch::Receiver<StateOf<P>> {
        self.journal.watch()
    }

    pub(super) async fn run(self) {
        let Task { place, journal, start, signals } = self;
        let Place { shared, id } = &place;
        match shared.runner.run(id.as_ref(), &journal, start, &signals).await {
            Ok(how) => {
                if how == Finished::Stuck {
                    shared.parked.add(1, &[]);
                }
                shared.store.finished(&journal.state(), how);
            }
            Err(error) => record_error(&error),
        }
    }
}

impl<P: SagaStore> Drop for Place<P> {
    fn drop(&mut self) {
        self.shared.active().remove(&self.id);
    }
}

/// A saga of nobody that this process takes over.
pub(super) struct Resuming<P: SagaStore> {
    shared: Arc<Shared<P>>,
    id: P::Id,
}

impl<P: SagaStore> Resuming<P> {
    /// `None` when it runs here, its lease overdue, or is being taken over here already.
    pub(super) fn begin(shared: &Arc<Shared<P>>, id: &P::Id) -> Option<Self> {
        let is_new = !shared.active().contains_key(id) && shared.resuming().insert(id.clone());
        is_new.then(|| Resuming { shared: Arc::clone(shared), id: id.clone() })
    }

    /// Takes it over and runs it, in the trace that it belongs to.
    pub(super) async fn run(self, unfinished: Unfinished<P::Id>) {
        let (shared, Unfinished { id, traceparent, tracestate }) = (&self.shared, unfinished);
        let parent = propagation::context_from(traceparent.as_deref(), tracestate.as_deref());
        let resumed = shared.store.resuming_span(&id).parent(&parent).run(async {
            let (runner, lasts) = (&shared.name, shared.options.lease);
            if let Some(taken) = shared.store.take_over(&id, runner, lasts).await? {
                Task::new(shared, taken).run().await;
            }
            Ok::<(), P::Error>(())
        });
        // A failure is recorded by the span; the next sweep finds the saga again.
        let _ = resumed.await;
    }
}

impl<P: SagaStore> Drop for Resuming<P> {
    fn drop(&mut self) {
        self.shared.resuming().remove(&self.id);
    }
}

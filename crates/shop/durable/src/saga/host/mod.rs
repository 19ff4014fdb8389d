//! The sagas of one process: started for what is new, resumed where nobody runs them.
//!
//! For the service that owns the sagas: its use cases start and watch them, and a worker calls [`Host::sweep`] at start and
//! from then on. A saga runs in a tracked task, so it goes on when its caller leaves. It is this process's for as long as
//! its lease runs; the sweep prolongs the leases of those that take long, stops those that another process has taken over,
//! and takes over those that nobody runs.
//!
//! Invariants: who loses a lease cannot write any more, because each unit is fenced by the journal and the epoch; at most
//! `max_running` sagas run at once, then new ones are refused and unfinished ones wait; what was stored is run, also when the
//! commit was not acknowledged; once the process is about to stop, nothing is taken over.
//!
//! Left out: how rows are kept, and what a saga is about. That is said behind the port, [`SagaStore`].

mod journal;
mod store;
mod task;

pub use store::{Advance, EntryOf, Lease, Opened, Opening, SagaStore, StateOf, StoreFuture, Unfinished};

use super::{Loaded, Log, Runner};
use crate::{Backoff, Epoch, settle};
use std::{
    collections::{HashMap, HashSet},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use task::{Active, Resuming, Task};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch},
    time::Instant,
};
use waypost_errors::ErrorCode;
use waypost_resilience::Tasks;
use waypost_telemetry::{Telemetry, opentelemetry::metrics::Counter};

/// Sagas that one sweep takes over.
const SWEEP_BATCH: u32 = 200;

/// How the sagas of a process are run.
#[derive(Debug, Clone)]
pub struct Options {
    /// How long a saga belongs to this process without a sign of life.
    pub lease: Duration,
    /// When a saga that was parked is tried again, by how often it was parked in a row.
    pub stuck_retry: Backoff,
    /// Sagas at once.
    pub max_running: usize,
}

/// The sagas of this process. Cheap to clone.
pub struct Host<P: SagaStore> {
    shared: Arc<Shared<P>>,
}

struct Shared<P: SagaStore> {
    store: P,
    runner: Runner<P::Saga>,
    /// Names this process in leases.
    name: String,
    options: Options,
    tasks: Tasks,
    room: Arc<Semaphore>,
    active: Mutex<HashMap<P::Id, Active<P>>>,
    /// Being taken over, so that the next sweep leaves them alone.
    resuming: Mutex<HashSet<P::Id>>,
    parked: Counter<u64>,
}

/// Room for one more saga; given back when it is dropped.
#[derive(Debug)]
pub struct Admission {
    #[expect(dead_code, reason = "held for what its drop does")]
    permit: OwnedSemaphorePermit,
}

/// What became of a new saga.
#[derive(Debug)]
pub enum Accepted<P: SagaStore> {
    /// It is stored and on its way. When the sender is gone, nobody works on it here any more.
    New(watch::Receiver<StateOf<P>>),
    /// Nothing was stored, because this was there already.
    Existing(P::Existing),
}

enum Stored<P: SagaStore> {
    New(Box<Task<P>>),
    Existing(P::Existing),
}

impl<P: SagaStore> Host<P> {
    /// The sagas of a process that has none yet. `name` must be another for each process.
    pub fn new(
        store: P,
        runner: Runner<P::Saga>,
        name: String,
        options: Options,
        tasks: Tasks,
        telemetry: &Telemetry,
    ) -> Self {
        let parked = telemetry
            .meter()
            .u64_counter("waypost.saga.parked")
            .with_description("How often a saga was parked because what must succeed kept failing.")
            .with_unit("{saga}")
            .build();
        let room = Arc::new(Semaphore::new(options.max_running.clamp(1, Semaphore::MAX_PERMITS)));
        let (active, resuming) = (Mutex::default(), Mutex::default());
        let shared = Shared { store, runner, name, options, tasks, room, active, resuming, parked };
        Host { shared: Arc::new(shared) }
    }

    /// Room for one more saga, or `overloaded`.
    pub fn admit(&self) -> Result<Admission, P::Error> {
        let permit = Arc::clone(&self.shared.room).try_acquire_owned().map_err(|_| ErrorCode::Overloaded)?;
        Ok(Admission { permit })
    }

    /// Stores a new saga and starts it, in one task that goes on when the caller leaves: it is either not there at all or
    /// on its way. Its spans become children of the current one.
    pub async fn accept(
        &self,
        state: StateOf<P>,
        extra: P::Extra,
        admission: Admission,
    ) -> Result<Accepted<P>, P::Error> {
        let shared = Arc::clone(&self.shared);
        let (answer, accepted) = oneshot::channel();
        self.shared.tasks.spawn(async move {
            let _admission = admission;
            match shared.open(state, extra).await {
                Ok(Stored::New(task)) => {
                    // The caller may have left; the saga goes on.
                    let _ = answer.send(Ok(Accepted::New(task.watch())));
                    task.run().await;
                }
                Ok(Stored::Existing(found)) => drop(answer.send(Ok(Accepted::Existing(found)))),
                Err(error) => drop(answer.send(Err(error))),
            }
        });
        // The task answers unless it panicked.
        accepted.await.unwrap_or_else(|_| Err(ErrorCode::Internal.into()))
    }

    /// The state of a saga that runs in this process.
    pub fn watch(&self, id: &P::Id) -> Option<watch::Receiver<StateOf<P>>> {
        self.shared.active().get(id).map(|active| active.state.clone())
    }

    /// Lets a saga look at its journal, where a request to cancel was noted, before it tries anything again.
    pub fn cancel_requested(&self, id: &P::Id) {
        if let Some(active) = self.shared.active().get(id) {
            active.cancel_requested.cancel();
        }
    }

    /// Prolongs the leases of sagas that take long, and takes over those that nobody runs. Returns how many it took
    /// over. Once the process is about to stop, none.
    pub async fn sweep(&self) -> Result<usize, P::Error> {
        self.renew().await?;
        if self.shared.tasks.is_stopping() {
            return Ok(0);
        }
        let mut resumed = 0;
        for unfinished in self.shared.store.unfinished(SWEEP_BATCH).await? {
            // No room: the next sweep finds them again.
            let Ok(admission) = self.admit() else { break };
            let Some(resuming) = Resuming::begin(&self.shared, &unfinished.id) else { continue };
            self.shared.tasks.spawn(async move {
                let _admission = admission;
                resuming.run(unfinished).await;
            });
            resumed += 1;
        }
        Ok(resumed)
    }

    async fn renew(&self) -> Result<(), P::Error> {
        let (now, lease) = (Instant::now(), self.shared.options.lease);
        let held: Vec<(P::Id, Epoch)> = {
            let mut active = self.shared.active();
            let due = active.iter_mut().filter(|(_, active)| now - active.leased_at >= lease / 3);
            due.map(|(id, active)| {
                active.leased_at = now;
                (id.clone(), active.epoch)
            })
            .collect()
        };
        if held.is_empty() {
            return Ok(());
        }
        for id in self.shared.store.renew(held, lease).await? {
            if let Some(active) = self.shared.active().get(&id) {
                active.replaced.cancel();
            }
        }
        Ok(())
    }
}

impl<P: SagaStore> Shared<P> {
    async fn open(self: &Arc<Self>, state: StateOf<P>, extra: P::Extra) -> Result<Stored<P>, P::Error> {
        let (facts, lease, id) = (self.runner.opening(), self.lease(Epoch::FIRST), P::id(&state));
        let opening = Opening { state: &state, facts: &facts, lease: &lease, extra: &extra };
        let stored = settle(|| self.store.open(&opening), || self.is_stored(&id));
        Ok(match self.store.opening_span(&state).run(stored).await? {
            Opened::New => {
                let start = Loaded { state, log: Log::new(facts, 1), epoch: Epoch::FIRST };
                Stored::New(Box::new(Task::new(self, start)))
            }
            Opened::Existing(found) => Stored::Existing(found),
        })
    }

    /// Whether a saga is there after a commit that was not acknowledged: it is this process's, so it has to be run.
    async fn is_stored(&self, id: &P::Id) -> Result<Option<Opened<P::Existing>>, P::Error> {
        Ok(self.store.reload(id, Epoch::FIRST).await?.map(|_| Opened::New))
    }

    fn lease(&self, epoch: Epoch) -> Lease {
        Lease { runner: self.name.clone(), epoch, lasts: self.options.lease }
    }

    fn resuming(&self) -> MutexGuard<'_, HashSet<P::Id>> {
        self.resuming.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn active(&self) -> MutexGuard<'_, HashMap<P::Id, Active<P>>> {
        // Nothing panics while it is held, so a poisoned map is a whole one.
        self.active.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<P: SagaStore> Clone for Host<P> {
    fn clone(&self) -> Self {
        Host { shared: Arc::clone(&self.shared) }
    }
}

impl<P: SagaStore> fmt::Debug for Host<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Shared { name, options, .. } = &*self.shared;
        let running = self.shared.active().len();
        f.debug_struct("Host")
            .field("name", name)
            .field("options", options)
            .field("running", &running)
            .finish_non_exhaustive()
    }
}

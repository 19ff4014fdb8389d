//! The sagas of this process: started for new orders, resumed for those that nobody runs.
//!
//! For [`crate::logic`], which starts sagas and watches them, and for the worker that looks for unfinished ones, at
//! start and from then on. A saga runs in a tracked task, so it goes on when its caller leaves. It is this process's
//! for as long as its lease runs; the sweep prolongs the leases of those that take long, and stops those that another process has
//! taken over. Who loses a lease cannot
//! write any more, because each unit is fenced by the journal.
//!
//! Bounded: at most `max_running` sagas at once; then new orders are refused and unfinished ones wait.

mod journal;

use crate::{
    Error,
    domain::Order,
    place_order::PlaceOrder,
    store::{Lease, Placed, Placement, Store, Taken, Unfinished},
};
use journal::OrderJournal;
use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use waypost_api::attributes::{ORDER_ID, ORDER_STATUS};
use waypost_api::{ErrorCode, OrderId, OrderStatus, Timestamp};
use waypost_durable::{
    Backoff, Clock, Epoch,
    idempotency::Key,
    saga::{self, Finished, Loaded, Runner, Signals},
    settle,
};
use waypost_service::Tasks;
use waypost_telemetry::{
    Telemetry,
    opentelemetry::{KeyValue, metrics::Counter},
    propagation, record_error, span,
};

/// Orders that one sweep takes over.
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
#[derive(Debug, Clone)]
pub struct Sagas {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    store: Arc<dyn Store>,
    runner: Runner<PlaceOrder>,
    /// Names this process in leases.
    name: String,
    clock: Clock,
    options: Options,
    tasks: Tasks,
    room: Arc<Semaphore>,
    active: Mutex<HashMap<OrderId, Active>>,
    /// Being taken over, so that the next sweep leaves them alone.
    resuming: Mutex<HashSet<OrderId>>,
    settled: Counter<u64>,
    parked: Counter<u64>,
}

/// A saga that runs in this process.
#[derive(Debug)]
struct Active {
    order: watch::Receiver<Order>,
    cancel_requested: CancellationToken,
    replaced: CancellationToken,
    epoch: Epoch,
    leased_at: Instant,
}

/// Room for one more saga; given back when it is dropped.
#[derive(Debug)]
pub struct Admission {
    #[expect(dead_code, reason = "held for what its drop does")]
    permit: OwnedSemaphorePermit,
}

/// What became of a new order.
#[derive(Debug)]
pub enum Accepted {
    /// It is stored and on its way. When the sender is gone, nobody works on it here any more.
    New(watch::Receiver<Order>),
    /// Nothing was stored, because of its key.
    Before(Placed),
}

enum Stored {
    New(Box<Task>),
    Before(Placed),
}

impl Sagas {
    /// The sagas of a process that has none yet. `name` must be another for each process.
    pub fn new(
        store: Arc<dyn Store>,
        runner: Runner<PlaceOrder>,
        name: String,
        clock: Clock,
        options: Options,
        tasks: Tasks,
        telemetry: &Telemetry,
    ) -> Sagas {
        let meter = telemetry.meter();
        let settled = meter
            .u64_counter("waypost.order.settled")
            .with_description("Orders that came to their end, by status and failure.")
            .with_unit("{order}")
            .build();
        let parked = meter
            .u64_counter("waypost.saga.parked")
            .with_description("How often a saga was parked because what must succeed kept failing.")
            .with_unit("{saga}")
            .build();
        let room = Arc::new(Semaphore::new(options.max_running.clamp(1, Semaphore::MAX_PERMITS)));
        let (active, resuming) = (Mutex::default(), Mutex::default());
        let shared =
            Shared { store, runner, name, clock, options, tasks, room, active, resuming, settled, parked };
        Sagas { shared: Arc::new(shared) }
    }

    /// Room for one more saga, or `overloaded`.
    pub fn admit(&self) -> Result<Admission, Error> {
        let permit = Arc::clone(&self.shared.room).try_acquire_owned().map_err(|_| ErrorCode::Overloaded)?;
        Ok(Admission { permit })
    }

    /// Stores a new order and starts its saga, in one task that goes on when the caller leaves: an order is either not
    /// there at all or on its way. Its spans become children of the current one.
    pub async fn accept(
        &self,
        order: Order,
        key: Option<Key>,
        admission: Admission,
    ) -> Result<Accepted, Error> {
        let shared = Arc::clone(&self.shared);
        let (answer, accepted) = oneshot::channel();
        self.shared.tasks.spawn(async move {
            let _admission = admission;
            match shared.place(order, key).await {
                Ok(Stored::New(task)) => {
                    // The caller may have left; the order goes on.
                    let _ = answer.send(Ok(Accepted::New(task.journal.watch())));
                    task.run().await;
                }
                Ok(Stored::Before(placed)) => drop(answer.send(Ok(Accepted::Before(placed)))),
                Err(error) => drop(answer.send(Err(error))),
            }
        });
        // The task answers unless it panicked.
        accepted.await.unwrap_or_else(|_| Err(ErrorCode::Internal.into()))
    }

    /// The order of a saga that runs in this process.
    pub fn watch(&self, id: &OrderId) -> Option<watch::Receiver<Order>> {
        self.shared.active().get(id).map(|active| active.order.clone())
    }

    /// Lets a saga look at its journal, where a wish to cancel was noted, before it tries anything again.
    pub fn cancel_requested(&self, id: &OrderId) {
        if let Some(active) = self.shared.active().get(id) {
            active.cancel_requested.cancel();
        }
    }

    /// Prolongs the leases of sagas that take long, and takes over those that nobody runs. Tells how many it took
    /// over. Once the process is about to stop, none.
    pub async fn sweep(&self) -> Result<usize, Error> {
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

    async fn renew(&self) -> Result<(), Error> {
        let (now, lease) = (Instant::now(), self.shared.options.lease);
        let held: Vec<(OrderId, Epoch)> = {
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

impl Shared {
    async fn place(self: &Arc<Self>, order: Order, key: Option<Key>) -> Result<Stored, Error> {
        let facts = self.runner.opening();
        let log = saga::Log::new(facts.clone(), 1);
        let placement = Placement { order: order.clone(), facts, lease: self.lease(Epoch::FIRST), key };
        let save = span("save-order").attr(ORDER_ID, &order.id).attr(ORDER_STATUS, order.status);
        let stored = settle(|| self.store.place(placement.clone()), || self.is_placed(&order.id));
        Ok(match save.run(stored).await? {
            Placed::New => Stored::New(Box::new(Task::new(self, Taken { order, epoch: Epoch::FIRST, log }))),
            before => Stored::Before(before),
        })
    }

    /// Whether an order is there after a commit that was not acknowledged: it is this process's, so it has to be run.
    async fn is_placed(&self, id: &OrderId) -> Result<Option<Placed>, Error> {
        let taken = self.store.reload(id.clone(), Epoch::FIRST).await?;
        Ok(taken.map(|_| Placed::New))
    }

    fn lease(&self, epoch: Epoch) -> Lease {
        Lease { runner: self.name.clone(), epoch, lasts: self.options.lease }
    }

    fn now(&self) -> Timestamp {
        Timestamp::from(self.clock.now())
    }

    fn resuming(&self) -> MutexGuard<'_, HashSet<OrderId>> {
        self.resuming.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn active(&self) -> MutexGuard<'_, HashMap<OrderId, Active>> {
        // Nothing panics while it is held, so a poisoned map is a whole one.
        self.active.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A saga of nobody that this process takes over.
struct Resuming {
    shared: Arc<Shared>,
    id: OrderId,
}

impl Resuming {
    /// `None` when it runs here, its lease overdue, or is being taken over here already.
    fn begin(shared: &Arc<Shared>, id: &OrderId) -> Option<Resuming> {
        let is_new = !shared.active().contains_key(id) && shared.resuming().insert(id.clone());
        is_new.then(|| Resuming { shared: Arc::clone(shared), id: id.clone() })
    }

    /// Takes it over and runs it, in the trace that it belongs to.
    async fn run(self, unfinished: Unfinished) {
        let (shared, Unfinished { id, origin }) = (&self.shared, unfinished);
        let parent = propagation::context_from(origin.traceparent.as_deref(), origin.tracestate.as_deref());
        let resumed = span("resume-order").parent(&parent).attr(ORDER_ID, &id).run(async {
            let (runner, lease) = (shared.name.clone(), shared.options.lease);
            let taken = shared.store.take_over(id.clone(), runner, lease).await?;
            if let Some(taken) = taken {
                Task::new(shared, taken).run().await;
            }
            Ok::<(), Error>(())
        });
        // A failure is recorded by the span; the next sweep finds the order again.
        let _ = resumed.await;
    }
}

impl Drop for Resuming {
    fn drop(&mut self) {
        self.shared.resuming().remove(&self.id);
    }
}

/// One saga of this process, entered in the list of the active ones for as long as it is there.
struct Task {
    shared: Arc<Shared>,
    id: OrderId,
    journal: OrderJournal,
    start: Loaded<PlaceOrder>,
    signals: Signals,
}

impl Task {
    fn new(shared: &Arc<Shared>, taken: Taken) -> Task {
        let Taken { order, epoch, log } = taken;
        let id = order.id.clone();
        let journal = OrderJournal::new(Arc::clone(shared), order.clone(), epoch, log.entries());
        let signals = Signals { stop: shared.tasks.stopping(), ..Signals::default() };
        let active = Active {
            order: journal.watch(),
            cancel_requested: signals.cancel_requested.clone(),
            replaced: signals.replaced.clone(),
            epoch,
            leased_at: Instant::now(),
        };
        shared.active().insert(id.clone(), active);
        Task { shared: Arc::clone(shared), id, journal, start: Loaded { state: order, log, epoch }, signals }
    }

    async fn run(mut self) {
        let Loaded { state, log, epoch } = &self.start;
        let start = Loaded { state: state.clone(), log: log.clone(), epoch: *epoch };
        let run = self.shared.runner.run(self.id.as_str(), &self.journal, start, &self.signals);
        match run.await {
            Ok(Finished::Ended) => self.count_settled(),
            Ok(Finished::Stuck) => {
                self.shared.parked.add(1, &[]);
                tracing::error!(order.id = %self.id, "the saga is parked; it will be tried again");
            }
            Ok(Finished::Fenced) => tracing::warn!(order.id = %self.id, "another process runs the saga"),
            Ok(Finished::Draining) => {
                tracing::info!(order.id = %self.id, "the saga goes on after the restart");
            }
            Err(error) => record_error(&error),
        }
    }

    fn count_settled(&mut self) {
        let order = self.journal.order();
        let mut attributes = vec![KeyValue::new(ORDER_STATUS, order.status.as_str())];
        if let (OrderStatus::Failed, Some(code)) = (order.status, order.failure_code) {
            attributes.push(KeyValue::new(waypost_telemetry::attributes::ERROR_TYPE, code.as_str()));
        }
        self.shared.settled.add(1, &attributes);
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.shared.active().remove(&self.id);
    }
}

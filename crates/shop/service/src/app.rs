//! What a role is made of, once built.

use crate::Drain;
use futures_util::future::BoxFuture;
use std::{fmt, future::Future, sync::Arc, time::Duration};
use tokio::time::{MissedTickBehavior, interval};
use waypost_telemetry::{Telemetry, error::AsErrorType, record_error, with_context};

/// Whatever is configured, periodic work is not done more often.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(1);

/// A built role: what it answers, what it does in the background, and what it needs to be ready.
#[derive(Debug, Default)]
pub struct App {
    /// Everything the role answers on its own socket, layers included. Empty for a role without a socket.
    pub router: axum::Router,
    /// What it answers operators on the admin listener of the process, behind [`crate::operator::guarded`].
    pub admin: axum::Router,
    /// Background work that runs until the drain.
    pub workers: Vec<Worker>,
    /// Dependencies that must answer before the role counts as ready.
    pub checks: Vec<Check>,
}

/// Background work of a role: a relay, a consumer, a sweeper, or the closing of a database.
///
/// `run` returns soon after [`Drain::started`] completes; work that must come after all others have stopped
/// (closing a database) waits for [`Drain::closing`] instead.
pub struct Worker {
    /// Named in logs and in the report of the drain.
    pub name: &'static str,
    /// Called once.
    pub run: Box<dyn FnOnce(Drain) -> BoxFuture<'static, ()> + Send>,
}

impl Worker {
    /// A worker from an async function of the drain.
    pub fn new<Fut>(name: &'static str, run: impl FnOnce(Drain) -> Fut + Send + 'static) -> Worker
    where
        Fut: Future<Output = ()> + Send + 'static,
    {
        Worker { name, run: Box::new(move |drain| Box::pin(run(drain))) }
    }

    /// Work that is done at once and then at every interval, until the drain; a round that has begun is finished. A
    /// round that takes longer than the interval puts off the next one; one that fails is recorded in `telemetry` and
    /// the next one tries again.
    pub fn every<Fut, E>(
        name: &'static str,
        every: Duration,
        telemetry: &Telemetry,
        mut work: impl FnMut() -> Fut + Send + 'static,
    ) -> Worker
    where
        Fut: Future<Output = Result<(), E>> + Send,
        E: AsErrorType + Send,
    {
        let context = telemetry.context();
        let rounds = move |drain: Drain| async move {
            let mut ticks = interval(every.max(SHORTEST_INTERVAL));
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    biased;
                    () = drain.started() => return,
                    _ = ticks.tick() => {}
                }
                if let Err(error) = work().await {
                    record_error(&error);
                }
            }
        };
        Worker::new(name, move |drain| with_context(context, rounds(drain)))
    }

    /// As [`Worker::every`], for work that is done in small portions so that others are let in between, such as
    /// deleting old rows: `work` tells how much it did, and is repeated until it did nothing or the drain begins.
    pub fn in_portions<Fut, E>(
        name: &'static str,
        every: Duration,
        telemetry: &Telemetry,
        work: impl Fn() -> Fut + Send + Sync + 'static,
    ) -> Worker
    where
        Fut: Future<Output = Result<usize, E>> + Send + 'static,
        E: AsErrorType + Send + 'static,
    {
        let (work, telemetry) = (Arc::new(work), telemetry.clone());
        Worker::new(name, move |drain| {
            let draining = drain.clone();
            let round = move || {
                let (work, drain) = (Arc::clone(&work), draining.clone());
                async move {
                    while !drain.is_draining() && work().await? > 0 {}
                    Ok::<(), E>(())
                }
            };
            (Worker::every(name, every, &telemetry, round).run)(drain)
        })
    }

    /// Closes what the role keeps, a database, when nobody can need it any more.
    pub fn closing<Fut>(name: &'static str, close: impl FnOnce() -> Fut + Send + 'static) -> Worker
    where
        Fut: Future<Output = ()> + Send + 'static,
    {
        Worker::new(name, move |drain| async move {
            drain.closing().await;
            close().await;
        })
    }
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A dependency that readiness asks about. Cheap to call; [`crate::health::Health`] bounds its time and calls it
/// on its own schedule, never once a request.
#[derive(Clone)]
pub struct Check {
    /// Named in `/readyz?verbose`.
    pub name: &'static str,
    /// True when a failure is something for an operator to see to, and no reason to give the role no work: it is
    /// shown and does not count.
    pub is_advisory: bool,
    /// `Err` carries the reason in a few words.
    pub probe: Arc<dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync>,
}

impl Check {
    /// A check from an async function.
    pub fn new<Fut>(name: &'static str, probe: impl Fn() -> Fut + Send + Sync + 'static) -> Check
    where
        Fut: Future<Output = Result<(), String>> + Send + 'static,
    {
        Check { name, is_advisory: false, probe: Arc::new(move || Box::pin(probe())) }
    }

    /// A check that is shown and does not count.
    pub fn advisory<Fut>(name: &'static str, probe: impl Fn() -> Fut + Send + Sync + 'static) -> Check
    where
        Fut: Future<Output = Result<(), String>> + Send + 'static,
    {
        Check { is_advisory: true, ..Check::new(name, probe) }
    }
}

impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Check").field("name", &self.name).finish_non_exhaustive()
    }
}

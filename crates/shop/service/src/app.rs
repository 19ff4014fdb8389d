//! What a role is made of, once built.

use crate::Drain;
use futures_util::future::BoxFuture;
use std::{fmt, future::Future, sync::Arc};

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

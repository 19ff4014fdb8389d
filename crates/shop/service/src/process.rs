//! The roles of one process: started together, drained in order.

use crate::{App, Drain, DrainTrigger, Limits, Served, Socket, Tasks, Worker, health::Health, serve};
use futures_util::future::join_all;
use std::{future::Future, time::Duration as StdDuration};
use tokio::{task::JoinHandle, time::Instant};
use waypost_settings::{Duration, settings};
use waypost_telemetry::Telemetry;

settings! {
    /// How a process ends.
    pub struct Pacing {
        /// Time between answering "not ready" and refusing connections: one period of whoever probes us.
        pub notice: Duration = Duration::from_secs(5),
        /// Time for everything to finish, over all roles; what has not is reported and abandoned. Half of it is shared
        /// out evenly, so that a role that hangs leaves the others theirs.
        pub grace: Duration = Duration::from_secs(20),
    }
}

/// Roles that run.
///
/// They are drained in the order in which they were started, each to its end before the next: start those that
/// outsiders call first (the gateway), then those that they call, so that a request in flight still finds what
/// it needs.
#[derive(Debug)]
pub struct Process {
    health: Health,
    roles: Vec<Role>,
    checks: JoinHandle<()>,
    checks_drain: DrainTrigger,
}

#[derive(Debug)]
struct Role {
    name: &'static str,
    tasks: Tasks,
    servers: Vec<JoinHandle<Served>>,
    stop_serving: DrainTrigger,
    workers: Vec<RunningWorker>,
}

#[derive(Debug)]
struct RunningWorker {
    name: &'static str,
    /// `None` once it has ended.
    handle: Option<JoinHandle<()>>,
    stop: DrainTrigger,
}

/// How one role ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Drained {
    /// The role.
    pub role: &'static str,
    /// What its listeners did; `None` without a listener, or when it did not end in time.
    pub served: Option<Served>,
    /// Tasks that had not ended in time.
    pub unfinished_tasks: usize,
    /// Workers that had not ended in time.
    pub unfinished_workers: Vec<&'static str>,
}

impl Drained {
    /// True when nothing was cut or abandoned.
    pub fn is_clean(&self) -> bool {
        let cut = self.served.map_or(0, |served| served.cut_requests);
        cut == 0 && self.unfinished_tasks == 0 && self.unfinished_workers.is_empty()
    }
}

impl Process {
    /// No role yet. Begins to run the checks of `health`.
    pub fn new(health: Health) -> Process {
        let (checks_drain, drain) = Drain::new();
        let checks = waypost_telemetry::spawn(health.clone().watch(drain));
        Process { health, roles: Vec::new(), checks, checks_drain }
    }

    /// Starts a role: its workers, and its listeners if it has some. `tasks` is the one its `build` was given.
    pub fn start(
        &mut self,
        name: &'static str,
        telemetry: &Telemetry,
        tasks: Tasks,
        app: App,
        sockets: impl IntoIterator<Item = (Socket, Limits)>,
    ) {
        let App { router, workers, checks, admin: _ } = app;
        self.health.add(name, checks);
        let (stop_serving, drain) = Drain::new();
        let serving =
            |(socket, limits): (Socket, Limits)| serve(socket, router.clone(), limits, drain.clone());
        let servers = sockets.into_iter().map(|one| in_role(telemetry, serving(one))).collect();
        let workers = workers.into_iter().map(|worker| {
            let Worker { name: worker_name, run } = worker;
            let (stop, drain) = Drain::new();
            let work = run(drain.clone());
            let supervised = supervise(format!("{name}/{worker_name}"), work, drain, self.health.clone());
            RunningWorker { name: worker_name, handle: Some(in_role(telemetry, supervised)), stop }
        });
        let workers = workers.collect();
        self.roles.push(Role { name, tasks, servers, stop_serving, workers });
    }

    /// All roles are started: from now on the process may be ready.
    pub fn started(&self) {
        self.health.started();
    }

    /// Ends in order: not ready, wait for the notice, tell the tasks of all roles not to wait for better times, then each
    /// role within its share of the grace: refuse connections, finish requests, finish tasks, stop workers; at the end
    /// close what is to be closed. Flushing telemetry is left to the caller, last.
    pub async fn drain(self, pacing: &Pacing) -> Vec<Drained> {
        self.health.drain();
        tokio::time::sleep(pacing.notice.get()).await;
        // Before any role is waited for: a request of the first role may wait for a task of a later one.
        self.roles.iter().for_each(|role| role.tasks.stop());
        let begun = Instant::now();
        let share = Share { grace: pacing.grace.get(), count: self.roles.len() };
        let mut reports = Vec::new();
        let mut parked = Vec::new();
        for (place, role) in self.roles.into_iter().enumerate() {
            let end = begun + share.end(place);
            let Role { name, tasks, servers, stop_serving, mut workers } = role;
            stop_serving.start();
            let served = all_served(end, servers).await;
            let unfinished_tasks = tasks.finished(end.saturating_duration_since(Instant::now())).await;
            for worker in &workers {
                worker.stop.start();
            }
            for worker in &mut workers {
                worker.at_rest(end).await;
            }
            parked.push(workers);
            reports.push(Drained { role: name, served, unfinished_tasks, unfinished_workers: Vec::new() });
        }
        // Workers that close a database wait for this moment, when no other role can need it either.
        parked.iter().flatten().for_each(|worker| worker.stop.close());
        let end = begun + share.grace;
        for (report, workers) in reports.iter_mut().zip(parked) {
            for worker in workers {
                let Some(handle) = worker.handle else { continue };
                if until(end, handle).await.is_none() {
                    report.unfinished_workers.push(worker.name);
                }
            }
        }
        self.checks_drain.start();
        until(end, self.checks).await;
        reports
    }
}

/// How the grace is shared out. Half of it is for whoever needs it, the other half belongs to the roles and, as the last
/// one, the closing of databases, an equal part each.
struct Share {
    grace: StdDuration,
    /// Roles.
    count: usize,
}

impl Share {
    /// When the role at this place must be done, counted from the beginning of the drain.
    fn end(&self, place: usize) -> StdDuration {
        let parties = u32::try_from(self.count + 1).unwrap_or(u32::MAX);
        let later = u32::try_from(self.count.saturating_sub(place)).unwrap_or(u32::MAX);
        self.grace.saturating_sub(self.grace / 2 / parties * later)
    }
}

impl RunningWorker {
    /// Waits until it has ended or only waits for [`Drain::closing`], at most to `end`.
    async fn at_rest(&mut self, end: Instant) {
        let Some(handle) = &mut self.handle else { return };
        tokio::select! {
            _ = handle => self.handle = None,
            () = self.stop.parked() => {}
            () = tokio::time::sleep_until(end) => {}
        }
    }
}

/// Runs in the telemetry of a role, so that spans without a parent are the role's and not the process's.
fn in_role<T: Send + 'static>(
    telemetry: &Telemetry,
    future: impl Future<Output = T> + Send + 'static,
) -> JoinHandle<T> {
    waypost_telemetry::spawn(waypost_telemetry::with_context(telemetry.context(), future))
}

/// A worker that ends before the drain has failed, whatever it says.
async fn supervise(
    name: String,
    work: impl Future<Output = ()> + Send + 'static,
    drain: Drain,
    health: Health,
) {
    // In a task of its own, so that a panic is seen here instead of being lost.
    let outcome = waypost_telemetry::spawn(work).await;
    if !drain.is_draining() || outcome.is_err() {
        tracing::error!(
            worker = name,
            panicked = outcome.is_err(),
            "a worker ended early; restart the process"
        );
        health.report_dead(&name);
    }
}

/// What the listeners of a role did together; `None` when there are none, or one did not end in time.
async fn all_served(end: Instant, servers: Vec<JoinHandle<Served>>) -> Option<Served> {
    let mut all: Option<Served> = None;
    for served in join_all(servers.into_iter().map(|server| until(end, server))).await {
        all = Some(all.unwrap_or_default().with(served?));
    }
    all
}

/// The result of a task that ends in time and without a panic.
async fn until<T>(end: Instant, mut task: JoinHandle<T>) -> Option<T> {
    let at_least_a_moment = end.max(Instant::now() + StdDuration::from_millis(50));
    let ended = tokio::time::timeout_at(at_least_a_moment, &mut task).await;
    if ended.is_err() {
        task.abort();
    }
    ended.ok()?.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_comes_later_keeps_a_part_of_the_grace() {
        let share = Share { grace: StdDuration::from_secs(20), count: 4 };
        let ends: Vec<u64> = (0..4).map(|place| share.end(place).as_secs()).collect();
        assert_eq!(ends, [12, 14, 16, 18]);
    }
}

//! Whether the process lives and whether it may be given work.
//!
//! `/livez` asks nothing of others: it fails only when a worker has died, which a restart cures. `/readyz` is the
//! sum of the roles' [`Check`]s, the start and the drain. `grpc.health.v1` tells the same to gRPC callers.
//!
//! Checks run on a schedule and are remembered, so that probes cost nothing; a check changes its verdict only
//! after several equal results in a row, so that one slow answer of a shared database does not take every
//! replica out of service at the same moment.
//!
//! tonic-health starts its overall service as SERVING (0.14.9, `server.rs`). Here the answer is computed from
//! the one state, which begins as not ready.

mod check;
mod grpc;

use self::check::Verdict;
use crate::{Check, Drain};
use std::{
    collections::BTreeMap,
    fmt::Write as _,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::{Notify, watch};
use waypost_settings::{Duration, settings};
use waypost_telemetry::opentelemetry::Context;

/// Time between two runs of the checks until the process is ready for the first time.
const START_INTERVAL: std::time::Duration = std::time::Duration::from_millis(50);

settings! {
    /// How readiness is found out.
    pub struct HealthSettings {
        /// Time between two runs of the checks.
        pub interval: Duration = Duration::from_secs(2),
        /// Time a check may take; then it counts as failed.
        pub timeout: Duration = Duration::from_secs(1),
        /// Failures in a row until a ready role is not ready.
        pub failures: u32 = 3,
        /// Successes in a row until a role that failed is ready again. The first success after the start is enough.
        pub successes: u32 = 2,
    }
}

/// The health of a process. Cheap to clone; all clones are one.
#[derive(Clone, Debug)]
pub struct Health {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    settings: HealthSettings,
    state: Mutex<State>,
    readiness: watch::Sender<Readiness>,
    check_soon: Notify,
}

#[derive(Debug, Default)]
struct State {
    phase: Phase,
    roles: BTreeMap<String, Vec<Tracked>>,
    dead: Vec<String>,
}

/// What follows from the state, for those who wait for a change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Readiness {
    process: bool,
    roles: BTreeMap<String, bool>,
    is_draining: bool,
}

impl Readiness {
    fn of(state: &State) -> Readiness {
        let may_work = state.phase != Phase::Draining && state.dead.is_empty();
        let passes = |checks: &Vec<Tracked>| {
            checks.iter().all(|tracked| tracked.check.is_advisory || tracked.verdict.failure().is_none())
        };
        let roles: BTreeMap<String, bool> =
            state.roles.iter().map(|(role, checks)| (role.clone(), may_work && passes(checks))).collect();
        Readiness {
            process: state.phase == Phase::Running && may_work && roles.values().all(|ready| *ready),
            roles,
            is_draining: state.phase == Phase::Draining,
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    Starting,
    Running,
    Draining,
}

#[derive(Debug)]
struct Tracked {
    check: Check,
    verdict: Verdict,
}

impl Health {
    /// Not ready until [`Health::started`].
    pub fn new(settings: HealthSettings) -> Health {
        let (readiness, check_soon) = (watch::Sender::default(), Notify::new());
        Health { shared: Arc::new(Shared { settings, state: Mutex::default(), readiness, check_soon }) }
    }

    /// Adds a role that is built and served, with what it needs. A role without checks is ready at once.
    pub fn add(&self, role: &str, checks: Vec<Check>) {
        let tracked = checks.into_iter().map(|check| Tracked { check, verdict: Verdict::default() });
        self.update(|state| state.roles.entry(role.to_owned()).or_default().extend(tracked));
        self.shared.check_soon.notify_one();
    }

    /// All roles are added: from now on the process is ready when all of them are.
    pub fn started(&self) {
        self.update(|state| {
            if state.phase == Phase::Starting {
                state.phase = Phase::Running;
            }
        });
    }

    /// Not ready from now on, for good. In-flight work is not touched.
    pub fn drain(&self) {
        self.update(|state| state.phase = Phase::Draining);
    }

    /// A part has ended that must run for as long as the process: neither live nor ready any more.
    pub fn report_dead(&self, part: &str) {
        self.update(|state| state.dead.push(part.to_owned()));
    }

    /// Whether work may be given to every role.
    pub fn is_ready(&self) -> bool {
        self.shared.readiness.borrow().process
    }

    /// Whether work may be given to one role. Does not depend on other roles of the process: they may wait for it.
    pub fn is_role_ready(&self, role: &str) -> bool {
        self.shared.readiness.borrow().roles.get(role).copied().unwrap_or_default()
    }

    /// Completes when work may be given. Cancel safe.
    pub async fn ready(&self) {
        // The sender lives in `self`, so waiting cannot fail.
        self.shared.readiness.subscribe().wait_for(|readiness| readiness.process).await.ok();
    }

    /// Whether a restart would not help.
    pub fn is_live(&self) -> bool {
        self.lock().dead.is_empty()
    }

    /// One line a check, for people: `ok order/database` or `failed order/database: timed out`; `warn ...` where an
    /// operator is needed although work may be given.
    pub fn report(&self) -> String {
        let state = self.lock();
        let mut text = String::new();
        let phase = match state.phase {
            Phase::Starting => "failed process: starting",
            Phase::Running => "ok process",
            Phase::Draining => "failed process: draining",
        };
        // Writing to a String cannot fail.
        writeln!(text, "{phase}").ok();
        for part in &state.dead {
            writeln!(text, "failed {part}: ended early").ok();
        }
        for (role, checks) in &state.roles {
            for Tracked { check, verdict } in checks {
                match verdict.failure() {
                    None => writeln!(text, "ok {role}/{}", check.name).ok(),
                    Some(reason) if check.is_advisory => {
                        writeln!(text, "warn {role}/{}: {reason}", check.name).ok()
                    }
                    Some(reason) => writeln!(text, "failed {role}/{}: {reason}", check.name).ok(),
                };
            }
        }
        text
    }

    /// Runs the checks on their schedule until the drain; more often until the process is ready for the first time.
    pub async fn watch(self, drain: Drain) {
        let mut is_first_wait = true;
        loop {
            self.check_once().await;
            is_first_wait &= !self.is_ready();
            let pause = if is_first_wait { START_INTERVAL } else { self.shared.settings.interval.get() };
            tokio::select! {
                biased;
                () = drain.started() => return,
                () = self.shared.check_soon.notified() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Runs each check once, all side by side.
    pub async fn check_once(&self) {
        let checks: Vec<(String, Check)> = {
            let state = self.lock();
            let of_role = |(role, checks): (&String, &Vec<Tracked>)| {
                checks.iter().map(|tracked| (role.clone(), tracked.check.clone())).collect::<Vec<_>>()
            };
            state.roles.iter().flat_map(of_role).collect()
        };
        let limit = self.shared.settings.timeout.get();
        let results = checks.into_iter().map(|(role, check)| {
            // A probe every few seconds is not a trace that anybody looks for.
            let unseen = Context::current().with_telemetry_suppressed();
            waypost_telemetry::with_context(unseen, async move {
                let result = tokio::time::timeout(limit, (check.probe)()).await;
                (role, check.name, result.unwrap_or_else(|_| Err("timed out".to_owned())))
            })
        });
        let results = futures_util::future::join_all(results).await;
        let HealthSettings { failures, successes, .. } = self.shared.settings;
        self.update(|state| {
            for (role, name, result) in results {
                let checks = state.roles.get_mut(&role).into_iter().flatten();
                if let Some(tracked) = checks.into_iter().find(|tracked| tracked.check.name == name) {
                    tracked.verdict.learn(result, failures, successes);
                }
            }
        });
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn update(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.lock();
        change(&mut state);
        let now = Readiness::of(&state);
        let turned = self.shared.readiness.borrow().process != now.process;
        let is_ready = now.process;
        self.shared.readiness.send_if_modified(|before| {
            let changes = *before != now;
            *before = now;
            changes
        });
        drop(state);
        if turned {
            tracing::info!(is_ready, "readiness changed");
        }
    }
}

impl Default for Health {
    fn default() -> Health {
        Health::new(HealthSettings::default())
    }
}

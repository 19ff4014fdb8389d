//! Private PostgreSQL, Redis, Memcached, Kafka, etcd, NATS, RabbitMQ and MongoDB, and what shows telemetry: found or installed, started on free ports of 127.0.0.1, and ended with whoever
//! started them.
//!
//! For `cargo xtask test` and `cargo xtask stack`. Each server is a child with a folder of its own that holds its data and
//! its log. Nothing is shared with servers that run on the machine otherwise.
//!
//! Invariants:
//! - No server outlives its owner, however that ends: the kernel ends the child with its parent (on Linux), and the
//!   folder that a killed owner leaves is removed by the next one.
//! - A server counts as started when it answers, not before.
//! - A variable that is set already is taken as it is, and its server is not started.

mod etcd;
mod folder;
mod java;
mod kafka;
mod memcached;
mod mongodb;
mod nats;
mod observability;
mod port;
mod postgres;
mod process;
mod rabbitmq;
mod redis;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::Context as _;

pub(crate) use folder::{Folder, make as make_folder, own_user};
use process::{Failed, Process};

use crate::needs::{Variable, tell};

/// Starts on ports that were free a moment ago; more than one is needed when somebody else was quicker.
const TRIES: u32 = 5;

/// How often it is looked whether a server has ended.
const LOOK: Duration = Duration::from_millis(200);

/// A kind of server.
struct Kind {
    name: &'static str,
    /// The variable that leads tests to it.
    variable: &'static str,
    find: fn(target: &Path) -> anyhow::Result<Box<dyn Program>>,
}

const KINDS: [Kind; 8] = [
    Kind { name: "PostgreSQL", variable: "TEST_POSTGRES_URL", find: postgres::find },
    Kind { name: "Redis", variable: "TEST_REDIS_URL", find: redis::find },
    Kind { name: "Memcached", variable: "TEST_MEMCACHED_URL", find: memcached::find },
    Kind { name: "Kafka", variable: "TEST_KAFKA", find: kafka::find },
    Kind { name: "etcd", variable: "TEST_ETCD_URL", find: etcd::find },
    Kind { name: "MongoDB", variable: "TEST_MONGODB_URL", find: mongodb::find },
    Kind { name: "RabbitMQ", variable: "TEST_RABBITMQ_URL", find: rabbitmq::find },
    Kind { name: "NATS", variable: "TEST_NATS_URL", find: nats::find },
];

/// An installed server.
trait Program {
    /// What it is and where, in a few words.
    fn description(&self) -> String;

    /// What tests need to start one of their own.
    fn variables(&self) -> Vec<Variable> {
        Vec::new()
    }

    /// Starts it in an empty folder, on free ports, and waits until it answers.
    fn start(&self, folder: &Path) -> Result<Started, Failed>;
}

/// A server that answers, and where.
struct Started {
    process: Process,
    /// The value of its kind's variable.
    address: String,
    /// More that tests are to know of it.
    more: Vec<Variable>,
}

impl Started {
    fn at(process: Process, address: String) -> Self {
        Self { process, address, more: Vec::new() }
    }
}

/// Which servers there are to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Set {
    /// Those that keep what the shop has.
    BackEnds,
    /// Those, and what shows telemetry.
    WithObservability,
}

/// The servers that are up, and what became of the others.
pub(crate) struct Servers {
    running: Arc<Mutex<Vec<Running>>>,
    variables: Vec<Variable>,
}

struct Running {
    name: &'static str,
    process: Process,
    is_told: bool,
}

impl Servers {
    /// Starts each in a folder of its own under `folder`, and says what became of each. What cannot be had is said and left out;
    /// the tests that need it fail, but for those of telemetry, which are left out as well.
    pub(crate) fn start(target: &Path, folder: &Path, set: Set) -> Self {
        let mut starting = Starting { folder, running: Vec::new(), variables: Vec::new(), missing: MISSING };
        for kind in &KINDS {
            starting.add(kind.name, kind.variable, || (kind.find)(target));
        }
        if set == Set::WithObservability {
            starting.missing = "LEFT OUT, with the tests that use it";
            observability::start(&mut starting, target);
        }
        Self { running: Arc::new(Mutex::new(starting.running)), variables: starting.variables }
    }

    /// What leads tests to the servers.
    pub(crate) fn variables(&self) -> &[Variable] {
        &self.variables
    }

    /// One line for each server that has ended since it was started, with the last that it said.
    pub(crate) fn ended(&self) -> Vec<String> {
        lock(&self.running).iter_mut().filter_map(Running::ended).collect()
    }

    /// Tells of each server that ends from now on, at once and once.
    pub(crate) fn watch(&self) {
        let running = Arc::downgrade(&self.running);
        thread::spawn(move || {
            while let Some(running) = running.upgrade() {
                for server in lock(&running).iter_mut().filter(|server| !server.is_told) {
                    if let Some(line) = server.ended() {
                        server.is_told = true;
                        tell(&format!("servers: {line}\n"));
                    }
                }
                drop(running);
                thread::sleep(LOOK);
            }
        });
    }

    /// Ends all of them and waits until they are gone. Those that ended before are told.
    pub(crate) fn stop(self) {
        for line in self.ended() {
            tell(&format!("servers: {line}\n"));
        }
        // Not by dropping the list: the watch may hold it at this moment.
        lock(&self.running).clear();
    }
}

/// What is said of a server that tests cannot do without.
const MISSING: &str = "NOT THERE, tests that need it fail";

/// The servers so far.
struct Starting<'a> {
    folder: &'a Path,
    running: Vec<Running>,
    variables: Vec<Variable>,
    /// What is said of one that cannot be had.
    missing: &'static str,
}

impl Starting<'_> {
    /// Starts a server, unless its variable is set, and says what became of it.
    fn add(
        &mut self,
        name: &'static str,
        variable: &'static str,
        find: impl FnOnce() -> anyhow::Result<Box<dyn Program>>,
    ) {
        if let Some(set) = std::env::var_os(variable).filter(|value| !value.is_empty()) {
            tell(&format!("servers: {name}: {variable}={} is set and taken\n", set.display()));
            self.variables.push((variable, set));
            return;
        }
        let started = find().and_then(|program| {
            let started = start(program.as_ref(), &self.folder.join(name.to_lowercase()))?;
            Ok((program, started))
        });
        match started {
            Ok((program, Started { process, address, more })) => {
                tell(&format!("servers: {name}: {variable}={address} ({})\n", program.description()));
                self.variables.push((variable, address.into()));
                self.variables.extend(program.variables());
                self.variables.extend(more);
                self.running.push(Running { name, process, is_told: false });
            }
            Err(reason) => tell(&format!("servers: {name}: {}: {reason:#}\n", self.missing)),
        }
    }

    /// What a variable of the servers so far says.
    fn address(&self, variable: &str) -> Option<String> {
        let found = self.variables.iter().find(|(name, _)| *name == variable);
        found.map(|(_, value)| value.to_string_lossy().into_owned())
    }
}

impl Running {
    fn ended(&mut self) -> Option<String> {
        self.process.ended().map(|how| format!("{} ended: {how}", self.name))
    }
}

fn lock(running: &Mutex<Vec<Running>>) -> MutexGuard<'_, Vec<Running>> {
    // Whole between any two statements, so a panic elsewhere does not spoil it.
    running.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts a server, again on other ports when somebody else was quicker.
fn start(program: &dyn Program, folder: &Path) -> anyhow::Result<Started> {
    let mut tries = 1;
    loop {
        folder::empty(folder)?;
        match program.start(folder) {
            Err(Failed { is_in_use: true, .. }) if tries < TRIES => tries += 1,
            outcome => return outcome.map_err(|failed| failed.reason).context("it did not start"),
        }
    }
}

#[cfg(test)]
mod tests;

//! Rates, errors and latencies of services, operations and the calls between them, and the names that occur: kept
//! while spans come in, so that no page ever scans for them.
//!
//! For the service page, the map, autocomplete, and the `services`, `operations` and `dependencies` calls of the query
//! APIs. A [`Statistics`] is a cheap handle that threads share.
//!
//! Invariants:
//! - Memory is bounded by [`Bounds`], whatever names a client invents; what is beyond a bound is counted under
//!   [`OTHER`] or, for autocomplete, left out and said so.
//! - Time is the time of arrival, an argument; spans with clocks far off count when they came.
//! - `restore(checkpoint())` answers every question as before.
//!
//! Left out: IO. The store says when to write a checkpoint.

mod checkpoint;
mod deployments;
mod graph;
mod hours;
mod names;
mod peer;
mod pending;
mod seen;
mod series;
mod sketch;
mod state;
mod steps;
mod totals;
mod windows;
mod wire;

pub use deployments::Deployment;
pub use hours::Hour;
pub use steps::{LatencyCount, MAX_STEPS, Step, Steps, StepsError, Subject, latency_bound};
pub use totals::{EdgeTotals, OperationTotals, Totals};

use state::State;
use std::{
    fmt,
    ops::Range,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use waypost_trace_model::{Batch, Kind, Text, TraceId};

/// The name that stands for everything beyond a bound.
pub const OTHER: &str = "(other)";

/// Bytes of the longest name of a service, an operation, a host or another peer that is kept.
const NAME_BYTES: usize = 1024;

/// How much is kept. A name of more than 1 KiB counts as beyond its bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Services.
    pub services: usize,
    /// Operations of one service. Those of all services together are bounded by 10,000.
    pub operations: usize,
    /// Edges of the map, and its points that are no services.
    pub edges: usize,
    /// Attribute keys of one scope.
    pub keys: usize,
    /// Values of one key.
    pub values: usize,
    /// Spans that wait for their other half to become an edge.
    pub pending: usize,
}

impl Default for Bounds {
    fn default() -> Bounds {
        Bounds { services: 500, operations: 500, edges: 5_000, keys: 1_000, values: 100, pending: 50_000 }
    }
}

/// Where an attribute stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AttributeScope {
    /// On the span.
    Span,
    /// On its resource.
    Resource,
    /// On one of its events.
    Event,
    /// On one of its links.
    Link,
}

/// Calls, errors and latencies in a window of time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Red {
    /// Calls.
    pub calls: u64,
    /// Calls that failed.
    pub errors: u64,
    /// Latencies in nanoseconds, each within 2 % of a measured one; 0 without calls.
    pub p50: u64,
    /// As `p50`.
    pub p95: u64,
    /// As `p50`.
    pub p99: u64,
    /// A recent trace, the slowest trace, and a failed one, as far as there are such.
    pub examples: Examples,
}

/// Traces to look at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Examples {
    /// The latest.
    pub recent: Option<TraceId>,
    /// The slowest of the window.
    pub slowest: Option<TraceId>,
    /// The latest that failed.
    pub failed: Option<TraceId>,
}

/// A service's figures: of its SERVER and CONSUMER spans, or, when it has none, of its root spans.
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceFigures {
    /// Its name.
    pub service: Text,
    /// How many operations it has.
    pub operations: u64,
    /// Its figures.
    pub red: Red,
}

/// An operation's figures.
#[derive(Clone, Debug, PartialEq)]
pub struct OperationFigures {
    /// Name of its spans.
    pub name: Text,
    /// Kind of its spans.
    pub kind: Kind,
    /// Its figures.
    pub red: Red,
}

/// What a point of the map is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PeerKind {
    /// A service that sends spans.
    Service,
    /// Whoever calls a service without sending spans: the outside.
    Caller,
    /// A database, by `db.system.name` (or `db.system`) and namespace.
    Database,
    /// A cache, such as redis, memcached or an in-process one.
    Cache,
    /// A broker, by `messaging.system` and destination.
    Messaging,
    /// Another host that sends no spans, by `server.address`.
    External,
}

impl PeerKind {
    /// Every kind. Checkpoints know a kind by its place here.
    pub const ALL: [PeerKind; 6] = [
        PeerKind::Service,
        PeerKind::Caller,
        PeerKind::Database,
        PeerKind::Cache,
        PeerKind::Messaging,
        PeerKind::External,
    ];

    /// The word that stands for it.
    pub fn name(self) -> &'static str {
        match self {
            PeerKind::Service => "service",
            PeerKind::Caller => "caller",
            PeerKind::Database => "database",
            PeerKind::Cache => "cache",
            PeerKind::Messaging => "messaging",
            PeerKind::External => "external",
        }
    }

    /// The kind that a word stands for.
    pub fn from_name(name: &str) -> Option<PeerKind> {
        PeerKind::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// One point of the map.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Peer {
    /// What it is.
    pub kind: PeerKind,
    /// Its name.
    pub name: Text,
}

impl Peer {
    /// As it is written on the map: `database:postgresql/orders`.
    pub fn id(&self) -> String {
        format!("{}:{}", self.kind.name(), self.name)
    }
}

/// Calls from one point of the map to another.
#[derive(Clone, Debug, PartialEq)]
pub struct Edge {
    /// Who calls.
    pub from: Peer,
    /// Who is called.
    pub to: Peer,
    /// Its figures, as the caller measured them where it did.
    pub red: Red,
}

/// Names for a search box.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Suggestions {
    /// The names, the most frequent first.
    pub names: Vec<Text>,
    /// True when there are, or were, more than are kept or were asked for.
    pub is_partial: bool,
}

/// Why a checkpoint cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the checkpoint of the statistics cannot be read: {0}")]
pub struct RestoreError(pub String);

/// Shared figures and names. Cloning gives another handle to the same.
#[derive(Clone)]
pub struct Statistics {
    state: Arc<Mutex<State>>,
}

impl Statistics {
    /// Empty, with these bounds.
    pub fn new(bounds: Bounds) -> Statistics {
        Statistics::of(State::new(bounds))
    }

    /// Takes the batch into account; `now` is its time of arrival in nanoseconds since 1970.
    pub fn observe(&self, batch: &Batch, now: u64) {
        if !batch.spans.is_empty() {
            self.lock().observe(batch, now);
        }
    }

    /// Every service that was seen, by name.
    pub fn services(&self) -> Vec<Text> {
        self.lock().services()
    }

    /// When the first span arrived (nanoseconds since 1970). A rate over a window that begins
    /// before is one over the time since.
    pub fn first_arrival(&self) -> Option<u64> {
        self.lock().first_arrival()
    }

    /// Names and kinds of the operations of a service, by name.
    pub fn operations(&self, service: &str) -> Vec<(Text, Kind)> {
        self.lock().operations(service)
    }

    /// Figures of every service in a window (nanoseconds since 1970), by name. A service without calls in it is there with
    /// zeros.
    ///
    /// Here and below, a window is answered with the buckets of time that it touches: minutes for the last hour, ten
    /// minutes for the last six, hours for the last day, days for the last week; what came earlier is forgotten.
    pub fn service_figures(&self, window: Range<u64>) -> Vec<ServiceFigures> {
        self.lock().service_figures(&window)
    }

    /// Figures of every operation of a service in a window, by name and kind.
    pub fn operation_figures(&self, service: &str, window: Range<u64>) -> Vec<OperationFigures> {
        self.lock().operation_figures(service, &window)
    }

    /// The edges of the map with calls in a window, by name.
    ///
    /// A call to a host that sends no spans is an edge a minute after it came, when the window reaches that far.
    pub fn edges(&self, window: Range<u64>) -> Vec<Edge> {
        self.lock().graph.sum(&window)
    }

    /// Which versions of a service sent spans, by their beginning; the latest 32 stretches of time.
    pub fn deployments(&self, service: &str) -> Vec<Deployment> {
        let state = self.lock();
        let service = state.service_named(service);
        service.map(|service| service.deployments.list().iter().cloned().collect()).unwrap_or_default()
    }

    /// Attribute keys that contain `part`, whatever case; all scopes when `scope` is `None`.
    pub fn keys(&self, scope: Option<AttributeScope>, part: &str, limit: usize) -> Suggestions {
        self.lock().names.keys(scope, part, limit)
    }

    /// Values of a key that contain `part`, whatever case. Values of more than 256 bytes are not kept.
    pub fn values(&self, scope: Option<AttributeScope>, key: &str, part: &str, limit: usize) -> Suggestions {
        self.lock().names.values(scope, key, part, limit)
    }

    /// Everything, as bytes for [`Statistics::restore`].
    pub fn checkpoint(&self) -> Vec<u8> {
        checkpoint::write(&self.lock())
    }

    /// From a checkpoint. When it was made with larger bounds, what is beyond these is counted under [`OTHER`].
    pub fn restore(bounds: Bounds, checkpoint: &[u8]) -> Result<Statistics, RestoreError> {
        checkpoint::read(bounds, checkpoint).map(Statistics::of)
    }

    fn of(state: State) -> Statistics {
        Statistics { state: Arc::new(Mutex::new(state)) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Counts may be short by a batch after a panic, which is better than no figures at all.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Statistics {
    fn default() -> Statistics {
        Statistics::new(Bounds::default())
    }
}

impl fmt::Debug for Statistics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Statistics").finish_non_exhaustive()
    }
}

//! What a pool is doing: the metrics `db.client.connection.*` of the conventions.
//!
//! How many connections there are is read from the pool when somebody asks. How long a connection was waited for, made
//! and used is measured where a wrapped pool hands it out, so what is taken from the pool behind its back is not seen.

use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{AsyncInstrument, Counter, Meter};

use crate::core::clock::{HandleClock, Timer};
use crate::core::handle::Telemetry;
use crate::core::readings::database::ConnectionDurations;
use crate::core::series::{self, DurationSeries};

const POOL: &str = "db.client.connection.pool.name";
const STATE: &str = "db.client.connection.state";

/// A pool as far as it is counted.
pub(super) trait Counted: Send + Sync {
    /// Connections, idle or used.
    fn size(&self) -> i64;
    /// Of those, the idle ones.
    fn idle(&self) -> i64;
    /// How many there may be, if the pool tells.
    fn max(&self) -> Option<i64>;
    /// How many it keeps though nobody needs them, if it tells.
    fn min(&self) -> Option<i64>;
}

/// The instruments of one pool.
pub(super) struct PoolMetrics {
    name: Arc<str>,
    clock: HandleClock,
    counted: Box<dyn Counted>,
    pending: AtomicI64,
    timeouts: Counter<u64>,
    created: DurationSeries<Name>,
    waited: DurationSeries<Name>,
    used: DurationSeries<Name>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Name(Arc<str>);

impl series::Labels for Name {
    fn build(&self) -> Vec<KeyValue> {
        vec![KeyValue::new(POOL, Arc::clone(&self.0))]
    }
}

impl PoolMetrics {
    /// Instruments that show the pool until the last one who uses it is gone.
    pub(super) fn observed(telemetry: &Telemetry, name: Arc<str>, pool: impl Counted + 'static) -> Arc<Self> {
        let meter = telemetry.meter();
        let ConnectionDurations { created, waited, used } = ConnectionDurations::new(meter);
        let series = |durations| DurationSeries::new(durations, telemetry);
        let metrics = Arc::new(Self {
            name,
            clock: telemetry.clock().clone(),
            counted: Box::new(pool),
            pending: AtomicI64::new(0),
            timeouts: meter
                .u64_counter("db.client.connection.timeouts")
                .with_unit("{timeout}")
                .with_description(
                    "The number of connection timeouts that have occurred trying to obtain a connection from the pool.",
                )
                .build(),
            created: series(created),
            waited: series(waited),
            used: series(used),
        });
        if telemetry.metrics().is_on() {
            observe(meter, &metrics);
        }
        metrics
    }

    /// Somebody waits for a connection from here on.
    pub(super) fn ask(self: &Arc<Self>) -> Asked {
        self.pending.fetch_add(1, Ordering::Relaxed);
        let makes_one =
            self.counted.idle() == 0 && self.counted.max().is_some_and(|max| self.counted.size() < max);
        Asked { pool: Arc::clone(self), timer: self.clock.timer(), makes_one }
    }

    fn labels(&self) -> Name {
        Name(Arc::clone(&self.name))
    }
}

/// One who waits for a connection.
pub(super) struct Asked {
    pool: Arc<PoolMetrics>,
    timer: Timer,
    /// No connection was idle and there was room for another, so this one made its own.
    makes_one: bool,
}

impl Asked {
    /// It has its connection. Tells how long it waited.
    pub(super) fn served(self) -> (InUse, Duration) {
        let (pool, waited) = (&self.pool, self.timer.elapsed());
        pool.waited.record(pool.labels(), waited.as_secs_f64());
        if self.makes_one {
            pool.created.record(pool.labels(), waited.as_secs_f64());
        }
        (InUse { pool: Arc::clone(pool), timer: Some(pool.clock.timer()) }, waited)
    }

    /// It has none, as the time it would wait was over.
    pub(super) fn timed_out(self) {
        self.pool.timeouts.add(1, &[KeyValue::new(POOL, Arc::clone(&self.pool.name))]);
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.pool.pending.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A connection that is used.
pub(super) struct InUse {
    pool: Arc<PoolMetrics>,
    /// `None`: nobody can tell how long.
    timer: Option<Timer>,
}

impl InUse {
    /// It goes to somebody who does not tell when it is given back: how long it is used is not measured.
    pub(super) fn given_away(mut self) {
        self.timer = None;
    }
}

impl Drop for InUse {
    fn drop(&mut self) {
        if let Some(timer) = &self.timer {
            self.pool.used.record(self.pool.labels(), timer.elapsed().as_secs_f64());
        }
    }
}

impl fmt::Debug for InUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InUse").field("pool", &self.pool).finish_non_exhaustive()
    }
}

fn observe(meter: &Meter, metrics: &Arc<PoolMetrics>) {
    let pool = Arc::downgrade(metrics);
    let count = "The number of connections that are currently in state described by the state attribute.";
    level(meter, "db.client.connection.count", "{connection}", count, pool, |pool, observer| {
        let (size, idle) = (pool.counted.size(), pool.counted.idle());
        // The two are read one after the other.
        for (state, count) in [("idle", idle), ("used", (size - idle).max(0))] {
            let labels = [KeyValue::new(POOL, Arc::clone(&pool.name)), KeyValue::new(STATE, state)];
            observer.observe(count, &labels);
        }
    });
    let one = |name, unit, description, read: fn(&PoolMetrics) -> Option<i64>| {
        level(meter, name, unit, description, Arc::downgrade(metrics), move |pool, observer| {
            if let Some(value) = read(pool) {
                observer.observe(value, &[KeyValue::new(POOL, Arc::clone(&pool.name))]);
            }
        });
    };
    let connection = "{connection}";
    let idle_max = "The maximum number of idle open connections allowed.";
    one("db.client.connection.idle.max", connection, idle_max, |pool| pool.counted.max());
    let idle_min = "The minimum number of idle open connections allowed.";
    one("db.client.connection.idle.min", connection, idle_min, |pool| pool.counted.min());
    let max = "The maximum number of open connections allowed.";
    one("db.client.connection.max", connection, max, |pool| pool.counted.max());
    let pending = "The number of current pending requests for an open connection.";
    one("db.client.connection.pending_requests", "{request}", pending, |pool| {
        Some(pool.pending.load(Ordering::Relaxed))
    });
}

/// A level that is read while there is a pool.
fn level(
    meter: &Meter,
    name: &'static str,
    unit: &'static str,
    description: &'static str,
    pool: Weak<PoolMetrics>,
    read: impl Fn(&PoolMetrics, &dyn AsyncInstrument<i64>) + Send + Sync + 'static,
) {
    let observe = move |observer: &dyn AsyncInstrument<i64>| {
        if let Some(pool) = pool.upgrade() {
            read(&pool, observer);
        }
    };
    let level = meter.i64_observable_up_down_counter(name).with_unit(unit).with_description(description);
    level.with_callback(observe).build();
}

impl fmt::Debug for PoolMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PoolMetrics").field("name", &self.name).finish_non_exhaustive()
    }
}

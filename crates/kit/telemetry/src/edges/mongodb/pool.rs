//! What the driver's pools of connections tell: the metrics `db.client.connection.*` of the conventions, one pool a server.
//!
//! Not how many wait for a connection: the driver does not tell of those who stop waiting. Nor how many waited too long: it
//! knows no such limit.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mongodb::event::cmap::{CmapEvent, ConnectionPoolOptions};
use mongodb::options::ServerAddress;
use opentelemetry::KeyValue;
use opentelemetry::metrics::{AsyncInstrument, Histogram, Meter};

use crate::core::clock::{HandleClock, Timer};
use crate::core::handle::Telemetry;
use crate::core::readings::database::ConnectionDurations;

const POOL: &str = "db.client.connection.pool.name";
const STATE: &str = "db.client.connection.state";

/// How many connections a pool may have that is told nothing else, as the driver has it.
const DEFAULT_MAX: u32 = 10;

/// The pools of one client.
pub(super) struct Pools {
    known: Arc<Mutex<HashMap<ServerAddress, Pool>>>,
    durations: ConnectionDurations,
    clock: HandleClock,
}

/// What is known of one.
#[derive(Debug)]
struct Pool {
    name: KeyValue,
    max: i64,
    min: i64,
    /// Since when each open connection is used; `None` for one that is not.
    connections: HashMap<u32, Option<Timer>>,
}

impl Pools {
    pub(super) fn new(telemetry: &Telemetry) -> Self {
        let meter = telemetry.meter();
        let pools = Self {
            known: Arc::default(),
            durations: ConnectionDurations::new(meter),
            clock: telemetry.clock().clone(),
        };
        if telemetry.metrics().is_on() {
            pools.observe(meter);
        }
        pools
    }

    /// A pool or a connection changed.
    pub(super) fn see(&self, event: &CmapEvent) {
        match event {
            CmapEvent::PoolCreated(event) => {
                let options = event.options.clone().unwrap_or_default();
                let pool = Pool::of(&event.address, &options);
                self.lock().insert(event.address.clone(), pool);
            }
            CmapEvent::PoolClosed(event) => drop(self.lock().remove(&event.address)),
            CmapEvent::ConnectionReady(event) => {
                self.record(&self.durations.created, &event.address, event.duration);
                self.change(&event.address, |pool| {
                    pool.connections.insert(event.connection_id, None);
                });
            }
            CmapEvent::ConnectionClosed(event) => {
                self.change(&event.address, |pool| {
                    pool.connections.remove(&event.connection_id);
                });
            }
            CmapEvent::ConnectionCheckedOut(event) => {
                self.record(&self.durations.waited, &event.address, event.duration);
                self.change(&event.address, |pool| {
                    pool.connections.insert(event.connection_id, Some(self.clock.timer()));
                });
            }
            CmapEvent::ConnectionCheckedIn(event) => {
                let mut timer = None;
                self.change(&event.address, |pool| {
                    timer = pool.connections.insert(event.connection_id, None).flatten();
                });
                if let Some(timer) = timer {
                    self.record(&self.durations.used, &event.address, timer.elapsed());
                }
            }
            _ => {}
        }
    }

    fn change(&self, address: &ServerAddress, change: impl FnOnce(&mut Pool)) {
        if let Some(pool) = self.lock().get_mut(address) {
            change(pool);
        }
    }

    fn record(&self, histogram: &Histogram<f64>, address: &ServerAddress, took: Duration) {
        let known = self.lock().get(address).map(|pool| pool.name.clone());
        let name = known.unwrap_or_else(|| name(address));
        histogram.record(took.as_secs_f64(), &[name]);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ServerAddress, Pool>> {
        lock(&self.known)
    }

    fn observe(&self, meter: &Meter) {
        let count = "The number of connections that are currently in state described by the state attribute.";
        self.level(meter, "db.client.connection.count", "{connection}", count, |name, pool, observer| {
            let used = pool.connections.values().filter(|timer| timer.is_some()).count();
            for (state, count) in [("idle", pool.connections.len() - used), ("used", used)] {
                let labels = [name.clone(), KeyValue::new(STATE, state)];
                observer.observe(i64::try_from(count).unwrap_or(i64::MAX), &labels);
            }
        });
        let one = |instrument, description, read: fn(&Pool) -> i64| {
            self.level(meter, instrument, "{connection}", description, move |name, pool, observer| {
                observer.observe(read(pool), std::slice::from_ref(name));
            });
        };
        let max = "The maximum number of open connections allowed.";
        one("db.client.connection.max", max, |pool| pool.max);
        let idle_max = "The maximum number of idle open connections allowed.";
        one("db.client.connection.idle.max", idle_max, |pool| pool.max);
        let idle_min = "The minimum number of idle open connections allowed.";
        one("db.client.connection.idle.min", idle_min, |pool| pool.min);
    }

    /// A level of each pool that is read while the client is there.
    fn level(
        &self,
        meter: &Meter,
        instrument: &'static str,
        unit: &'static str,
        description: &'static str,
        read: impl Fn(&KeyValue, &Pool, &dyn AsyncInstrument<i64>) + Send + Sync + 'static,
    ) {
        let known = Arc::downgrade(&self.known);
        let observe = move |observer: &dyn AsyncInstrument<i64>| {
            if let Some(known) = known.upgrade() {
                for pool in lock(&known).values() {
                    read(&pool.name, pool, observer);
                }
            }
        };
        let level =
            meter.i64_observable_up_down_counter(instrument).with_unit(unit).with_description(description);
        level.with_callback(observe).build();
    }
}

impl Pool {
    fn of(address: &ServerAddress, options: &ConnectionPoolOptions) -> Self {
        Self {
            name: name(address),
            max: options.max_pool_size.unwrap_or(DEFAULT_MAX).into(),
            min: options.min_pool_size.unwrap_or_default().into(),
            connections: HashMap::new(),
        }
    }
}

fn name(address: &ServerAddress) -> KeyValue {
    // Its clones are no copies.
    KeyValue::new(POOL, Arc::<str>::from(address.to_string()))
}

fn lock(known: &Mutex<HashMap<ServerAddress, Pool>>) -> MutexGuard<'_, HashMap<ServerAddress, Pool>> {
    // Whole between any two statements, so a panic elsewhere does not spoil it.
    known.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Pools {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pools").finish_non_exhaustive()
    }
}

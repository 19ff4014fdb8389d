//! What a pool tells in numbers: the metrics of connection pools of the OpenTelemetry conventions
//! (<https://opentelemetry.io/docs/specs/semconv/database/database-metrics/#connection-pools>).

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use waypost_telemetry::Telemetry;
use waypost_telemetry::metrics::{DATABASE_SECONDS, durations};
use waypost_telemetry::opentelemetry::KeyValue;
use waypost_telemetry::opentelemetry::metrics::{Counter, Histogram};

use super::super::Server;
use super::Pool;

const POOL: &str = "db.client.connection.pool.name";
const STATE: &str = "db.client.connection.state";

/// The instruments of one pool.
pub(super) struct Measures {
    pool: [KeyValue; 1],
    used: Arc<AtomicUsize>,
    pending: Arc<AtomicUsize>,
    timeouts: Counter<u64>,
    create_time: Histogram<f64>,
    wait_time: Histogram<f64>,
    use_time: Histogram<f64>,
}

/// A connection that somebody has, until it is dropped.
pub(super) struct Held {
    _used: Counted,
    since: Instant,
    use_time: Histogram<f64>,
    pool: [KeyValue; 1],
}

/// One more, until it is dropped.
pub(super) struct Counted(Arc<AtomicUsize>);

impl Measures {
    /// Those of the pool of this service. What is asked for at each reading, the pool itself answers, as long as it is there.
    pub(super) fn new(
        telemetry: &Telemetry,
        name: &'static str,
        server: &Server,
        pool: Weak<Pool>,
    ) -> Measures {
        let meter = telemetry.meter();
        let label = [KeyValue::new(POOL, name)];
        let (used, pending) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));

        let (of_state, now_used) = (pool.clone(), Arc::clone(&used));
        meter
            .i64_observable_up_down_counter("db.client.connection.count")
            .with_unit("{connection}")
            .with_description("Connections that are in the state that the attribute says.")
            .with_callback(move |observed| {
                let Some(pool) = of_state.upgrade() else { return };
                for (state, count) in [("idle", pool.idle()), ("used", now_used.load(Ordering::Relaxed))] {
                    observed
                        .observe(signed(count), &[KeyValue::new(POOL, name), KeyValue::new(STATE, state)]);
                }
            })
            .build();
        let (of_limit, max) = (pool.clone(), i64::from(server.max_connections.max(1)));
        meter
            .i64_observable_up_down_counter("db.client.connection.max")
            .with_unit("{connection}")
            .with_description("Most connections that are open at once.")
            .with_callback(move |observed| {
                if of_limit.strong_count() > 0 {
                    observed.observe(max, &[KeyValue::new(POOL, name)]);
                }
            })
            .build();
        let now_pending = Arc::clone(&pending);
        meter
            .i64_observable_up_down_counter("db.client.connection.pending_requests")
            .with_unit("{request}")
            .with_description("Units that wait for a connection.")
            .with_callback(move |observed| {
                if pool.strong_count() > 0 {
                    let pending = signed(now_pending.load(Ordering::Relaxed));
                    observed.observe(pending, &[KeyValue::new(POOL, name)]);
                }
            })
            .build();
        let timeouts = meter
            .u64_counter("db.client.connection.timeouts")
            .with_unit("{timeout}")
            .with_description("Units that found no connection free in time.")
            .build();
        let seconds = |name, description| durations(meter, name, description, &DATABASE_SECONDS);
        let create_time =
            seconds("db.client.connection.create_time", "How long it took to open a connection.");
        let wait_time = seconds("db.client.connection.wait_time", "How long a unit waited for a connection.");
        let use_time = seconds("db.client.connection.use_time", "How long a unit had its connection.");
        Measures { pool: label, used, pending, timeouts, create_time, wait_time, use_time }
    }

    /// Somebody waits, until what this gives is dropped.
    pub(super) fn waits(&self) -> Counted {
        Counted::one_more(&self.pending)
    }

    /// Somebody has a connection, until what this gives is dropped.
    pub(super) fn hold(&self) -> Held {
        Held {
            _used: Counted::one_more(&self.used),
            since: Instant::now(),
            use_time: self.use_time.clone(),
            pool: self.pool.clone(),
        }
    }

    /// How many connections units have.
    pub(super) fn held(&self) -> usize {
        self.used.load(Ordering::Acquire)
    }

    pub(super) fn waited(&self, time: Duration) {
        self.wait_time.record(time.as_secs_f64(), &self.pool);
    }

    pub(super) fn timed_out(&self) {
        self.timeouts.add(1, &self.pool);
    }

    pub(super) fn created(&self, time: Duration) {
        self.create_time.record(time.as_secs_f64(), &self.pool);
    }
}

impl Counted {
    fn one_more(counter: &Arc<AtomicUsize>) -> Counted {
        counter.fetch_add(1, Ordering::AcqRel);
        Counted(Arc::clone(counter))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.use_time.record(self.since.elapsed().as_secs_f64(), &self.pool);
    }
}

fn signed(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

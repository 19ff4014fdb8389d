//! What a tokio runtime says of itself, as far as its stable interface goes.
//!
//! The conventions have no names for it. Poll times and the queues of single workers are not among the stable counters of
//! tokio; whether tasks wait shows in the depth of the global queue and in how busy the workers are.

use opentelemetry::KeyValue;
use opentelemetry::metrics::AsyncInstrument;
use tokio::runtime::Handle;

use crate::core::handle::Telemetry;

/// Workers that are counted, one by one.
const MAX_WORKERS: usize = 64;

/// Observes a tokio runtime whenever metrics are read: workers, living tasks, tasks that wait in the global queue, and for each
/// worker how long it was busy and how often it went to sleep. Call it once for each runtime and handle; `runtime` is a name
/// that tells runtimes of one process apart.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// use waypost_telemetry::metrics::{observe_runtime, render_prometheus, sample};
/// use waypost_telemetry::testing::TestTelemetry;
///
/// let telemetry = TestTelemetry::new("order-service");
/// observe_runtime(&telemetry, "main", &tokio::runtime::Handle::current());
/// let page = render_prometheus(&[telemetry.handle().clone()]);
/// assert_eq!(sample(&page, "waypost_tokio_workers", &[("waypost_tokio_runtime", "main")]), Some(1.0));
/// # });
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn observe_runtime(telemetry: &Telemetry, runtime: &'static str, handle: &Handle) {
    let meter = telemetry.meter();
    let named = move || KeyValue::new("waypost.tokio.runtime", runtime);
    let level = |name: &'static str, unit, description, read: fn(&Handle) -> usize| {
        let handle = handle.clone();
        let level = meter.i64_observable_up_down_counter(name).with_unit(unit).with_description(description);
        let observe = move |observer: &dyn AsyncInstrument<i64>| {
            observer.observe(i64::try_from(read(&handle)).unwrap_or(i64::MAX), &[named()]);
        };
        level.with_callback(observe).build();
    };
    level("waypost.tokio.workers", "{thread}", "Threads that run tasks", |handle| {
        handle.metrics().num_workers()
    });
    level("waypost.tokio.tasks", "{task}", "Tasks that were spawned and have not ended", |handle| {
        handle.metrics().num_alive_tasks()
    });
    level("waypost.tokio.global_queue.depth", "{task}", "Tasks that wait for any worker", |handle| {
        handle.metrics().global_queue_depth()
    });

    #[cfg(target_has_atomic = "64")]
    {
        let busy = handle.clone();
        meter
            .f64_observable_counter("waypost.tokio.worker.busy_time")
            .with_unit("s")
            .with_description("Time that a worker was not asleep")
            .with_callback(move |observer| {
                each_worker(&busy, |worker| {
                    let seconds = busy.metrics().worker_total_busy_duration(worker).as_secs_f64();
                    observer.observe(seconds, &[named(), number(worker)]);
                });
            })
            .build();
        let parked = handle.clone();
        meter
            .u64_observable_counter("waypost.tokio.worker.parks")
            .with_unit("{park}")
            .with_description("Times that a worker had nothing to do and went to sleep")
            .with_callback(move |observer| {
                each_worker(&parked, |worker| {
                    observer.observe(parked.metrics().worker_park_count(worker), &[named(), number(worker)]);
                });
            })
            .build();
    }
}

fn each_worker(handle: &Handle, observe: impl FnMut(usize)) {
    (0..handle.metrics().num_workers().min(MAX_WORKERS)).for_each(observe);
}

fn number(worker: usize) -> KeyValue {
    KeyValue::new("waypost.tokio.worker", i64::try_from(worker).unwrap_or(i64::MAX))
}

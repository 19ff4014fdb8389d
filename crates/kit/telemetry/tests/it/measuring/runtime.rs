//! What a tokio runtime and the process say of themselves.

use waypost_telemetry::metrics::{observe_runtime, render_prometheus, sample};
use waypost_telemetry::testing::TestTelemetry;

use crate::receiver::wait_until;

#[test]
fn a_runtime_tells_its_workers_tasks_and_queue() {
    let telemetry = TestTelemetry::new("s");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(3).build().unwrap();
    observe_runtime(&telemetry, "main", runtime.handle());
    let (tell, told) = tokio::sync::oneshot::channel::<()>();
    let waits = {
        let _entered = runtime.enter();
        waypost_telemetry::spawn(async { told.await.unwrap() })
    };
    let page = render_prometheus(&[telemetry.handle().clone()]);
    let of_main = [("waypost_tokio_runtime", "main")];
    assert_eq!(sample(&page, "waypost_tokio_workers", &of_main), Some(3.0), "{page}");
    assert_eq!(sample(&page, "waypost_tokio_tasks", &of_main), Some(1.0), "{page}");
    assert!(sample(&page, "waypost_tokio_global_queue_depth", &of_main).is_some(), "{page}");
    for worker in ["0", "1", "2"] {
        let of_worker = [of_main[0], ("waypost_tokio_worker", worker)];
        assert!(
            sample(&page, "waypost_tokio_worker_busy_time_seconds_total", &of_worker).is_some(),
            "{page}"
        );
        assert!(sample(&page, "waypost_tokio_worker_parks_total", &of_worker).is_some(), "{page}");
    }
    tell.send(()).unwrap();
    runtime.block_on(waits).unwrap();
    // A task is joined a moment before its runtime forgets it.
    wait_until("the end of the task", || {
        let page = render_prometheus(&[telemetry.handle().clone()]);
        sample(&page, "waypost_tokio_tasks", &of_main) == Some(0.0)
    });
    telemetry.conventions().assert_clean();
}

#[test]
fn the_process_tells_its_context_switches_and_page_faults() {
    let mut settings = TestTelemetry::settings("s");
    settings.metrics.process = true;
    let telemetry = TestTelemetry::with(settings);
    let page = render_prometheus(&[telemetry.handle().clone()]);
    for kind in ["voluntary", "involuntary"] {
        let switches =
            sample(&page, "process_context_switches_total", &[("process_context_switch_type", kind)]);
        assert!(switches.is_some(), "{page}");
    }
    let faults = sample(&page, "process_paging_faults_total", &[("system_paging_fault_type", "minor")]);
    assert!(faults.unwrap() > 0.0, "{page}");
    telemetry.conventions().assert_clean();
}

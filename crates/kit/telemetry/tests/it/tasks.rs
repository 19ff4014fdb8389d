//! Work on other tasks and threads stays in the trace.

use waypost_telemetry::testing::TestTelemetry;
use waypost_telemetry::{JoinSet, Telemetry, in_context, span, spawn_blocking, spawn_thread, trace_id};

#[tokio::test]
async fn blocking_work_stays_in_the_trace() {
    let telemetry = TestTelemetry::new("s");
    let work = telemetry.span("request").observe(async {
        spawn_blocking(|| {
            assert_eq!(Telemetry::current().service_name(), "s");
            span("query").in_scope(|| ());
        })
        .await
        .unwrap();
        tokio::task::spawn_blocking(|| assert!(trace_id().is_none())).await.unwrap();
    });
    work.await;
    telemetry.tree().assert_matches("request INTERNAL s\n  query INTERNAL s");
}

#[tokio::test]
async fn a_set_of_tasks_stays_in_the_trace() {
    let telemetry = TestTelemetry::new("s");
    let work = telemetry.span("request").observe(async {
        let mut tasks = JoinSet::new();
        for n in 0..3_i64 {
            tasks.spawn(span("part").attr("n", n).observe(async move { n }));
        }
        tasks.spawn_blocking(|| span("blocking").in_scope(|| 3));
        let mut all = tasks.join_all().await;
        all.sort_unstable();
        all
    });
    assert_eq!(work.await, [0, 1, 2, 3]);
    telemetry.tree().assert_matches(
        "request INTERNAL s
           part INTERNAL s n=0
           part INTERNAL s n=1
           part INTERNAL s n=2
           blocking INTERNAL s",
    );
}

#[test]
fn a_thread_stays_in_the_trace() {
    let telemetry = TestTelemetry::new("s");
    telemetry.span("request").in_scope(|| {
        spawn_thread(|| span("thread").in_scope(|| ())).join().unwrap();
        let named = std::thread::Builder::new().name("named".to_owned());
        let work = in_context(waypost_telemetry::opentelemetry::Context::current(), || {
            span("named thread").in_scope(|| ());
        });
        named.spawn(work).unwrap().join().unwrap();
    });
    telemetry.tree().assert_matches("request INTERNAL s\n  thread INTERNAL s\n  named thread INTERNAL s");
}

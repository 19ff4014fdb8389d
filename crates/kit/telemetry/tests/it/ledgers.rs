//! Nothing is lost in silence: every span is exported, dropped for a reason, or still open, whatever the receiver
//! does, and no caller waits for it.

use std::time::{Duration, Instant};

use waypost_telemetry::config::Exporter;
use waypost_telemetry::testing::TestTelemetry;
use waypost_telemetry::{DropReason, Outcome, Settings, Telemetry};

use crate::receiver::{HttpReceiver, Manner, PATIENCE, wait_until};

/// Sends at once, gives a batch up soon, and looks nothing up.
fn settings(endpoint: String) -> Settings {
    let mut settings = TestTelemetry::settings("s");
    settings.traces.exporters = vec![Exporter::OtlpHttp];
    settings.traces.batch.delay = Duration::from_millis(5);
    settings.traces.batch.export_timeout = Duration::from_millis(500);
    settings.logs.exporters.clear();
    settings.otlp.endpoint = Some(endpoint);
    settings
}

fn start(settings: Settings) -> Telemetry {
    waypost_telemetry::init(settings).unwrap()
}

fn record(telemetry: &Telemetry, spans: u64) {
    (0..spans).for_each(|_| telemetry.span("a").in_scope(|| ()));
}

#[test]
fn what_the_receiver_got_is_what_the_ledger_says() {
    let receiver = HttpReceiver::start(Manner::Takes);
    let telemetry = start(settings(receiver.endpoint()));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| record(&telemetry, 1_000));
        }
    });
    let open = telemetry.span("open").start();
    let report = telemetry.flush_blocking(PATIENCE);
    assert!(report.complete);
    assert_eq!((report.traces.started, report.traces.ended, report.traces.open()), (4_001, 4_000, 1));
    open.end(Outcome::Ok);

    let report = telemetry.shutdown_blocking(PATIENCE);
    let received: usize = receiver.taken().iter().map(|posted| posted.spans().len()).sum();
    assert!(report.complete && report.traces.is_balanced());
    assert_eq!((report.traces.exported(), report.traces.dropped()), (4_001, 0));
    assert_eq!(received, 4_001);
    assert_eq!(report.to_string(), "spans: 4001 sent");
}

#[test]
fn a_full_queue_drops_and_counts_and_never_waits() {
    let receiver = HttpReceiver::start(Manner::Hangs);
    let mut settings = settings(receiver.endpoint());
    settings.traces.batch.queue_size = 50;
    settings.traces.batch.max_batch = 10;
    settings.traces.batch.export_timeout = PATIENCE;
    let telemetry = start(settings);
    record(&telemetry, 1);
    receiver.next();

    let began = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| record(&telemetry, 500));
        }
    });
    assert!(began.elapsed() < Duration::from_secs(5), "callers waited {:?}", began.elapsed());
    let ledger = telemetry.ledger();
    assert_eq!((ledger.started, ledger.ended), (2_001, 2_001));
    assert_eq!(ledger.exporters[0].pending, 50);
    assert_eq!(ledger.dropped_for(DropReason::QueueFull), 1_951);
    assert!(ledger.is_balanced());
}

#[tokio::test]
async fn a_shutdown_keeps_its_deadline_though_the_receiver_hangs() {
    let receiver = HttpReceiver::start(Manner::Hangs);
    let mut settings = settings(receiver.endpoint());
    settings.traces.batch.export_timeout = PATIENCE;
    let telemetry = start(settings);
    record(&telemetry, 20);
    receiver.next();
    record(&telemetry, 7);

    let began = Instant::now();
    let report = telemetry.shutdown(Duration::from_secs(1)).await;
    assert!(began.elapsed() < PATIENCE, "{:?}", began.elapsed());
    assert_eq!(report.traces.dropped_for(DropReason::ShutdownDeadline), 27);
    assert!(report.traces.is_balanced(), "{report:?}");
    assert_eq!(report.to_string(), "spans: 0 sent, 27 dropped (shutdown_deadline, otlp_http)");
}

#[tokio::test]
async fn a_flush_gives_up_waiting_and_drops_nothing() {
    let receiver = HttpReceiver::start(Manner::Hangs);
    let mut settings = settings(receiver.endpoint());
    settings.traces.batch.export_timeout = PATIENCE;
    let telemetry = start(settings);
    record(&telemetry, 3);
    let report = telemetry.flush(Duration::from_millis(50)).await;
    assert!(!report.complete);
    assert_eq!((report.traces.exporters[0].pending, report.traces.dropped()), (3, 0));
}

#[test]
fn what_the_receiver_will_never_take_is_dropped_at_once() {
    let receiver = HttpReceiver::start(Manner::Answers(400));
    let telemetry = start(settings(receiver.endpoint()));
    record(&telemetry, 5);
    let report = telemetry.flush_blocking(PATIENCE);
    assert!(report.complete);
    assert_eq!(report.traces.dropped_for(DropReason::ExportFailed), 5);
    assert!(report.traces.is_balanced());
    assert_eq!(receiver.taken().len(), 1);
}

#[test]
fn what_may_be_retried_is_sent_once_the_receiver_is_back() {
    let receiver = HttpReceiver::start(Manner::AnswersFirst(2, 503));
    let mut settings = settings(receiver.endpoint());
    settings.traces.batch.export_timeout = PATIENCE;
    let telemetry = start(settings);
    record(&telemetry, 5);
    let report = telemetry.flush_blocking(PATIENCE);
    assert_eq!((report.traces.exported(), report.traces.dropped()), (5, 0));
    assert_eq!(receiver.taken().iter().map(|posted| posted.spans().len()).collect::<Vec<_>>(), [5, 5, 5]);
}

#[test]
fn a_receiver_that_is_down_costs_only_counters() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let telemetry = start(settings(format!("http://{nobody}")));
    record(&telemetry, 5);
    wait_until("giving up", || telemetry.ledger().dropped_for(DropReason::ExportFailed) == 5);
    assert!(telemetry.ledger().is_balanced());
    assert!(telemetry.shutdown_blocking(PATIENCE).complete);
}

#[test]
fn what_a_receiver_refuses_of_a_request_is_counted() {
    let receiver = HttpReceiver::start(Manner::RefusesSpans(2));
    let telemetry = start(settings(receiver.endpoint()));
    record(&telemetry, 5);
    let report = telemetry.shutdown_blocking(PATIENCE);
    assert_eq!((report.traces.exported(), report.traces.dropped_for(DropReason::Rejected)), (3, 2));
    assert!(report.traces.is_balanced());
}

#[test]
fn spans_that_end_after_the_shutdown_are_counted() {
    let receiver = HttpReceiver::start(Manner::Takes);
    let telemetry = start(settings(receiver.endpoint()));
    let late = telemetry.span("late").start();
    let report = telemetry.shutdown_blocking(PATIENCE);
    assert_eq!(report.traces.open(), 1);
    assert!(report.to_string().contains("1 never ended"), "{report}");

    late.end(Outcome::Ok);
    record(&telemetry, 2);
    let again = telemetry.shutdown_blocking(PATIENCE);
    assert_eq!(again.traces.dropped_for(DropReason::AfterShutdown), 3);
    assert!(again.complete && again.traces.is_balanced());
}

#[test]
fn a_hanging_receiver_does_not_hold_up_another_exporter() {
    let receiver = HttpReceiver::start(Manner::Hangs);
    let mut settings = settings(receiver.endpoint());
    settings.traces.exporters = vec![Exporter::OtlpHttp, Exporter::Memory];
    let telemetry = start(settings);
    record(&telemetry, 3);
    assert_eq!(telemetry.finished_spans().len(), 3);
    let ledger = telemetry.ledger();
    assert_eq!((ledger.exporters[0].pending, ledger.exporters[1].exported), (3, 3));
    assert!(ledger.is_balanced());
}

#[test]
fn memory_keeps_the_newest_and_counts_the_rest() {
    let mut settings = TestTelemetry::settings("s");
    settings.traces.memory_capacity = 3;
    let telemetry = TestTelemetry::with(settings);
    for name in ["a", "b", "c", "d", "e"] {
        telemetry.span(name).in_scope(|| ());
    }
    let names: Vec<_> = telemetry.finished_spans().iter().map(|span| span.name().to_owned()).collect();
    assert_eq!(names, ["c", "d", "e"]);
    assert_eq!(telemetry.ledger().dropped_for(DropReason::Overwritten), 2);
    assert!(telemetry.ledger().is_balanced());
}

#[test]
fn a_handle_that_is_dropped_still_sends_what_waits() {
    let receiver = HttpReceiver::start(Manner::Takes);
    let mut settings = settings(receiver.endpoint());
    settings.traces.batch.delay = PATIENCE;
    let telemetry = start(settings);
    record(&telemetry, 4);
    drop(telemetry);
    assert_eq!(receiver.next().spans().len(), 4);
}

#[test]
fn a_single_threaded_runtime_can_flush_and_shut_down() {
    let receiver = HttpReceiver::start(Manner::Takes);
    let telemetry = start(settings(receiver.endpoint()));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        record(&telemetry, 2);
        assert_eq!(telemetry.flush(PATIENCE).await.traces.exported(), 2);
        assert!(telemetry.shutdown(PATIENCE).await.complete);
    });
}

#[test]
fn a_memory_that_was_stopped_holds_nothing_and_still_counts() {
    let telemetry = TestTelemetry::new("s");
    record(&telemetry, 3);
    assert_eq!(telemetry.finished_spans().len(), 3);
    telemetry.stop_remembering();
    record(&telemetry, 2);
    assert!(telemetry.finished_spans().is_empty());
    let ledger = telemetry.ledger();
    assert!(ledger.is_balanced(), "{ledger:?}");
    assert_eq!((ledger.ended, ledger.dropped()), (5, 2));
}

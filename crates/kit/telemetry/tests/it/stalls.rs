//! Receivers in trouble: what the stated bound holds is not lost, and after recovery nothing is.
//!
//! Producers end a fixed number of spans at a steady pace that the queue can bear, so every account is exact.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use waypost_telemetry::config::{Exporter, OtlpReceiver};
use waypost_telemetry::testing::TestTelemetry;
use waypost_telemetry::{DropReason, ExporterLedger, Outcome, Settings, Telemetry};

use crate::receiver::{HttpReceiver, Manner, PATIENCE, Posted, Reply, wait_until};

fn settings(endpoint: &str) -> Settings {
    let mut settings = TestTelemetry::settings("s");
    settings.traces.exporters = vec![Exporter::OtlpHttp];
    settings.traces.batch.delay = Duration::from_millis(100);
    settings.logs.exporters.clear();
    settings.otlp.endpoint = Some(endpoint.to_owned());
    settings
}

fn start(settings: Settings) -> Telemetry {
    waypost_telemetry::init(settings).unwrap()
}

fn record(telemetry: &Telemetry, spans: usize) {
    (0..spans).for_each(|_| telemetry.span("a").in_scope(|| ()));
}

/// Ends spans at most at this pace; a machine that is busy makes it slower, never faster.
fn record_steadily(telemetry: &Telemetry, spans: usize, per_millisecond: usize) {
    for _ in 0..spans / per_millisecond {
        record(telemetry, per_millisecond);
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// The spans of the requests that were answered with success.
fn taken(posted: &[Posted]) -> usize {
    posted.iter().filter(|posted| posted.is_taken).map(|posted| posted.spans().len()).sum()
}

/// Everything was sent, once.
fn assert_nothing_lost(telemetry: &Telemetry, receiver: &HttpReceiver, spans: usize) {
    let report = telemetry.shutdown_blocking(PATIENCE);
    assert!(report.complete && report.traces.is_balanced(), "{report:?}");
    let counts = (report.traces.ended, report.traces.exported(), report.traces.dropped());
    assert_eq!(counts, (spans as u64, spans as u64, 0), "{report:?}");
    assert_eq!(taken(&receiver.taken()), spans);
}

#[test]
fn a_stall_under_a_steady_load_loses_nothing() {
    let stall = |nth| if nth == 2 { Reply::slow(Duration::from_millis(300)) } else { Reply::status(200) };
    let receiver = HttpReceiver::with(stall);
    let mut settings = settings(&receiver.endpoint());
    settings.traces.batch.queue_size = 16_384;
    // A sender that is not woken by what comes in would find the queue full when this is over.
    settings.traces.batch.delay = Duration::from_secs(4);
    let telemetry = start(settings);
    record_steadily(&telemetry, 36_000, 12);
    assert_nothing_lost(&telemetry, &receiver, 36_000);
}

#[test]
fn a_pause_the_receiver_asks_for_loses_nothing() {
    let pause = |nth| if nth == 2 { Reply::unavailable("1") } else { Reply::status(200) };
    let receiver = HttpReceiver::with(pause);
    let telemetry = start(settings(&receiver.endpoint()));
    record_steadily(&telemetry, 8_000, 4);
    assert_nothing_lost(&telemetry, &receiver, 8_000);
}

#[test]
fn connections_that_are_cut_for_a_while_lose_nothing() {
    let cut = |nth| if (3..=8).contains(&nth) { Reply::Cut } else { Reply::status(200) };
    let receiver = HttpReceiver::with(cut);
    let telemetry = start(settings(&receiver.endpoint()));
    record_steadily(&telemetry, 8_000, 4);
    assert_nothing_lost(&telemetry, &receiver, 8_000);
}

#[test]
fn a_slow_receiver_is_asked_several_times_at_once() {
    let receiver = HttpReceiver::with(|_| Reply::slow(Duration::from_millis(50)));
    let mut settings = settings(&receiver.endpoint());
    // One request after another would carry half of what comes in.
    settings.traces.batch.max_batch = 256;
    settings.traces.batch.queue_size = 8_192;
    let telemetry = start(settings);
    record_steadily(&telemetry, 24_000, 10);
    assert_nothing_lost(&telemetry, &receiver, 24_000);
}

#[test]
fn nothing_is_lost_once_an_outage_is_over() {
    let is_down = Arc::new(AtomicBool::new(true));
    let down = Arc::clone(&is_down);
    let receiver =
        HttpReceiver::with(
            move |_| {
                if down.load(Ordering::SeqCst) { Reply::Cut } else { Reply::status(200) }
            },
        );
    let mut settings = settings(&receiver.endpoint());
    // Small enough that places are taken one by one: its bound is exact however the threads meet.
    settings.traces.batch.queue_size = 500;
    settings.traces.batch.max_batch = 100;
    let telemetry = start(settings);
    record(&telemetry, 1_500);
    wait_until("a request", || !receiver.taken().is_empty());
    let lost = telemetry.ledger().dropped();
    assert_eq!(lost, 1_000, "the queue holds what it says");

    is_down.store(false, Ordering::SeqCst);
    wait_until("the way being free", || telemetry.ledger().exporters[0].pending == 0);
    record_steadily(&telemetry, 3_000, 1);
    let report = telemetry.shutdown_blocking(PATIENCE);
    assert!(report.complete && report.traces.is_balanced(), "{report:?}");
    assert_eq!((report.traces.exported(), report.traces.dropped()), (3_500, lost));
}

/// An address where nobody listens.
fn nobody() -> String {
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    format!("http://{address}")
}

#[test]
fn a_stop_with_a_dead_receiver_ends_long_before_its_deadline() {
    for exporter in [Exporter::OtlpHttp, Exporter::OtlpHttpJson, Exporter::OtlpGrpc] {
        let mut settings = settings(&nobody());
        settings.traces.exporters = vec![exporter];
        settings.metrics.exporters = vec![exporter];
        let telemetry = start(settings);
        record(&telemetry, 5_000);
        telemetry.meter().u64_counter("c").build().add(1, &[]);
        let report = telemetry.shutdown_blocking(Duration::from_secs(30));
        assert!(report.complete, "{report:?}");
        assert_eq!(report.traces.dropped_for(DropReason::ExportFailed), 5_000, "{report:?}");
        assert_eq!(report.metrics.exporters[0].dropped_for(DropReason::ExportFailed), 1);
        assert!(report.traces.is_balanced());
    }
}

#[test]
fn a_stop_does_not_wait_for_a_pause_beyond_its_deadline() {
    let receiver = HttpReceiver::with(|_| Reply::unavailable("3600"));
    let telemetry = start(settings(&receiver.endpoint()));
    record(&telemetry, 2_000);
    receiver.next();
    wait_until("the answer", || {
        telemetry.ledger().dropped() > 0 || telemetry.ledger().exporters[0].inflight == 0
    });
    let report = telemetry.shutdown_blocking(Duration::from_secs(30));
    assert!(report.complete, "{report:?}");
    assert_eq!((report.traces.exported(), report.traces.dropped()), (0, 2_000));
    assert!(report.traces.is_balanced());
}

#[test]
fn a_stop_does_not_storm_a_receiver_in_trouble() {
    let receiver = HttpReceiver::start(Manner::Answers(503));
    let telemetry = start(settings(&receiver.endpoint()));
    record(&telemetry, 10);
    receiver.next();
    let report = telemetry.shutdown_blocking(Duration::from_secs(1));
    let requests = receiver.taken().len();
    assert!(requests <= 10, "{requests} requests");
    assert_eq!(report.traces.dropped_for(DropReason::ShutdownDeadline), 10, "{report:?}");
}

#[test]
fn a_full_lane_takes_nothing_from_another() {
    let (hanging, good) = (HttpReceiver::start(Manner::Hangs), HttpReceiver::start(Manner::Takes));
    let mut settings = settings(&hanging.endpoint());
    settings.traces.batch.queue_size = 100;
    settings.traces.batch.max_batch = 20;
    settings.traces.batch.delay = Duration::from_millis(5);
    // What hangs is not given up while the test runs, however slow the machine is.
    settings.traces.batch.export_timeout = PATIENCE;
    settings.otlp.timeout = PATIENCE;
    settings.otlp.additional = vec![OtlpReceiver { endpoint: good.endpoint(), ..OtlpReceiver::default() }];
    let telemetry = start(settings);
    for round in 1..=20 {
        record(&telemetry, 20);
        wait_until("sending", || telemetry.ledger().exporters[1].exported == 20 * round);
    }
    let ledger = telemetry.ledger();
    let (full, free) = (&ledger.exporters[0], &ledger.exporters[1]);
    assert_eq!((full.pending, full.dropped_for(DropReason::QueueFull)), (100, 300));
    assert_eq!((free.exported, free.dropped_total()), (400, 0));

    let report = telemetry.shutdown_blocking(Duration::from_secs(1));
    let (full, free) = (&report.traces.exporters[0], &report.traces.exporters[1]);
    assert_eq!(full.dropped_for(DropReason::ShutdownDeadline), 100, "{full:?}");
    assert_eq!((free.exported, free.dropped_total()), (400, 0));
    assert_eq!(taken(&good.taken()), 400);
}

#[test]
fn a_queue_full_of_bytes_drops_and_answers_flushes_right() {
    let receiver = HttpReceiver::start(Manner::Hangs);
    let mut settings = settings(&receiver.endpoint());
    settings.traces.batch.queue_bytes = 16_000;
    settings.traces.batch.max_batch = 1;
    settings.traces.batch.delay = Duration::from_millis(5);
    let telemetry = start(settings);
    let text = "x".repeat(1_000);
    (0..100).for_each(|_| telemetry.span("a").attr("text", text.clone()).in_scope(|| ()));
    let ledger = telemetry.ledger();
    assert!(ledger.dropped_for(DropReason::QueueFull) > 70, "{ledger:?}");
    assert!(ledger.is_balanced());
    assert!(!telemetry.flush_blocking(Duration::from_millis(50)).complete, "nothing was sent");
}

/// Ends, flushes and open spans on four threads, then the stop in the middle of it.
fn work(telemetry: &Telemetry, random: &mut fastrand::Rng) {
    let mut open = Vec::new();
    for _ in 0..3_000 {
        match random.u32(..100) {
            0 => drop(telemetry.flush_blocking(Duration::from_millis(random.u64(..5)))),
            1 => drop(telemetry.ledger()),
            2..20 => open.push(telemetry.span("open").start()),
            20..35 if !open.is_empty() => open.swap_remove(random.usize(..open.len())).end(Outcome::Ok),
            _ => telemetry.span("short").attr("n", random.i64(..)).in_scope(|| ()),
        }
    }
}

#[test]
fn at_rest_every_account_explains_every_span() {
    for seed in 0..4 {
        let good = HttpReceiver::start(Manner::Takes);
        let slow = HttpReceiver::with(|nth| Reply::slow(Duration::from_millis(nth as u64 % 7)));
        let mut settings = settings(&good.endpoint());
        settings.traces.exporters.push(Exporter::Memory);
        settings.traces.batch.queue_size = [4_000, 300, 40, 3][seed];
        settings.traces.batch.max_batch = [512, 30, 7, 1][seed];
        settings.traces.batch.delay = Duration::from_millis(3);
        settings.otlp.additional =
            vec![OtlpReceiver { endpoint: slow.endpoint(), ..OtlpReceiver::default() }];
        let telemetry = start(settings);
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let telemetry = &telemetry;
                let mut random = fastrand::Rng::with_seed(seed as u64 * 4 + thread);
                scope.spawn(move || work(telemetry, &mut random));
            }
            let telemetry = &telemetry;
            scope.spawn(move || {
                wait_until("half of the work", || telemetry.ledger().ended > 5_000);
                assert!(telemetry.shutdown_blocking(PATIENCE).complete);
            });
        });
        let report = telemetry.shutdown_blocking(PATIENCE);
        assert!(report.complete && report.traces.is_balanced(), "{report:?}");
        assert_eq!(report.traces.open(), 0);
        let of = |name| report.traces.exporters.iter().find(|ledger| ledger.exporter == name).unwrap();
        assert_received(of("otlp_http"), &good.taken());
        assert_received(of("additional_otlp_http"), &slow.taken());
    }
}

/// What arrived is what was exported, each span once.
fn assert_received(ledger: &ExporterLedger, posted: &[Posted]) {
    let spans: Vec<_> = posted.iter().flat_map(Posted::spans).collect();
    assert_eq!((spans.len() as u64, ledger.pending), (ledger.exported, 0), "{ledger:?}");
    let ids: HashSet<_> = spans.iter().map(|span| span.span_id.clone()).collect();
    assert_eq!(ids.len(), spans.len());
}

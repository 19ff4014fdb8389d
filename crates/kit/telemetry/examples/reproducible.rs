//! A test of all that a service exports, byte for byte: ids from a seed, a clock that the test moves.
//!
//! `cargo run -p waypost-telemetry --features testing-collector --example reproducible`
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::time::Duration;

use waypost_telemetry::config::{Exporter, ViewSettings};
use waypost_telemetry::opentelemetry::KeyValue;
use waypost_telemetry::testing::collector::{FakeCollector, Signal};
use waypost_telemetry::testing::{ManualClock, SeededIds, TestTelemetry};
use waypost_telemetry::{Builder, record_error, span};

pub(crate) fn main() {
    let (first, second) = (exported(7), exported(7));
    assert_eq!(first, second);
    for (signal, message) in first {
        println!("{signal:?}: {} bytes, the same in every run", message.len());
    }
}

/// What the program sends, by signal.
pub(crate) fn exported(seed: u64) -> Vec<(Signal, Vec<u8>)> {
    let collector = FakeCollector::start();
    let clock = ManualClock::new();
    let mut settings = TestTelemetry::settings("order-service");
    settings.traces.exporters = vec![Exporter::OtlpHttp];
    settings.logs.exporters = vec![Exporter::OtlpHttp];
    settings.metrics.exporters = vec![Exporter::OtlpHttp];
    settings.otlp.endpoint = Some(collector.endpoint());
    // One request a signal, however slow the machine is.
    settings.traces.batch.delay = Duration::from_hours(1);
    settings.logs.batch.delay = Duration::from_hours(1);
    settings.metrics.interval = Duration::from_hours(1);
    // What the kit says of the export itself depends on the moment.
    let own = ViewSettings { instrument: "otel.sdk.*".to_owned(), drop: true, ..ViewSettings::default() };
    settings.metrics.views.push(own);
    let builder = Builder::new(settings).clock(clock.clone()).id_generator(SeededIds::new(seed));
    let telemetry = TestTelemetry::build(builder);

    let orders = telemetry.meter().u64_counter("orders").build();
    telemetry.span("place-order").in_scope(|| {
        clock.advance(Duration::from_millis(5));
        for channel in ["web", "shop", "phone"] {
            orders.add(1, &[KeyValue::new("channel", channel)]);
        }
        span("pay").in_scope(|| {
            clock.advance(Duration::from_millis(20));
            record_error(&std::io::Error::from(std::io::ErrorKind::TimedOut));
        });
    });
    assert!(telemetry.shutdown_blocking(Duration::from_secs(20)).complete);

    let mut sent: Vec<_> =
        collector.requests().into_iter().map(|request| (request.signal, request.message.to_vec())).collect();
    // Each signal has a way of its own, and any may be first.
    sent.sort_by_key(|(signal, _)| *signal as u8);
    sent
}

//! A test of what a service sends, against a collector over a real socket.
//!
//! `cargo run -p waypost-telemetry --features testing-collector --example testing`
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::time::Duration;

use waypost_telemetry::config::Exporter;
use waypost_telemetry::testing::collector::{FakeCollector, Reply};
use waypost_telemetry::testing::{TestTelemetry, assert_logs};
use waypost_telemetry::{record_error, span};

pub(crate) fn main() {
    let collector = FakeCollector::start();
    collector.answer(|request| if request.number == 1 { Reply::unavailable() } else { Reply::ok() });

    let mut settings = TestTelemetry::settings("order-service");
    settings.traces.exporters = vec![Exporter::OtlpHttp];
    settings.logs.exporters = vec![Exporter::OtlpHttpJson];
    settings.metrics.exporters = vec![Exporter::OtlpHttp];
    settings.otlp.endpoint = Some(collector.endpoint());
    let telemetry = TestTelemetry::with(settings);

    let orders = telemetry.meter().u64_counter("orders").build();
    telemetry.span("place-order").in_scope(|| {
        orders.add(1, &[]);
        span("pay").in_scope(|| record_error(&std::io::Error::from(std::io::ErrorKind::TimedOut)));
    });
    telemetry.shutdown_blocking(Duration::from_secs(20));

    collector.tree().assert_matches(
        "place-order INTERNAL order-service
           pay INTERNAL order-service ERROR error.type=timed_out",
    );
    assert_logs(&collector.logs(), "ERROR \"timed out\" waypost.error.class=timeout");
    assert!(collector.metrics().point("orders", &[]).value() > 0.0);
    for request in collector.requests() {
        println!("{:?} over {:?}, taken: {}", request.signal, request.protocol, request.is_accepted);
    }
}

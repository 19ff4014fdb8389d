//! Ids and clocks that a test gives: whole exports that are the same in every run.

use std::collections::HashMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use axum::routing::post;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use prost::Message as _;
use tower::ServiceExt as _;
use waypost_telemetry::config::{Exporter, Temporality, ViewSettings};
use waypost_telemetry::opentelemetry::KeyValue;
use waypost_telemetry::testing::collector::{FakeCollector, Signal};
use waypost_telemetry::testing::{Clock, ManualClock, SeededIds, TestTelemetry};
use waypost_telemetry::{Builder, event, span};

use crate::receiver::PATIENCE;

#[path = "../../examples/reproducible.rs"]
mod example;

/// The numbers of the seed 7.
const INSTANCE: &str = "63cbe1e4-5932-4dd7-844c-3cd7f43c661c";
const TRACEPARENT: &str = "00-e6984080bab12a02953aeb70673e29cb-73d33b666a1e21da-03";

const SECOND: Duration = Duration::from_secs(1);

/// A handle with a clock that stands at 1000 s of 1970.
fn telemetry() -> (TestTelemetry, ManualClock) {
    let clock = ManualClock::at(UNIX_EPOCH + 1_000 * SECOND);
    let builder =
        Builder::new(TestTelemetry::settings("s")).clock(clock.clone()).id_generator(SeededIds::new(7));
    (TestTelemetry::build(builder), clock)
}

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

#[test]
fn the_same_program_twice_gives_the_same_bytes() {
    let first = example::exported(7);
    let signals: Vec<Signal> = first.iter().map(|(signal, _)| *signal).collect();
    assert_eq!(signals, [Signal::Traces, Signal::Metrics, Signal::Logs]);
    assert!(first == example::exported(7), "the same seed gave other bytes");
    let other = example::exported(8);
    let differ = |n: usize| first.get(n).map(|(_, bytes)| bytes) != other.get(n).map(|(_, bytes)| bytes);
    assert!((0..3).all(differ), "another seed gave the same bytes");
    example::main();
}

#[test]
fn programs_that_run_side_by_side_do_not_disturb_each_other() {
    let alone: Vec<_> = (1..=4).map(example::exported).collect();
    let together: Vec<_> = (1..=4).map(|seed| std::thread::spawn(move || example::exported(seed))).collect();
    let together: Vec<_> = together.into_iter().map(|thread| thread.join().unwrap()).collect();
    assert!(alone == together, "the bytes of a program depend on its neighbours");
}

#[test]
fn ids_of_a_seed_are_the_same_on_every_machine() {
    let (telemetry, _) = telemetry();
    let mut headers = HashMap::new();
    let span = telemetry.span("call").start();
    telemetry.inject(span.context(), &mut headers);
    // The first number that the seed gives is that of the instance.
    assert_eq!(headers["traceparent"], TRACEPARENT);
    let instance =
        telemetry.resource().iter().find(|attribute| attribute.key.as_str() == "service.instance.id");
    assert_eq!(instance.unwrap().value.as_str(), INSTANCE);
}

#[test]
fn every_time_of_a_span_is_that_of_its_clock() {
    let (telemetry, clock) = telemetry();
    telemetry.span("outer").in_scope(|| {
        clock.advance(SECOND);
        event("late", Vec::new());
        let guard = span("dropped").start();
        clock.advance(SECOND);
        guard.event("later", Vec::new());
        drop(guard);
        clock.set(at(1_010));
    });
    let (outer, dropped) = (telemetry.only_span("outer"), telemetry.only_span("dropped"));
    assert_eq!((outer.start(), outer.end()), (at(1_000), at(1_010)));
    assert_eq!(outer.events()[0].time(), at(1_001));
    assert_eq!(
        (dropped.start(), dropped.events()[0].time(), dropped.end()),
        (at(1_001), at(1_002), at(1_002))
    );
}

#[test]
fn a_clock_that_goes_back_ends_no_span_before_its_start() {
    let (telemetry, clock) = telemetry();
    telemetry.span("back").in_scope(|| clock.set(at(10)));
    let span = telemetry.only_span("back");
    assert_eq!((span.start(), span.duration()), (at(1_000), Duration::ZERO));
    assert_eq!(clock.now(), at(10));
}

#[test]
fn a_layer_measures_by_the_clock_of_its_handle() {
    let (telemetry, clock) = telemetry();
    let place = {
        let clock = clock.clone();
        move || async move { clock.advance(Duration::from_millis(250)) }
    };
    let app: Router = Router::new().route("/orders", post(place)).layer(telemetry.http_server());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime
        .block_on(async { drop(app.oneshot(Request::post("/orders").body(Body::empty()).unwrap()).await) });

    assert_eq!(telemetry.only_span("POST /orders").duration(), Duration::from_millis(250));
    let measured = telemetry.measured();
    let point = measured.point("http.server.request.duration", &[]);
    assert_eq!((point.count(), point.value()), (1, 0.25));
}

#[test]
fn differences_begin_where_the_reading_before_ended() {
    let (collector, clock) = (FakeCollector::start(), ManualClock::at(at(1_000)));
    let mut settings = TestTelemetry::settings("s");
    settings.metrics.exporters = vec![Exporter::OtlpHttp];
    settings.metrics.interval = Duration::from_hours(1);
    settings.metrics.temporality = Temporality::Delta;
    settings.otlp.endpoint = Some(collector.endpoint());
    let own = ViewSettings { instrument: "otel.sdk.*".to_owned(), drop: true, ..ViewSettings::default() };
    settings.metrics.views.push(own);
    let telemetry = TestTelemetry::build(Builder::new(settings).clock(clock.clone()));
    let orders = telemetry.meter().u64_counter("orders").build();
    for _ in 0..2 {
        clock.advance(SECOND);
        orders.add(1, &[KeyValue::new("channel", "web")]);
        assert!(telemetry.flush_blocking(PATIENCE).complete);
    }
    let times: Vec<(u64, u64)> =
        collector.requests().iter().flat_map(|request| times(&request.message)).collect();
    let second = |number: u64| number * 1_000_000_000;
    assert_eq!(times, [(second(1_000), second(1_001)), (second(1_001), second(1_002))]);
}

/// Start and time of the points of sums.
fn times(message: &[u8]) -> Vec<(u64, u64)> {
    let request = ExportMetricsServiceRequest::decode(message).unwrap();
    let metrics = request.resource_metrics.into_iter().flat_map(|resource| resource.scope_metrics);
    let sums = metrics.flat_map(|scope| scope.metrics).filter_map(|metric| match metric.data {
        Some(Data::Sum(sum)) => Some(sum.data_points),
        _ => None,
    });
    sums.flatten().map(|point| (point.start_time_unix_nano, point.time_unix_nano)).collect()
}

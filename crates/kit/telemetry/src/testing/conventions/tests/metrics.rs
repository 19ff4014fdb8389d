//! Metrics: name, unit, instrument, numbers, bounds, attributes.

use opentelemetry::KeyValue;
use opentelemetry::metrics::Meter;

use super::only;
use crate::core::readings::REQUEST_SECONDS;
use crate::testing::TestTelemetry;
use crate::testing::conventions::Level::{Improvement, Violation};
use crate::testing::conventions::{Conventions, ConventionsReport, Rule};

const DURATION: &str = "http.client.request.duration";

/// The report on what `measure` records, without the kit's own metrics.
fn report(measure: impl FnOnce(&Meter)) -> ConventionsReport {
    report_by(&Conventions::current(), measure)
}

fn report_by(conventions: &Conventions, measure: impl FnOnce(&Meter)) -> ConventionsReport {
    let telemetry = TestTelemetry::new("order-service");
    measure(telemetry.meter());
    let reading = telemetry.metrics().read().unwrap();
    conventions.begin().metrics(&reading).report()
}

fn call(status: i64) -> Vec<KeyValue> {
    vec![
        KeyValue::new("http.request.method", "GET"),
        KeyValue::new("http.response.status_code", status),
        KeyValue::new("server.address", "shop"),
        KeyValue::new("server.port", 80),
        KeyValue::new("network.protocol.version", "1.1"),
    ]
}

fn record(meter: &Meter, unit: &'static str, bounds: &[f64], attributes: &[KeyValue]) {
    meter
        .f64_histogram(DURATION)
        .with_unit(unit)
        .with_boundaries(bounds.to_vec())
        .build()
        .record(0.1, attributes);
}

#[test]
fn a_metric_of_the_conventions_is_clean() {
    report(|meter| record(meter, "s", &REQUEST_SECONDS, &call(200))).assert_clean();
}

#[test]
fn another_unit_is_refused() {
    only(&report(|meter| record(meter, "ms", &REQUEST_SECONDS, &call(200))), Violation, Rule::Unit, DURATION);
}

#[test]
fn other_bounds_are_found() {
    only(&report(|meter| record(meter, "s", &[1.0, 2.0], &call(200))), Improvement, Rule::Bounds, DURATION);
}

#[test]
fn another_instrument_is_refused() {
    let counted = |meter: &Meter| meter.f64_counter(DURATION).with_unit("s").build().add(0.1, &call(200));
    only(&report(counted), Violation, Rule::Instrument, DURATION);
    let name = "http.client.active_requests";
    let counted = |meter: &Meter| {
        meter.u64_counter(name).with_unit("{request}").build().add(1, &call(200));
    };
    only(&report(counted), Violation, Rule::Instrument, name);
    report(|meter| meter.i64_up_down_counter(name).with_unit("{request}").build().add(1, &call(200)))
        .assert_clean();
}

#[test]
fn numbers_are_whole_or_not_as_the_conventions_have_them() {
    let name = "process.uptime";
    let whole = report(|meter| meter.u64_gauge(name).with_unit("s").build().record(1, &[]));
    only(&whole, Improvement, Rule::NumberType, name);
    report(|meter| meter.f64_gauge(name).with_unit("s").build().record(1.0, &[])).assert_clean();
}

#[test]
fn a_point_lacks_an_attribute_that_the_metric_requires() {
    let lacking: Vec<_> = call(200).into_iter().filter(|pair| pair.key.as_str() != "server.port").collect();
    let report = report(|meter| {
        record(meter, "s", &REQUEST_SECONDS, &lacking);
        record(meter, "s", &REQUEST_SECONDS, &call(200));
    });
    only(&report, Violation, Rule::MissingRequired, "server.port");
}

#[test]
fn failed_calls_have_an_error_type() {
    only(
        &report(|meter| record(meter, "s", &REQUEST_SECONDS, &call(503))),
        Violation,
        Rule::ErrorType,
        DURATION,
    );
    let named = [call(503), vec![KeyValue::new("error.type", "503")]].concat();
    report(|meter| record(meter, "s", &REQUEST_SECONDS, &named)).assert_clean();
}

#[test]
fn a_name_is_of_the_conventions_or_declared() {
    let name = "http.client.calls";
    only(&report(|meter| meter.u64_counter(name).build().add(1, &[])), Violation, Rule::UnknownMetric, name);
    let name = "orders.placed";
    let count = |meter: &Meter| meter.u64_counter(name).with_unit("{order}").build().add(1, &[]);
    only(&report(count), Improvement, Rule::UndeclaredMetric, name);
    let declared = "
groups:
  - {id: metric.orders.placed, type: metric, metric_name: orders.placed, instrument: counter, unit: '{order}', brief: x,
     stability: stable}
";
    report_by(&Conventions::current().with_registry(declared).unwrap(), count).assert_clean();
}

#[test]
fn what_the_conventions_gave_up_is_refused() {
    let name = "otel.sdk.span.ended";
    let count = |meter: &Meter| meter.u64_counter(name).with_unit("{span}").build().add(1, &[]);
    only(&report(count), Violation, Rule::Deprecated, name);
}

#[test]
fn attributes_of_points_are_checked_as_anywhere() {
    let wrong = [call(200), vec![KeyValue::new("url.template", 1)]].concat();
    only(
        &report(|meter| record(meter, "s", &REQUEST_SECONDS, &wrong)),
        Violation,
        Rule::WrongType,
        "url.template",
    );
}

//! What shows telemetry: Zipkin, the OpenTelemetry Collector in front of it, Prometheus, and Jaeger.
//!
//! For `cargo xtask stack up --observability` and for the tests that send an order to each and read it back. Tests do without
//! what cannot be had, and say so.
//!
//! Left out: Grafana, Tempo and Loki, which no registry has as a program under a permissive licence.

mod collector;
mod jaeger;
mod prometheus;
mod zipkin;

use std::path::Path;

use super::Starting;
use collector::Collector;
use prometheus::Prometheus;

/// Starts each of them, those that the next one sends to first.
pub(super) fn start(starting: &mut Starting<'_>, target: &Path) {
    starting.add("Zipkin", zipkin::VARIABLE, || zipkin::find(target));
    let zipkin = starting.address(zipkin::VARIABLE);
    starting.add("Collector", collector::VARIABLE, || Collector::find(target, zipkin));
    let metrics = starting.address(collector::METRICS);
    starting.add("Prometheus", prometheus::VARIABLE, || Prometheus::find(target, metrics));
    starting.add("Jaeger", jaeger::VARIABLE, || jaeger::find(target));
}

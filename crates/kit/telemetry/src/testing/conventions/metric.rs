//! Rules about metrics: name, unit, instrument, type of numbers, bucket bounds, attributes.

use opentelemetry::KeyValue;
use opentelemetry_sdk::metrics::data::{AggregatedMetrics, Metric, MetricData};

use super::attribute::{self, Attributes};
use super::report::{Findings, Level, Rule, Signal};
use super::status::is_grpc_error;
use super::table::{self, Table};

/// What there is to check of a metric, whatever its numbers are.
struct Seen {
    instrument: &'static str,
    number: &'static str,
    /// None for what is no histogram with explicit bounds.
    bounds: Option<Vec<f64>>,
    points: Vec<Vec<KeyValue>>,
}

/// Checks a metric; gives the number of its points.
pub(super) fn check(table: &Table, metric: &Metric, findings: &mut Findings) -> usize {
    let seen = match metric.data() {
        AggregatedMetrics::F64(data) => see(data, "double"),
        AggregatedMetrics::I64(data) => see(data, "int"),
        AggregatedMetrics::U64(data) => see(data, "int"),
    };
    let name = metric.name();
    let at = (Signal::Metric, name);
    for attribute in seen.points.iter().flatten() {
        attribute::check(table, at, attribute, findings);
    }
    match table.metric(name) {
        Some(known) => {
            check_shape(known, metric, &seen, findings);
            for point in &seen.points {
                attribute::check_presence(&known.attributes, at, Attributes(point), findings);
                check_error(name, Attributes(point), findings);
            }
        }
        None if table.owns_metric(name) => {
            let advice = "not in the conventions, whose namespace it is; take a name of theirs or a namespace of your own";
            findings.add(Level::Violation, Rule::UnknownMetric, at, name, advice);
        }
        None => {
            let advice = "declare it in a registry (Conventions::with_registry)";
            findings.add(Level::Improvement, Rule::UndeclaredMetric, at, name, advice);
        }
    }
    seen.points.len()
}

fn see<T: Copy>(data: &MetricData<T>, number: &'static str) -> Seen {
    let seen = |instrument, bounds, points| Seen { instrument, number, bounds, points };
    match data {
        MetricData::Gauge(gauge) => seen(
            "gauge",
            None,
            gauge.data_points().map(|point| point.attributes().cloned().collect()).collect(),
        ),
        MetricData::Sum(sum) => {
            let instrument = if sum.is_monotonic() { "counter" } else { "updowncounter" };
            seen(
                instrument,
                None,
                sum.data_points().map(|point| point.attributes().cloned().collect()).collect(),
            )
        }
        MetricData::Histogram(histogram) => seen(
            "histogram",
            histogram.data_points().next().map(|point| point.bounds().collect()),
            histogram.data_points().map(|point| point.attributes().cloned().collect()).collect(),
        ),
        MetricData::ExponentialHistogram(histogram) => seen(
            "histogram",
            None,
            histogram.data_points().map(|point| point.attributes().cloned().collect()).collect(),
        ),
    }
}

fn check_shape(known: &table::Metric, metric: &Metric, seen: &Seen, findings: &mut Findings) {
    let name = metric.name();
    let mut add =
        |level, rule, advice: String| findings.add(level, rule, (Signal::Metric, name), name, advice);
    if let Some(reason) = &known.deprecated {
        let advice = match reason.strip_prefix("renamed:") {
            Some(new) => format!("deprecated; its name is now {new}"),
            None => "deprecated; leave it out or take what replaces it".to_owned(),
        };
        add(Level::Violation, Rule::Deprecated, advice);
    } else if known.stability != "stable" {
        add(Level::Information, Rule::NotStable, format!("still {}; the name may change", known.stability));
    }
    if metric.unit() != known.unit {
        let advice = format!("its unit is {:?}, not {:?}", known.unit, metric.unit());
        add(Level::Violation, Rule::Unit, advice);
    }
    if seen.instrument != known.instrument {
        let advice = format!("it is a {}, not a {}", known.instrument, seen.instrument);
        add(Level::Violation, Rule::Instrument, advice);
    }
    if let Some(number) = known.number.as_ref().filter(|number| *number != seen.number) {
        let advice = format!("its numbers are {number}, not {}", seen.number);
        add(Level::Improvement, Rule::NumberType, advice);
    }
    if let (Some(known), Some(given)) = (&known.bounds, &seen.bounds)
        && known != given
    {
        add(Level::Improvement, Rule::Bounds, format!("its bounds are {known:?}, not {given:?}"));
    }
}

/// A point whose attributes tell of an error says which.
fn check_error(name: &str, attributes: Attributes<'_>, findings: &mut Findings) {
    if attributes.has("error.type") {
        return;
    }
    let is_server = name.contains(".server.");
    let http = attributes.text("http.response.status_code").and_then(|code| code.parse::<u16>().ok());
    let http_failed = http.is_some_and(|code| code >= 500 || (code >= 400 && !is_server));
    let grpc = attributes.text("rpc.system.name").is_some_and(|system| system == "grpc");
    let code = attributes.text("rpc.response.status_code").filter(|_| grpc);
    if http_failed || code.is_some_and(|code| is_grpc_error(&code, is_server)) {
        let advice = "a point of failed calls without error.type";
        findings.add(Level::Violation, Rule::ErrorType, (Signal::Metric, name), name, advice);
    }
}

//! Rules about metrics: name, unit, instrument, type of numbers, bucket bounds, attributes.

use opentelemetry::KeyValue;
use opentelemetry_sdk::metrics::data::{AggregatedMetrics, Metric, MetricData};

use super::attribute::{self, Attributes};
use super::report::{Findings, Level, Rule, Signal};
use super::status::is_grpc_error;
use super::table::{self, Table};
use crate::testing::received::{Instrument, ReceivedMetric};

/// Checks a metric; gives the number of its points.
pub(super) fn check(table: &Table, metric: &ReceivedMetric, findings: &mut Findings) -> usize {
    let name = metric.name.as_str();
    let at = (Signal::Metric, name);
    for attribute in metric.points.iter().flatten() {
        attribute::check(table, at, attribute, findings);
    }
    match table.metric(name) {
        Some(known) => {
            check_shape(known, metric, findings);
            for point in &metric.points {
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
    metric.points.len()
}

/// What there is to check of a metric of the SDK.
pub(super) fn seen(metric: &Metric) -> ReceivedMetric {
    let (instrument, is_whole, bounds, points) = match metric.data() {
        AggregatedMetrics::F64(data) => parts(data, false),
        AggregatedMetrics::I64(data) => parts(data, true),
        AggregatedMetrics::U64(data) => parts(data, true),
    };
    ReceivedMetric {
        name: metric.name().to_owned(),
        unit: metric.unit().to_owned(),
        instrument,
        is_whole: Some(is_whole),
        bounds,
        points,
    }
}

type Parts = (Instrument, bool, Option<Vec<f64>>, Vec<Vec<KeyValue>>);

fn parts<T: Copy>(data: &MetricData<T>, is_whole: bool) -> Parts {
    match data {
        MetricData::Gauge(gauge) => {
            let points = gauge.data_points().map(|point| point.attributes().cloned().collect()).collect();
            (Instrument::Gauge, is_whole, None, points)
        }
        MetricData::Sum(sum) => {
            let instrument = if sum.is_monotonic() { Instrument::Counter } else { Instrument::UpDownCounter };
            let points = sum.data_points().map(|point| point.attributes().cloned().collect()).collect();
            (instrument, is_whole, None, points)
        }
        MetricData::Histogram(histogram) => {
            let bounds = histogram.data_points().next().map(|point| point.bounds().collect());
            let points = histogram.data_points().map(|point| point.attributes().cloned().collect()).collect();
            (Instrument::Histogram, is_whole, bounds, points)
        }
        MetricData::ExponentialHistogram(histogram) => {
            let points = histogram.data_points().map(|point| point.attributes().cloned().collect()).collect();
            (Instrument::Histogram, is_whole, None, points)
        }
    }
}

fn check_shape(known: &table::Metric, metric: &ReceivedMetric, findings: &mut Findings) {
    let name = metric.name.as_str();
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
    if metric.unit != known.unit {
        let advice = format!("its unit is {:?}, not {:?}", known.unit, metric.unit);
        add(Level::Violation, Rule::Unit, advice);
    }
    let instrument = metric.instrument.as_str();
    if instrument != known.instrument {
        let advice = format!("it is a {}, not a {instrument}", known.instrument);
        add(Level::Violation, Rule::Instrument, advice);
    }
    let number = metric.is_whole.map(|is_whole| if is_whole { "int" } else { "double" });
    if let (Some(known), Some(number)) = (&known.number, number)
        && known != number
    {
        add(Level::Improvement, Rule::NumberType, format!("its numbers are {known}, not {number}"));
    }
    if let (Some(known), Some(given)) = (&known.bounds, &metric.bounds)
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

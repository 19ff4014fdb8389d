//! The figures of Jaeger's Monitor tab: latencies, calls and errors of services over time, as Jaeger answers them from a
//! metrics storage (`MetricFamily` of its `openmetrics.proto`, in protobuf's JSON).
//!
//! Made of what is kept on intake, by time of arrival, and no finer than that: a minute for the last hour, ten minutes for
//! the last six, an hour for the last day. A point says what the time `ratePer` before it was like, as far as the window
//! reaches back. A point without calls has no latency and no share of errors, and is left out there; Prometheus has
//! nothing there either.

use super::legacy_parameters::{MILLISECOND, nanos};
use crate::{error::Error, parameters::Parameters};
use serde::Serialize;
use std::{collections::BTreeSet, ops::Range};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use waypost_trace_model::{Kind, Text};
use waypost_trace_statistics::{Statistics, Step, Steps, Subject};

/// The narrowest step, in nanoseconds.
pub(super) const LEAST_STEP: u64 = 60_000 * MILLISECOND;
const DEFAULT_LOOKBACK: u64 = 3_600_000 * MILLISECOND;
const DEFAULT_STEP: u64 = 5_000 * MILLISECOND;
const DEFAULT_RATE_PER: u64 = 600_000 * MILLISECOND;
/// Figures are kept for a week; an earlier beginning says no more.
const LONGEST_LOOKBACK: u64 = 8 * 24 * DEFAULT_LOOKBACK;
const MAX_SERVICES: usize = 50;
const SECOND: u64 = 1_000 * MILLISECOND;
const KINDS: [Kind; 6] =
    [Kind::Unspecified, Kind::Internal, Kind::Server, Kind::Client, Kind::Producer, Kind::Consumer];

/// Which figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Figure {
    Latency,
    Calls,
    Errors,
}

/// What was asked.
#[derive(Debug)]
pub(super) struct Asked {
    figure: Figure,
    services: Vec<Text>,
    by_operation: bool,
    kinds: Vec<Kind>,
    /// Of latencies.
    quantile: f64,
    end: u64,
    steps: Steps,
    /// Steps between two points.
    stride: usize,
    /// Steps that a point looks back on.
    reach: usize,
}

#[derive(Debug, Serialize)]
pub(super) struct Family {
    name: &'static str,
    r#type: &'static str,
    help: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    metrics: Vec<Metric>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Metric {
    labels: Vec<Label>,
    metric_points: Vec<Point>,
}

#[derive(Debug, Serialize)]
struct Label {
    name: &'static str,
    value: Text,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Point {
    gauge_value: Gauge,
    timestamp: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Gauge {
    double_value: f64,
}

pub(super) fn asked(figure: Figure, parameters: &Parameters, now: u64) -> Result<Asked, Error> {
    let quantile = match figure {
        Figure::Latency => quantile(parameters)?,
        Figure::Calls | Figure::Errors => 0.0,
    };
    let services: Vec<Text> =
        parameters.all("service").filter(|name| !name.is_empty()).map(Text::from).collect();
    if services.is_empty() {
        return Err(Error::parameter("service", "at least one service must be named"));
    }
    if services.len() > MAX_SERVICES {
        return Err(Error::parameter("service", format!("at most {MAX_SERVICES} services can be named")));
    }
    let by_operation = parameters.truth(&["groupByOperation"])?;
    let kinds = kinds(parameters)?;
    let end = parameters.whole("endTs")?.map_or(now, |end| nanos(end, MILLISECOND));
    let lookback = span_of_time(parameters, "lookback", DEFAULT_LOOKBACK)?.min(LONGEST_LOOKBACK);
    let step = span_of_time(parameters, "step", DEFAULT_STEP)?;
    let rate_per = span_of_time(parameters, "ratePer", DEFAULT_RATE_PER)?;
    let start = end.saturating_sub(lookback).max(now.saturating_sub(LONGEST_LOOKBACK));
    let width = Steps::finest(now.saturating_sub(start));
    // Nothing is known of what comes after the step that goes on now.
    let end = end.min((now / width).saturating_add(1).saturating_mul(width)).max(start);
    let steps = Steps::new(&(start..end), Some(width), now);
    let steps = steps.map_err(|reason| Error::parameter("lookback", reason.to_string()))?;
    let in_steps = |time: u64| usize::try_from(time.div_ceil(width)).unwrap_or(usize::MAX).max(1);
    let (stride, reach) = (in_steps(step), in_steps(rate_per));
    Ok(Asked { figure, services, by_operation, kinds, quantile, end, steps, stride, reach })
}

fn quantile(parameters: &Parameters) -> Result<f64, Error> {
    let number = parameters.text("quantile").and_then(|value| value.parse::<f64>().ok());
    let number = number.ok_or_else(|| Error::parameter("quantile", "it must be a number"))?;
    let is_part = number > 0.0 && number <= 1.0;
    if is_part { Ok(number) } else { Err(Error::parameter("quantile", "it must be above 0 and at most 1")) }
}

fn kinds(parameters: &Parameters) -> Result<Vec<Kind>, Error> {
    let named = parameters.all("spanKind").filter(|name| !name.is_empty());
    let kind = |name: &str| {
        let kind = KINDS.iter().copied().find(|kind| kind.name() == name.to_lowercase());
        kind.ok_or_else(|| Error::parameter("spanKind", format!("`{name}` is not a kind of span")))
    };
    let kinds: Vec<Kind> = named.map(kind).collect::<Result<_, _>>()?;
    Ok(if kinds.is_empty() { vec![Kind::Server] } else { kinds })
}

fn span_of_time(parameters: &Parameters, name: &'static str, default: u64) -> Result<u64, Error> {
    match parameters.whole(name)? {
        None => Ok(default),
        Some(number) if number <= 0 => Err(Error::parameter(name, "it must be more than 0")),
        Some(number) => Ok(nanos(number, MILLISECOND)),
    }
}

/// The answer. `now` is the time up to which spans could come.
pub(super) fn family(statistics: &Statistics, asked: &Asked, now: u64) -> Result<Family, Error> {
    let since = statistics.first_arrival().unwrap_or(now);
    let mut metrics = Vec::new();
    for service in &asked.services {
        let names = if asked.by_operation { operations(statistics, service, asked) } else { vec![None] };
        for name in names {
            let subject = Subject::Operations {
                service: service.clone(),
                name: name.clone(),
                kinds: asked.kinds.clone(),
            };
            let Some(steps) = statistics.series(&subject, &asked.steps) else { continue };
            let metric_points = points(&steps, asked, &(since..now))?;
            let service = Label { name: "service_name", value: service.clone() };
            let operation = name.map(|value| Label { name: "operation", value });
            let labels = operation.into_iter().chain([service]).collect();
            metrics.push(Metric { labels, metric_points });
        }
    }
    let (name, help) = name_and_help(asked);
    Ok(Family { name, r#type: "GAUGE", help, metrics })
}

fn operations(statistics: &Statistics, service: &str, asked: &Asked) -> Vec<Option<Text>> {
    let all = statistics.operations(service).into_iter();
    let wanted = all.filter(|(_, kind)| asked.kinds.contains(kind)).map(|(name, _)| name);
    wanted.collect::<BTreeSet<Text>>().into_iter().map(Some).collect()
}

fn name_and_help(asked: &Asked) -> (&'static str, String) {
    let (name, what) = match (asked.figure, asked.by_operation) {
        (Figure::Latency, false) => {
            ("service_latencies", format!("latency at the quantile {:.2} in milliseconds", asked.quantile))
        }
        (Figure::Latency, true) => (
            "service_operation_latencies",
            format!("latency at the quantile {:.2} in milliseconds", asked.quantile),
        ),
        (Figure::Calls, false) => ("service_call_rate", "calls a second".to_owned()),
        (Figure::Calls, true) => ("service_operation_call_rate", "calls a second".to_owned()),
        (Figure::Errors, false) => {
            ("service_error_rate", "calls that failed, as a share of all calls".to_owned())
        }
        (Figure::Errors, true) => {
            ("service_operation_error_rate", "calls that failed, as a share of all calls".to_owned())
        }
    };
    (name, format!("{what}, by service{}", if asked.by_operation { " and operation" } else { "" }))
}

/// A point at the end of every so many steps, and one at the end of the window.
fn points(steps: &[Step], asked: &Asked, known: &Range<u64>) -> Result<Vec<Point>, Error> {
    let mut points = Vec::new();
    for (place, step) in (1..).zip(steps) {
        let is_last = place == steps.len();
        if !is_last && place % asked.stride != 0 {
            continue;
        }
        let at = step.start.saturating_add(asked.steps.width()).min(asked.end);
        let looked_at = steps.get(place.saturating_sub(asked.reach)..place).unwrap_or_default();
        let Some(sum) = Step::merged(looked_at) else { continue };
        let begin = looked_at.first().map_or(at, |first| first.start);
        if let Some(double_value) = value(&sum, asked, begin..at, known) {
            points.push(Point { gauge_value: Gauge { double_value }, timestamp: timestamp(at)? });
        }
    }
    Ok(points)
}

#[expect(clippy::cast_precision_loss, reason = "figures are read with a few digits")]
fn value(sum: &Step, asked: &Asked, time: Range<u64>, known: &Range<u64>) -> Option<f64> {
    match asked.figure {
        Figure::Latency => sum.quantile(asked.quantile).map(|latency| latency as f64 / MILLISECOND as f64),
        Figure::Errors => (sum.calls() > 0).then(|| sum.errors() as f64 / sum.calls() as f64),
        Figure::Calls => {
            let (start, end) = (time.start.max(known.start), time.end.min(known.end));
            (start <= end).then(|| sum.calls() as f64 / ((end - start).max(SECOND) as f64 / SECOND as f64))
        }
    }
}

/// To the millisecond, whose digits are left out when they are all 0: as protobuf's JSON has it.
fn timestamp(nanos: u64) -> Result<String, Error> {
    let millis = nanos / MILLISECOND;
    let seconds = i64::try_from(millis / 1_000).map_err(|_| Error::Failed)?;
    let time = OffsetDateTime::from_unix_timestamp(seconds).map_err(|_| Error::Failed)?;
    let text = time.format(&Rfc3339).map_err(|_| Error::Failed)?;
    Ok(match millis % 1_000 {
        0 => text,
        rest => format!("{}.{rest:03}Z", text.trim_end_matches('Z')),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use waypost_trace_model::{Limits, otlp::traces_from_json};

    const MINUTE: u64 = 60 * SECOND;
    /// 2026-09-21T14:00:00Z.
    const NOON: u64 = 1_789_999_200 * SECOND;

    /// Calls of `cart`: minute, name, kind as OTLP numbers it, milliseconds, and whether it failed.
    fn statistics(calls: &[(u64, &str, u8, u64, bool)]) -> Statistics {
        let statistics = Statistics::default();
        for ((minute, name, kind, took, has_failed), number) in calls.iter().zip(1..) {
            let span = json!({
                "traceId": format!("{number:032x}"), "spanId": format!("{number:016x}"), "name": name, "kind": kind,
                "startTimeUnixNano": "0", "endTimeUnixNano": (took * MILLISECOND).to_string(),
                "status": {"code": if *has_failed { 2 } else { 0 }},
            });
            let service = json!([{"key": "service.name", "value": {"stringValue": "cart"}}]);
            let message = json!({"resourceSpans": [
                {"resource": {"attributes": service}, "scopeSpans": [{"spans": [span]}]},
            ]});
            let batch = traces_from_json(message.to_string().as_bytes(), &Limits::default()).unwrap();
            statistics.observe(&batch, NOON + minute * MINUTE);
        }
        statistics
    }

    fn told(statistics: &Statistics, figure: Figure, query: &str, now: u64) -> Value {
        let asked = asked(figure, &Parameters::parse(Some(query)), now).unwrap();
        serde_json::to_value(family(statistics, &asked, now).unwrap()).unwrap()
    }

    fn shop() -> Statistics {
        let put = "PUT /cart";
        statistics(&[
            (0, "GET /cart", 2, 64, false),
            (2, "GET /cart", 2, 32, true),
            (2, put, 2, 128, false),
            (2, "SELECT", 3, 8, true),
        ])
    }

    /// A query over the first four minutes, which ends half a minute into the fourth.
    fn window() -> String {
        format!("service=cart&endTs={}&lookback=210000&ratePer=60000", (NOON + 210 * SECOND) / MILLISECOND)
    }

    fn point(value: f64, time: &str) -> Value {
        json!({"gaugeValue": {"doubleValue": value}, "timestamp": time})
    }

    #[test]
    fn latencies_are_in_milliseconds_and_absent_without_calls() {
        let query = format!("{}&quantile=0.5&step=60000", window());
        let expected = json!({
            "name": "service_latencies", "type": "GAUGE",
            "help": "latency at the quantile 0.50 in milliseconds, by service",
            "metrics": [{
                "labels": [{"name": "service_name", "value": "cart"}],
                "metricPoints": [point(64.487_424, "2026-09-21T14:01:00Z"), point(32.243_712, "2026-09-21T14:03:00Z")],
            }],
        });
        assert_eq!(told(&shop(), Figure::Latency, &query, NOON + 210 * SECOND), expected);
    }

    #[test]
    fn rates_are_by_second_of_the_time_that_is_known() {
        let query = format!("{}&groupByOperation=true", window());
        let metric = |operation: &str, points: [f64; 4]| {
            let [first, second, third, last] = points;
            json!({
                "labels": [
                    {"name": "operation", "value": operation},
                    {"name": "service_name", "value": "cart"},
                ],
                "metricPoints": [
                    point(first, "2026-09-21T14:01:00Z"),
                    point(second, "2026-09-21T14:02:00Z"),
                    point(third, "2026-09-21T14:03:00Z"),
                    point(last, "2026-09-21T14:03:30Z"),
                ],
            })
        };
        let sixtieth = 1.0 / 60.0;
        let expected = json!({
            "name": "service_operation_call_rate", "type": "GAUGE", "help": "calls a second, by service and operation",
            "metrics": [
                metric("GET /cart", [sixtieth, 0.0, sixtieth, 0.0]),
                metric("PUT /cart", [0.0, 0.0, sixtieth, 0.0]),
            ],
        });
        assert_eq!(told(&shop(), Figure::Calls, &query, NOON + 210 * SECOND), expected);
    }

    #[test]
    fn errors_are_a_share_of_the_kinds_that_are_asked_for() {
        let query = format!("{}&spanKind=server&spanKind=CLIENT", window());
        let expected = json!({
            "name": "service_error_rate", "type": "GAUGE", "help": "calls that failed, as a share of all calls, by service",
            "metrics": [{
                "labels": [{"name": "service_name", "value": "cart"}],
                "metricPoints": [point(0.0, "2026-09-21T14:01:00Z"), point(2.0 / 3.0, "2026-09-21T14:03:00Z")],
            }],
        });
        assert_eq!(told(&shop(), Figure::Errors, &query, NOON + 210 * SECOND), expected);
        let unknown = told(&shop(), Figure::Errors, "service=nobody", NOON);
        let expected = json!({
            "name": "service_error_rate", "type": "GAUGE", "help": "calls that failed, as a share of all calls, by service",
        });
        assert_eq!(unknown, expected);
    }

    #[test]
    fn a_point_looks_back_on_the_time_of_a_rate_and_steps_are_no_finer_than_what_is_kept() {
        let query = format!(
            "service=cart&endTs={}&lookback=240000&ratePer=180000&step=120000",
            (NOON + 240 * SECOND) / MILLISECOND
        );
        let family = told(&shop(), Figure::Calls, &query, NOON + 240 * SECOND);
        let points = &family["metrics"][0]["metricPoints"];
        let expected =
            [point(1.0 / 120.0, "2026-09-21T14:02:00Z"), point(2.0 / 180.0, "2026-09-21T14:04:00Z")];
        assert_eq!(*points, json!(expected));
        // Of yesterday, hours are kept.
        let query = format!("service=cart&endTs={}&lookback=7200000", (NOON + 3_600 * SECOND) / MILLISECOND);
        let family = told(&shop(), Figure::Errors, &query, NOON + 20 * 3_600 * SECOND);
        assert_eq!(family["metrics"][0]["metricPoints"], json!([point(1.0 / 3.0, "2026-09-21T15:00:00Z")]));
    }

    #[test]
    fn fractions_of_a_second_have_three_digits() {
        assert_eq!(timestamp(NOON + 7 * MILLISECOND).unwrap(), "2026-09-21T14:00:00.007Z");
    }
}

//! Metrics to assert on, from a handle or from what a collector got.

use std::fmt::{self, Write as _};

use opentelemetry::trace::{SpanId, TraceId};
use opentelemetry::{KeyValue, Value};

use super::received::{Instrument, ReceivedMetric};
use crate::base::wire::attributes::read_attribute;
use crate::base::wire::read::{Field, fields, varint};

/// A reading of metrics.
///
/// ```
/// use waypost_telemetry::opentelemetry::KeyValue;
/// use waypost_telemetry::testing::TestTelemetry;
///
/// let telemetry = TestTelemetry::new("order-service");
/// telemetry.meter().u64_counter("orders.placed").build().add(2, &[KeyValue::new("channel", "web")]);
/// telemetry.meter().f64_histogram("orders.price").with_boundaries(vec![10.0]).build().record(12.5, &[]);
///
/// let metrics = telemetry.measured();
/// assert_eq!(metrics.point("orders.placed", &[("channel", "web")]).value(), 2.0);
/// let price = metrics.point("orders.price", &[]);
/// assert_eq!((price.count(), price.value(), price.buckets()), (1, 12.5, &[0, 1][..]));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    metrics: Vec<Metric>,
}

/// One metric of one scope.
#[derive(Clone, Debug)]
pub struct Metric {
    service_name: String,
    scope: String,
    name: String,
    description: String,
    unit: String,
    instrument: Instrument,
    is_difference: bool,
    is_whole: Option<bool>,
    bounds: Option<Vec<f64>>,
    points: Vec<MetricPoint>,
}

/// One set of attributes of a metric.
#[derive(Clone, Debug, Default)]
pub struct MetricPoint {
    attributes: Vec<KeyValue>,
    value: f64,
    count: u64,
    buckets: Vec<u64>,
    exemplars: Vec<(TraceId, SpanId, f64)>,
}

impl Metrics {
    /// All of them.
    pub fn all(&self) -> &[Metric] {
        &self.metrics
    }

    /// The one metric of this name.
    ///
    /// # Panics
    ///
    /// With what there is, if there is none or more than one.
    #[track_caller]
    pub fn metric(&self, name: &str) -> &Metric {
        let mut named = self.metrics.iter().filter(|metric| metric.name == name);
        let (Some(metric), None) = (named.next(), named.next()) else {
            panic!("expected one metric {name} in\n{self}");
        };
        metric
    }

    /// The one point of the one metric of this name that has at least these attributes, compared as texts.
    ///
    /// # Panics
    ///
    /// With what there is, if there is none or more than one.
    #[track_caller]
    pub fn point(&self, name: &str, attributes: &[(&str, &str)]) -> &MetricPoint {
        let has = |point: &&MetricPoint| {
            attributes
                .iter()
                .all(|(key, value)| point.attribute(key).is_some_and(|given| given.as_str() == *value))
        };
        let mut fitting = self.metric(name).points.iter().filter(has);
        let (Some(point), None) = (fitting.next(), fitting.next()) else {
            panic!("expected one point of {name} with {attributes:?} in\n{self}");
        };
        point
    }

    /// Whether there is a metric of this name.
    pub fn has(&self, name: &str) -> bool {
        self.metrics.iter().any(|metric| metric.name == name)
    }

    /// For the conventions' checker.
    pub fn received(&self) -> Vec<ReceivedMetric> {
        let received = self.metrics.iter().map(|metric| ReceivedMetric {
            name: metric.name.clone(),
            unit: metric.unit.clone(),
            instrument: metric.instrument,
            is_whole: metric.is_whole,
            bounds: metric.bounds.clone(),
            points: metric.points.iter().map(|point| point.attributes.clone()).collect(),
        });
        received.collect()
    }

    /// An export request of metrics in protobuf's bytes.
    pub(crate) fn decode(request: &[u8]) -> Self {
        let mut metrics = Vec::new();
        for resource in messages(request, 1) {
            let attributes = messages(resource, 1).next().unwrap_or_default();
            let mut names = messages(attributes, 1).map(read_attribute);
            let service = names.find(|attribute| attribute.key.as_str() == "service.name");
            let service_name = service.map(|name| name.value.to_string()).unwrap_or_default();
            for scoped in messages(resource, 2) {
                let scope = messages(scoped, 1).next().unwrap_or_default();
                let scope = messages(scope, 1).next().map(text).unwrap_or_default();
                metrics
                    .extend(messages(scoped, 2).map(|metric| Metric::decode(metric, &service_name, &scope)));
            }
        }
        Self { metrics }
    }
}

impl Metric {
    /// `service.name` of its resource.
    pub fn service_name(&self) -> &str {
        &self.service_name
    }

    /// Name of its instrumentation scope.
    pub fn scope(&self) -> &str {
        &self.scope
    }

    /// Name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it is said to measure.
    pub fn description(&self) -> &str {
        &self.description
    }

    /// Unit.
    pub fn unit(&self) -> &str {
        &self.unit
    }

    /// What made it.
    pub fn instrument(&self) -> Instrument {
        self.instrument
    }

    /// Whether it is what was added since the reading before.
    pub fn is_difference(&self) -> bool {
        self.is_difference
    }

    /// Upper bounds of a histogram's buckets.
    pub fn bounds(&self) -> &[f64] {
        self.bounds.as_deref().unwrap_or_default()
    }

    /// Its points.
    pub fn points(&self) -> &[MetricPoint] {
        &self.points
    }

    fn decode(message: &[u8], service_name: &str, scope: &str) -> Self {
        let mut metric = Self {
            service_name: service_name.to_owned(),
            scope: scope.to_owned(),
            name: String::new(),
            description: String::new(),
            unit: String::new(),
            instrument: Instrument::Gauge,
            is_difference: false,
            is_whole: None,
            bounds: None,
            points: Vec::new(),
        };
        for (number, field) in fields(message) {
            match number {
                1 => metric.name = field.text(),
                2 => metric.description = field.text(),
                3 => metric.unit = field.text(),
                5 | 7 | 9 | 10 => metric.read_data(number, field.bytes()),
                _ => {}
            }
        }
        metric
    }

    /// A gauge, a sum, a histogram, an exponential histogram.
    fn read_data(&mut self, kind: u32, data: &[u8]) {
        let mut is_monotonic = false;
        for (number, field) in fields(data) {
            match number {
                1 if kind < 9 => self.read_number(field.bytes()),
                1 => self.read_distribution(kind, field.bytes()),
                2 => self.is_difference = field.number() == 1,
                3 => is_monotonic = field.number() == 1,
                _ => {}
            }
        }
        self.instrument = match (kind, is_monotonic) {
            (5, _) => Instrument::Gauge,
            (7, true) => Instrument::Counter,
            (7, false) => Instrument::UpDownCounter,
            _ => Instrument::Histogram,
        };
    }

    fn read_number(&mut self, message: &[u8]) {
        let mut point = MetricPoint::default();
        for (number, field) in fields(message) {
            match number {
                4 => {
                    (point.value, self.is_whole) = (f64::from_bits(field.number()), Some(false));
                }
                5 => point.exemplars.push(exemplar(field.bytes())),
                6 => {
                    (point.value, self.is_whole) = (real(field.number().cast_signed()), Some(true));
                }
                7 => point.attributes.push(read_attribute(field.bytes())),
                _ => {}
            }
        }
        self.points.push(point);
    }

    fn read_distribution(&mut self, kind: u32, message: &[u8]) {
        let mut point = MetricPoint::default();
        let is_explicit = kind == 9;
        let mut bounds = Vec::new();
        for (number, field) in fields(message) {
            match number {
                1 | 9 if (number == 9) == is_explicit => point.attributes.push(read_attribute(field.bytes())),
                4 => point.count = field.number(),
                5 => point.value = f64::from_bits(field.number()),
                6 if is_explicit => point.buckets = fixed(field).collect(),
                7 if is_explicit => bounds = fixed(field).map(f64::from_bits).collect(),
                8 if is_explicit => point.exemplars.push(exemplar(field.bytes())),
                8 => point.buckets = exponential(field.bytes()),
                _ => {}
            }
        }
        if is_explicit {
            self.bounds = Some(bounds);
        }
        self.points.push(point);
    }
}

impl MetricPoint {
    /// Its attributes.
    pub fn attributes(&self) -> &[KeyValue] {
        &self.attributes
    }

    /// One of them.
    pub fn attribute(&self, key: &str) -> Option<&Value> {
        self.attributes
            .iter()
            .find(|attribute| attribute.key.as_str() == key)
            .map(|attribute| &attribute.value)
    }

    /// The value of a sum or a gauge; the sum of a histogram.
    pub fn value(&self) -> f64 {
        self.value
    }

    /// How many values a histogram took.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// How many each bucket took; of an exponential histogram those of positive values.
    pub fn buckets(&self) -> &[u64] {
        &self.buckets
    }

    /// Trace, span and value of each exemplar.
    pub fn exemplars(&self) -> &[(TraceId, SpanId, f64)] {
        &self.exemplars
    }
}

/// One line a point, by name: `orders.placed COUNTER {order} channel=web = 2`.
impl fmt::Display for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = Vec::new();
        for metric in &self.metrics {
            for point in &metric.points {
                let kind = metric.instrument.as_str().to_uppercase();
                let mut line = format!("{} {kind} {}", metric.name, metric.unit);
                let mut attributes: Vec<&KeyValue> = point.attributes.iter().collect();
                attributes.sort_by(|one, other| one.key.cmp(&other.key));
                for attribute in attributes {
                    let _ = write!(line, " {}={}", attribute.key, attribute.value);
                }
                let _ = write!(line, " = {}", point.value);
                if metric.instrument == Instrument::Histogram {
                    let _ = write!(line, " of {}", point.count);
                }
                lines.push(line);
            }
        }
        lines.sort();
        f.write_str(&lines.join("\n"))
    }
}

fn messages(message: &[u8], wanted: u32) -> impl Iterator<Item = &[u8]> {
    fields(message).filter(move |(number, _)| *number == wanted).map(|(_, field)| field.bytes())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[expect(clippy::cast_precision_loss, reason = "for comparisons in tests, where numbers are small")]
fn real(number: i64) -> f64 {
    number as f64
}

fn fixed(field: Field<'_>) -> impl Iterator<Item = u64> {
    field.bytes().as_chunks::<8>().0.iter().map(|number| u64::from_le_bytes(*number))
}

fn exponential(buckets: &[u8]) -> Vec<u64> {
    let mut counts = Vec::new();
    for mut packed in messages(buckets, 2) {
        counts.extend(std::iter::from_fn(|| varint(&mut packed)));
    }
    counts
}

fn exemplar(message: &[u8]) -> (TraceId, SpanId, f64) {
    let (mut trace, mut span, mut value) = (TraceId::INVALID, SpanId::INVALID, 0.0);
    for (number, field) in fields(message) {
        match number {
            3 => value = f64::from_bits(field.number()),
            4 => span = SpanId::from_bytes(field.bytes().try_into().unwrap_or_default()),
            5 => trace = TraceId::from_bytes(field.bytes().try_into().unwrap_or_default()),
            6 => value = real(field.number().cast_signed()),
            _ => {}
        }
    }
    (trace, span, value)
}

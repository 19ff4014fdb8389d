//! A reading of metrics as an OTLP export request. Readings are rare, so messages are written with their lengths put
//! in afterwards.

use std::time::SystemTime;

use opentelemetry::KeyValue;
use opentelemetry_sdk::metrics::Temporality;
use opentelemetry_sdk::metrics::data::{
    AggregatedMetrics, ExponentialBucket, ExponentialHistogram, Gauge, Histogram, Metric, MetricData,
    ResourceMetrics, ScopeMetrics, Sum,
};

use super::encode_logs::nanoseconds;
use super::scope::Scope;
use crate::base::wire::attributes::put_attributes;
use crate::base::wire::{put_bytes, put_fixed64, put_message, put_number, put_text, put_varint};
use crate::core::readings::ReadingTimes;
use crate::core::readings::exemplars::{Exemplar, Exemplars, MetricExemplars};

/// An export request with this one reading and what was kept beside its points. `times` are those of a clock that a test has
/// given; scopes and points then stand in the order of their names and attributes, so that the same readings are the same bytes.
pub(crate) fn request(
    reading: &ResourceMetrics,
    exemplars: &Exemplars,
    times: Option<ReadingTimes>,
) -> Vec<u8> {
    let mut out = Vec::new();
    put_message(&mut out, 1, |out| {
        let resource =
            reading.resource().iter().map(|(key, value)| KeyValue::new(key.clone(), value.clone()));
        let resource = in_order(resource, times, |attribute| attribute.key.clone());
        put_message(out, 1, |out| {
            put_attributes(out, 1, &resource, usize::MAX, usize::MAX);
        });
        let name = |scope: &&ScopeMetrics| {
            (scope.scope().name().to_owned(), scope.scope().version().map(str::to_owned))
        };
        for scope in in_order(reading.scope_metrics(), times, name) {
            put_message(out, 2, |out| put_scope(out, scope, exemplars, times));
        }
        put_text(out, 3, reading.resource().schema_url().unwrap_or_default());
    });
    out
}

/// As they come, or sorted where the SDK's order would be another in every run.
fn in_order<T, K: Ord>(
    items: impl Iterator<Item = T>,
    times: Option<ReadingTimes>,
    key: impl Fn(&T) -> K,
) -> Vec<T> {
    let mut items: Vec<T> = items.collect();
    if times.is_some() {
        items.sort_by_cached_key(key);
    }
    items
}

/// The attributes of a point as bytes.
fn labels<'a>(labels: impl Iterator<Item = &'a KeyValue>) -> Vec<u8> {
    let mut out = Vec::new();
    put_labels(&mut out, 1, labels);
    out
}

/// From when on a point adds up, and of when it is.
#[derive(Clone, Copy)]
struct Interval {
    start: SystemTime,
    time: SystemTime,
}

impl Interval {
    /// What the SDK says, unless a test has given the clock.
    fn of(
        start: SystemTime,
        time: SystemTime,
        temporality: Temporality,
        times: Option<ReadingTimes>,
    ) -> Self {
        let Some(times) = times else { return Self { start, time } };
        let start = if temporality == Temporality::Delta { times.before } else { times.begun };
        Self { start, time: times.now }
    }

    fn put(self, out: &mut Vec<u8>) {
        put_fixed64(out, 2, nanoseconds(self.start));
        put_fixed64(out, 3, nanoseconds(self.time));
    }
}

fn put_scope(out: &mut Vec<u8>, metrics: &ScopeMetrics, exemplars: &Exemplars, times: Option<ReadingTimes>) {
    out.extend_from_slice(&Scope::new(metrics.scope().clone()).head);
    for metric in metrics.metrics() {
        let exemplars = exemplars.of(metrics.scope(), metric.name());
        put_message(out, 2, |out| put_metric(out, metric, &exemplars, times));
    }
}

fn put_metric(out: &mut Vec<u8>, metric: &Metric, exemplars: &MetricExemplars, times: Option<ReadingTimes>) {
    put_text(out, 1, metric.name());
    put_text(out, 2, metric.description());
    put_text(out, 3, metric.unit());
    match metric.data() {
        AggregatedMetrics::F64(data) => put_data(out, data, exemplars, times),
        AggregatedMetrics::U64(data) => put_data(out, data, exemplars, times),
        AggregatedMetrics::I64(data) => put_data(out, data, exemplars, times),
    }
}

fn put_data<T: Number>(
    out: &mut Vec<u8>,
    data: &MetricData<T>,
    exemplars: &MetricExemplars,
    times: Option<ReadingTimes>,
) {
    match data {
        MetricData::Gauge(gauge) => put_message(out, 5, |out| put_gauge(out, gauge, times)),
        MetricData::Sum(sum) => put_message(out, 7, |out| put_sum(out, sum, exemplars, times)),
        MetricData::Histogram(histogram) => {
            put_message(out, 9, |out| put_histogram(out, histogram, exemplars, times));
        }
        MetricData::ExponentialHistogram(histogram) => {
            put_message(out, 10, |out| put_exponential(out, histogram, times));
        }
    }
}

/// The numbers that instruments record.
trait Number: Copy {
    /// As the value of a data point: `as_double = 4` or `as_int = 6`.
    fn put(self, out: &mut Vec<u8>);

    fn to_f64(self) -> f64;
}

impl Number for f64 {
    fn put(self, out: &mut Vec<u8>) {
        put_fixed64(out, 4, self.to_bits());
    }

    fn to_f64(self) -> f64 {
        self
    }
}

impl Number for i64 {
    fn put(self, out: &mut Vec<u8>) {
        put_fixed64(out, 6, self.cast_unsigned());
    }

    #[expect(clippy::cast_precision_loss, reason = "sums and bounds of histograms are real numbers in OTLP")]
    fn to_f64(self) -> f64 {
        self as f64
    }
}

impl Number for u64 {
    /// OTLP has signed numbers only.
    fn put(self, out: &mut Vec<u8>) {
        i64::try_from(self).unwrap_or(i64::MAX).put(out);
    }

    #[expect(clippy::cast_precision_loss, reason = "sums and bounds of histograms are real numbers in OTLP")]
    fn to_f64(self) -> f64 {
        self as f64
    }
}

fn put_gauge<T: Number>(out: &mut Vec<u8>, gauge: &Gauge<T>, times: Option<ReadingTimes>) {
    let time = times.map_or(gauge.time(), |times| times.now);
    let start = gauge.start_time().map(|start| times.map_or(start, |times| times.before));
    for point in in_order(gauge.data_points(), times, |point| labels(point.attributes())) {
        put_message(out, 1, |out| {
            if let Some(start) = start {
                put_fixed64(out, 2, nanoseconds(start));
            }
            put_fixed64(out, 3, nanoseconds(time));
            point.value().put(out);
            put_labels(out, 7, point.attributes());
        });
    }
}

fn put_sum<T: Number>(
    out: &mut Vec<u8>,
    sum: &Sum<T>,
    exemplars: &MetricExemplars,
    times: Option<ReadingTimes>,
) {
    let interval = Interval::of(sum.start_time(), sum.time(), sum.temporality(), times);
    for point in in_order(sum.data_points(), times, |point| labels(point.attributes())) {
        put_message(out, 1, |out| {
            interval.put(out);
            point.value().put(out);
            put_exemplars(out, 5, &exemplars.of_point(point.attributes(), Some(interval.start)));
            put_labels(out, 7, point.attributes());
        });
    }
    put_number(out, 2, temporality(sum.temporality()));
    put_number(out, 3, sum.is_monotonic().into());
}

fn put_histogram<T: Number>(
    out: &mut Vec<u8>,
    histogram: &Histogram<T>,
    exemplars: &MetricExemplars,
    times: Option<ReadingTimes>,
) {
    let interval = Interval::of(histogram.start_time(), histogram.time(), histogram.temporality(), times);
    for point in in_order(histogram.data_points(), times, |point| labels(point.attributes())) {
        put_message(out, 1, |out| {
            interval.put(out);
            put_fixed64(out, 4, point.count());
            put_fixed64(out, 5, point.sum().to_f64().to_bits());
            put_packed(out, 6, point.bucket_counts());
            put_packed(out, 7, point.bounds().map(f64::to_bits));
            put_exemplars(out, 8, &exemplars.of_point(point.attributes(), Some(interval.start)));
            put_labels(out, 9, point.attributes());
            put_double(out, 11, point.min());
            put_double(out, 12, point.max());
        });
    }
    put_number(out, 2, temporality(histogram.temporality()));
}

/// Without attributes: a view that leaves some out leaves them out of everything.
fn put_exemplars(out: &mut Vec<u8>, field: u32, exemplars: &[(usize, Exemplar)]) {
    for (_, exemplar) in exemplars {
        put_message(out, field, |out| {
            put_fixed64(out, 2, nanoseconds(exemplar.time));
            put_fixed64(out, 3, exemplar.value.to_bits());
            if let Some((trace, span)) = exemplar.span {
                put_bytes(out, 4, &span.to_bytes());
                put_bytes(out, 5, &trace.to_bytes());
            }
        });
    }
}

fn put_exponential<T: Number>(
    out: &mut Vec<u8>,
    histogram: &ExponentialHistogram<T>,
    times: Option<ReadingTimes>,
) {
    let interval = Interval::of(histogram.start_time(), histogram.time(), histogram.temporality(), times);
    for point in in_order(histogram.data_points(), times, |point| labels(point.attributes())) {
        put_message(out, 1, |out| {
            put_labels(out, 1, point.attributes());
            interval.put(out);
            put_fixed64(out, 4, point.count() as u64);
            put_fixed64(out, 5, point.sum().to_f64().to_bits());
            put_number(out, 6, zigzag(point.scale().into()));
            put_fixed64(out, 7, point.zero_count());
            put_message(out, 8, |out| put_buckets(out, point.positive_bucket()));
            put_message(out, 9, |out| put_buckets(out, point.negative_bucket()));
            put_double(out, 12, point.min());
            put_double(out, 13, point.max());
            put_fixed64(out, 14, point.zero_threshold().to_bits());
        });
    }
    put_number(out, 2, temporality(histogram.temporality()));
}

fn put_buckets(out: &mut Vec<u8>, bucket: &ExponentialBucket) {
    put_number(out, 1, zigzag(bucket.offset()));
    let mut packed = Vec::new();
    bucket.counts().for_each(|count| put_varint(&mut packed, count));
    put_bytes(out, 2, &packed);
}

fn put_packed(out: &mut Vec<u8>, field: u32, numbers: impl Iterator<Item = u64>) {
    let packed: Vec<u8> = numbers.flat_map(u64::to_le_bytes).collect();
    if !packed.is_empty() {
        put_bytes(out, field, &packed);
    }
}

fn put_double<T: Number>(out: &mut Vec<u8>, field: u32, number: Option<T>) {
    if let Some(number) = number {
        put_fixed64(out, field, number.to_f64().to_bits());
    }
}

fn put_labels<'a>(out: &mut Vec<u8>, field: u32, labels: impl Iterator<Item = &'a KeyValue>) {
    let labels: Vec<KeyValue> = labels.cloned().collect();
    put_attributes(out, field, &labels, usize::MAX, usize::MAX);
}

fn zigzag(number: i32) -> u64 {
    let number = i64::from(number);
    ((number << 1) ^ (number >> 63)).cast_unsigned()
}

fn temporality(temporality: Temporality) -> u64 {
    if temporality == Temporality::Delta { 1 } else { 2 }
}

#[cfg(test)]
mod tests {
    use opentelemetry::metrics::MeterProvider as _;
    use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
    use opentelemetry_sdk::Resource;
    use opentelemetry_sdk::metrics::{Aggregation, Instrument, Stream};
    use prost::Message as _;

    use super::*;
    use crate::base::config::MetricSettings;
    use crate::core::clock::HandleClock;
    use crate::core::readings;

    #[test]
    fn bytes_are_read_as_the_official_messages() {
        let resource = Resource::builder_empty().with_attribute(KeyValue::new("service.name", "s")).build();
        let (source, provider) =
            readings::provider(&MetricSettings::default(), 0, &resource, &HandleClock::default());
        let provider = provider.unwrap();
        let meter = provider.meter("m");
        let labels = [KeyValue::new("a", "b")];
        meter.u64_counter("counter").with_unit("{item}").with_description("d").build().add(3, &labels);
        meter.i64_up_down_counter("updown").build().add(-3, &[]);
        meter.f64_gauge("gauge").build().record(0.5, &labels);
        meter.f64_histogram("histogram").with_boundaries(vec![1.0, 2.0]).build().record(1.5, &labels);
        meter.u64_histogram("empty bounds").with_boundaries(vec![]).build().record(7, &[]);
        let reading = source.read().unwrap();
        let decoded =
            ExportMetricsServiceRequest::decode(request(&reading, &Exemplars::default(), None).as_slice())
                .unwrap();
        assert_eq!(decoded, ExportMetricsServiceRequest::from(&reading));
    }

    #[test]
    fn exponential_histograms_are_read_as_the_official_messages() {
        use opentelemetry_sdk::metrics::SdkMeterProvider;
        let reader = std::sync::Arc::new(opentelemetry_sdk::metrics::ManualReader::builder().build());
        let exponential = |_: &Instrument| {
            let aggregation =
                Aggregation::Base2ExponentialHistogram { max_size: 160, max_scale: 20, record_min_max: true };
            Stream::builder().with_aggregation(aggregation).build().ok()
        };
        let provider = SdkMeterProvider::builder()
            .with_reader(readings::SharedReader(std::sync::Arc::clone(&reader)))
            .with_view(exponential)
            .build();
        let histogram = provider.meter("m").f64_histogram("exponential").build();
        for value in [0.0, 0.1, 3.0, -2.0] {
            histogram.record(value, &[]);
        }
        let mut reading = ResourceMetrics::default();
        opentelemetry_sdk::metrics::reader::MetricReader::collect(&*reader, &mut reading).unwrap();
        let decoded =
            ExportMetricsServiceRequest::decode(request(&reading, &Exemplars::default(), None).as_slice())
                .unwrap();
        assert_eq!(decoded, ExportMetricsServiceRequest::from(&reading));
    }
}

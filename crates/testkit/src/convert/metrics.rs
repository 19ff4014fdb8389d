//! Metrics: what makes them and what their points are called, not their values.

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue as WireAttribute;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{Metric, NumberDataPoint, number_data_point};
use waypost_telemetry::opentelemetry::KeyValue;
use waypost_telemetry::testing::{Instrument, ReceivedMetric};

use super::{Received, attribute, twice};

/// The metrics of a request, each with the service it is of.
pub(crate) fn metrics(request: ExportMetricsServiceRequest) -> Received<(String, ReceivedMetric)> {
    let mut all = Received::new();
    for resource_metrics in request.resource_metrics {
        let service_name = all.resource(resource_metrics.resource);
        let metrics = resource_metrics.scope_metrics.into_iter().flat_map(|scope| scope.metrics);
        for metric in metrics {
            let name = metric.name.clone();
            let Some((metric, points)) = received(metric) else { continue };
            let keys = points.iter().flat_map(|point| twice(point));
            all.duplicates.extend(keys.map(|key| format!("{name}: {key}")));
            let points = points.into_iter().map(|point| point.into_iter().map(attribute).collect());
            all.items.push((service_name.clone(), ReceivedMetric { points: points.collect(), ..metric }));
        }
    }
    all
}

/// A metric without its points, and the attributes of each of them.
fn received(metric: Metric) -> Option<(ReceivedMetric, Vec<Vec<WireAttribute>>)> {
    let (mut is_whole, mut bounds) = (None, None);
    let (instrument, points) = match metric.data? {
        Data::Gauge(gauge) => {
            is_whole = numbers(&gauge.data_points);
            (Instrument::Gauge, of_numbers(gauge.data_points))
        }
        Data::Sum(sum) => {
            is_whole = numbers(&sum.data_points);
            let instrument = if sum.is_monotonic { Instrument::Counter } else { Instrument::UpDownCounter };
            (instrument, of_numbers(sum.data_points))
        }
        Data::Histogram(histogram) => {
            bounds = histogram.data_points.first().map(|point| point.explicit_bounds.clone());
            let points = histogram.data_points.into_iter().map(|point| point.attributes);
            (Instrument::Histogram, points.collect())
        }
        Data::ExponentialHistogram(histogram) => {
            let points = histogram.data_points.into_iter().map(|point| point.attributes);
            (Instrument::Histogram, points.collect())
        }
        // No instrument of the conventions makes one.
        Data::Summary(_) => return None,
    };
    let (name, unit, none) = (metric.name, metric.unit, Vec::<Vec<KeyValue>>::new());
    Some((ReceivedMetric { name, unit, instrument, is_whole, bounds, points: none }, points))
}

fn numbers(points: &[NumberDataPoint]) -> Option<bool> {
    let value = points.first()?.value.as_ref()?;
    Some(matches!(value, number_data_point::Value::AsInt(_)))
}

fn of_numbers(points: Vec<NumberDataPoint>) -> Vec<Vec<WireAttribute>> {
    points.into_iter().map(|point| point.attributes).collect()
}

//! Instruments with the right buckets, and the one reader of a handle.
//!
//! One reader serves both scraping and pushing, so an instrument pays for one aggregation however many read it.

use std::sync::Arc;

use opentelemetry::metrics::{Histogram, Meter};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::reader::MetricReader;
use opentelemetry_sdk::metrics::{
    Instrument, InstrumentKind, ManualReader, Pipeline, SdkMeterProvider, Stream, Temporality,
};

use crate::base::config::MetricSettings;

/// The version of the semantic conventions that the kit's names follow: schema URL of its scope.
pub(crate) const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/1.44.0";

/// Bounds in seconds that the conventions ask for on HTTP, RPC and messaging durations.
pub const REQUEST_SECONDS: [f64; 14] =
    [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];
/// Bounds in seconds that the conventions ask for on database durations.
pub const DATABASE_SECONDS: [f64; 9] = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0];

/// A histogram of durations in seconds. Build once, keep.
///
/// ```
/// use waypost_telemetry::metrics::{self, REQUEST_SECONDS};
/// use waypost_telemetry::testing::TestTelemetry;
///
/// let telemetry = TestTelemetry::new("order-service");
/// let duration =
///     metrics::durations(telemetry.meter(), "order.place.duration", "Placing an order", &REQUEST_SECONDS);
/// duration.record(0.2, &[]);
/// let text = metrics::render_prometheus(&[telemetry.handle().clone()]);
/// assert!(text.contains("order_place_duration_seconds_count{"));
/// ```
pub fn durations(
    meter: &Meter,
    name: &'static str,
    description: &'static str,
    bounds: &[f64],
) -> Histogram<f64> {
    meter
        .f64_histogram(name)
        .with_unit("s")
        .with_description(description)
        .with_boundaries(bounds.to_vec())
        .build()
}

/// Where the metrics of one handle are read.
#[derive(Clone, Debug, Default)]
pub(crate) struct MetricSource(Option<Arc<ManualReader>>);

impl MetricSource {
    /// A cumulative reading of everything; `None` if metrics are off.
    pub(crate) fn read(&self) -> Option<ResourceMetrics> {
        let mut reading = ResourceMetrics::default();
        self.0.as_ref()?.collect(&mut reading).ok()?;
        Some(reading)
    }
}

/// Shares the reader between the provider and the source.
#[derive(Debug)]
pub(crate) struct SharedReader(pub(crate) Arc<ManualReader>);

impl MetricReader for SharedReader {
    fn register_pipeline(&self, pipeline: std::sync::Weak<Pipeline>) {
        self.0.register_pipeline(pipeline);
    }

    fn collect(&self, reading: &mut ResourceMetrics) -> opentelemetry_sdk::error::OTelSdkResult {
        self.0.collect(reading)
    }

    fn force_flush(&self) -> opentelemetry_sdk::error::OTelSdkResult {
        self.0.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: std::time::Duration) -> opentelemetry_sdk::error::OTelSdkResult {
        self.0.shutdown_with_timeout(timeout)
    }

    fn temporality(&self, kind: InstrumentKind) -> Temporality {
        self.0.temporality(kind)
    }
}

/// A source and the provider behind it; without a provider if metrics are off.
pub(crate) fn provider(
    settings: &MetricSettings,
    resource: &Resource,
) -> (MetricSource, Option<SdkMeterProvider>) {
    if !settings.enabled {
        return (MetricSource::default(), None);
    }
    let reader = Arc::new(ManualReader::builder().with_temporality(Temporality::Cumulative).build());
    let limit = settings.cardinality_limit;
    let provider = SdkMeterProvider::builder()
        .with_resource(resource.clone())
        .with_reader(SharedReader(Arc::clone(&reader)))
        .with_view(move |_: &Instrument| Stream::builder().with_cardinality_limit(limit).build().ok())
        .build();
    (MetricSource(Some(reader)), Some(provider))
}

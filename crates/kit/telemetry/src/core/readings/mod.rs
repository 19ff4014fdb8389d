//! Instruments with the right buckets, and the readers of a handle.

mod component;
#[cfg(any(feature = "memcached", feature = "mongodb", feature = "redis", feature = "sql"))]
pub(crate) mod database;
pub(crate) mod exemplars;
mod source;
mod views;

use opentelemetry::metrics::{Histogram, Meter};

pub(crate) use component::{Names, Operations, Signal};
#[cfg(test)]
pub(crate) use source::SharedReader;
pub(crate) use source::{MetricSource, PushCounts, PushSource, ReadingTimes, data_points, provider};

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

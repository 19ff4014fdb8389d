//! Samplers that look at nothing but the trace: all, none, a share, a rate.

use super::bucket::TokenBucket;
use super::{ComposableSampler, Intent, SpanStart};

/// Takes everything.
///
/// ```
/// use waypost_telemetry::{Builder, sampling, testing::TestTelemetry};
///
/// let settings = TestTelemetry::settings("order-service");
/// let telemetry = Builder::new(settings).composable_sampler(sampling::always_on()).init()?;
/// telemetry.span("show").in_scope(|| ());
/// assert_eq!(telemetry.finished_spans()[0].span_context().trace_state().header(), "ot=th:0");
/// # Ok::<(), waypost_telemetry::InitError>(())
/// ```
pub fn always_on() -> AlwaysOn {
    AlwaysOn
}

/// Takes nothing.
///
/// ```
/// use waypost_telemetry::{Builder, sampling, testing::TestTelemetry};
///
/// let settings = TestTelemetry::settings("order-service");
/// let telemetry = Builder::new(settings).composable_sampler(sampling::always_off()).init()?;
/// telemetry.span("show").in_scope(|| ());
/// assert!(telemetry.finished_spans().is_empty());
/// # Ok::<(), waypost_telemetry::InitError>(())
/// ```
pub fn always_off() -> AlwaysOff {
    AlwaysOff
}

/// Takes this share of the traces, 0 to 1.
///
/// ```
/// use waypost_telemetry::{Builder, sampling, testing::TestTelemetry};
///
/// let settings = TestTelemetry::settings("order-service");
/// let telemetry = Builder::new(settings).composable_sampler(sampling::ratio(0.5)).init()?;
/// (0..1_000).for_each(|_| telemetry.span("show").in_scope(|| ()));
/// assert!((350..650).contains(&telemetry.finished_spans().len()));
/// # Ok::<(), waypost_telemetry::InitError>(())
/// ```
pub fn ratio(ratio: f64) -> Ratio {
    Ratio(Intent::ratio(ratio))
}

/// Of what another sampler takes, no more than this many spans a second that it is asked about; as many at once as in one
/// second. Below [`parent_based`](super::parent_based) these are traces.
///
/// ```
/// use waypost_telemetry::{Builder, sampling, testing::TestTelemetry};
///
/// let sampler = sampling::rate_limited(sampling::always_on(), 0.001);
/// let telemetry = Builder::new(TestTelemetry::settings("order-service")).composable_sampler(sampler).init()?;
/// (0..100).for_each(|_| telemetry.span("show").in_scope(|| ()));
/// assert_eq!(telemetry.finished_spans().len(), 1);
/// # Ok::<(), waypost_telemetry::InitError>(())
/// ```
pub fn rate_limited<S: ComposableSampler>(sampler: S, per_second: f64) -> RateLimited<S> {
    RateLimited { sampler, bucket: TokenBucket::per_second(per_second) }
}

/// See [`always_on`].
#[derive(Clone, Copy, Debug)]
pub struct AlwaysOn;

impl ComposableSampler for AlwaysOn {
    fn intent(&self, _: &SpanStart<'_>) -> Intent {
        Intent::always()
    }
}

/// See [`always_off`].
#[derive(Clone, Copy, Debug)]
pub struct AlwaysOff;

impl ComposableSampler for AlwaysOff {
    fn intent(&self, _: &SpanStart<'_>) -> Intent {
        Intent::never()
    }
}

/// See [`ratio`].
#[derive(Clone, Debug)]
pub struct Ratio(Intent);

impl ComposableSampler for Ratio {
    fn intent(&self, _: &SpanStart<'_>) -> Intent {
        self.0.clone()
    }
}

/// See [`rate_limited`].
#[derive(Debug)]
pub struct RateLimited<S> {
    sampler: S,
    bucket: TokenBucket,
}

impl<S: ComposableSampler> ComposableSampler for RateLimited<S> {
    fn intent(&self, span: &SpanStart<'_>) -> Intent {
        let intent = self.sampler.intent(span).unreliable();
        if intent.takes(span.randomness) && !self.bucket.take() { intent.refused() } else { intent }
    }
}

//! Where the metrics of one handle are read: one reader for the page, and one for each push that wants differences.
//!
//! The page is always cumulative, and cumulative pushes read what the page reads, so an instrument pays for one
//! aggregation. A reader of differences forgets what it has given out; it belongs to one push alone, and every
//! measurement is then taken once more for it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, SystemTime};

use opentelemetry::metrics::{Histogram, MeterProvider as _};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::data::{AggregatedMetrics, MetricData, ResourceMetrics, ScopeMetrics};
use opentelemetry_sdk::metrics::reader::MetricReader;
use opentelemetry_sdk::metrics::{
    Instrument, InstrumentKind, ManualReader, Pipeline, SdkMeterProvider, Temporality,
};

use super::component::{Names, Operations, Signal};
use super::exemplars::Exemplars;
use super::exemplars::provider::Meters;
use super::views::Views;
use crate::base::attributes::SCHEMA_URL;
use crate::base::config::{self, Exporter, MetricSettings};
use crate::base::ledger::DropReason;
use crate::core::clock::HandleClock;

/// Where the metrics of one handle are read; nothing is there if metrics are off.
#[derive(Clone, Debug, Default)]
pub(crate) struct MetricSource(Option<Arc<Readers>>);

#[derive(Debug)]
struct Readers {
    page: Arc<ManualReader>,
    exemplars: Exemplars,
    /// Not yet taken by a push.
    differences: Mutex<Vec<Arc<ManualReader>>>,
    /// How often differences were read; `None` if nobody wants them.
    told: Option<Arc<AtomicU64>>,
    pushes: Mutex<Vec<PushedBy>>,
    operations: Histogram<f64>,
    clock: HandleClock,
    begun: SystemTime,
}

/// An exporter of metrics and what it counted.
#[derive(Clone, Debug)]
struct PushedBy {
    exporter: Exporter,
    server: Option<(String, u16)>,
    counts: Arc<PushCounts>,
}

/// Data points that were passed to one exporter.
#[derive(Debug, Default)]
pub(crate) struct PushCounts {
    inflight: AtomicU64,
    exported: AtomicU64,
    rejected: AtomicU64,
    failed: AtomicU64,
}

impl PushCounts {
    pub(crate) fn begun(&self, points: u64) {
        self.inflight.fetch_add(points, Ordering::Relaxed);
    }

    pub(crate) fn ended(&self, points: u64) {
        self.inflight.fetch_sub(points, Ordering::Relaxed);
    }

    /// A receiver took them, but for `rejected`.
    pub(crate) fn accepted(&self, points: u64, rejected: u64) {
        let rejected = rejected.min(points);
        self.exported.fetch_add(points - rejected, Ordering::Relaxed);
        self.rejected.fetch_add(rejected, Ordering::Relaxed);
    }

    pub(crate) fn failed(&self, points: u64) {
        self.failed.fetch_add(points, Ordering::Relaxed);
    }

    pub(crate) fn inflight(&self) -> u64 {
        self.inflight.load(Ordering::Relaxed)
    }

    pub(crate) fn exported(&self) -> u64 {
        self.exported.load(Ordering::Relaxed)
    }

    /// Those that did not arrive, by reason.
    pub(crate) fn dropped(&self) -> [(DropReason, u64); 2] {
        [
            (DropReason::Rejected, self.rejected.load(Ordering::Relaxed)),
            (DropReason::ExportFailed, self.failed.load(Ordering::Relaxed)),
        ]
    }
}

/// What one push reads.
#[derive(Debug)]
pub(crate) struct PushSource {
    reader: Option<Arc<ManualReader>>,
    /// Whether a reading is gone once it was given out, so that it has to be kept until it is taken.
    pub(crate) is_difference: bool,
    told: Option<Arc<AtomicU64>>,
    pub(crate) counts: Arc<PushCounts>,
    pub(crate) operations: Operations,
    pub(crate) exemplars: Exemplars,
    times: Option<GivenTimes>,
}

/// The times of readings by a clock that a test gives.
#[derive(Debug)]
struct GivenTimes {
    clock: HandleClock,
    begun: SystemTime,
    before: Mutex<SystemTime>,
}

/// The times that a test's clock gives to the points of one reading, in place of the SDK's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReadingTimes {
    /// Of the first moment.
    pub(crate) begun: SystemTime,
    /// Of the reading before; the first moment if there was none.
    pub(crate) before: SystemTime,
    /// Of this reading.
    pub(crate) now: SystemTime,
}

impl MetricSource {
    /// A cumulative reading of everything; `None` if metrics are off.
    pub(crate) fn read(&self) -> Option<ResourceMetrics> {
        collect(&self.0.as_ref()?.page)
    }

    /// The times of a reading that is taken now, if a test has given the clock.
    pub(crate) fn times(&self) -> Option<ReadingTimes> {
        let readers = self.0.as_ref().filter(|readers| readers.clock.is_given())?;
        Some(ReadingTimes { begun: readers.begun, before: readers.begun, now: readers.clock.now() })
    }

    /// What was kept beside the points of any reading.
    pub(crate) fn exemplars(&self) -> Exemplars {
        self.0.as_ref().map(|readers| readers.exemplars.clone()).unwrap_or_default()
    }

    /// The source of one more push. Only OTLP is told differences; standard output shows what the page shows.
    pub(crate) fn push(&self, exporter: Exporter, server: Option<(String, u16)>) -> PushSource {
        let counts = Arc::<PushCounts>::default();
        let Some(readers) = &self.0 else {
            return PushSource {
                reader: None,
                is_difference: false,
                told: None,
                counts,
                operations: Operations::default(),
                exemplars: Exemplars::default(),
                times: None,
            };
        };
        let pushed_by = PushedBy { exporter, server, counts: Arc::clone(&counts) };
        lock(&readers.pushes).push(pushed_by);
        let attributes = self.pushed().pop().map(|(attributes, _)| attributes).unwrap_or_default();
        let (duration, clock) = (Some(readers.operations.clone()), readers.clock.clone());
        let times = clock.is_given().then(|| GivenTimes {
            clock: clock.clone(),
            begun: readers.begun,
            before: Mutex::new(readers.begun),
        });
        let operations = Operations { duration, attributes, clock };
        let own = is_otlp(exporter).then(|| lock(&readers.differences).pop()).flatten();
        let is_difference = own.is_some();
        let reader = Some(own.unwrap_or_else(|| Arc::clone(&readers.page)));
        let told = readers.told.clone().filter(|_| is_difference);
        let exemplars = readers.exemplars.clone();
        PushSource { reader, is_difference, told, counts, operations, exemplars, times }
    }

    /// Whether measurements are read by anybody.
    pub(crate) fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// How often differences were told, for whoever keeps what the SDK may forget then; `None` if nobody is told any.
    pub(crate) fn told(&self) -> Option<Arc<AtomicU64>> {
        self.0.as_ref()?.told.clone()
    }

    /// The exporters of metrics with their attributes, in the order of their pushes.
    pub(crate) fn pushed(&self) -> Vec<(Vec<KeyValue>, Arc<PushCounts>)> {
        let mut names = Names::new(Signal::Metrics);
        let pushes = self.0.as_ref().map(|readers| lock(&readers.pushes).clone()).unwrap_or_default();
        let named = pushes.into_iter().filter_map(|push| {
            Some((names.exporter(push.exporter.name(), push.server.as_ref())?, push.counts))
        });
        named.collect()
    }

    /// Measures the exports of the exporter with these attributes.
    pub(crate) fn operations(&self, attributes: Option<Vec<KeyValue>>) -> Operations {
        let Some((readers, attributes)) = self.0.as_ref().zip(attributes) else {
            return Operations::default();
        };
        let (duration, clock) = (Some(readers.operations.clone()), readers.clock.clone());
        Operations { duration, attributes, clock }
    }
}

impl PushSource {
    pub(crate) fn read(&self) -> Option<ResourceMetrics> {
        let reading = collect(self.reader.as_ref()?);
        if let Some(told) = &self.told {
            told.fetch_add(1, Ordering::Relaxed);
        }
        reading
    }

    /// The times of the reading that was just taken, if a test has given the clock.
    pub(crate) fn times(&self) -> Option<ReadingTimes> {
        let GivenTimes { clock, begun, before } = self.times.as_ref()?;
        let now = clock.now();
        let before = std::mem::replace(&mut *lock(before), now);
        Some(ReadingTimes { begun: *begun, before: if self.is_difference { before } else { *begun }, now })
    }
}

fn collect(reader: &ManualReader) -> Option<ResourceMetrics> {
    let mut reading = ResourceMetrics::default();
    reader.collect(&mut reading).ok()?;
    Some(reading)
}

/// How many data points a reading has.
pub(crate) fn data_points(reading: &ResourceMetrics) -> u64 {
    fn count<T>(data: &MetricData<T>) -> usize {
        match data {
            MetricData::Gauge(gauge) => gauge.data_points().count(),
            MetricData::Sum(sum) => sum.data_points().count(),
            MetricData::Histogram(histogram) => histogram.data_points().count(),
            MetricData::ExponentialHistogram(histogram) => histogram.data_points().count(),
        }
    }
    let metrics = reading.scope_metrics().flat_map(ScopeMetrics::metrics);
    let counts = metrics.map(|metric| match metric.data() {
        AggregatedMetrics::F64(data) => count(data),
        AggregatedMetrics::U64(data) => count(data),
        AggregatedMetrics::I64(data) => count(data),
    });
    counts.sum::<usize>() as u64
}

/// Shares a reader between the provider and the source.
#[derive(Debug)]
pub(crate) struct SharedReader(pub(crate) Arc<ManualReader>);

impl MetricReader for SharedReader {
    fn register_pipeline(&self, pipeline: Weak<Pipeline>) {
        self.0.register_pipeline(pipeline);
    }

    fn collect(&self, reading: &mut ResourceMetrics) -> OTelSdkResult {
        self.0.collect(reading)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.0.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.0.shutdown_with_timeout(timeout)
    }

    fn temporality(&self, kind: InstrumentKind) -> Temporality {
        self.0.temporality(kind)
    }
}

/// A source and the provider behind it; without a provider if metrics are off. `additional` receivers are pushed to beside
/// those of the settings.
pub(crate) fn provider(
    settings: &MetricSettings,
    additional: usize,
    resource: &Resource,
    clock: &HandleClock,
) -> (MetricSource, Option<Meters>) {
    if !settings.enabled {
        return (MetricSource::default(), None);
    }
    let temporality = match settings.temporality {
        config::Temporality::Cumulative => None,
        config::Temporality::Delta => Some(Temporality::Delta),
        config::Temporality::LowMemory => Some(Temporality::LowMemory),
    };
    let reader = |temporality| Arc::new(ManualReader::builder().with_temporality(temporality).build());
    let page = reader(Temporality::Cumulative);
    let otlp = settings.exporters.iter().filter(|exporter| is_otlp(**exporter)).count() + additional;
    let differences: Vec<_> = (0..otlp).filter_map(|_| temporality.map(reader)).collect();

    let views = Arc::new(Views::new(&settings.views, settings.cardinality_limit));
    let mut provider = SdkMeterProvider::builder().with_resource(resource.clone());
    for reader in [&page].into_iter().chain(&differences) {
        provider = provider.with_reader(SharedReader(Arc::clone(reader)));
    }
    let of_instrument = Arc::clone(&views);
    let provider =
        provider.with_view(move |instrument: &Instrument| of_instrument.stream(instrument)).build();
    let exemplars = Exemplars::new(clock);
    let scope = InstrumentationScope::builder(env!("CARGO_PKG_NAME"))
        .with_version(env!("CARGO_PKG_VERSION"))
        .with_schema_url(SCHEMA_URL)
        .build();
    let operations = provider
        .meter_with_scope(scope)
        .f64_histogram("otel.sdk.exporter.operation.duration")
        .with_unit("s")
        .with_description("Duration of exporting a batch, retries included")
        // As the conventions ask: count and sum, no buckets.
        .with_boundaries(Vec::new())
        .build();
    let told = (!differences.is_empty()).then(Arc::default);
    let (differences, pushes) = (Mutex::new(differences), Mutex::default());
    let meters = Meters { provider, views, exemplars: exemplars.clone(), filter: settings.exemplars };
    let (clock, begun) = (clock.clone(), clock.now());
    let readers = Readers { page, exemplars, differences, told, pushes, operations, clock, begun };
    (MetricSource(Some(Arc::new(readers))), Some(meters))
}

fn is_otlp(exporter: Exporter) -> bool {
    matches!(exporter, Exporter::OtlpHttp | Exporter::OtlpHttpJson | Exporter::OtlpGrpc)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

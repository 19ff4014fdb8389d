//! The SDK's meters with what they lack: exemplars, and views that allow some attributes only.
//!
//! An instrument that needs neither is the SDK's own. For the others a measurement is told to the SDK with the attributes
//! that its view allows, and offered as an exemplar.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use opentelemetry::metrics::{
    AsyncInstrument, AsyncInstrumentBuilder, BoundCounter, BoundGauge, BoundHistogram, BoundSyncInstrument,
    BoundUpDownCounter, Callback, Counter, Gauge, Histogram, HistogramBuilder, InstrumentBuilder,
    InstrumentProvider, Meter, MeterProvider, ObservableCounter, ObservableGauge, ObservableUpDownCounter,
    SyncInstrument, UpDownCounter,
};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::metrics::SdkMeterProvider;

use super::reservoir::Reservoir;
use super::{Exemplars, Kept};
use crate::base::config::{ExemplarFilter, InstrumentKind};
use crate::core::readings::views::{Seen, Views};

/// Bounds that the SDK gives to a histogram that names none.
const DEFAULT_BOUNDS: [f64; 15] = [
    0.0, 5.0, 10.0, 25.0, 50.0, 75.0, 100.0, 250.0, 500.0, 750.0, 1_000.0, 2_500.0, 5_000.0, 7_500.0,
    10_000.0,
];

/// Meters of one handle.
#[derive(Clone, Debug)]
pub(crate) struct Meters {
    pub(crate) provider: SdkMeterProvider,
    pub(crate) views: Arc<Views>,
    pub(crate) exemplars: Exemplars,
    pub(crate) filter: ExemplarFilter,
}

impl MeterProvider for Meters {
    fn meter_with_scope(&self, scope: InstrumentationScope) -> Meter {
        let inner = self.provider.meter_with_scope(scope.clone());
        if self.filter == ExemplarFilter::AlwaysOff && !self.views.filter_attributes() {
            return inner;
        }
        Meter::new(Arc::new(Instruments { inner, scope, meters: self.clone() }))
    }
}

struct Instruments {
    inner: Meter,
    scope: InstrumentationScope,
    meters: Meters,
}

/// What is done with the measurements of an instrument beside telling them to the SDK.
#[derive(Clone)]
struct Treatment {
    allowed: Option<Arc<[String]>>,
    kept: Option<Arc<Kept>>,
}

impl Instruments {
    /// `None` if the SDK's instrument is right as it is. `bounds` if it may have exemplars.
    fn treatment(
        &self,
        name: &str,
        unit: Option<&str>,
        kind: InstrumentKind,
        bounds: Option<&[f64]>,
    ) -> Option<Treatment> {
        let Meters { views, exemplars, filter, .. } = &self.meters;
        let seen = Seen { name, unit: unit.unwrap_or_default(), kind, scope: self.scope.name() };
        let view = views.of(&seen);
        if view.is_some_and(|view| view.drop) {
            return None;
        }
        let allowed = view.and_then(|view| view.attributes.clone()).map(Arc::from);
        let bounds = bounds.filter(|_| *filter != ExemplarFilter::AlwaysOff).map(|bounds| {
            let of_view = view.and_then(|view| view.buckets.as_deref());
            if kind == InstrumentKind::Histogram { of_view.unwrap_or(bounds) } else { bounds }
        });
        let name = view.and_then(|view| view.name.as_deref()).unwrap_or(name);
        let kept = bounds.map(|bounds| exemplars.keep(&self.scope, name, bounds, *filter));
        (allowed.is_some() || kept.is_some()).then_some(Treatment { allowed, kept })
    }
}

impl Treatment {
    /// The attributes that the SDK is told, if not all.
    fn allowed(&self, attributes: &[KeyValue]) -> Option<Vec<KeyValue>> {
        let allowed = self.allowed.as_deref()?;
        let is_allowed = |attribute: &&KeyValue| allowed.iter().any(|key| *key == attribute.key.as_str());
        Some(attributes.iter().filter(is_allowed).cloned().collect())
    }
}

/// A number that instruments take.
trait Number: Copy + Send + Sync + 'static {
    fn real(self) -> f64;
    fn plus(self, other: Self) -> Self;
}

macro_rules! numbers {
    ($($number:ty),*) => {$(
        impl Number for $number {
            #[allow(clippy::cast_precision_loss, clippy::cast_lossless, reason = "exemplars are real numbers")]
            fn real(self) -> f64 {
                self as f64
            }

            fn plus(self, other: Self) -> Self {
                self + other
            }
        }
    )*};
}

numbers!(u64, i64, f64);

/// An instrument of the API, whatever its verb.
trait Records<T>: Send + Sync + 'static {
    type Bound: RecordsBound<T>;
    fn tell(&self, value: T, attributes: &[KeyValue]);
    fn resolve(&self, attributes: &[KeyValue]) -> Self::Bound;
}

trait RecordsBound<T>: Send + Sync + 'static {
    fn tell(&self, value: T);
}

macro_rules! records {
    ($($instrument:ident $bound:ident $verb:ident),*) => {$(
        impl<T: Number> Records<T> for $instrument<T> {
            type Bound = $bound<T>;

            fn tell(&self, value: T, attributes: &[KeyValue]) {
                self.$verb(value, attributes);
            }

            fn resolve(&self, attributes: &[KeyValue]) -> $bound<T> {
                self.bind(attributes)
            }
        }

        impl<T: Number> RecordsBound<T> for $bound<T> {
            fn tell(&self, value: T) {
                self.$verb(value);
            }
        }
    )*};
}

records!(Counter BoundCounter add, UpDownCounter BoundUpDownCounter add, Gauge BoundGauge record, Histogram BoundHistogram record);

struct Treated<I> {
    inner: I,
    treatment: Treatment,
}

struct TreatedBound<B> {
    inner: B,
    kept: Option<(Arc<Kept>, Arc<Reservoir>)>,
}

impl<T: Number, I: Records<T>> SyncInstrument<T> for Treated<I> {
    fn measure(&self, value: T, attributes: &[KeyValue]) {
        let allowed = self.treatment.allowed(attributes);
        let attributes = allowed.as_deref().unwrap_or(attributes);
        self.inner.tell(value, attributes);
        if let Some(kept) = &self.treatment.kept
            && let Some(exemplar) = kept.exemplar(value.real())
        {
            kept.put_of(attributes, exemplar);
        }
    }

    fn bind(&self, attributes: &[KeyValue]) -> Box<dyn BoundSyncInstrument<T> + Send + Sync> {
        let allowed = self.treatment.allowed(attributes);
        let attributes = allowed.as_deref().unwrap_or(attributes);
        let kept = self.treatment.kept.as_ref();
        let kept = kept.and_then(|kept| Some((Arc::clone(kept), kept.reservoir(attributes)?)));
        Box::new(TreatedBound { inner: self.inner.resolve(attributes), kept })
    }
}

impl<T: Number, B: RecordsBound<T>> BoundSyncInstrument<T> for TreatedBound<B> {
    fn measure(&self, value: T) {
        self.inner.tell(value);
        if let Some((kept, reservoir)) = &self.kept
            && let Some(exemplar) = kept.exemplar(value.real())
        {
            kept.put(reservoir, exemplar);
        }
    }
}

/// What a callback says of one instrument, until all of it is said: points that differ only in attributes that are not
/// allowed are one point.
struct Merging<'a, T> {
    treatment: &'a Treatment,
    /// Whether such points add up; of gauges the last one counts.
    adds_up: bool,
    said: Mutex<HashMap<Vec<KeyValue>, T>>,
}

impl<T: Number> AsyncInstrument<T> for Merging<'_, T> {
    fn observe(&self, value: T, attributes: &[KeyValue]) {
        let allowed = self.treatment.allowed(attributes).unwrap_or_else(|| attributes.to_vec());
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let adds_up = self.adds_up;
        said.entry(allowed)
            .and_modify(|known| *known = if adds_up { known.plus(value) } else { value })
            .or_insert(value);
    }
}

fn merged<T: Number>(callback: Callback<T>, treatment: Treatment, adds_up: bool) -> Callback<T> {
    Box::new(move |observer| {
        let merging = Merging { treatment: &treatment, adds_up, said: Mutex::default() };
        callback(&merging);
        for (attributes, value) in merging.said.into_inner().unwrap_or_else(PoisonError::into_inner) {
            observer.observe(value, &attributes);
        }
    })
}

macro_rules! described {
    ($inner:expr, $builder:ident) => {{
        let mut inner = $inner;
        if let Some(description) = $builder.description {
            inner = inner.with_description(description);
        }
        if let Some(unit) = $builder.unit {
            inner = inner.with_unit(unit);
        }
        inner
    }};
}

macro_rules! synchronous {
    ($($method:ident $instrument:ident<$number:ty> $bounds:expr;)*) => {$(
        fn $method(&self, builder: InstrumentBuilder<'_, $instrument<$number>>) -> $instrument<$number> {
            let kind = InstrumentKind::$instrument;
            let treatment = self.treatment(&builder.name, builder.unit.as_deref(), kind, $bounds);
            let inner = described!(self.inner.$method(builder.name), builder).build();
            match treatment {
                None => inner,
                Some(treatment) => $instrument::new(Arc::new(Treated { inner, treatment })),
            }
        }
    )*};
}

macro_rules! histograms {
    ($($method:ident<$number:ty>;)*) => {$(
        fn $method(&self, builder: HistogramBuilder<'_, Histogram<$number>>) -> Histogram<$number> {
            let bounds = builder.boundaries.as_deref().unwrap_or(&DEFAULT_BOUNDS);
            let treatment =
                self.treatment(&builder.name, builder.unit.as_deref(), InstrumentKind::Histogram, Some(bounds));
            let mut inner = described!(self.inner.$method(builder.name), builder);
            if let Some(bounds) = builder.boundaries {
                inner = inner.with_boundaries(bounds);
            }
            let inner = inner.build();
            match treatment {
                None => inner,
                Some(treatment) => Histogram::new(Arc::new(Treated { inner, treatment })),
            }
        }
    )*};
}

macro_rules! observable {
    ($($method:ident $instrument:ident<$number:ty> $adds_up:expr;)*) => {$(
        fn $method(
            &self,
            builder: AsyncInstrumentBuilder<'_, $instrument<$number>, $number>,
        ) -> $instrument<$number> {
            let kind = InstrumentKind::$instrument;
            let treatment = self.treatment(&builder.name, builder.unit.as_deref(), kind, None);
            let mut inner = described!(self.inner.$method(builder.name), builder);
            for callback in builder.callbacks {
                let callback = match &treatment {
                    None => callback,
                    Some(treatment) => merged(callback, treatment.clone(), $adds_up),
                };
                inner = inner.with_callback(callback);
            }
            inner.build()
        }
    )*};
}

impl InstrumentProvider for Instruments {
    synchronous! {
        u64_counter Counter<u64> Some(&[]);
        f64_counter Counter<f64> Some(&[]);
        i64_up_down_counter UpDownCounter<i64> None;
        f64_up_down_counter UpDownCounter<f64> None;
        u64_gauge Gauge<u64> None;
        i64_gauge Gauge<i64> None;
        f64_gauge Gauge<f64> None;
    }
    histograms! {
        u64_histogram<u64>;
        f64_histogram<f64>;
    }
    observable! {
        u64_observable_counter ObservableCounter<u64> true;
        f64_observable_counter ObservableCounter<f64> true;
        i64_observable_up_down_counter ObservableUpDownCounter<i64> true;
        f64_observable_up_down_counter ObservableUpDownCounter<f64> true;
        u64_observable_gauge ObservableGauge<u64> false;
        i64_observable_gauge ObservableGauge<i64> false;
        f64_observable_gauge ObservableGauge<f64> false;
    }
}

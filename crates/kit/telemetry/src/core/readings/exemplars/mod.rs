//! Exemplars: single measurements with the span in which they were taken, beside the points of counters and histograms.
//!
//! The SDK has the fields for them and fills none, so they are kept here: its instruments are wrapped ([`provider`]), and
//! what is read from it is joined with what was kept by the scope, the metric's name and the point's attributes. Each bucket of
//! a histogram and each counter keeps the newest measurement alone, and so many sets of attributes have any as
//! [`MAX_SERIES`] says, so memory has a bound. Keeping one waits for nobody: what cannot be written at once is let go.
//!
//! An exemplar holds a value, a time and the ids of a span, and no attribute. Left out: exemplars of gauges, of sums that
//! fall, and of observable instruments, whose callbacks run in no request.

pub(crate) mod provider;
mod reservoir;

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::SystemTime;

use opentelemetry::trace::{SpanId, TraceContextExt as _, TraceId};
use opentelemetry::{Context, InstrumentationScope, KeyValue};

use crate::base::config::ExemplarFilter;
use crate::base::slots::hash_of;
use crate::core::clock::HandleClock;
use reservoir::Reservoir;

/// Sets of attributes of one instrument that have exemplars; later ones have none.
const MAX_SERIES: usize = 256;

/// The ids of a span.
type Ids = (TraceId, SpanId);

/// A measurement that was kept.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Exemplar {
    pub(crate) value: f64,
    pub(crate) time: SystemTime,
    /// The sampled span in which it was taken.
    pub(crate) span: Option<Ids>,
}

/// Whose measurements are being recorded on this thread.
#[derive(Clone, Copy)]
enum Measured {
    /// Those of the current span.
    Current,
    /// Those of another one, `None` if it is not sampled; with the time of the measurement, if that is known.
    Of(Option<Ids>, Option<SystemTime>),
}

thread_local! {
    static MEASURED: Cell<Measured> = const { Cell::new(Measured::Current) };
}

/// Runs `record`; what it measures belongs to the span of `context`, current or not. It does not panic, and nothing in it
/// comes here again. `now` is the time, for a caller that knows it: reading the clock is most of what an exemplar takes.
pub(crate) fn within(context: &Context, now: Option<SystemTime>, record: impl FnOnce()) {
    MEASURED.set(Measured::Of(sampled(context), now));
    record();
    MEASURED.set(Measured::Current);
}

fn sampled(context: &Context) -> Option<Ids> {
    let span = context.span();
    let span = span.span_context();
    span.is_sampled().then(|| (span.trace_id(), span.span_id()))
}

fn current() -> (Option<Ids>, Option<SystemTime>) {
    match MEASURED.get() {
        Measured::Current => (Context::map_current(sampled), None),
        Measured::Of(ids, now) => (ids, now),
    }
}

/// All exemplars of one handle. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Exemplars {
    metrics: Arc<RwLock<HashMap<String, Arc<Kept>>>>,
    clock: HandleClock,
}

impl Exemplars {
    /// With the times of this clock.
    pub(super) fn new(clock: &HandleClock) -> Self {
        Self { metrics: Arc::default(), clock: clock.clone() }
    }

    /// What is kept of this instrument. Two instruments of one name are one metric.
    fn keep(
        &self,
        scope: &InstrumentationScope,
        metric: &str,
        bounds: &[f64],
        filter: ExemplarFilter,
    ) -> Arc<Kept> {
        let mut metrics = self.metrics.write().unwrap_or_else(PoisonError::into_inner);
        let kept = metrics.entry(name(scope, metric)).or_insert_with(|| {
            let (series, clock) = (RwLock::default(), self.clock.clone());
            Arc::new(Kept { bounds: bounds.into(), filter, series, clock })
        });
        Arc::clone(kept)
    }

    /// What is kept of a metric that was read.
    pub(crate) fn of(&self, scope: &InstrumentationScope, metric: &str) -> MetricExemplars {
        let metrics = self.metrics.read().unwrap_or_else(PoisonError::into_inner);
        MetricExemplars(if metrics.is_empty() { None } else { metrics.get(&name(scope, metric)).cloned() })
    }
}

/// Names of instruments are compared without regard to case.
fn name(scope: &InstrumentationScope, metric: &str) -> String {
    format!("{}\n{}\n{}", scope.name(), scope.version().unwrap_or_default(), metric.to_ascii_lowercase())
}

/// Exemplars of one metric.
#[derive(Debug, Default)]
pub(crate) struct MetricExemplars(Option<Arc<Kept>>);

impl MetricExemplars {
    /// Those of a point, by the place of their bucket, taken no earlier than `since`.
    pub(crate) fn of_point<'a>(
        &self,
        attributes: impl Iterator<Item = &'a KeyValue>,
        since: Option<SystemTime>,
    ) -> Vec<(usize, Exemplar)> {
        let Some(kept) = &self.0 else { return Vec::new() };
        let attributes: Vec<KeyValue> = attributes.cloned().collect();
        let Some(reservoir) = kept.find(&attributes) else { return Vec::new() };
        let is_new = |exemplar: &Exemplar| since.is_none_or(|since| exemplar.time >= since);
        reservoir.all().filter(|(_, exemplar)| is_new(exemplar)).collect()
    }
}

/// What is kept of one instrument.
#[derive(Debug)]
struct Kept {
    bounds: Box<[f64]>,
    filter: ExemplarFilter,
    /// By the hash of their attributes.
    series: RwLock<HashMap<u64, Series>>,
    clock: HandleClock,
}

#[derive(Debug)]
struct Series {
    attributes: Box<[KeyValue]>,
    reservoir: Arc<Reservoir>,
}

impl Series {
    /// The reservoir, if it is that of these attributes.
    fn of(&self, attributes: &[KeyValue]) -> Option<&Arc<Reservoir>> {
        let known = &self.attributes;
        let is_same =
            known.len() == attributes.len() && attributes.iter().all(|attribute| known.contains(attribute));
        is_same.then_some(&self.reservoir)
    }
}

impl Kept {
    /// A measurement that is taken now, if it is one to be kept.
    fn exemplar(&self, value: f64) -> Option<Exemplar> {
        if self.filter == ExemplarFilter::AlwaysOff {
            return None;
        }
        let (span, now) = current();
        if span.is_none() && self.filter == ExemplarFilter::TraceBased {
            return None;
        }
        Some(Exemplar { value, time: now.unwrap_or_else(|| self.clock.now()), span })
    }

    fn put(&self, reservoir: &Reservoir, exemplar: Exemplar) {
        reservoir.put(self.bounds.partition_point(|bound| *bound < exemplar.value), exemplar);
    }

    /// As [`put`](Self::put), for measurements whose attributes come along.
    fn put_of(&self, attributes: &[KeyValue], exemplar: Exemplar) {
        let hash = hash(attributes);
        let series = self.series.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = series.get(&hash) {
            if let Some(reservoir) = known.of(attributes) {
                self.put(reservoir, exemplar);
            }
            return;
        }
        let is_full = series.len() >= MAX_SERIES;
        drop(series);
        // Where there is no room, threads do not wait for each other to find that out.
        if !is_full && let Some(reservoir) = self.reservoir(attributes) {
            self.put(&reservoir, exemplar);
        }
    }

    fn find(&self, attributes: &[KeyValue]) -> Option<Arc<Reservoir>> {
        let series = self.series.read().unwrap_or_else(PoisonError::into_inner);
        series.get(&hash(attributes))?.of(attributes).cloned()
    }

    /// `None` if there are too many.
    fn reservoir(&self, attributes: &[KeyValue]) -> Option<Arc<Reservoir>> {
        if let Some(known) = self.find(attributes) {
            return Some(known);
        }
        let mut series = self.series.write().unwrap_or_else(PoisonError::into_inner);
        if series.len() >= MAX_SERIES {
            return None;
        }
        let new = || Series {
            attributes: attributes.into(),
            reservoir: Arc::new(Reservoir::new(self.bounds.len() + 1)),
        };
        series.entry(hash(attributes)).or_insert_with(new).of(attributes).cloned()
    }
}

/// The same for any order of the attributes.
fn hash(attributes: &[KeyValue]) -> u64 {
    attributes.iter().fold(0, |hash, attribute| hash ^ hash_of(attribute))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(filter: ExemplarFilter) -> Arc<Kept> {
        Exemplars::default().keep(&InstrumentationScope::default(), "m", &[1.0, 2.0], filter)
    }

    #[test]
    fn attributes_are_found_in_any_order() {
        let kept = kept(ExemplarFilter::AlwaysOn);
        let (a, b) = (KeyValue::new("a", 1), KeyValue::new("b", "x"));
        kept.reservoir(&[a.clone(), b.clone()]).unwrap();
        assert!(kept.find(&[b.clone(), a.clone()]).is_some());
        assert!(kept.find(&[a]).is_none() && kept.find(&[b.clone(), b]).is_none());
    }

    #[test]
    fn a_flood_of_attribute_sets_keeps_no_more_than_the_limit() {
        let kept = kept(ExemplarFilter::AlwaysOn);
        let given = (0..10_000).filter(|n| kept.reservoir(&[KeyValue::new("n", *n)]).is_some()).count();
        assert_eq!((given, kept.series.read().unwrap().len()), (MAX_SERIES, MAX_SERIES));
    }

    #[test]
    fn what_belongs_to_a_span_that_is_not_sampled_has_no_span() {
        let kept = kept(ExemplarFilter::TraceBased);
        let ids = opentelemetry::trace::SpanContext::new(
            TraceId::from(1),
            SpanId::from(2),
            opentelemetry::trace::TraceFlags::SAMPLED,
            false,
            opentelemetry::trace::TraceState::NONE,
        );
        let _attached = Context::new().with_remote_span_context(ids).attach();
        assert_eq!(kept.exemplar(1.0).unwrap().span, Some((TraceId::from(1), SpanId::from(2))));
        within(&Context::new(), None, || assert_eq!(kept.exemplar(1.0), None));
        assert!(kept.exemplar(1.0).is_some());
    }

    #[test]
    fn an_exemplar_has_the_time_that_its_caller_read() {
        let kept = kept(ExemplarFilter::AlwaysOn);
        let now = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(7);
        within(&Context::new(), Some(now), || assert_eq!(kept.exemplar(1.0).unwrap().time, now));
        assert_ne!(kept.exemplar(1.0).unwrap().time, now);
    }

    #[test]
    fn each_bucket_keeps_its_newest() {
        let kept = kept(ExemplarFilter::AlwaysOn);
        let reservoir = kept.reservoir(&[]).unwrap();
        for value in [0.5, 1.0, 1.5, 7.0, 8.0] {
            kept.put(&reservoir, kept.exemplar(value).unwrap());
        }
        let values: Vec<_> = reservoir.all().map(|(bucket, exemplar)| (bucket, exemplar.value)).collect();
        assert_eq!(values, [(0, 1.0), (1, 1.5), (2, 8.0)]);
    }
}

//! Measurements of an edge with label sets that come again and again: each set is resolved once.
//!
//! A request then pays for one comparison and not for a list of attributes, its hash and a lock. Values and labels are
//! the same as without; label sets for which there is no room are recorded the long way.
//!
//! A set that is resolved while its instrument is at the cardinality limit counts as overflow for as long as it is kept.
//! Where pushes forget what they have told, there is room again after one, so all sets are resolved anew then; that also
//! lets those go that nobody records any more.

use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use opentelemetry::KeyValue;
use opentelemetry::metrics::{BoundHistogram, BoundUpDownCounter, Histogram, UpDownCounter};

use crate::base::slots::Slots;
use crate::core::handle::Telemetry;

/// A set of labels, compared instead of built.
pub(crate) trait Labels: Eq + Hash {
    fn build(&self) -> Vec<KeyValue>;
}

/// How often differences were told: a number that grows.
pub(crate) type Told = Arc<AtomicU64>;

/// A histogram. Clones share what is resolved.
#[derive(Clone)]
pub(crate) struct HistogramSeries<L, T> {
    histogram: Histogram<T>,
    sets: Sets<L, T>,
}

/// A histogram of durations, in seconds.
pub(crate) type DurationSeries<L> = HistogramSeries<L, f64>;

type Bound<L, T> = Slots<L, BoundHistogram<T>>;

/// What is resolved.
#[derive(Clone)]
enum Sets<L, T> {
    /// Nobody reads them: there are no metrics.
    Unread,
    /// For good.
    Kept(Arc<Bound<L, T>>),
    /// Until differences are told; with the number at which it was resolved.
    Renewed(Told, Arc<RwLock<(u64, Bound<L, T>)>>),
}

impl<L: Labels, T: Copy> HistogramSeries<L, T> {
    /// `histogram` is one of this handle.
    pub(crate) fn new(histogram: Histogram<T>, telemetry: &Telemetry) -> Self {
        let metrics = telemetry.metrics();
        let sets = match metrics.told() {
            _ if !metrics.is_on() => Sets::Unread,
            None => Sets::Kept(Arc::default()),
            Some(told) => Sets::Renewed(told, Arc::default()),
        };
        Self { histogram, sets }
    }

    /// Whether anybody reads what is recorded.
    pub(crate) fn is_read(&self) -> bool {
        !matches!(self.sets, Sets::Unread)
    }

    pub(crate) fn record(&self, labels: L, value: T) {
        let (told, sets) = match &self.sets {
            Sets::Unread => return,
            Sets::Kept(bound) => return self.record_in(bound, labels, value),
            Sets::Renewed(told, sets) => (told.load(Ordering::Relaxed), sets),
        };
        let known = sets.read().unwrap_or_else(PoisonError::into_inner);
        if known.0 == told {
            return self.record_in(&known.1, labels, value);
        }
        drop(known);
        let mut known = sets.write().unwrap_or_else(PoisonError::into_inner);
        if known.0 != told {
            *known = (told, Bound::default());
        }
        self.record_in(&known.1, labels, value);
    }

    fn record_in(&self, bound: &Bound<L, T>, labels: L, value: T) {
        match bound.find(&labels) {
            Some(bound) => bound.record(value),
            None if !bound.has_room(&labels) => self.histogram.record(value, &labels.build()),
            None => {
                let resolved = self.histogram.bind(&labels.build());
                resolved.record(value);
                bound.keep(labels, resolved);
            }
        }
    }

    /// As [`record`](Self::record), with labels of one request only.
    pub(crate) fn record_with(&self, labels: &L, mut further: Vec<KeyValue>, value: T) {
        further.extend(labels.build());
        self.histogram.record(value, &further);
    }
}

/// A count that goes up and down, which is never told as a difference. Clones share what is resolved.
#[derive(Clone)]
pub(crate) struct ActiveSeries<L> {
    counter: UpDownCounter<i64>,
    /// `None` if there are no metrics.
    bound: Option<Arc<Slots<L, BoundUpDownCounter<i64>>>>,
}

impl<L: Labels> ActiveSeries<L> {
    /// `counter` is one of this handle.
    pub(crate) fn new(counter: UpDownCounter<i64>, telemetry: &Telemetry) -> Self {
        Self { counter, bound: telemetry.metrics().is_on().then(Arc::default) }
    }

    pub(crate) fn add(&self, labels: L, change: i64) {
        let Some(known) = &self.bound else { return };
        match known.find(&labels) {
            Some(bound) => bound.add(change),
            None if !known.has_room(&labels) => self.counter.add(change, &labels.build()),
            None => {
                let bound = self.counter.bind(&labels.build());
                bound.add(change);
                known.keep(labels, bound);
            }
        }
    }
}

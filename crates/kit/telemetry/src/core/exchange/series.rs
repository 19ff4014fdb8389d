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

/// A set of labels, compared instead of built.
pub(crate) trait Labels: Eq + Hash {
    fn build(&self) -> Vec<KeyValue>;
}

/// How often differences were told: a number that grows.
pub(crate) type Told = Arc<AtomicU64>;

/// A histogram of durations. Clones share what is resolved.
#[derive(Clone)]
pub(crate) struct DurationSeries<L> {
    histogram: Histogram<f64>,
    sets: Sets<L>,
}

type Bound<L> = Slots<L, BoundHistogram<f64>>;

/// What is resolved.
#[derive(Clone)]
enum Sets<L> {
    /// For good.
    Kept(Arc<Bound<L>>),
    /// Until differences are told; with the number at which it was resolved.
    Renewed(Told, Arc<RwLock<(u64, Bound<L>)>>),
}

impl<L: Labels> DurationSeries<L> {
    /// `told` where differences are told at all: [`crate::core::readings::MetricSource::told`].
    pub(crate) fn new(histogram: Histogram<f64>, told: Option<Told>) -> Self {
        let sets = match told {
            None => Sets::Kept(Arc::default()),
            Some(told) => Sets::Renewed(told, Arc::default()),
        };
        Self { histogram, sets }
    }

    pub(crate) fn record(&self, labels: L, seconds: f64) {
        let (told, sets) = match &self.sets {
            Sets::Kept(bound) => return self.record_in(bound, labels, seconds),
            Sets::Renewed(told, sets) => (told.load(Ordering::Relaxed), sets),
        };
        let known = sets.read().unwrap_or_else(PoisonError::into_inner);
        if known.0 == told {
            return self.record_in(&known.1, labels, seconds);
        }
        drop(known);
        let mut known = sets.write().unwrap_or_else(PoisonError::into_inner);
        if known.0 != told {
            *known = (told, Bound::default());
        }
        self.record_in(&known.1, labels, seconds);
    }

    fn record_in(&self, bound: &Bound<L>, labels: L, seconds: f64) {
        match bound.find(&labels) {
            Some(bound) => bound.record(seconds),
            None if !bound.has_room(&labels) => self.histogram.record(seconds, &labels.build()),
            None => {
                let resolved = self.histogram.bind(&labels.build());
                resolved.record(seconds);
                bound.keep(labels, resolved);
            }
        }
    }

    /// As [`record`](Self::record), with labels of one request only.
    pub(crate) fn record_with(&self, labels: &L, mut further: Vec<KeyValue>, seconds: f64) {
        further.extend(labels.build());
        self.histogram.record(seconds, &further);
    }
}

/// A count that goes up and down, which is never told as a difference. Clones share what is resolved.
#[derive(Clone)]
pub(crate) struct ActiveSeries<L> {
    counter: UpDownCounter<i64>,
    bound: Arc<Slots<L, BoundUpDownCounter<i64>>>,
}

impl<L: Labels> ActiveSeries<L> {
    pub(crate) fn new(counter: UpDownCounter<i64>) -> Self {
        Self { counter, bound: Arc::default() }
    }

    pub(crate) fn add(&self, labels: L, change: i64) {
        match self.bound.find(&labels) {
            Some(bound) => bound.add(change),
            None if !self.bound.has_room(&labels) => self.counter.add(change, &labels.build()),
            None => {
                let bound = self.counter.bind(&labels.build());
                bound.add(change);
                self.bound.keep(labels, bound);
            }
        }
    }
}

//! Measurements of an edge with label sets that come again and again: each set is resolved once.
//!
//! A request then pays for one comparison and not for a list of attributes, its hash and a lock. Values and labels are
//! the same as without; label sets for which there is no room are recorded the long way.

use std::hash::Hash;
use std::sync::Arc;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{BoundHistogram, BoundUpDownCounter, Histogram, UpDownCounter};

use crate::base::slots::Slots;

/// A set of labels, compared instead of built.
pub(crate) trait Labels: Eq + Hash {
    fn build(&self) -> Vec<KeyValue>;
}

/// A histogram of durations. Clones share what is resolved.
#[derive(Clone)]
pub(crate) struct DurationSeries<L> {
    histogram: Histogram<f64>,
    bound: Arc<Slots<L, BoundHistogram<f64>>>,
}

impl<L: Labels> DurationSeries<L> {
    pub(crate) fn new(histogram: Histogram<f64>) -> Self {
        Self { histogram, bound: Arc::default() }
    }

    pub(crate) fn record(&self, labels: L, seconds: f64) {
        match self.bound.find(&labels) {
            Some(bound) => bound.record(seconds),
            None if !self.bound.has_room(&labels) => self.histogram.record(seconds, &labels.build()),
            None => {
                let bound = self.histogram.bind(&labels.build());
                bound.record(seconds);
                self.bound.keep(labels, bound);
            }
        }
    }

    /// As [`record`](Self::record), with labels of one request only.
    pub(crate) fn record_with(&self, labels: &L, mut further: Vec<KeyValue>, seconds: f64) {
        further.extend(labels.build());
        self.histogram.record(seconds, &further);
    }
}

/// A count that goes up and down. Clones share what is resolved.
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

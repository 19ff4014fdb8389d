//! Everything since the first span, as counters that never go back: what a program that scrapes metrics reads.

use crate::{OTHER, Peer, Statistics, series::Series, state::State};
use std::collections::BTreeMap;
use waypost_trace_model::{Kind, Text, TraceId};

/// Calls since the first span.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Calls.
    pub calls: u64,
    /// Of these, failed.
    pub errors: u64,
    /// All durations together, in nanoseconds.
    pub duration: u64,
    /// How many took at most each of the bounds that were asked for, each told within 2 %.
    pub up_to: Vec<u64>,
    /// The slowest call of the latest minute with calls, and how long it took in nanoseconds.
    pub slowest: Option<(TraceId, u64)>,
    /// The latest that failed.
    pub failed: Option<TraceId>,
}

/// Of the spans of one name and kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperationTotals {
    /// Their service.
    pub service: Text,
    /// Their name; [`OTHER`] beyond the bound.
    pub name: Text,
    /// Their kind.
    pub kind: Kind,
    /// Their totals.
    pub totals: Totals,
}

/// Of the calls from one point of the map to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EdgeTotals {
    /// Who calls.
    pub from: Peer,
    /// Who is called.
    pub to: Peer,
    /// Their totals.
    pub totals: Totals,
}

impl Totals {
    /// Adds the totals of something else, of the same bounds.
    pub fn merge(&mut self, other: &Totals) {
        self.calls += other.calls;
        self.errors += other.errors;
        self.duration = self.duration.saturating_add(other.duration);
        self.up_to.resize(self.up_to.len().max(other.up_to.len()), 0);
        self.up_to.iter_mut().zip(&other.up_to).for_each(|(sum, count)| *sum += count);
        let is_slower = |(_, took): &(TraceId, u64)| self.slowest.is_none_or(|(_, ours)| *took > ours);
        self.slowest = other.slowest.filter(is_slower).or(self.slowest);
        self.failed = other.failed.or(self.failed);
    }

    fn add(&mut self, series: &Series, bounds: &[u64]) {
        self.up_to.resize(bounds.len(), 0);
        for bucket in series.ever() {
            self.calls += bucket.calls;
            self.errors += bucket.errors;
            self.duration = self.duration.saturating_add(bucket.duration);
            let counts = self.up_to.iter_mut().zip(bucket.sketch.up_to_each(bounds));
            counts.for_each(|(sum, count)| *sum += count);
        }
        let latest = series.ever().rfind(|bucket| bucket.calls > 0);
        if let Some(bucket) = latest {
            self.slowest = bucket.examples.slowest.map(|trace| (trace, bucket.slowest));
            self.failed = bucket.examples.failed.or(self.failed);
        }
    }
}

impl Statistics {
    /// Of every operation; `bounds` are latencies in nanoseconds, ascending.
    ///
    /// Operations beyond the first `max` are counted under [`OTHER`] of their service and kind. The first ones stay the
    /// same, so that a counter means the same calls from one scrape to the next.
    pub fn operation_totals(&self, bounds: &[u64], max: usize) -> Vec<OperationTotals> {
        self.lock().operation_totals(bounds, max)
    }

    /// Of every edge of the map, by name; at most the first `max`.
    pub fn edge_totals(&self, bounds: &[u64], max: usize) -> Vec<EdgeTotals> {
        self.lock().edge_totals(bounds, max)
    }
}

impl State {
    fn operation_totals(&self, bounds: &[u64], max: usize) -> Vec<OperationTotals> {
        let mut totals: BTreeMap<(&Text, &str, Kind), Totals> = BTreeMap::new();
        for (operation, number) in self.operations.iter().zip(0..) {
            let Some(service) = self.services.get(operation.service) else { continue };
            let name = if number < max { &*operation.name } else { OTHER };
            let sum = totals.entry((&service.name, name, operation.kind)).or_default();
            sum.add(&operation.series, bounds);
        }
        let totals = totals.into_iter().map(|((service, name, kind), totals)| OperationTotals {
            service: service.clone(),
            name: Text::from(name),
            kind,
            totals,
        });
        totals.collect()
    }

    fn edge_totals(&self, bounds: &[u64], max: usize) -> Vec<EdgeTotals> {
        let peer = |number: u32| self.graph.peers().get(number as usize);
        let ends = |(from, to): &(u32, u32)| peer(*from).zip(peer(*to));
        let mut edges: Vec<_> =
            self.graph.series().filter_map(|(edge, series)| Some((ends(edge)?, series))).collect();
        edges.sort_unstable_by_key(|(ends, _)| *ends);
        edges.truncate(max);
        let totals = edges.into_iter().map(|((from, to), series)| {
            let mut totals = Totals::default();
            totals.add(series, bounds);
            EdgeTotals { from: from.clone(), to: to.clone(), totals }
        });
        totals.collect()
    }
}

//! Where the time of the roots goes, and what a faster service would change.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use waypost_trace_model::{Kind, Text, TraceId};

use super::{Sample, quantile};
use crate::{Category, Change, CriticalPath, Projection, Share};

/// A service's operation on the critical paths of many traces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The service.
    pub service: Text,
    /// The operation.
    pub operation: Text,
    /// What its own time is spent with.
    pub category: Category,
    /// Nanoseconds of all roots that it takes itself.
    pub time: u64,
    /// Traces in which it takes some.
    pub traces: usize,
    /// Nanoseconds in such a trace.
    pub p50: u64,
    /// As `p50`.
    pub p95: u64,
    /// The trace in which it takes most.
    pub worst: TraceId,
}

/// What the traces would save if a service were twice as fast: its own work, and what it waits for that sends no spans.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WhatIf {
    /// The service.
    pub service: Text,
    /// Nanoseconds saved of all roots together.
    pub saved: u64,
    /// Nanoseconds saved of a root, in the middle of all traces.
    pub p50: u64,
    /// As `p50`.
    pub p95: u64,
    /// Traces that would end sooner.
    pub traces: usize,
}

#[derive(Debug, Default)]
pub(super) struct Places {
    times: BTreeMap<(Text, Text, Category), Vec<(u64, TraceId)>>,
    saved: BTreeMap<Text, Vec<u64>>,
}

impl Places {
    pub(super) fn add(&mut self, sample: &Sample<'_>, path: &CriticalPath, projection: &Projection) {
        let node = |row: u32| &sample.nodes[sample.tree.rows[row as usize].node as usize];
        let mut times: BTreeMap<(&Text, &Text, Category), u64> = BTreeMap::new();
        for part in &path.parts {
            let node = node(part.row);
            *times.entry((&node.service, &node.name, part.category)).or_default() += part.time;
        }
        for (&(service, name, category), &time) in &times {
            let key = (service.clone(), name.clone(), category);
            self.times.entry(key).or_default().push((time, sample.id));
        }

        // Off the path a category is not known; there only a call without anything below it is a dependency's.
        let is_network = |row: u32| {
            let children = sample.tree.rows[row as usize].descendants > 0;
            node(row).kind == Kind::Client && children
        };
        let mut services: Vec<&Text> = times.keys().map(|(service, _, _)| *service).collect();
        services.dedup();
        for service in services {
            let half = Change { own: Share::HALF, ..Change::NONE };
            let change = |row: u32| {
                if node(row).service == *service && !is_network(row) { half } else { Change::NONE }
            };
            self.saved.entry(service.clone()).or_default().push(projection.saved(change));
        }
    }

    pub(super) fn finish(self, traces: usize) -> (Vec<Place>, Vec<WhatIf>) {
        let place =
            |((service, operation, category), mut times): ((Text, Text, Category), Vec<(u64, TraceId)>)| {
                times.sort_unstable();
                let sorted: Vec<u64> = times.iter().map(|(time, _)| *time).collect();
                let worst = times.last().map(|(_, trace)| *trace)?;
                let (p50, p95) = (quantile(&sorted, 50), quantile(&sorted, 95));
                let time = sorted.iter().fold(0, |sum: u64, time| sum.saturating_add(*time));
                Some(Place { service, operation, category, time, traces: times.len(), p50, p95, worst })
            };
        let mut places: Vec<Place> = self.times.into_iter().filter_map(place).collect();
        places.sort_by_key(|place| Reverse(place.time));

        let what_if = |(service, mut saved): (Text, Vec<u64>)| {
            let sooner = saved.iter().filter(|saved| **saved > 0).count();
            // A trace that the service has no part in would save nothing.
            saved.resize(traces.max(saved.len()), 0);
            saved.sort_unstable();
            let (p50, p95) = (quantile(&saved, 50), quantile(&saved, 95));
            WhatIf {
                service,
                saved: saved.iter().fold(0, |sum: u64, one| sum.saturating_add(*one)),
                p50,
                p95,
                traces: sooner,
            }
        };
        let mut what_ifs: Vec<WhatIf> = self.saved.into_iter().map(what_if).collect();
        what_ifs.sort_by_key(|what_if| Reverse(what_if.saved));
        (places, what_ifs)
    }
}

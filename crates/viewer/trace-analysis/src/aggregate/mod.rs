//! Many traces at once: where their time goes, how long they would take if a service were faster, what calls what how often,
//! and which findings come again.
//!
//! A trace is added as the trace page sees it: repaired tree, critical path of the main root, findings. All shares are of the sum of
//! the roots' times, so that the shares of the places add up to one.
//!
//! Invariants, which `tests/it/aggregate.rs` holds against any traces: times of the places add up to the roots'; so do the times on the path of the roots of
//! the flame graph; the order of the traces changes nothing but which of equal examples is named.
//!
//! Cost: that of the analysis of each trace; memory grows with different places, not with spans.

mod edges;
mod flame;
mod places;
mod recurring;

use std::collections::BTreeSet;

use waypost_trace_model::{Node, Text, TraceId};

pub use self::edges::Edge;
pub use self::flame::{Flame, FlameNode};
pub use self::places::{Place, WhatIf};
pub use self::recurring::Recurring;

use crate::{CriticalPath, Facts, Projection, Tree, findings};

/// One of many traces.
#[derive(Clone, Copy, Debug)]
pub struct Sample<'a> {
    /// Its id.
    pub id: TraceId,
    /// Its spans.
    pub nodes: &'a [Node],
    /// The tree that was made from them.
    pub tree: &'a Tree,
    /// What they say, in the order of the nodes.
    pub facts: &'a [Facts],
}

/// Sums over many traces.
#[derive(Debug, Default)]
pub struct Aggregate {
    durations: Vec<u64>,
    places: places::Places,
    flame: flame::Builder,
    edges: edges::Edges,
    findings: recurring::Findings,
}

/// What many traces have in common.
#[derive(Debug)]
pub struct Common {
    /// Durations of the roots, ascending.
    pub durations: Vec<u64>,
    /// Where the time of the roots goes, the longest first.
    pub places: Vec<Place>,
    /// What each service could save, the most first.
    pub what_if: Vec<WhatIf>,
    /// The trees laid over one another.
    pub flame: Flame,
    /// Calls between services, and to what sends no spans; the most calls in a trace first.
    pub edges: Vec<Edge>,
    /// Findings by what they save in all traces together, the most first.
    pub findings: Vec<Recurring>,
}

impl<'a> Sample<'a> {
    /// The instances of services that the trace passed through, each once, by service.
    pub fn instances(&self) -> BTreeSet<(&'a Text, &'a Text)> {
        recurring::instances(self)
    }
}

impl Aggregate {
    /// Adds a trace. One without spans changes nothing.
    pub fn add(&mut self, sample: &Sample<'_>) {
        let Some(path) = CriticalPath::of(sample.nodes, sample.tree) else { return };
        let projection = Projection::new(sample.nodes, sample.tree);
        self.durations.push(projection.duration());
        self.places.add(sample, &path, &projection);
        self.flame.add(sample, &path);
        self.edges.add(sample);
        self.findings.add(sample, findings(sample.nodes, sample.tree, sample.facts));
    }

    /// What they have in common.
    pub fn finish(mut self) -> Common {
        self.durations.sort_unstable();
        let traces = self.durations.len();
        let (places, what_if) = self.places.finish(traces);
        Common {
            places,
            what_if,
            flame: self.flame.finish(),
            edges: self.edges.finish(),
            findings: self.findings.finish(),
            durations: self.durations,
        }
    }
}

/// The value below which a share of the values lies, by nearest rank; 0 of none. `sorted` is ascending.
pub fn quantile(sorted: &[u64], percent: usize) -> u64 {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or_default()
}

//! Calls from one service to another, or to something that sends no spans: how many a trace makes.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use waypost_trace_model::{Kind, Text, TraceId};

use super::{Sample, quantile};
use crate::Facts;

/// Different edges that are told apart.
const MAX_EDGES: usize = 2_000;

/// Who calls whom how often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edge {
    /// The calling service.
    pub from: Text,
    /// The service that is called, or a database, host or queue.
    pub to: Text,
    /// Whether what is called sends spans.
    pub is_service: bool,
    /// Traces with such a call.
    pub traces: usize,
    /// Calls in all of them.
    pub calls: u64,
    /// Calls in such a trace.
    pub p50: u64,
    /// As `p50`.
    pub p95: u64,
    /// Calls in the trace that has most of them.
    pub max: u64,
    /// That trace.
    pub worst: TraceId,
    /// What it asked most often over this edge, without values.
    pub call: String,
    /// How often it asked that.
    pub alike: u64,
}

#[derive(Debug)]
struct Counts {
    calls: Vec<u64>,
    worst: TraceId,
    max: u64,
    call: String,
    alike: u64,
}

#[derive(Debug, Default)]
pub(super) struct Edges {
    edges: BTreeMap<(Text, Text, bool), Counts>,
}

impl Edges {
    pub(super) fn add(&mut self, sample: &Sample<'_>) {
        let Sample { nodes, tree, facts, .. } = *sample;
        let node = |row: u32| &nodes[tree.rows[row as usize].node as usize];
        let mut here: BTreeMap<(&Text, Text, bool), BTreeMap<&str, u64>> = BTreeMap::new();
        let rows = tree.rows.first().map_or(0, |root| root.descendants as usize + 1);
        for row in (0_u32..).take(rows) {
            let caller = node(row);
            if !matches!(caller.kind, Kind::Client | Kind::Producer) {
                continue;
            }
            let facts = facts.get(tree.rows[row as usize].node as usize);
            let mut callees = tree.children(row).map(|child| &node(child).service);
            let callee = callees.find(|service| **service != caller.service);
            let peer = || facts.and_then(|facts: &Facts| facts.peer.clone());
            let to = callee.cloned().or_else(peer).unwrap_or_else(|| caller.name.clone());
            let call = facts.and_then(|facts| facts.call.as_deref()).unwrap_or(&*caller.name);
            *here.entry((&caller.service, to, callee.is_some())).or_default().entry(call).or_default() += 1;
        }
        for ((from, to, is_service), calls) in here {
            self.count(sample.id, (from.clone(), to, is_service), &calls);
        }
    }

    fn count(&mut self, trace: TraceId, key: (Text, Text, bool), calls: &BTreeMap<&str, u64>) {
        let made: u64 = calls.values().sum();
        let most = calls.iter().max_by_key(|(call, count)| (**count, Reverse(**call)));
        let Some((call, alike)) = most.map(|(call, alike)| ((*call).to_owned(), *alike)) else { return };
        if let Some(counts) = self.edges.get_mut(&key) {
            counts.calls.push(made);
            if (made, Reverse(trace)) > (counts.max, Reverse(counts.worst)) {
                (counts.worst, counts.max, counts.call, counts.alike) = (trace, made, call, alike);
            }
        } else if self.edges.len() < MAX_EDGES {
            self.edges.insert(key, Counts { calls: vec![made], worst: trace, max: made, call, alike });
        }
    }

    pub(super) fn finish(self) -> Vec<Edge> {
        let edge = |((from, to, is_service), mut counts): ((Text, Text, bool), Counts)| {
            counts.calls.sort_unstable();
            Edge {
                from,
                to,
                is_service,
                traces: counts.calls.len(),
                calls: counts.calls.iter().sum(),
                p50: quantile(&counts.calls, 50),
                p95: quantile(&counts.calls, 95),
                max: counts.max,
                worst: counts.worst,
                call: counts.call,
                alike: counts.alike,
            }
        };
        let mut edges: Vec<Edge> = self.edges.into_iter().map(edge).collect();
        edges.sort_by_key(|edge| (Reverse(edge.p95), Reverse(edge.calls)));
        edges
    }
}

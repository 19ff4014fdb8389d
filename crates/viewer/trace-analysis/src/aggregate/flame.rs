//! Trees of many traces laid over one another: spans with the same services and names on the way from the root are one.

use std::collections::BTreeMap;

use waypost_trace_model::{Node, StatusCode, Text};

use super::Sample;
use crate::{CriticalPath, Tree};

/// Different paths that are told apart; spans of further ones are counted and left out.
const MAX_NODES: usize = 5_000;

/// The merged tree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flame {
    /// Parents before their children; roots have none.
    pub nodes: Vec<FlameNode>,
    /// Spans of paths beyond the bound.
    pub left_out: u64,
}

/// Spans of one path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlameNode {
    /// Place of its parent in the list.
    pub parent: Option<u32>,
    /// The service.
    pub service: Text,
    /// The operation.
    pub operation: Text,
    /// Spans.
    pub spans: u64,
    /// Those that failed.
    pub errors: u64,
    /// Traces that have it.
    pub traces: u64,
    /// Nanoseconds of the spans, added up; those side by side count each.
    pub time: u64,
    /// The same without what their children cover.
    pub self_time: u64,
    /// Nanoseconds of the critical paths in them and below them.
    pub on_path: u64,
    /// Nanoseconds of the critical paths in them alone.
    pub self_on_path: u64,
}

#[derive(Debug, Default)]
pub(super) struct Builder {
    flame: Flame,
    places: BTreeMap<(Option<u32>, Text, Text), u32>,
    /// The trace, by its number, that was last counted for each node.
    counted: Vec<u64>,
    traces: u64,
}

impl Builder {
    /// Adds the rows of a trace's main root.
    pub(super) fn add(&mut self, sample: &Sample<'_>, path: &CriticalPath) {
        let Sample { nodes, tree, .. } = *sample;
        self.traces += 1;
        let count = tree.rows.first().map_or(0, |root| root.descendants as usize + 1);
        let mut own = vec![0_u64; count];
        for part in &path.parts {
            own[part.row as usize] += part.time;
        }
        let mut with_below = own.clone();
        for row in (1..count).rev() {
            if let Some(parent) = tree.rows[row].parent {
                with_below[parent as usize] += with_below[row];
            }
        }
        let mut places: Vec<Option<u32>> = Vec::with_capacity(count);
        for (row, here) in tree.rows.iter().take(count).enumerate() {
            let above = here.parent.map(|parent| places[parent as usize]);
            let node = &nodes[here.node as usize];
            let place = match above {
                Some(None) => None,
                above => self.place(above.flatten(), node),
            };
            places.push(place);
            let Some(found) = place.and_then(|place| self.flame.nodes.get_mut(place as usize)) else {
                self.flame.left_out += 1;
                continue;
            };
            found.spans += 1;
            found.errors += u64::from(node.status == StatusCode::Error);
            found.time = found.time.saturating_add(node.duration());
            found.self_time = found.self_time.saturating_add(uncovered(nodes, tree, row));
            found.on_path = found.on_path.saturating_add(with_below[row]);
            found.self_on_path = found.self_on_path.saturating_add(own[row]);
            if let Some(counted) = place.and_then(|place| self.counted.get_mut(place as usize))
                && *counted != self.traces
            {
                *counted = self.traces;
                found.traces += 1;
            }
        }
    }

    /// `None` beyond the bound.
    fn place(&mut self, parent: Option<u32>, node: &Node) -> Option<u32> {
        let key = (parent, node.service.clone(), node.name.clone());
        if let Some(place) = self.places.get(&key) {
            return Some(*place);
        }
        let place =
            u32::try_from(self.flame.nodes.len()).ok().filter(|place| (*place as usize) < MAX_NODES)?;
        // Texts of their own: those of a node keep what it was read from in memory.
        let (service, operation) = (Text::from(node.service.to_string()), Text::from(node.name.to_string()));
        self.places.insert((parent, service.clone(), operation.clone()), place);
        self.counted.push(0);
        self.flame.nodes.push(FlameNode {
            parent,
            service,
            operation,
            spans: 0,
            errors: 0,
            traces: 0,
            time: 0,
            self_time: 0,
            on_path: 0,
            self_on_path: 0,
        });
        Some(place)
    }

    pub(super) fn finish(self) -> Flame {
        self.flame
    }
}

/// Nanoseconds of a row in which none of its children runs.
fn uncovered(nodes: &[Node], tree: &Tree, row: usize) -> u64 {
    let node = |row: usize| &nodes[tree.rows[row].node as usize];
    let (start, end) = (node(row).start, node(row).start + node(row).duration());
    let (mut free_from, mut free) = (start, 0);
    // Children come by start.
    for child in tree.children(u32::try_from(row).unwrap_or(u32::MAX)) {
        let child = node(child as usize);
        let (from, to) = (child.start.clamp(start, end), (child.start + child.duration()).clamp(start, end));
        free += from.saturating_sub(free_from);
        free_from = free_from.max(to);
    }
    free + end.saturating_sub(free_from)
}

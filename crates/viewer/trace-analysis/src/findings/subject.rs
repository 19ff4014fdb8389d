//! What the rules look at: the rows of the main root with their times, their place on the path and what they say.

use std::ops::Range;

use waypost_trace_model::{Node, StatusCode, Text};

use crate::path::{Wait, walk};
use crate::timing::{Timing, timings};
use crate::{Facts, Projection, Segment, Tree, index, overlap};

pub(super) struct Subject<'a> {
    pub(super) nodes: &'a [Node],
    pub(super) tree: &'a Tree,
    facts: &'a [Facts],
    pub(super) projection: Projection,
    pub(super) segments: Vec<Segment>,
    pub(super) waits: Vec<Wait>,
    /// Nanoseconds of the path in each row of the main root itself.
    own: Vec<u64>,
    /// The same with everything below it.
    with_below: Vec<u64>,
    /// Whether a call is made in it.
    pub(super) calls: Vec<bool>,
}

static UNKNOWN: Facts = Facts {
    call: None,
    peer: None,
    only_reads: false,
    waited: 0,
    lookup: None,
    instance: None,
    shows_failure: false,
};

impl<'a> Subject<'a> {
    /// `None` for an empty tree.
    pub(super) fn new(nodes: &'a [Node], tree: &'a Tree, facts: &'a [Facts]) -> Option<Subject<'a>> {
        let root = *tree.roots.first()?;
        let timings = timings(nodes, tree);
        let (segments, waits) = walk(tree, &timings, root);
        let calls = overlap::rows_with_calls(nodes, tree, &timings);
        let mut own = vec![0_u64; timings.len()];
        for segment in &segments {
            own[segment.row as usize] += segment.end - segment.start;
        }
        let mut with_below = own.clone();
        for row in (1..timings.len()).rev() {
            if let Some(parent) = tree.rows[row].parent {
                with_below[parent as usize] += with_below[row];
            }
        }
        let projection = Projection::with(timings, tree);
        Some(Subject { nodes, tree, facts, projection, segments, waits, own, with_below, calls })
    }

    /// The rows of the main root, in order.
    pub(super) fn rows(&self) -> Range<u32> {
        0..index(self.own.len())
    }

    pub(super) fn node(&self, row: u32) -> &'a Node {
        &self.nodes[self.tree.rows[row as usize].node as usize]
    }

    pub(super) fn facts(&self, row: u32) -> &'a Facts {
        self.facts.get(self.tree.rows[row as usize].node as usize).unwrap_or(&UNKNOWN)
    }

    pub(super) fn service(&self, row: u32) -> &'a Text {
        &self.node(row).service
    }

    pub(super) fn name(&self, row: u32) -> &'a str {
        &self.node(row).name
    }

    /// What a row asks, or its name.
    pub(super) fn call(&self, row: u32) -> &'a str {
        self.facts(row).call.as_deref().unwrap_or(self.name(row))
    }

    pub(super) fn failed(&self, row: u32) -> bool {
        self.node(row).status == StatusCode::Error
    }

    pub(super) fn timing(&self, row: u32) -> Timing {
        self.projection.timing(row)
    }

    pub(super) fn parent(&self, row: u32) -> Option<u32> {
        self.tree.rows[row as usize].parent
    }

    pub(super) fn own(&self, row: u32) -> u64 {
        self.own[row as usize]
    }

    /// Nanoseconds of the path in these rows and below them; none of them lies below another, or it counts twice,
    /// up to the root's time.
    pub(super) fn on_path(&self, rows: &[u32]) -> u64 {
        rows.iter().map(|&row| self.with_below[row as usize]).fold(0, u64::saturating_add).min(self.total())
    }

    /// The root's nanoseconds.
    pub(super) fn total(&self) -> u64 {
        self.projection.duration()
    }

    /// Those rows of a list, which is sorted by start, that follow one another without overlap.
    pub(super) fn one_after_the_other(&self, rows: &[u32]) -> Vec<u32> {
        let mut free_from = 0;
        let follows = |&row: &u32| {
            let timing = self.timing(row);
            let is_free = timing.start >= free_from;
            if is_free {
                free_from = timing.end;
            }
            is_free
        };
        rows.iter().copied().filter(follows).collect()
    }
}

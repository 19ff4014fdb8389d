//! The critical path: which span the root waited for, at each nanosecond.
//!
//! From the root's end backwards: the child that returned last before the cursor is what the span waited for; its time is
//! divided in the same way, and the cursor goes on at its start. Time in which no such child runs is the span's own. Of
//! children that end together the one that began later is taken, then the one of the earlier row.
//!
//! A child does not block its parent, so that the path never enters it, when it is the consumer of its parent's message,
//! when a link says that it follows from its parent, or when it begins at or after its parent's end. A child that
//! outlives its parent blocks it until the parent's end.

use std::cmp::Reverse;

use serde::Serialize;
use waypost_trace_model::Node;

use crate::timing::{Timing, timings};
use crate::{Overlap, Part, Tree, overlap, parts};

/// A stretch of the root's time and the row that it was spent in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Segment {
    /// The row.
    pub row: u32,
    /// Where it begins, in nanoseconds since 1970.
    pub start: u64,
    /// Where it ends.
    pub end: u64,
}

/// Where the time of a trace went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CriticalPath {
    /// The row whose time is divided: the tree's main root.
    pub root: u32,
    /// The division, in order of time. None is empty; a root without duration has none.
    ///
    /// Times are as recorded, clipped to the row's ancestors; where a server's clock puts it outside of its call
    /// altogether, it is moved into the middle of the call first, with everything below it.
    pub segments: Vec<Segment>,
    /// The same added up a row, the longest first.
    pub parts: Vec<Part>,
    /// The row with the longest part apart from the root, if any other has one.
    pub slowest: Option<u32>,
    /// Calls that could overlap, the greatest saving first.
    pub overlaps: Vec<Overlap>,
    /// Rows that block their parent and outlive it, by row: clipped on the path.
    pub outliving: Vec<u32>,
}

impl CriticalPath {
    /// Of the tree's main root; `None` for an empty tree. `nodes` are those that the tree was made from.
    pub fn of(nodes: &[Node], tree: &Tree) -> Option<CriticalPath> {
        let root = *tree.roots.first()?;
        let timings = timings(nodes, tree);
        let (segments, waits) = walk(tree, &timings, root);
        let parts = parts::of(nodes, tree, &segments);
        let slowest = parts.iter().map(|part| part.row).find(|&row| row != root);
        let overlaps = overlap::among(nodes, tree, &timings, &waits);
        let outliving =
            (0_u32..).zip(&timings).filter(|(_, timing)| timing.outlives).map(|(row, _)| row).collect();
        Some(CriticalPath { root, segments, parts, slowest, overlaps, outliving })
    }
}

/// A row on the path and the children that it waited for, the last first.
#[derive(Debug)]
pub(crate) struct Wait {
    /// The row.
    pub(crate) row: u32,
    /// Children whose times do not overlap, by descending time.
    pub(crate) children: Vec<u32>,
}

/// A row whose time is being divided.
struct Visit {
    wait: Wait,
    /// How many of the children are done.
    done: usize,
    /// Everything from here on is divided.
    cursor: u64,
}

impl Visit {
    fn new(tree: &Tree, timings: &[Timing], row: u32) -> Visit {
        let wait = Wait { row, children: waited_for(tree, timings, row) };
        Visit { wait, done: 0, cursor: timings[row as usize].end }
    }
}

pub(crate) fn walk(tree: &Tree, timings: &[Timing], root: u32) -> (Vec<Segment>, Vec<Wait>) {
    let mut segments = Vec::new();
    let mut waits = Vec::new();
    let mut own_time = |row: u32, start: u64, end: u64| {
        if start < end {
            segments.push(Segment { row, start, end });
        }
    };
    let mut visits = vec![Visit::new(tree, timings, root)];
    while let Some(mut visit) = visits.pop() {
        let row = visit.wait.row;
        if let Some(&child) = visit.wait.children.get(visit.done) {
            let timing = timings[child as usize];
            own_time(row, timing.end, visit.cursor);
            visit.cursor = timing.start;
            visit.done += 1;
            visits.push(visit);
            visits.push(Visit::new(tree, timings, child));
        } else {
            own_time(row, timings[row as usize].start, visit.cursor);
            waits.push(visit.wait);
        }
    }
    segments.reverse();
    (segments, waits)
}

/// The children that a row waited for, the last first. The cursor only moves back, so a child that it has passed is
/// never looked at again.
fn waited_for(tree: &Tree, timings: &[Timing], row: u32) -> Vec<u32> {
    let timing = |child: u32| timings[child as usize];
    let mut children: Vec<u32> = tree
        .children(row)
        .filter(|&child| timing(child).is_awaited && timing(child).start < timing(child).end)
        .collect();
    children.sort_by_key(|&child| (Reverse(timing(child).end), Reverse(timing(child).start), child));
    let mut cursor = timing(row).end;
    children.retain(|&child| {
        let returned = timing(child).end <= cursor;
        if returned {
            cursor = timing(child).start;
        }
        returned
    });
    children
}

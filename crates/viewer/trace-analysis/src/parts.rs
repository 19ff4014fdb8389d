//! Where the time went: the path added up by row.

use std::cmp::Reverse;

use serde::Serialize;
use waypost_trace_model::{Kind, Node};

use crate::{Segment, Tree};

/// What a row's own time is spent with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Category {
    /// The program's own work.
    Work,
    /// A client span whose server side is in the trace: network, queueing, serialisation.
    Network,
    /// A client or producer span without a server side: the database, cache, broker or outside host.
    Dependency,
}

/// A row's share of the root's time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Part {
    /// The row.
    pub row: u32,
    /// What it is spent with.
    pub category: Category,
    /// Its nanoseconds on the path.
    pub time: u64,
}

/// The segments added up, the longest first; rows with equal times in their order.
pub(crate) fn of(nodes: &[Node], tree: &Tree, segments: &[Segment]) -> Vec<Part> {
    let mut times = vec![0_u64; tree.rows.len()];
    for segment in segments {
        times[segment.row as usize] += segment.end - segment.start;
    }
    let spent = (0_u32..).zip(times).filter(|&(_, time)| time > 0);
    let mut parts: Vec<Part> =
        spent.map(|(row, time)| Part { row, category: category(nodes, tree, row), time }).collect();
    parts.sort_by_key(|part| (Reverse(part.time), part.row));
    parts
}

pub(crate) fn category(nodes: &[Node], tree: &Tree, row: u32) -> Category {
    let kind = |row: u32| nodes[tree.rows[row as usize].node as usize].kind;
    match kind(row) {
        Kind::Client if tree.children(row).any(|child| kind(child) == Kind::Server) => Category::Network,
        Kind::Client | Kind::Producer => Category::Dependency,
        Kind::Unspecified | Kind::Internal | Kind::Server | Kind::Consumer => Category::Work,
    }
}

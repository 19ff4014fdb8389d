//! The tree of a trace, whatever its spans claim about each other.

use std::cmp::Reverse;

use serde::Serialize;
use waypost_trace_model::Node;

use crate::parents::{self, Parent};
use crate::{Index, index, skew};

/// The repaired tree of a trace.
#[derive(Clone, Debug)]
pub struct Tree {
    /// Rows in the order of a depth-first walk; children by start, then span id.
    pub rows: Vec<Row>,
    /// The places in `rows` of the roots, the main one (the earliest true root, else the earliest other) first; the
    /// others follow by start.
    pub roots: Vec<u32>,
    /// What had to be repaired, by row.
    pub repairs: Vec<Repair>,
}

/// A node in its place of the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// The node.
    pub node: Index,
    /// Row of its parent.
    pub parent: Option<u32>,
    /// How many ancestors it has.
    pub depth: u32,
    /// How many rows are below it; they follow it.
    pub descendants: u32,
    /// True when its parent is named and not there.
    pub is_orphan: bool,
}

/// What was wrong with a trace's shape or clocks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum Repair {
    /// Spans were each other's ancestors; the earliest became a root.
    Cycle {
        /// Its row.
        row: u32,
    },
    /// An earlier span has the same id; children belong to the earliest in whose time they begin, else to the earliest.
    /// Not said of the client and server halves of a call that share one id, as Zipkin's tracers make them.
    DuplicateId {
        /// Its row.
        row: u32,
    },
    /// Its parent is not there.
    MissingParent {
        /// Its row.
        row: u32,
    },
    /// A call's server side begins before or ends after its client side: the clocks differ by about this much.
    ClockSkew {
        /// Its row.
        row: u32,
        /// Nanoseconds to add to its times to bring it into the middle of its parent: the request is taken to have
        /// travelled as long as the answer. Both sides' times are as recorded.
        offset: i64,
    },
    /// It ended before it began.
    NegativeDuration {
        /// Its row.
        row: u32,
    },
}

impl Tree {
    /// Repairs and orders the nodes. Nodes are as in a `Skeleton`: any order, any shape.
    pub fn new(nodes: &[Node]) -> Tree {
        let order = in_order(nodes);
        let sorted: Vec<&Node> = order.iter().map(|&node| &nodes[node as usize]).collect();
        let parents = parents::find(&sorted);
        let (rows, places) = walk(&sorted, &parents.of, &order);
        let repairs = repairs(&sorted, &parents, &rows, &places);
        let roots =
            (0_u32..).zip(&rows).filter(|(_, row)| row.parent.is_none()).map(|(row, _)| row).collect();
        Tree { rows, roots, repairs }
    }

    /// The rows right below a row, in order.
    pub(crate) fn children(&self, row: u32) -> impl Iterator<Item = u32> + '_ {
        let below = |row: u32| self.rows[row as usize].descendants;
        let end = row + below(row) + 1;
        let first = Some(row + 1).filter(|&child| child < end);
        std::iter::successors(first, move |&child| Some(child + below(child) + 1).filter(|&next| next < end))
    }

    /// The rows after a row that have the same parent, in order.
    pub(crate) fn siblings_after(&self, row: u32) -> impl Iterator<Item = u32> + '_ {
        let below = |row: u32| self.rows[row as usize].descendants;
        let end = self.rows[row as usize].parent.map_or(0, |parent| parent + below(parent) + 1);
        let next = move |row: u32| Some(row + below(row) + 1).filter(|&next| next < end);
        std::iter::successors(next(row), move |&sibling| next(sibling))
    }
}

/// The nodes' indexes by start, then span id, then everything else, so that only equal nodes are interchangeable.
fn in_order(nodes: &[Node]) -> Vec<Index> {
    let mut order: Vec<Index> = (0..index(nodes.len())).collect();
    order.sort_by(|&left, &right| {
        let (left, right) = (&nodes[left as usize], &nodes[right as usize]);
        (left.start, left.span_id)
            .cmp(&(right.start, right.span_id))
            .then_with(|| rest(left).cmp(&rest(right)))
    });
    order
}

/// What a node holds beside its start and id, as something that can be ordered.
fn rest(node: &Node) -> impl Ord + '_ {
    (
        (node.end, node.parent_span_id, node.kind, node.status, node.follows_from_parent),
        (&*node.service, &*node.name),
        (node.attributes, node.events, node.links, node.logs, node.dropped),
    )
}

/// Lays the tree out in rows; also gives the place in `sorted` of each row.
fn walk(sorted: &[&Node], parents: &[Parent], order: &[Index]) -> (Vec<Row>, Vec<usize>) {
    let mut children: Vec<Vec<usize>> = vec![Vec::new(); sorted.len()];
    let mut roots = Vec::new();
    for (place, parent) in parents.iter().enumerate() {
        match parent {
            Parent::Is(parent) => children[*parent as usize].push(place),
            Parent::None | Parent::Missing | Parent::Cut => roots.push(place),
        }
    }
    let by_start = |&place: &usize| (sorted[place].start, Reverse(sorted[place].duration()), place);
    roots.sort_by_key(by_start);
    if let Some(main) = roots.iter().position(|&place| parents[place] == Parent::None) {
        roots[..=main].rotate_right(1);
    }

    let mut rows: Vec<Row> = Vec::with_capacity(sorted.len());
    let mut places = Vec::with_capacity(sorted.len());
    let mut waiting: Vec<(usize, Option<u32>)> = roots.into_iter().rev().map(|place| (place, None)).collect();
    while let Some((place, parent)) = waiting.pop() {
        let row = index(rows.len());
        let depth = parent.map_or(0, |parent| rows[parent as usize].depth + 1);
        let is_orphan = parents[place] == Parent::Missing;
        rows.push(Row { node: order[place], parent, depth, descendants: 0, is_orphan });
        places.push(place);
        waiting
            .extend(std::mem::take(&mut children[place]).into_iter().rev().map(|child| (child, Some(row))));
    }
    for row in (0..rows.len()).rev() {
        if let Some(parent) = rows[row].parent {
            rows[parent as usize].descendants += rows[row].descendants + 1;
        }
    }
    (rows, places)
}

fn repairs(sorted: &[&Node], parents: &parents::Parents, rows: &[Row], places: &[usize]) -> Vec<Repair> {
    let mut repairs = Vec::new();
    for (row, (here, &place)) in (0_u32..).zip(rows.iter().zip(places)) {
        match parents.of[place] {
            Parent::Cut => repairs.push(Repair::Cycle { row }),
            Parent::Missing => repairs.push(Repair::MissingParent { row }),
            Parent::None | Parent::Is(_) => {}
        }
        if parents.is_duplicate[place] {
            repairs.push(Repair::DuplicateId { row });
        }
        let node = sorted[place];
        let parent = here.parent.map(|parent| sorted[places[parent as usize]]);
        if let Some(offset) = parent.and_then(|parent| skew::offset(parent, node)) {
            let largest = if offset < 0 { i64::MIN } else { i64::MAX };
            repairs.push(Repair::ClockSkew { row, offset: i64::try_from(offset).unwrap_or(largest) });
        }
        if node.end < node.start {
            repairs.push(Repair::NegativeDuration { row });
        }
    }
    repairs
}

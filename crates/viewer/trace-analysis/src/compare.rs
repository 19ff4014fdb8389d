//! Two traces side by side: their trees aligned, and what differs in time and number.
//!
//! The main roots are a pair. Below a pair, children with the same service, name and kind belong together: where both sides have as
//! many of them, and not more than [`MAX_IN_ORDER`], the first with the first and so on; otherwise all of them on one line, with
//! their numbers and times added up, and so is all that lies below them. Lines come in the order of the left side; what only the right
//! has stands after what it followed there.
//!
//! Why not the least edit distance: it takes cubic time and pairs what is near rather than what is the same call. This takes O(n log n)
//! and each line can be explained by its names.
//!
//! Invariants, which `tests/it/compare.rs` holds against any two traces: every row of both main roots is on one line; times on the path
//! without those below add up to the roots' durations, so that the differences add up to that of the two roots; the other way round
//! the same lines are found.

use std::collections::BTreeMap;

use waypost_trace_model::{Kind, Node, StatusCode, Text};

use crate::{CriticalPath, Tree};

/// Alike children that are paired one by one, if both sides have as many.
pub const MAX_IN_ORDER: usize = 8;

/// Spans of one or both traces that belong together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The line above, among those before it.
    pub parent: Option<u32>,
    /// Lines above it.
    pub depth: u32,
    /// The service; where roots differ, that of the left.
    pub service: Text,
    /// The name; where roots differ, that of the left.
    pub name: Text,
    /// The kind; where roots differ, that of the left.
    pub kind: Kind,
    /// Spans of the left trace; none when it has none there.
    pub left: Side,
    /// Spans of the right trace.
    pub right: Side,
}

/// Spans of one trace on a line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Side {
    /// Their rows, in order.
    pub rows: Vec<u32>,
    /// Nanoseconds that they took, added up.
    pub time: u64,
    /// Nanoseconds of the critical path in them and below them.
    pub on_path: u64,
    /// Nanoseconds of the critical path in them alone.
    pub self_on_path: u64,
    /// Those that failed.
    pub errors: u32,
}

/// One of two traces.
#[derive(Debug)]
struct Trace<'a> {
    nodes: &'a [Node],
    tree: &'a Tree,
    own: Vec<u64>,
    with_below: Vec<u64>,
}

impl<'a> Trace<'a> {
    fn new(nodes: &'a [Node], tree: &'a Tree) -> Trace<'a> {
        let rows = tree.rows.first().map_or(0, |root| root.descendants as usize + 1);
        let mut own = vec![0_u64; rows];
        for part in CriticalPath::of(nodes, tree).map(|path| path.parts).unwrap_or_default() {
            own[part.row as usize] = part.time;
        }
        let mut with_below = own.clone();
        for row in (1..rows).rev() {
            if let Some(parent) = tree.rows[row].parent {
                with_below[parent as usize] += with_below[row];
            }
        }
        Trace { nodes, tree, own, with_below }
    }

    fn node(&self, row: u32) -> &'a Node {
        &self.nodes[self.tree.rows[row as usize].node as usize]
    }

    fn side(&self, rows: Vec<u32>) -> Side {
        let sum = |of: &dyn Fn(u32) -> u64| rows.iter().map(|&row| of(row)).fold(0, u64::saturating_add);
        let failed = rows.iter().filter(|&&row| self.node(row).status == StatusCode::Error).count();
        Side {
            time: sum(&|row| self.node(row).duration()),
            on_path: sum(&|row| self.with_below[row as usize]),
            self_on_path: sum(&|row| self.own[row as usize]),
            errors: u32::try_from(failed).unwrap_or(u32::MAX),
            rows,
        }
    }

    /// The rows below these, alike ones together.
    fn below(&self, rows: &[u32]) -> Alike<'a> {
        let mut alike: Alike<'a> = Vec::new();
        let mut places: BTreeMap<Key<'a>, usize> = BTreeMap::new();
        for child in rows.iter().flat_map(|&row| self.tree.children(row)) {
            let node = self.node(child);
            let key = (&node.service, &node.name, node.kind);
            let place = *places.entry(key).or_insert_with(|| {
                alike.push((key, Vec::new()));
                alike.len() - 1
            });
            alike[place].1.push(child);
        }
        alike
    }
}

type Key<'a> = (&'a Text, &'a Text, Kind);
type Alike<'a> = Vec<(Key<'a>, Vec<u32>)>;

/// Rows of both sides that make one line, with the line above.
struct Pair {
    parent: Option<u32>,
    depth: u32,
    rows: [Vec<u32>; 2],
}

/// The lines of two traces; none when either has no spans. Each slice of nodes is that of its tree.
pub fn compared(left: (&[Node], &Tree), right: (&[Node], &Tree)) -> Vec<Line> {
    let traces = [Trace::new(left.0, left.1), Trace::new(right.0, right.1)];
    let [left, right] = &traces;
    if left.own.is_empty() || right.own.is_empty() {
        return Vec::new();
    }
    let mut lines: Vec<Line> = Vec::new();
    let mut waiting = vec![Pair { parent: None, depth: 0, rows: [vec![0], vec![0]] }];
    while let Some(Pair { parent, depth, rows: [left_rows, right_rows] }) = waiting.pop() {
        let place = u32::try_from(lines.len()).unwrap_or(u32::MAX);
        let known = left_rows.first().map(|&row| left.node(row));
        let Some(node) = known.or_else(|| right_rows.first().map(|&row| right.node(row))) else { continue };
        let is_one = left_rows.len() <= 1 && right_rows.len() <= 1;
        let below = in_order(left.below(&left_rows), right.below(&right_rows), is_one);
        let pair = |rows| Pair { parent: Some(place), depth: depth + 1, rows };
        waiting.extend(below.into_iter().rev().map(pair));
        let (left, right) = (left.side(left_rows), right.side(right_rows));
        let (service, name) = (node.service.clone(), node.name.clone());
        lines.push(Line { parent, depth, service, name, kind: node.kind, left, right });
    }
    lines
}

/// What belongs together of both sides, one by one only below a single span, in the order of the left; what only the right has follows what it followed there.
fn in_order(left: Alike<'_>, right: Alike<'_>, is_one: bool) -> Vec<[Vec<u32>; 2]> {
    let mut places: BTreeMap<Key<'_>, usize> = BTreeMap::new();
    let mut pairs: Vec<[Vec<u32>; 2]> = Vec::with_capacity(left.len());
    for (key, rows) in left {
        places.insert(key, pairs.len());
        pairs.push([rows, Vec::new()]);
    }
    // What only the right has, by how many of the left's stand before it.
    let mut added: Vec<Vec<[Vec<u32>; 2]>> = (0..=pairs.len()).map(|_| Vec::new()).collect();
    let mut after = 0;
    for (key, rows) in right {
        if let Some(&place) = places.get(&key) {
            pairs[place][1] = rows;
            after = place + 1;
        } else {
            added[after].push([Vec::new(), rows]);
        }
    }
    let mut ordered = Vec::new();
    let mut added = added.into_iter();
    ordered.extend(added.next().into_iter().flatten());
    for (pair, following) in pairs.into_iter().zip(added) {
        ordered.extend(if is_one { one_by_one(pair) } else { vec![pair] });
        ordered.extend(following);
    }
    ordered
}

fn one_by_one([left, right]: [Vec<u32>; 2]) -> Vec<[Vec<u32>; 2]> {
    if left.len() != right.len() || left.len() > MAX_IN_ORDER {
        return vec![[left, right]];
    }
    left.into_iter().zip(right).map(|(left, right)| [vec![left], vec![right]]).collect()
}

/// What a trace is made of, whatever its numbers and times: the different ways from the main root down, by service and
/// name. Two traces with equal shapes did the same things.
pub fn shape(nodes: &[Node], tree: &Tree) -> Vec<(Option<u32>, Text, Text)> {
    let rows = tree.rows.first().map_or(0, |root| root.descendants as usize + 1);
    let node = |row: usize| &nodes[tree.rows[row].node as usize];
    // Ways in the order of their parents' numbers and names, so that the order of children does not count.
    let mut numbers = vec![0_u32; rows];
    let mut shape: Vec<(Option<u32>, Text, Text)> = Vec::new();
    let mut level: Vec<u32> = if rows == 0 { Vec::new() } else { vec![0] };
    while !level.is_empty() {
        let mut ways: BTreeMap<(Option<u32>, &Text, &Text), Vec<u32>> = BTreeMap::new();
        for &row in &level {
            let above = tree.rows[row as usize].parent.map(|parent| numbers[parent as usize]);
            let node = node(row as usize);
            ways.entry((above, &node.service, &node.name)).or_default().push(row);
        }
        level = Vec::new();
        for ((above, service, name), rows) in ways {
            let number = u32::try_from(shape.len()).unwrap_or(u32::MAX);
            shape.push((above, service.clone(), name.clone()));
            for row in rows {
                numbers[row as usize] = number;
                level.extend(tree.children(row));
            }
        }
    }
    shape
}

//! What a trace says about time: a repaired tree, the critical path, where the time went, what could overlap, how long it would
//! take if parts of it took less, and findings: what is worth changing, each with its evidence.
//!
//! Pure, deterministic and iterative: no input, however deep, wide, cyclic or wrong, makes it recurse, panic or take more
//! than O(n log n), and the order of the input never changes the result. For the trace page, findings and
//! everything that adds up segments over many traces.
//!
//! Invariants:
//! - Every node of the trace is in the [`Tree`] once.
//! - The segments of a [`CriticalPath`] partition the root's time exactly: no gap, no overlap, the sum of their
//!   nanoseconds is the root's duration.
//!
//! Source of the algorithm: the last-returning-child walk of CRISP (Zhang et al., USENIX ATC 2022), with `<=` instead
//! of `<`, integer nanoseconds, and clipping to the parent. A span that ended before it began counts as one of no
//! duration at its start, everywhere.
//!
//! Attributes are read in one place, [`Facts`]. Left out: anything that needs more than one trace (baselines, anomalies).

mod aggregate;
mod compare;
mod completeness;
mod facts;
mod findings;
mod instances;
mod overlap;
mod parents;
mod parts;
mod path;
mod projection;
mod skew;
mod statement;
mod timing;
mod tree;

pub use aggregate::{Aggregate, Common, Edge, Flame, FlameNode, Place, Recurring, Sample, WhatIf, quantile};
pub use compare::{Line, MAX_IN_ORDER, Side, compared, shape};
pub use completeness::{Completeness, completeness, is_complete};
pub use facts::Facts;
pub use findings::{Finding, FindingKind, findings};
pub use instances::{BadInstance, Instances};
pub use overlap::Overlap;
pub use parts::{Category, Part};
pub use path::{CriticalPath, Segment};
pub use projection::{Change, Projection, Share};
pub use tree::{Repair, Row, Tree};

/// A node's place in the slice that the tree was made from.
pub type Index = u32;

/// A place in a list of nodes or rows as it is kept. A trace holds at most a million spans by default, and never
/// more than this type can count.
fn index(place: usize) -> Index {
    Index::try_from(place).unwrap_or(Index::MAX)
}

//! Whether a trace is whole, and why not.

use std::collections::BTreeMap;

use serde::Serialize;
use waypost_trace_model::{RefusalReason, Skeleton, TraceLosses};

use crate::Tree;

/// Whether a trace is whole, and why not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Completeness {
    /// False when spans are known to be missing: orphans, refused or evicted ones. Spans refused because they were
    /// already kept are not missing.
    pub complete: bool,
    /// Spans whose parent is not there.
    pub orphans: u64,
    /// Spans that were received and not kept.
    pub refused: BTreeMap<RefusalReason, u64>,
    /// Spans that were kept and have been dropped since.
    pub evicted: u64,
    /// Attributes, events and links that clients dropped from the spans that are there.
    pub dropped: u64,
}

/// Of a trace and the tree that was made from its nodes.
pub fn completeness(skeleton: &Skeleton, tree: &Tree) -> Completeness {
    let orphans: u64 = tree.rows.iter().map(|row| u64::from(row.is_orphan)).sum();
    Completeness {
        complete: is_complete(orphans, &skeleton.losses),
        orphans,
        refused: skeleton.losses.refused.clone(),
        evicted: skeleton.losses.evicted,
        dropped: skeleton.nodes.iter().map(|node| u64::from(node.dropped)).sum(),
    }
}

/// Whether no span of a trace is known to be missing, see [`Completeness::complete`].
pub fn is_complete(orphans: u64, losses: &TraceLosses) -> bool {
    let lost = |(reason, spans): (&RefusalReason, &u64)| *reason != RefusalReason::Repeated && *spans > 0;
    orphans == 0 && losses.evicted == 0 && !losses.refused.iter().any(lost)
}

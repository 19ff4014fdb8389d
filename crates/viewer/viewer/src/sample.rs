//! Some of the traces of a search, chosen evenly among all of them, and how many there are.
//!
//! Chosen are those whose ids have the least hashes: a sample that is the same each time it is asked for, that does not favour the newest, and
//! that needs one pass. Bounds: as many traces are kept as are wanted, and ids are counted up to [`MAX_COUNTED`].

use std::collections::{BTreeSet, HashSet};
use waypost_trace_model::TraceId;
use waypost_trace_store::{Columns, Fields, Query, ReadError, Survey, TraceStore};

/// Different traces that are counted exactly.
const MAX_COUNTED: usize = 500_000;

pub(crate) struct Sample {
    /// In the order of their ids.
    pub(crate) traces: Vec<TraceId>,
    /// Traces that meet the query, as far as they were counted.
    pub(crate) matching: usize,
    /// Whether there may be more.
    pub(crate) is_partial: bool,
    pub(crate) scanned_to: Option<u64>,
}

/// At most `size` traces.
pub(crate) fn sample(store: &dyn TraceStore, query: Query, size: usize) -> Result<Sample, ReadError> {
    let survey = Survey { query, marked: None, fields: Fields::Of(Vec::new()) };
    let mut counted: HashSet<TraceId> = HashSet::new();
    let mut chosen: BTreeSet<(u64, TraceId)> = BTreeSet::new();
    let mut is_partial = false;
    let mut visit = |columns: &Columns| {
        for trace in &columns.traces {
            is_partial |= counted.len() >= MAX_COUNTED && !counted.contains(trace);
            if counted.len() < MAX_COUNTED {
                counted.insert(*trace);
            }
            let hashed = (hash(*trace), *trace);
            if chosen.len() < size || chosen.last().is_some_and(|last| hashed < *last) {
                chosen.insert(hashed);
                if chosen.len() > size {
                    chosen.pop_last();
                }
            }
        }
    };
    let surveyed = store.survey(&survey, &mut visit)?;
    let mut traces: Vec<TraceId> = chosen.into_iter().map(|(_, trace)| trace).collect();
    traces.sort_unstable();
    let is_partial = is_partial || surveyed.scanned_to.is_some();
    Ok(Sample { traces, matching: counted.len(), is_partial, scanned_to: surveyed.scanned_to })
}

/// Even over all ids, also those that somebody counted up: the finalizer of SplitMix64 over both halves.
fn hash(trace: TraceId) -> u64 {
    let halves = trace.as_bytes().chunks(8);
    halves.fold(0, |hash: u64, half| {
        let half = half.iter().fold(0_u64, |number, byte| (number << 8) | u64::from(*byte));
        let mixed = hash.wrapping_add(half).wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    })
}

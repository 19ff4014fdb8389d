//! How long a trace would take if some of it took less: the trace played again with shorter parts.
//!
//! Within a row each child is taken to begin because the children that had ended by then had ended: it begins as long after
//! the last of them as it did, or as long after the row's own start when none had ended. A row ends as long after
//! its last awaited child as it did. Only lengths and these gaps are changed; the order is kept, so calls that overlap
//! go on doing so, and one that was hidden behind a longer one shows when that one shrinks.
//!
//! Invariants, which `tests/it/projection.rs` holds against any trace: without changes the root takes what it took; a smaller change
//! never saves more; what is saved is at most what the changes take from the critical path.
//!
//! Cost: O(n log n) once for the order of the children, then O(n) for each question.

use waypost_trace_model::Node;

use crate::timing::{Timing, timings};
use crate::{Tree, index};

/// A share of a time, such as one half; never more than the whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    part: u64,
    whole: u64,
}

impl Share {
    /// Everything.
    pub const ALL: Share = Share { part: 1, whole: 1 };
    /// Nothing.
    pub const NONE: Share = Share { part: 0, whole: 1 };
    /// One half.
    pub const HALF: Share = Share { part: 1, whole: 2 };

    /// `part` of `whole`; everything when `part` is not less.
    pub fn new(part: u64, whole: u64) -> Share {
        if part >= whole { Share::ALL } else { Share { part, whole } }
    }

    fn of(self, time: u64) -> u64 {
        let scaled = u128::from(time) * u128::from(self.part) / u128::from(self.whole.max(1));
        u64::try_from(scaled).unwrap_or(time).min(time)
    }
}

/// What is different about a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// The most that it takes, with everything below it.
    pub takes_at_most: u64,
    /// The most that its parent does before it begins, since the last call before it ended.
    pub begins_within: u64,
    /// What is left of its own time.
    pub own: Share,
}

impl Change {
    /// No change.
    pub const NONE: Change = Change { takes_at_most: u64::MAX, begins_within: u64::MAX, own: Share::ALL };
    /// It takes no time.
    pub const GONE: Change = Change { takes_at_most: 0, ..Change::NONE };
}

/// The main root of a trace, to be played again.
#[derive(Debug)]
pub struct Projection {
    timings: Vec<Timing>,
    /// Children that are waited for and take time, of all rows; those of a row follow one another, by start.
    by_start: Vec<u32>,
    /// The same by end.
    by_end: Vec<u32>,
    /// Where a row's children begin in both lists; one more than there are rows.
    first: Vec<u32>,
}

impl Projection {
    /// `nodes` are those that the tree was made from.
    pub fn new(nodes: &[Node], tree: &Tree) -> Projection {
        Projection::with(timings(nodes, tree), tree)
    }

    pub(crate) fn with(timings: Vec<Timing>, tree: &Tree) -> Projection {
        let rows = timings.len();
        let parents: Vec<Option<u32>> = tree.rows.iter().take(rows).map(|row| row.parent).collect();
        let counts = |row: u32| timings[row as usize].is_awaited && timings[row as usize].length() > 0;
        let mut by_start: Vec<u32> =
            (0..index(rows)).filter(|&row| parents[row as usize].is_some() && counts(row)).collect();
        let mut by_end = by_start.clone();
        by_start.sort_by_key(|&row| (parents[row as usize], timings[row as usize].start, row));
        by_end.sort_by_key(|&row| (parents[row as usize], timings[row as usize].end, row));
        let mut first = vec![0_u32; rows + 1];
        for &row in &by_start {
            if let Some(parent) = parents[row as usize] {
                first[parent as usize + 1] += 1;
            }
        }
        for row in 0..rows {
            first[row + 1] += first[row];
        }
        Projection { timings, by_start, by_end, first }
    }

    /// How long the root takes, in nanoseconds.
    pub fn duration(&self) -> u64 {
        self.timings.first().map_or(0, |timing| timing.length())
    }

    /// How much less the root would take with these changes, in nanoseconds.
    pub fn saved(&self, change: impl Fn(u32) -> Change) -> u64 {
        self.duration().saturating_sub(self.duration_with(change))
    }

    /// How long the root would take with these changes, in nanoseconds.
    pub fn duration_with(&self, change: impl Fn(u32) -> Change) -> u64 {
        let mut lengths = vec![0_u64; self.timings.len()];
        // When a row ends, from the start of its parent; set while its parent is played.
        let mut ends = vec![0_u64; self.timings.len()];
        for row in (0..index(self.timings.len())).rev() {
            let own = change(row).own;
            let timing = self.timings[row as usize];
            let children = self.first[row as usize] as usize..self.first[row as usize + 1] as usize;
            let mut ended = self.by_end[children.clone()].iter().copied().peekable();
            let (mut last_end, mut last_new_end) = (timing.start, 0_u64);
            for &child in &self.by_start[children] {
                let begins = self.timings[child as usize].start;
                while let Some(before) = ended.next_if(|&before| self.timings[before as usize].end <= begins)
                {
                    last_end = self.timings[before as usize].end;
                    last_new_end = last_new_end.max(ends[before as usize]);
                }
                let gap = own.of(begins - last_end).min(change(child).begins_within);
                ends[child as usize] = last_new_end + gap + lengths[child as usize];
            }
            for before in ended {
                last_end = self.timings[before as usize].end;
                last_new_end = last_new_end.max(ends[before as usize]);
            }
            let length = last_new_end + own.of(timing.end - last_end);
            lengths[row as usize] = length.min(change(row).takes_at_most);
        }
        lengths.first().copied().unwrap_or_default()
    }

    pub(crate) fn timing(&self, row: u32) -> Timing {
        self.timings[row as usize]
    }
}

//! Time that passes elsewhere, or nobody knows how: slow dependencies, waits for a turn, caches that miss, gaps.

use std::collections::BTreeMap;

use waypost_trace_model::{Kind, Text};

use super::{Candidate, FindingKind, Subject};
use crate::parts::{Category, category};
use crate::projection::{Change, Share};

/// Siblings after a lookup that missed, among which the call is looked for that fetched the answer.
const NEXT: usize = 8;

/// `told` are rows that other findings would have gone.
pub(super) fn find(subject: &Subject<'_>, told: &[u32]) -> Vec<Candidate> {
    let mut candidates = Vec::new();
    candidates.extend(slow_dependencies(subject, told));
    candidates.extend(waiting(subject));
    candidates.extend(cache_misses(subject));
    candidates.extend(gaps(subject));
    candidates
}

fn at(subject: &Subject<'_>, kind: FindingKind, row: u32, change: Change) -> Candidate {
    Candidate {
        kind,
        service: subject.service(row).clone(),
        place: subject.call(row).to_owned(),
        rows: vec![row],
        changes: vec![(row, change)],
        number: 0,
        is_certain: false,
    }
}

/// Calls on the path below which there is nothing.
fn slow_dependencies(subject: &Subject<'_>, told: &[u32]) -> Vec<Candidate> {
    let (share, least) = FindingKind::SlowDependency.least();
    let is_slow = |row: u32| {
        let own = subject.own(row);
        own >= least && u128::from(own) * 100 >= u128::from(subject.total()) * u128::from(share)
    };
    let is_leaf = |row: u32| subject.tree.rows[row as usize].descendants == 0;
    let slow = subject.rows().filter(|&row| {
        subject.node(row).kind == Kind::Client && is_leaf(row) && is_slow(row) && !told.contains(&row)
    });
    slow.map(|row| at(subject, FindingKind::SlowDependency, row, Change::GONE)).collect()
}

/// What calls of one service to one peer waited before they ran.
fn waiting(subject: &Subject<'_>) -> Vec<Candidate> {
    let waits = subject.rows().filter_map(|row| {
        let facts = subject.facts(row);
        let own = subject.own(row);
        let waited = facts.waited.min(own);
        if waited == 0 {
            return None;
        }
        let change = Change { own: Share::new(own - waited, own), ..Change::NONE };
        let found = at(subject, FindingKind::Waiting, row, change);
        let place = facts.peer.as_ref().map_or_else(|| subject.name(row).to_owned(), ToString::to_string);
        Some(Candidate { place, number: i64::try_from(waited).unwrap_or(i64::MAX), ..found })
    });
    waits.collect()
}

/// Lookups that missed, with the calls that fetched the answer: those within the lookup, else the next of its parent.
fn cache_misses(subject: &Subject<'_>) -> Vec<Candidate> {
    let mut lookups: BTreeMap<(&Text, &Text), i64> = BTreeMap::new();
    let mut misses = Vec::new();
    for row in subject.rows() {
        let Some((name, is_hit)) = &subject.facts(row).lookup else { continue };
        *lookups.entry((subject.service(row), name)).or_default() += 1;
        if !is_hit {
            misses.push((row, name));
        }
    }
    let mut candidates = Vec::new();
    for (row, name) in misses {
        let within: Vec<u32> =
            subject.tree.children(row).filter(|&child| subject.calls[child as usize]).collect();
        let after = if within.is_empty() { next_call(subject, row) } else { None };
        let fetches = within.into_iter().chain(after);
        candidates.push(Candidate {
            place: name.to_string(),
            rows: std::iter::once(row).chain(after).collect(),
            changes: fetches.map(|fetch| (fetch, Change::GONE)).collect(),
            // All lookups of the cache are counted with its first miss.
            number: lookups.remove(&(subject.service(row), name)).unwrap_or_default(),
            ..at(subject, FindingKind::CacheMiss, row, Change::NONE)
        });
    }
    candidates
}

/// The call that the parent of a row made next after it, if it is one of the next few rows.
fn next_call(subject: &Subject<'_>, row: u32) -> Option<u32> {
    let end = subject.timing(row).end;
    let mut later = subject.tree.siblings_after(row).take(NEXT);
    later.find(|&sibling| subject.calls[sibling as usize] && subject.timing(sibling).start >= end)
}

/// Rows of which one stretch on the path is long and not covered by anything below.
fn gaps(subject: &Subject<'_>) -> Vec<Candidate> {
    let (share, least) = FindingKind::InstrumentationGap.least();
    let mut longest: BTreeMap<u32, u64> = BTreeMap::new();
    for segment in &subject.segments {
        let length = segment.end - segment.start;
        let is_long = u128::from(length) * 100 >= u128::from(subject.total()) * u128::from(share);
        // Last: what a row is spent with takes a look at all its children.
        if length >= least && is_long && category(subject.nodes, subject.tree, segment.row) == Category::Work
        {
            let so_far = longest.entry(segment.row).or_default();
            *so_far = length.max(*so_far);
        }
    }
    let gap = |(row, length): (u32, u64)| Candidate {
        place: subject.name(row).to_owned(),
        number: i64::try_from(length).unwrap_or(i64::MAX),
        ..at(subject, FindingKind::InstrumentationGap, row, Change { own: Share::NONE, ..Change::NONE })
    };
    longest.into_iter().map(gap).collect()
}

//! Calls that are made too often, one after the other without need, or again after a failure.

use std::collections::BTreeMap;

use waypost_trace_model::{Kind, Text};

use super::{Candidate, FindingKind, Subject};
use crate::projection::Change;

/// Alike calls of one row, one after the other, from which on they are a repeated call. Two or three may be meant; five
/// are a loop.
const REPEATED: usize = 5;

/// Alike calls of one row that are told even where nobody waited for them.
const MANY: usize = 20;

/// Failed attempts from which on a retry is told whatever it cost.
const STORM: i64 = 2;

pub(super) fn find(subject: &Subject<'_>) -> Vec<Candidate> {
    let mut candidates = Vec::new();
    for row in subject.rows() {
        for alike in alike_calls(subject, row) {
            candidates.extend(repeated_or_retried(subject, &alike));
        }
    }
    let told: Vec<u32> = sorted(candidates.iter().flat_map(|candidate| candidate.rows.iter().copied()));
    candidates.extend(serial(subject, &told));
    candidates
}

fn sorted(rows: impl Iterator<Item = u32>) -> Vec<u32> {
    let mut rows: Vec<u32> = rows.collect();
    rows.sort_unstable();
    rows
}

/// The calls that a row makes more than once, those that are alike together.
fn alike_calls(subject: &Subject<'_>, row: u32) -> Vec<Vec<u32>> {
    let mut alike: BTreeMap<(Kind, &str, &str), Vec<u32>> = BTreeMap::new();
    for child in subject.tree.children(row) {
        let node = subject.node(child);
        let makes_calls = subject.calls[child as usize] || subject.facts(child).call.is_some();
        if makes_calls && node.kind != Kind::Consumer {
            alike.entry((node.kind, &node.service, subject.call(child))).or_default().push(child);
        }
    }
    alike.into_values().filter(|rows| rows.len() > 1).collect()
}

fn repeated_or_retried(subject: &Subject<'_>, alike: &[u32]) -> Option<Candidate> {
    let rows = subject.one_after_the_other(alike);
    let succeeded = rows.iter().filter(|&&row| !subject.failed(row)).count();
    if succeeded >= REPEATED { repeated(subject, rows) } else { retried(subject, &rows) }
}

fn candidate(subject: &Subject<'_>, kind: FindingKind, rows: Vec<u32>) -> Option<Candidate> {
    let first = *rows.first()?;
    let place = match (kind, subject.parent(first)) {
        (FindingKind::SerialCalls, Some(parent)) => subject.name(parent).to_owned(),
        _ => subject.call(first).to_owned(),
    };
    let service = subject.service(first).clone();
    Some(Candidate { kind, service, place, rows, changes: Vec::new(), number: 0, is_certain: false })
}

/// All but the longest are gone, as if one call asked for everything.
fn all_but_the_longest(subject: &Subject<'_>, rows: &[u32]) -> Vec<(u32, Change)> {
    let longest = rows.iter().copied().max_by_key(|&row| subject.timing(row).length());
    rows.iter().copied().filter(|&row| Some(row) != longest).map(|row| (row, Change::GONE)).collect()
}

fn repeated(subject: &Subject<'_>, rows: Vec<u32>) -> Option<Candidate> {
    let changes = all_but_the_longest(subject, &rows);
    let is_certain = rows.len() >= MANY;
    let found = candidate(subject, FindingKind::RepeatedCall, rows)?;
    Some(Candidate { changes, is_certain, ..found })
}

/// Attempts that failed and were followed by another; without them the last would have begun where the first did.
fn retried(subject: &Subject<'_>, rows: &[u32]) -> Option<Candidate> {
    let mut attempts = Vec::new();
    let mut changes = Vec::new();
    let mut failures = 0_i64;
    for pair in rows.windows(2) {
        let &[attempt, next] = pair else { continue };
        if subject.failed(attempt) {
            failures += 1;
            attempts.extend([attempt, next]);
            let waits = if changes.last().is_some_and(|(row, _)| *row == attempt) {
                changes.pop().map_or(u64::MAX, |(_, change): (u32, Change)| change.begins_within)
            } else {
                u64::MAX
            };
            changes.push((attempt, Change { begins_within: waits, ..Change::GONE }));
            changes.push((next, Change { begins_within: 0, ..Change::NONE }));
        }
    }
    attempts.dedup();
    let found = candidate(subject, FindingKind::Retries, attempts)?;
    Some(Candidate { changes, number: failures, is_certain: failures >= STORM, ..found })
}

/// Runs of calls that only read, among those that a row waited for; a call that may write, or anything else, ends a run.
fn serial(subject: &Subject<'_>, told: &[u32]) -> Vec<Candidate> {
    let reads = rows_that_only_read(subject);
    let mut candidates = Vec::new();
    for wait in &subject.waits {
        let in_order: Vec<u32> = wait.children.iter().rev().copied().collect();
        let may_overlap = |row: &u32| reads[*row as usize] && told.binary_search(row).is_err();
        for run in in_order.chunk_by(|one, other| may_overlap(one) && may_overlap(other)) {
            if run.len() > 1 {
                let found = candidate(subject, FindingKind::SerialCalls, run.to_vec());
                let changes = all_but_the_longest(subject, run);
                candidates.extend(found.map(|found| Candidate { changes, ..found }));
            }
        }
    }
    candidates
}

/// Whether a row makes calls and all of them only read, as far as the first call on each way down says.
fn rows_that_only_read(subject: &Subject<'_>) -> Vec<bool> {
    let count = subject.calls.len();
    // Of each row: calls below it, and those of them that may write.
    let mut below = vec![(0_u32, 0_u32); count];
    let mut reads = vec![false; count];
    for row in subject.rows().rev() {
        let is_call = matches!(subject.node(row).kind, Kind::Client | Kind::Producer);
        let own = (1, u32::from(!subject.facts(row).only_reads));
        let (calls, writes) = if is_call { own } else { below[row as usize] };
        reads[row as usize] = calls > 0 && writes == 0;
        if let Some(parent) = subject.parent(row) {
            let (so_far, writing) = &mut below[parent as usize];
            *so_far += calls;
            *writing += writes;
        }
    }
    reads
}

/// What a call has in common with its alike siblings.
type Alike<'a> = (Option<u32>, Kind, &'a Text, &'a str);

/// When the last of alike siblings that went well began.
pub(super) struct LastGood<'a>(BTreeMap<Alike<'a>, u64>);

impl<'a> LastGood<'a> {
    pub(super) fn of(subject: &Subject<'a>) -> LastGood<'a> {
        let mut latest: BTreeMap<Alike<'a>, u64> = BTreeMap::new();
        for row in subject.rows().filter(|&row| !subject.failed(row)) {
            let start = latest.entry(alike(subject, row)).or_default();
            *start = subject.timing(row).start.max(*start);
        }
        LastGood(latest)
    }

    /// Whether a row was tried again after its end, and that went well.
    pub(super) fn is_after(&self, subject: &Subject<'a>, row: u32) -> bool {
        self.0.get(&alike(subject, row)).is_some_and(|&start| start >= subject.timing(row).end)
    }
}

fn alike<'a>(subject: &Subject<'a>, row: u32) -> Alike<'a> {
    (subject.parent(row), subject.node(row).kind, subject.service(row), subject.call(row))
}

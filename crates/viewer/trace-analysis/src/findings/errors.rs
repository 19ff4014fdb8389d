//! What is wrong whatever it costs: clocks that differ, and failures that nothing above them shows.

use waypost_trace_model::Node;

use super::calls::LastGood;
use super::{Candidate, FindingKind, Subject};
use crate::Repair;

/// Offsets of a clock below this change no picture, and are what is left of the assumption that both ways take as long.
const MIN_OFFSET: u64 = 1_000_000;

pub(super) fn find(subject: &Subject<'_>) -> Vec<Candidate> {
    let mut candidates = skewed(subject);
    candidates.extend(swallowed(subject));
    candidates
}

fn certain(subject: &Subject<'_>, kind: FindingKind, row: u32, place: String, number: i64) -> Candidate {
    let service = subject.service(row).clone();
    Candidate { kind, service, place, rows: vec![row], changes: Vec::new(), number, is_certain: true }
}

fn skewed(subject: &Subject<'_>) -> Vec<Candidate> {
    let skews = subject.tree.repairs.iter().filter_map(|repair| match *repair {
        Repair::ClockSkew { row, offset }
            if subject.rows().contains(&row) && offset.unsigned_abs() >= MIN_OFFSET =>
        {
            Some((row, offset))
        }
        _ => None,
    });
    let found = skews.filter_map(|(row, offset)| {
        let parent = subject.parent(row)?;
        let caller = subject.service(parent).to_string();
        let found = || certain(subject, FindingKind::ClockSkew, row, caller, offset);
        is_impossible(subject.node(parent), subject.node(row)).then(found)
    });
    found.collect()
}

/// Whether only clocks can explain where the server's side lies. One that only ends later than its client may have been
/// busy with the end of its answer when the client had it.
fn is_impossible(client: &Node, server: &Node) -> bool {
    server.start < client.start || server.start >= client.start + client.duration()
}

/// Failed rows below which somebody waited, and above which nothing shows a failure; not those that a later attempt made good.
fn swallowed(subject: &Subject<'_>) -> Vec<Candidate> {
    // Whether the row or one above it shows a failure.
    let mut shows = vec![false; subject.rows().len()];
    let good = LastGood::of(subject);
    let mut candidates = Vec::new();
    for row in subject.rows() {
        let shown_above = subject.parent(row).is_some_and(|parent| shows[parent as usize]);
        let is_swallowed = subject.parent(row).is_some() && subject.failed(row) && !shown_above;
        if is_swallowed && subject.timing(row).is_awaited && !good.is_after(subject, row) {
            let place = subject.name(row).to_owned();
            candidates.push(certain(subject, FindingKind::SwallowedError, row, place, 0));
        }
        shows[row as usize] = shown_above || subject.failed(row) || subject.facts(row).shows_failure;
    }
    candidates
}

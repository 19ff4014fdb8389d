//! What is worth changing about a trace: rules over its tree, its critical path and what its spans say.
//!
//! Every finding counts (how often, how much of the root's time), names the spans that show it, and says how much sooner the root
//! would have ended without it: the trace is played again (`projection`) with the calls in question gone or shorter.
//! Findings come by what they save. Two of the same kind and place are one, whose evidence is that of both.
//!
//! Time thresholds are shares of the root's time together with a least time. The share keeps what nobody would notice out; the
//! least time is there because below it the scheduler of a busy machine makes such differences by itself. Rules
//! that are about correctness (clocks, swallowed errors) and counts that are wrong at any speed have none.
//!
//! Only the main root is looked at. Whether a call needs the result of another cannot be seen, so what could overlap is a
//! question; it is asked of calls that only read.

mod calls;
mod errors;
mod sentence;
mod subject;
mod waits;

use std::cmp::Reverse;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use waypost_trace_model::{Node, Text};

use self::subject::Subject;
use crate::projection::Change;
use crate::{Facts, Tree};

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingKind {
    /// The same call again and again, one after the other (N+1).
    RepeatedCall,
    /// Calls that only read follow one another and could overlap.
    SerialCalls,
    /// A slow call to something that sends no spans.
    SlowDependency,
    /// A call failed and was tried again.
    Retries,
    /// Calls waited for a connection, a lock or their turn.
    Waiting,
    /// A cache did not have the answer, which was fetched instead.
    CacheMiss,
    /// Time passes in a span and no span below it says what with.
    InstrumentationGap,
    /// The clocks of two services differ.
    ClockSkew,
    /// Something failed and nothing above it says so.
    SwallowedError,
}

impl FindingKind {
    /// Every kind, in the order in which those that save as much are listed.
    pub const ALL: [FindingKind; 9] = [
        FindingKind::RepeatedCall,
        FindingKind::SerialCalls,
        FindingKind::SlowDependency,
        FindingKind::Retries,
        FindingKind::Waiting,
        FindingKind::CacheMiss,
        FindingKind::InstrumentationGap,
        FindingKind::ClockSkew,
        FindingKind::SwallowedError,
    ];

    /// What a trace has that shows it, in words: `a repeated call`.
    pub fn words(self) -> &'static str {
        match self {
            FindingKind::RepeatedCall => "a repeated call",
            FindingKind::SerialCalls => "calls that could overlap",
            FindingKind::SlowDependency => "a slow dependency",
            FindingKind::Retries => "a retry",
            FindingKind::Waiting => "a wait for a connection, a lock or a turn",
            FindingKind::CacheMiss => "a miss of a cache",
            FindingKind::InstrumentationGap => "an instrumentation gap",
            FindingKind::ClockSkew => "clocks that differ",
            FindingKind::SwallowedError => "a swallowed error",
        }
    }

    /// What it must save to be told: a percentage of the root's time, and nanoseconds.
    fn least(self) -> (u64, u64) {
        const MILLISECOND: u64 = 1_000_000;
        match self {
            // Alike calls and misses are wrong by their number; what they cost only has to be noticed.
            FindingKind::RepeatedCall | FindingKind::CacheMiss => (5, MILLISECOND),
            // A question to the reader, so it has to be worth asking.
            FindingKind::SerialCalls => (10, 10 * MILLISECOND),
            // Nothing here can make the other side faster; it is told when it is what the request is about.
            FindingKind::SlowDependency => (20, 100 * MILLISECOND),
            FindingKind::Retries => (10, MILLISECOND),
            // A queue that is in order costs a turn of the scheduler or two.
            FindingKind::Waiting => (5, 10 * MILLISECOND),
            // One uninterrupted stretch of this length is more than pauses of a runtime.
            FindingKind::InstrumentationGap => (20, 50 * MILLISECOND),
            FindingKind::ClockSkew | FindingKind::SwallowedError => (0, 0),
        }
    }
}

/// Something that is worth changing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What is wrong.
    pub kind: FindingKind,
    /// The same with its numbers, for a reader.
    pub sentence: String,
    /// The service that would be changed.
    pub service: Text,
    /// What it is about within the service. A finding of the same kind, service and place in another trace is the same one.
    pub place: String,
    /// The rows that show it, in order.
    pub rows: Vec<u32>,
    /// Nanoseconds of the critical path that lie in these rows and below them.
    pub on_path: u64,
    /// Nanoseconds that the root would have taken less without it, at most.
    pub saves: u64,
}

/// Findings of one trace at most.
const MAX_FINDINGS: usize = 50;

/// A finding before it is known what it saves.
struct Candidate {
    kind: FindingKind,
    service: Text,
    place: String,
    rows: Vec<u32>,
    changes: Vec<(u32, Change)>,
    /// What the sentence counts beside rows: attempts that failed, lookups, the longest wait, an offset of a clock.
    number: i64,
    /// Whether it is told whatever it saves.
    is_certain: bool,
}

/// The findings of a trace, those that save most first. `facts` has an entry for each of the nodes that the tree was made
/// from; what is missing counts as nothing known.
pub fn findings(nodes: &[Node], tree: &Tree, facts: &[Facts]) -> Vec<Finding> {
    let Some(subject) = Subject::new(nodes, tree, facts) else { return Vec::new() };
    let mut candidates = calls::find(&subject);
    let gone = candidates.iter().flat_map(|candidate| &candidate.changes);
    let told: Vec<u32> = gone.filter(|(_, change)| change.takes_at_most == 0).map(|(row, _)| *row).collect();
    candidates.extend(waits::find(&subject, &told));
    candidates.extend(errors::find(&subject));

    let mut candidates = merged(candidates);
    let on_path = |candidate: &Candidate| subject.on_path(&candidate.rows);
    candidates.sort_by_cached_key(|candidate| (!candidate.is_certain, Reverse(on_path(candidate))));
    candidates.truncate(2 * MAX_FINDINGS);
    let mut found: Vec<Finding> =
        candidates.into_iter().filter_map(|candidate| judged(&subject, candidate)).collect();
    found.sort_by(|one, other| {
        let key = |finding: &Finding| (Reverse(finding.saves), finding.kind, finding.rows.first().copied());
        key(one).cmp(&key(other)).then_with(|| one.place.cmp(&other.place))
    });
    found.truncate(MAX_FINDINGS);
    found
}

/// One candidate for each kind, service and place.
fn merged(candidates: Vec<Candidate>) -> Vec<Candidate> {
    let mut places: BTreeMap<(FindingKind, Text, String), Candidate> = BTreeMap::new();
    for candidate in candidates {
        let key = (candidate.kind, candidate.service.clone(), candidate.place.clone());
        match places.get_mut(&key) {
            None => {
                places.insert(key, candidate);
            }
            Some(so_far) => {
                so_far.number = match candidate.kind {
                    FindingKind::ClockSkew | FindingKind::Waiting | FindingKind::InstrumentationGap => {
                        std::cmp::max_by_key(so_far.number, candidate.number, |number| number.unsigned_abs())
                    }
                    _ => so_far.number + candidate.number,
                };
                so_far.is_certain |= candidate.is_certain;
                so_far.rows.extend(candidate.rows);
                so_far.changes.extend(candidate.changes);
            }
        }
    }
    places.into_values().collect()
}

fn judged(subject: &Subject<'_>, mut candidate: Candidate) -> Option<Finding> {
    candidate.rows.sort_unstable();
    candidate.rows.dedup();
    candidate.changes.sort_by_key(|(row, _)| *row);
    let change = |row: u32| {
        let place = candidate.changes.binary_search_by_key(&row, |(row, _)| *row);
        place.ok().and_then(|place| candidate.changes.get(place)).map_or(Change::NONE, |(_, change)| *change)
    };
    let saves = if candidate.changes.is_empty() { 0 } else { subject.projection.saved(change) };
    let (share, least) = candidate.kind.least();
    let is_worth_it =
        saves >= least && u128::from(saves) * 100 >= u128::from(subject.total()) * u128::from(share);
    if !candidate.is_certain && !is_worth_it {
        return None;
    }
    let on_path = subject.on_path(&candidate.rows);
    let sentence = sentence::of(subject, &candidate, on_path, saves);
    let Candidate { kind, service, place, rows, .. } = candidate;
    Some(Finding { kind, sentence, service, place, rows, on_path, saves })
}

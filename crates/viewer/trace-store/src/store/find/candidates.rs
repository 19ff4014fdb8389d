//! Traces that were found and have no final place yet, best first.

use crate::{
    place::{Hit, Place},
    store::find::Candidate,
};
use foldhash::{HashMap, HashSet};
use std::collections::BTreeMap;
use waypost_trace_model::TraceId;

/// At least so many are remembered.
const LEAST: usize = 10_000;

/// The best candidates. Those that are beyond what is remembered are beyond the horizon: a later page finds
/// them.
#[derive(Debug)]
pub(crate) struct Candidates {
    after: Option<Place>,
    waiting: BTreeMap<Place, (TraceId, Hit)>,
    place_of: HashMap<TraceId, Place>,
    /// Traces that were popped.
    done: HashSet<TraceId>,
    /// Traces that have a hit at or before the cursor.
    before: HashSet<TraceId>,
    horizon: Option<Place>,
    max: usize,
}

impl Candidates {
    pub(crate) fn new(after: Option<Place>, limit: usize) -> Candidates {
        Candidates {
            after,
            waiting: BTreeMap::new(),
            place_of: HashMap::default(),
            done: HashSet::default(),
            before: HashSet::default(),
            horizon: None,
            max: LEAST.max(limit.saturating_mul(4)),
        }
    }

    /// Whether a hit of this rank could change anything.
    pub(crate) fn is_of_interest(&self, rank: u64) -> bool {
        self.horizon.is_none_or(|horizon| rank <= horizon.rank)
    }

    /// A span of a trace that meets the first filter.
    pub(crate) fn offer(&mut self, trace: TraceId, hit: Hit) {
        let place = Place::of(hit.rank, trace);
        if self.after.is_some_and(|after| place <= after) {
            self.before.insert(trace);
            return;
        }
        if self.horizon.is_some_and(|horizon| place >= horizon) || self.done.contains(&trace) {
            return;
        }
        if let Some(known) = self.place_of.get(&trace) {
            match self.waiting.get(known) {
                Some((_, better)) if *better <= hit => return,
                _ => drop(self.waiting.remove(known)),
            }
        }
        self.place_of.insert(trace, place);
        self.waiting.insert(place, (trace, hit));
        if self.waiting.len() > self.max
            && let Some((beyond, (trace, _))) = self.waiting.pop_last()
        {
            self.place_of.remove(&trace);
            self.horizon = Some(beyond);
        }
    }

    /// The best candidate, when no span of this rank or a later one can have a better place.
    pub(crate) fn pop_before(&mut self, rank: Option<u64>) -> Option<Candidate> {
        let (place, _) = self.waiting.first_key_value()?;
        if rank.is_some_and(|rank| place.rank >= rank) {
            return None;
        }
        let (place, (trace, hit)) = self.waiting.pop_first()?;
        self.place_of.remove(&trace);
        self.done.insert(trace);
        Some((place, trace, hit))
    }

    /// Whether the trace was seen at or before the cursor.
    pub(crate) fn is_before_cursor(&self, trace: TraceId) -> bool {
        self.before.contains(&trace)
    }

    /// The place before the first candidate that was forgotten.
    pub(crate) fn horizon(&self) -> Option<Place> {
        let Place { rank, trace } = self.horizon?;
        let before = u128::from_be_bytes(trace).saturating_sub(1);
        Some(Place { rank, trace: before.to_be_bytes() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use waypost_trace_model::{SpanId, StatusCode};

    fn trace(number: u128) -> TraceId {
        TraceId::from_bytes(&number.to_be_bytes()).unwrap()
    }

    fn hit(rank: u64) -> Hit {
        let span_id = SpanId::from_bytes(&[1; 8]).unwrap();
        Hit { rank, span_id, start: rank, duration: 0, status: StatusCode::Unset }
    }

    #[test]
    fn a_trace_waits_at_its_best_place_and_comes_once() {
        let mut candidates = Candidates::new(None, 1);
        candidates.offer(trace(1), hit(9));
        candidates.offer(trace(2), hit(7));
        candidates.offer(trace(1), hit(5));
        candidates.offer(trace(1), hit(6));
        assert_eq!(candidates.pop_before(Some(5)), None);
        assert_eq!(candidates.pop_before(Some(6)).unwrap().2.rank, 5);
        candidates.offer(trace(1), hit(8));
        assert_eq!(candidates.pop_before(None).unwrap().1, trace(2));
        assert_eq!(candidates.pop_before(None), None);
    }

    #[test]
    fn what_is_at_or_before_the_cursor_is_remembered_and_not_offered() {
        let mut candidates = Candidates::new(Some(Place::of(5, trace(3))), 1);
        candidates.offer(trace(3), hit(5));
        candidates.offer(trace(4), hit(5));
        assert!(candidates.is_before_cursor(trace(3)));
        assert_eq!(candidates.pop_before(None).unwrap().1, trace(4));
        assert_eq!(candidates.pop_before(None), None);
    }

    #[test]
    fn beyond_the_horizon_nothing_is_remembered_and_the_next_page_begins_there() {
        let mut candidates = Candidates::new(None, 1);
        for number in (1..=LEAST as u64 + 2).rev() {
            candidates.offer(trace(number.into()), hit(number));
        }
        let last = candidates.horizon().unwrap();
        assert!(last < Place::of(LEAST as u64 + 1, trace(LEAST as u128 + 1)));
        assert!(last > Place::of(LEAST as u64, trace(LEAST as u128)));
        assert_eq!(std::iter::from_fn(|| candidates.pop_before(None)).count(), LEAST);
    }
}

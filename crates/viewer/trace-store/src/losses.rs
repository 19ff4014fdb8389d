//! What was refused, by trace: so that a trace can say that it is not complete, and why.

use foldhash::{HashMap, HashMapExt};
use std::collections::{BTreeMap, VecDeque};
use waypost_trace_model::{Batch, RefusalReason, TraceId};

/// Traces that are remembered; the ones that were named first are forgotten first.
pub(crate) const TRACES: usize = 100_000;

/// Refused spans of each trace that had some.
#[derive(Debug, Default)]
pub(crate) struct Losses {
    refused: HashMap<TraceId, BTreeMap<RefusalReason, u64>>,
    order: VecDeque<TraceId>,
}

impl Losses {
    /// Adds spans to a trace's account.
    pub(crate) fn add(&mut self, trace: TraceId, reason: RefusalReason, spans: u64) {
        if spans == 0 {
            return;
        }
        let reasons = self.refused.entry(trace).or_insert_with(|| {
            self.order.push_back(trace);
            BTreeMap::new()
        });
        *reasons.entry(reason).or_default() += spans;
        while self.order.len() > TRACES {
            if let Some(oldest) = self.order.pop_front() {
                self.refused.remove(&oldest);
            }
        }
    }

    /// Adds every loss of a list.
    pub(crate) fn add_all(&mut self, losses: &[Loss]) {
        for loss in losses {
            self.add(loss.trace, loss.reason, loss.spans);
        }
    }

    /// What was refused of this trace.
    pub(crate) fn of(&self, trace: TraceId) -> BTreeMap<RefusalReason, u64> {
        self.refused.get(&trace).cloned().unwrap_or_default()
    }
}

/// Refused spans of one trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Loss {
    pub(crate) trace: TraceId,
    pub(crate) reason: RefusalReason,
    pub(crate) spans: u64,
}

/// The losses that a batch tells of.
pub(crate) fn told(batch: &Batch) -> Vec<Loss> {
    let told = |refusal: &waypost_trace_model::Refusal| {
        let trace = refusal.trace_id?;
        Some(Loss { trace, reason: refusal.reason, spans: refusal.spans })
    };
    batch.refused.iter().filter_map(told).collect()
}

/// How many spans each recent trace has, to keep one that never ends from filling the store.
///
/// Two generations: when the younger is full the older is forgotten, so that a trace is remembered for at
/// least [`TRACES`]` / 2` traces after its last span. A trace that pauses longer may grow beyond the limit.
#[derive(Debug)]
pub(crate) struct TraceSizes {
    limit: u64,
    young: HashMap<TraceId, u64>,
    old: HashMap<TraceId, u64>,
}

impl TraceSizes {
    pub(crate) fn new(limit: u64) -> TraceSizes {
        TraceSizes { limit, young: HashMap::new(), old: HashMap::new() }
    }

    /// Counts one more span; false when the trace is full.
    pub(crate) fn admit(&mut self, trace: TraceId) -> bool {
        let limit = self.limit;
        let size = self.size(trace);
        let is_admitted = *size < limit;
        *size += u64::from(is_admitted);
        is_admitted
    }

    /// Takes back one that was admitted and not kept.
    pub(crate) fn release(&mut self, trace: TraceId) {
        let size = self.size(trace);
        *size = size.saturating_sub(1);
    }

    /// Counts a span that is kept whatever the limit: it was admitted before a restart.
    pub(crate) fn count(&mut self, trace: TraceId) {
        *self.size(trace) += 1;
    }

    fn size(&mut self, trace: TraceId) -> &mut u64 {
        if !self.young.contains_key(&trace) {
            if self.young.len() >= TRACES / 2 {
                self.old = std::mem::take(&mut self.young);
            }
            let size = self.old.remove(&trace).unwrap_or_default();
            self.young.insert(trace, size);
        }
        self.young.entry(trace).or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trace(number: u64) -> TraceId {
        TraceId::from_bytes(&u128::from(number).to_be_bytes()).unwrap()
    }

    #[test]
    fn the_traces_that_were_named_first_are_forgotten_first() {
        let mut losses = Losses::default();
        for number in 1..=TRACES as u64 + 1 {
            losses.add(trace(number), RefusalReason::TraceLimit, 1);
        }
        losses.add(trace(2), RefusalReason::TraceLimit, 4);
        assert_eq!(losses.of(trace(1)), BTreeMap::new());
        assert_eq!(losses.of(trace(2)), BTreeMap::from([(RefusalReason::TraceLimit, 5)]));
    }

    #[test]
    fn a_full_trace_takes_no_more_until_one_is_given_back() {
        let mut sizes = TraceSizes::new(2);
        assert!(sizes.admit(trace(1)) && sizes.admit(trace(1)) && !sizes.admit(trace(1)));
        sizes.release(trace(1));
        assert!(sizes.admit(trace(1)) && !sizes.admit(trace(1)));
        for number in 2..TRACES as u64 {
            sizes.count(trace(number));
        }
        assert!(!sizes.admit(trace(1)), "still remembered in the older generation");
    }
}

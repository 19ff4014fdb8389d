//! The spans that wait, by their traces, within bytes and age.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet, VecDeque};
use std::mem::size_of;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use opentelemetry::trace::TraceId;

use super::Held;
use crate::base::ledger::TailLedger;

/// Threads that hold spans of different traces rarely meet.
const SHARDS: usize = 8;
/// What a trace takes beside its spans: its places in the map and in the queue, with the room that both keep.
const TRACE_BYTES: usize = 256;
/// What a span takes beside its message: twice its place, as lists grow by doubling, and the allocator's own.
const SPAN_BYTES: usize = 2 * size_of::<Held>() + 16;
/// Traces a shard remembers that are kept.
const MAX_KEPT: usize = 1_024;

#[derive(Debug)]
pub(super) struct Buffer {
    shards: [Mutex<Shard>; SHARDS],
    max_bytes: usize,
    max_age: Duration,
}

#[derive(Debug, Default)]
struct Shard {
    traces: HashMap<TraceId, Waiting>,
    /// Oldest first. One whose trace is gone, or began anew, stays until its turn comes, and is counted until then.
    order: VecDeque<(Instant, TraceId)>,
    bytes: usize,
    spans: u64,
    kept: HashSet<TraceId>,
    kept_order: VecDeque<TraceId>,
    expired: u64,
    evicted: u64,
}

#[derive(Debug)]
struct Waiting {
    since: Instant,
    bytes: usize,
    spans: Vec<Held>,
}

impl Buffer {
    pub(super) fn new(max_bytes: usize, max_age: Duration) -> Self {
        Self { shards: std::array::from_fn(|_| Mutex::default()), max_bytes: max_bytes / SHARDS, max_age }
    }

    /// Has a span wait. Gives it back if its trace is kept.
    pub(super) fn hold(&self, trace_id: TraceId, held: Held, now: Instant) -> Vec<Held> {
        let mut shard = self.shard(trace_id);
        if shard.kept.contains(&trace_id) {
            return vec![held];
        }
        shard.expire(now, self.max_age);
        shard.add(trace_id, held, now);
        while shard.bytes > self.max_bytes {
            let Some(spans) = shard.drop_oldest() else { break };
            shard.evicted += spans;
        }
        Vec::new()
    }

    /// Keeps a trace from now on and gives what waited of it; `None` if it was kept already.
    pub(super) fn keep(&self, trace_id: TraceId) -> Option<Vec<Held>> {
        let mut shard = self.shard(trace_id);
        if !shard.kept.insert(trace_id) {
            return None;
        }
        shard.kept_order.push_back(trace_id);
        if shard.kept_order.len() > MAX_KEPT
            && let Some(oldest) = shard.kept_order.pop_front()
        {
            shard.kept.remove(&oldest);
        }
        Some(shard.take(trace_id))
    }

    pub(super) fn is_kept(&self, trace_id: TraceId) -> bool {
        self.shard(trace_id).kept.contains(&trace_id)
    }

    /// What waits, and what is gone.
    pub(super) fn ledger(&self) -> TailLedger {
        let mut ledger = TailLedger::default();
        for shard in &self.shards {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            ledger.waiting_spans += shard.spans;
            ledger.waiting_bytes += shard.bytes as u64;
            ledger.expired_spans += shard.expired;
            ledger.evicted_spans += shard.evicted;
        }
        ledger
    }

    fn shard(&self, trace_id: TraceId) -> MutexGuard<'_, Shard> {
        let [.., last] = trace_id.to_bytes();
        self.shards[usize::from(last) % SHARDS].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shard {
    fn add(&mut self, trace_id: TraceId, held: Held, now: Instant) {
        let bytes = held.message.capacity() + SPAN_BYTES;
        let waiting = match self.traces.entry(trace_id) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => {
                self.order.push_back((now, trace_id));
                self.bytes += TRACE_BYTES;
                new.insert(Waiting { since: now, bytes: 0, spans: Vec::new() })
            }
        };
        waiting.spans.push(held);
        waiting.bytes += bytes;
        self.bytes += bytes;
        self.spans += 1;
    }

    /// The spans of a trace. Its place in the queue stays, and so do the bytes of that.
    fn take(&mut self, trace_id: TraceId) -> Vec<Held> {
        let Some(waiting) = self.traces.remove(&trace_id) else { return Vec::new() };
        self.uncount(&waiting);
        waiting.spans
    }

    /// Lets go of what waited too long.
    fn expire(&mut self, now: Instant, max_age: Duration) {
        while self.order.front().is_some_and(|(since, _)| now.duration_since(*since) > max_age) {
            self.expired += self.drop_oldest().unwrap_or_default();
        }
    }

    /// Lets go of the oldest trace: how many spans that were. `None` if there is none.
    fn drop_oldest(&mut self) -> Option<u64> {
        let (since, trace_id) = self.order.pop_front()?;
        self.bytes -= TRACE_BYTES;
        // One that was kept, forgotten and began anew has another place further back.
        match self.traces.entry(trace_id) {
            Entry::Occupied(known) if known.get().since == since => {
                let waiting = known.remove();
                Some(self.uncount(&waiting))
            }
            Entry::Occupied(_) | Entry::Vacant(_) => Some(0),
        }
    }

    /// A trace waits no more: how many spans that are.
    fn uncount(&mut self, waiting: &Waiting) -> u64 {
        let spans = waiting.spans.len() as u64;
        self.bytes -= waiting.bytes;
        self.spans -= spans;
        spans
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use opentelemetry::InstrumentationScope;

    use super::super::super::scope::Scope;
    use super::*;

    fn held(scope: &Arc<Scope>, bytes: usize) -> Held {
        Held { scope: Arc::clone(scope), message: vec![0; bytes] }
    }

    #[test]
    fn what_waits_is_bounded_in_bytes_and_counted_when_it_goes() {
        let scope = Scope::new(InstrumentationScope::default());
        let max = 64 * 1024;
        let (buffer, now) = (Buffer::new(max, Duration::from_hours(1)), Instant::now());
        let mut held_spans = 0;
        for trace in 1..=2_000u128 {
            for bytes in [10, 300, 2_000] {
                assert!(buffer.hold(TraceId::from(trace), held(&scope, bytes), now).is_empty());
                held_spans += 1;
            }
            let ledger = buffer.ledger();
            assert!(ledger.waiting_bytes <= max as u64, "{ledger:?}");
            assert_eq!(ledger.waiting_spans + ledger.evicted_spans, held_spans);
        }
        assert!(buffer.ledger().waiting_spans > 20);
        // The newest are there, the oldest are not.
        assert_eq!(buffer.keep(TraceId::from(2_000)).unwrap().len(), 3);
        assert_eq!(buffer.keep(TraceId::from(1)).unwrap().len(), 0);
        // One span that is larger than all there is does not stay.
        assert!(buffer.hold(TraceId::from(9_000), held(&scope, max), now).is_empty());
        assert!(buffer.ledger().waiting_bytes <= max as u64);
    }

    #[test]
    fn traces_that_are_kept_take_no_room_for_ever() {
        let scope = Scope::new(InstrumentationScope::default());
        let (buffer, now) = (Buffer::new(32 * 1024, Duration::from_hours(1)), Instant::now());
        for trace in 1..=20_000u128 {
            let id = TraceId::from(trace);
            buffer.hold(id, held(&scope, 8), now);
            buffer.keep(id);
            assert_eq!(buffer.hold(id, held(&scope, 8), now).len(), 1, "late spans go at once");
        }
        let shards: Vec<_> = buffer.shards.iter().map(|shard| shard.lock().unwrap()).collect();
        assert!(shards.iter().all(|shard| shard.kept.len() <= MAX_KEPT && shard.order.len() <= 32));
    }

    #[test]
    fn what_waited_too_long_goes_first() {
        let scope = Scope::new(InstrumentationScope::default());
        let (buffer, start) = (Buffer::new(1 << 20, Duration::from_secs(30)), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        // All of one shard.
        let id = |n: u128| TraceId::from(n * 256 + 1);
        for (trace, second) in [(1, 0), (2, 20), (1, 25), (3, 31)] {
            buffer.hold(id(trace), held(&scope, 8), at(second));
        }
        let ledger = buffer.ledger();
        assert_eq!((ledger.waiting_spans, ledger.expired_spans), (2, 2), "age counts from the first span");
        assert_eq!(buffer.keep(id(2)).unwrap().len(), 1);
    }
}

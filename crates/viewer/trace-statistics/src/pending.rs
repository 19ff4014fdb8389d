//! Halves of calls that wait for the other half.
//!
//! A call is seen by the caller and by the called, in requests that come in any order. Halves meet by the ids of the
//! caller's span; flags of the two halves differ and are not looked at.
//!
//! Invariant: never more halves than the bound, the oldest goes first; a half that has gone is not asked again.

use crate::series::{Call, MINUTE};
use foldhash::fast::RandomState;
use std::collections::{HashMap, VecDeque, hash_map::Entry};
use waypost_trace_model::{SpanId, TraceId};

/// How long a half waits, in nanoseconds of arrival time.
pub(crate) const PATIENCE: u64 = MINUTE;

/// The caller's span.
pub(crate) type Key = (TraceId, SpanId);

/// The caller's half; `from` and `to` are numbers of peers.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Caller {
    pub(crate) arrival: u64,
    pub(crate) from: u32,
    pub(crate) call: Call,
    pub(crate) way: Way,
}

/// How a caller reaches the called.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Way {
    /// By a request to this host, if it is known.
    Request {
        /// Its name.
        host: Option<Box<str>>,
    },
    /// By a message.
    Message {
        /// The destination, if the producer knows it.
        to: Option<u32>,
        /// Whether its edge is counted.
        is_decided: bool,
    },
}

/// The half of the called.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Callee {
    pub(crate) arrival: u64,
    pub(crate) to: u32,
    pub(crate) call: Call,
    pub(crate) by: By,
}

/// How a call came to the called.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum By {
    /// By a request.
    Request,
    /// By a request whose two halves have one id, as Zipkin's tracers give them.
    Shared,
    /// By a message from this destination, if the consumer knows it.
    Message(Option<u32>),
}

/// Either half.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Half<'a> {
    Caller(&'a Caller),
    Callee(&'a Callee),
}

impl Half<'_> {
    fn arrival(self) -> u64 {
        match self {
            Half::Caller(caller) => caller.arrival,
            Half::Callee(callee) => callee.arrival,
        }
    }
}

/// All halves that wait.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pending {
    bound: usize,
    callers: HashMap<Key, Caller, RandomState>,
    /// Several may wait for one caller; in the order of arrival.
    callees: HashMap<Key, VecDeque<Callee>, RandomState>,
    waiting_callees: usize,
    /// In the order of arrival; halves that have met are still named here until the list is tidied.
    queue: VecDeque<(u64, Key, Side)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Caller,
    Callee,
}

impl Pending {
    pub(crate) fn new(bound: usize) -> Pending {
        Pending { bound, ..Pending::default() }
    }

    pub(crate) fn caller(&mut self, key: &Key) -> Option<&mut Caller> {
        self.callers.get_mut(key)
    }

    pub(crate) fn remove_caller(&mut self, key: &Key) {
        self.callers.remove(key);
    }

    /// Takes out the first callee that waits for this caller and came in such a way.
    pub(crate) fn take_callee(&mut self, key: &Key, is_wanted: impl Fn(By) -> bool) -> Option<Callee> {
        let waiting = self.callees.get_mut(key)?;
        let place = waiting.iter().position(|callee| is_wanted(callee.by))?;
        let callee = waiting.remove(place)?;
        if waiting.is_empty() {
            self.callees.remove(key);
        }
        self.waiting_callees -= 1;
        Some(callee)
    }

    /// Lets a caller wait. One that is there already stays.
    pub(crate) fn add_caller(&mut self, key: Key, caller: Caller) {
        if let Entry::Vacant(vacant) = self.callers.entry(key) {
            self.queue.push_back((caller.arrival, key, Side::Caller));
            vacant.insert(caller);
        }
    }

    /// Lets a callee wait, beside others of the same caller.
    pub(crate) fn add_callee(&mut self, key: Key, callee: Callee) {
        self.queue.push_back((callee.arrival, key, Side::Callee));
        self.callees.entry(key).or_default().push_back(callee);
        self.waiting_callees += 1;
    }

    /// Takes out the oldest half whose time is over at `now`, or that is beyond the bound; callees go unseen, as nobody
    /// who called them sends spans here.
    pub(crate) fn next_expired(&mut self, now: u64) -> Option<Caller> {
        self.tidy();
        loop {
            let &(arrival, key, side) = self.queue.front()?;
            let is_over = arrival.saturating_add(PATIENCE) <= now;
            let is_waiting = self.is_waiting(arrival, &key, side);
            if is_waiting && !is_over && self.len() <= self.bound {
                return None;
            }
            self.queue.pop_front();
            if !is_waiting {
                continue;
            }
            match side {
                Side::Caller => return self.callers.remove(&key),
                Side::Callee => self.forget_callee(&key, arrival),
            }
        }
    }

    fn forget_callee(&mut self, key: &Key, arrival: u64) {
        let Some(waiting) = self.callees.get_mut(key) else { return };
        let Some(place) = waiting.iter().position(|callee| callee.arrival == arrival) else { return };
        waiting.remove(place);
        if waiting.is_empty() {
            self.callees.remove(key);
        }
        self.waiting_callees -= 1;
    }

    /// Callers whose time is over at `now` and that were not taken out yet, as nothing arrived since.
    pub(crate) fn overdue(&self, now: u64) -> impl Iterator<Item = &Caller> {
        self.callers.values().filter(move |caller| caller.arrival.saturating_add(PATIENCE) <= now)
    }

    /// Everything that waits, in the order in which it came. Callees of one caller stand in the queue in their own order.
    pub(crate) fn waiting(&self) -> Vec<(&Key, Half<'_>)> {
        let mut told: HashMap<&Key, usize> = HashMap::new();
        let half = |(arrival, key, side): &(u64, Key, Side)| {
            let half = match side {
                Side::Caller => {
                    self.callers.get_key_value(key).map(|(key, caller)| (key, Half::Caller(caller)))
                }
                Side::Callee => {
                    let (key, waiting) = self.callees.get_key_value(key)?;
                    let place = told.entry(key).or_default();
                    let callee = waiting.get(*place).filter(|callee| callee.arrival == *arrival)?;
                    *place += 1;
                    Some((key, Half::Callee(callee)))
                }
            };
            half.filter(|(_, half)| half.arrival() == *arrival)
        };
        self.queue.iter().filter_map(half).collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.callers.len() + self.waiting_callees
    }

    fn is_waiting(&self, arrival: u64, key: &Key, side: Side) -> bool {
        match side {
            Side::Caller => self.callers.get(key).is_some_and(|caller| caller.arrival == arrival),
            Side::Callee => self
                .callees
                .get(key)
                .is_some_and(|waiting| waiting.iter().any(|callee| callee.arrival == arrival)),
        }
    }

    /// Keeps the queue within twice the number of those that wait.
    fn tidy(&mut self) {
        if self.queue.len() <= 2 * self.len() + 64 {
            return;
        }
        let mut queue = std::mem::take(&mut self.queue);
        queue.retain(|(arrival, key, side)| self.is_waiting(*arrival, key, *side));
        self.queue = queue;
    }
}

//! The spans that came lately, by their ids: of which service each is.
//!
//! A call may have no CLIENT span (a proxy, or a program in which only servers are instrumented); then the caller is the
//! service of the parent. And a span that is sent again, in another request, is not counted again.
//!
//! Invariant: never more spans than the bound. They are forgotten half at a time, the older half first.

use crate::pending::Key;
use foldhash::fast::RandomState;
use std::collections::{HashMap, hash_map::Entry};
use waypost_trace_model::{Kind, Span};

/// A span's id, and whether it is the client's half of a call: both halves may have one id.
type Id = (Key, bool);

/// What is kept of one: the number of its service, and a digest of what makes another span of the same id another.
type Kept = (u32, u64);

/// Spans that came lately.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    half: usize,
    newer: HashMap<Id, Kept, RandomState>,
    older: HashMap<Id, Kept, RandomState>,
}

impl Seen {
    pub(crate) fn new(bound: usize) -> Seen {
        Seen { half: (bound / 2).max(1), ..Seen::default() }
    }

    /// Takes note of a span; false when the same was seen before.
    pub(crate) fn insert(&mut self, span: &Span, service: u32) -> bool {
        let id = ((span.trace_id, span.span_id), span.kind == Kind::Client);
        let entry = (service, digest(span));
        let is_full = self.newer.len() >= self.half;
        let has_place = match self.newer.entry(id) {
            Entry::Occupied(known) if *known.get() == entry => return false,
            Entry::Occupied(mut known) => {
                known.insert(entry);
                true
            }
            Entry::Vacant(_) if self.older.get(&id) == Some(&entry) => return false,
            Entry::Vacant(place) if !is_full => {
                place.insert(entry);
                true
            }
            Entry::Vacant(_) => false,
        };
        if !has_place {
            // Each takes over the room of the other.
            std::mem::swap(&mut self.older, &mut self.newer);
            self.newer.clear();
            self.newer.insert(id, entry);
        }
        true
    }

    /// The service of a span that is no CLIENT span.
    pub(crate) fn service(&self, key: Key) -> Option<u32> {
        let id = (key, false);
        self.newer.get(&id).or_else(|| self.older.get(&id)).map(|(service, _)| *service)
    }

    /// Everything that is kept: the older half, then the newer, each in any order.
    pub(crate) fn halves(&self) -> [&HashMap<Id, Kept, RandomState>; 2] {
        [&self.older, &self.newer]
    }

    /// Takes back one of what was kept.
    pub(crate) fn restore(&mut self, is_newer: bool, id: Id, entry: Kept) {
        let half = if is_newer { &mut self.newer } else { &mut self.older };
        if half.len() < self.half {
            half.insert(id, entry);
        }
    }
}

/// Of the kind, the times and the name; the same in every process, as it is written down.
fn digest(span: &Span) -> u64 {
    let numbers = [span.kind as u64, span.start, span.end].into_iter();
    let bytes = span.name.bytes().map(u64::from);
    numbers
        .chain(bytes)
        .fold(0, |digest: u64, next| (digest.rotate_left(5) ^ next).wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

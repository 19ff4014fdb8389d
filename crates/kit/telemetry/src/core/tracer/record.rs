//! What an open span has recorded so far: encoded parts in buffers that are used again.
//!
//! A thread keeps some records for the spans it starts next, so that a span in its steady state allocates nothing of
//! its own. Attributes are in the form in which they leave; an index of short hashes finds the earlier value of a key.

use std::borrow::Cow;
use std::cell::RefCell;
use std::sync::Arc;

use opentelemetry::trace::{Link, SpanContext, SpanId, SpanKind, Status};
use opentelemetry::{Context, KeyValue, Value};

use super::Start;
use crate::base::config::Limits;
use crate::base::wire::attributes::{
    key_of, put_attribute, put_attributes, put_text_attribute, read_attribute,
};
use crate::base::wire::read::fields;
use crate::base::wire::{put_bytes, put_fixed32, put_fixed64, put_message, put_number, put_text};
use crate::core::export::{ATTRIBUTES, EVENTS, LINKS, wire_flags};
use crate::core::propagation::tracestate::{raw_tracestate, text_of};

/// Records that a thread keeps.
const MAX_KEPT: usize = 32;
/// Buffers larger than this are given back to the system.
const MAX_KEPT_BYTES: usize = 16 * 1024;

thread_local! {
    #[expect(clippy::vec_box, reason = "a span moves its record often, and the box is used again with it")]
    static KEPT: RefCell<Vec<Box<Record>>> = const { RefCell::new(Vec::new()) };
}

#[derive(Debug)]
pub(crate) struct Record {
    /// Of the span itself, once it was decided that it is recorded.
    pub(super) context: SpanContext,
    pub(super) name: Cow<'static, str>,
    pub(super) kind: SpanKind,
    pub(super) parent_id: SpanId,
    pub(super) parent_is_remote: bool,
    /// The trace state as it came in, where the API cannot hold all of it.
    pub(super) trace_state: Option<Arc<str>>,
    /// Nanoseconds since the epoch.
    pub(super) start: u64,
    pub(super) status: Status,
    pub(super) attributes: Vec<u8>,
    index: Vec<Slot>,
    pub(super) dropped_attributes: u32,
    pub(super) events: Vec<u8>,
    event_count: u32,
    pub(super) dropped_events: u32,
    /// Links that were given before the start.
    pub(super) drafted_links: Vec<Link>,
    pub(super) links: Vec<u8>,
    link_count: u32,
    pub(super) dropped_links: u32,
}

/// Where an attribute begins, and a hash of its key.
#[derive(Clone, Copy, Debug)]
struct Slot {
    hash: u32,
    begin: u32,
}

impl Record {
    /// An empty one.
    #[inline]
    pub(super) fn take() -> Box<Self> {
        let kept = KEPT.try_with(|kept| kept.borrow_mut().pop()).ok().flatten();
        kept.unwrap_or_else(|| {
            Box::new(Self {
                context: SpanContext::NONE,
                name: Cow::Borrowed(""),
                kind: SpanKind::Internal,
                parent_id: SpanId::INVALID,
                parent_is_remote: false,
                trace_state: None,
                start: 0,
                status: Status::Unset,
                attributes: Vec::with_capacity(512),
                index: Vec::with_capacity(16),
                dropped_attributes: 0,
                events: Vec::new(),
                event_count: 0,
                dropped_events: 0,
                drafted_links: Vec::new(),
                links: Vec::new(),
                link_count: 0,
                dropped_links: 0,
            })
        })
    }

    /// Empties a record and keeps it for a later span of this thread.
    #[inline]
    pub(super) fn give_back(mut record: Box<Self>) {
        let largest = record.attributes.capacity().max(record.events.capacity()).max(record.links.capacity());
        if largest > MAX_KEPT_BYTES {
            return;
        }
        record.name = Cow::Borrowed("");
        record.trace_state = None;
        record.status = Status::Unset;
        record.attributes.clear();
        record.index.clear();
        record.events.clear();
        record.drafted_links.clear();
        record.links.clear();
        (record.dropped_attributes, record.event_count, record.dropped_events) = (0, 0, 0);
        (record.link_count, record.dropped_links) = (0, 0);
        let _ = KEPT.try_with(|kept| {
            let mut kept = kept.borrow_mut();
            if kept.len() < MAX_KEPT {
                kept.push(record);
            }
        });
    }

    /// Notes where the span stands, and what a sampler of the program adds.
    #[inline]
    pub(super) fn decided(&mut self, start: Start, parent: &Context, limits: &Limits) {
        let Start { context, parent_id, parent_is_remote, result: _, attributes } = start;
        self.parent_id = parent_id;
        self.parent_is_remote = parent_is_remote;
        // What a sampler wrote stands before what came in.
        self.trace_state = raw_tracestate(parent, context.trace_id())
            .and_then(|_| text_of(parent, &context))
            .map(Into::into);
        self.context = context;
        for attribute in &attributes {
            self.set(attribute.key.as_str(), &attribute.value, limits);
        }
    }

    /// Sets an attribute; a later value takes the place of an earlier one.
    #[inline]
    pub(super) fn set(&mut self, key: &str, value: &Value, limits: &Limits) {
        let max_chars = limits.span_value_length();
        self.set_with(key, limits, |out| put_attribute(out, ATTRIBUTES, key, value, max_chars));
    }

    /// As [`set`](Self::set), for a text that nobody has to own.
    #[inline]
    pub(super) fn set_text(&mut self, key: &str, text: &str, limits: &Limits) {
        let max_chars = limits.span_value_length();
        self.set_with(key, limits, |out| put_text_attribute(out, ATTRIBUTES, key, text, max_chars));
    }

    /// `put` appends the attribute.
    fn set_with(&mut self, key: &str, limits: &Limits, put: impl FnOnce(&mut Vec<u8>)) {
        let hash = short_hash(key.as_bytes());
        match self.find(hash, key) {
            Some(place) => {
                let mut encoded = Vec::with_capacity(key.len() + 32);
                put(&mut encoded);
                self.replace(place, &encoded);
            }
            None if self.index.len() >= limits.span_attributes as usize => {
                self.dropped_attributes = self.dropped_attributes.saturating_add(1);
            }
            None => {
                let begin = u32::try_from(self.attributes.len()).unwrap_or(u32::MAX);
                self.index.push(Slot { hash, begin });
                put(&mut self.attributes);
            }
        }
    }

    /// The attributes as values.
    pub(super) fn read_attributes(&self) -> Vec<KeyValue> {
        fields(&self.attributes).map(|(_, attribute)| read_attribute(attribute.bytes())).collect()
    }

    /// Where the key stands. Nearly always it is a new one, which no equal hash stands for.
    #[inline]
    fn find(&self, hash: u32, key: &str) -> Option<usize> {
        let may_be_known = self.index.iter().any(|slot| slot.hash == hash);
        if may_be_known { (0..self.index.len()).find(|place| self.is_key(*place, hash, key)) } else { None }
    }

    fn is_key(&self, place: usize, hash: u32, key: &str) -> bool {
        self.index[place].hash == hash
            && self.attributes.get(self.range(place)).is_some_and(|field| {
                fields(field).next().is_some_and(|(_, attribute)| key_of(attribute.bytes()) == key.as_bytes())
            })
    }

    fn range(&self, place: usize) -> std::ops::Range<usize> {
        let end = self.index.get(place + 1).map_or(self.attributes.len(), |next| next.begin as usize);
        self.index[place].begin as usize..end
    }

    fn replace(&mut self, place: usize, encoded: &[u8]) {
        let range = self.range(place);
        let (before, after) = (range.len(), encoded.len());
        self.attributes.splice(range, encoded.iter().copied());
        for slot in self.index.iter_mut().skip(place + 1) {
            // What stands behind begins at or behind the end of what was replaced.
            slot.begin = u32::try_from(slot.begin as usize + after - before).unwrap_or(u32::MAX);
        }
    }

    pub(super) fn add_event(&mut self, name: &str, time: u64, attributes: &[KeyValue], limits: &Limits) {
        if self.event_count >= limits.span_events {
            self.dropped_events = self.dropped_events.saturating_add(1);
            return;
        }
        self.event_count += 1;
        put_message(&mut self.events, EVENTS, |out| {
            put_fixed64(out, 1, time);
            put_text(out, 2, name);
            let max = limits.event_attributes as usize;
            let over = put_attributes(out, 3, attributes, max, limits.span_value_length());
            put_number(out, 4, over.into());
        });
    }

    pub(super) fn add_link(&mut self, span: &SpanContext, attributes: &[KeyValue], limits: &Limits) {
        if !span.is_valid() && attributes.is_empty() {
            return;
        }
        if self.link_count >= limits.span_links {
            self.dropped_links = self.dropped_links.saturating_add(1);
            return;
        }
        self.link_count += 1;
        put_message(&mut self.links, LINKS, |out| {
            put_bytes(out, 1, &span.trace_id().to_bytes());
            put_bytes(out, 2, &span.span_id().to_bytes());
            put_text(out, 3, &span.trace_state().header());
            let max = limits.link_attributes as usize;
            let over = put_attributes(out, 4, attributes, max, limits.span_value_length());
            put_number(out, 5, over.into());
            put_fixed32(out, 6, wire_flags(span.trace_flags().to_u8(), span.is_remote()));
        });
    }

    pub(super) fn add_links(&mut self, links: &[Link], limits: &Limits) {
        for link in links {
            self.add_link(&link.span_context, &link.attributes, limits);
        }
    }

    /// `Ok` is final, `Unset` says nothing, and of two errors the later one counts, unless it says nothing: a failure
    /// that is recorded once more on its way out has no text of its own.
    pub(super) fn set_status(&mut self, status: Status) {
        let says_less = match (&self.status, &status) {
            (Status::Ok, _) | (_, Status::Unset) => true,
            (Status::Error { .. }, Status::Error { description }) => description.is_empty(),
            _ => false,
        };
        if !says_less {
            self.status = status;
        }
    }
}

/// Tells most keys of one span apart at the cost of a few instructions; equal hashes are compared in full.
#[inline]
fn short_hash(key: &[u8]) -> u32 {
    let (first, last) = match (key.first_chunk(), key.last_chunk()) {
        (Some(first), Some(last)) => (u32::from_le_bytes(*first), u32::from_le_bytes(*last)),
        _ => (key.iter().fold(0, |word, byte| word << 8 | u32::from(*byte)), 0),
    };
    #[expect(clippy::cast_possible_truncation, reason = "a hash")]
    let len = key.len() as u32;
    first.wrapping_mul(0x9E37_79B1).rotate_left(13) ^ last.wrapping_mul(0x85EB_CA77) ^ len
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::wire::attributes::read_attribute;

    fn attributes(record: &Record) -> String {
        let read = fields(&record.attributes).map(|(_, field)| read_attribute(field.bytes()));
        read.map(|attribute| format!("{}={}", attribute.key, attribute.value)).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_later_value_takes_the_place_of_an_earlier_one() {
        let mut record = Record::take();
        let limits = Limits::default();
        for (key, value) in
            [("a", "1"), ("bb", "2"), ("a", "a longer one"), ("c", "4"), ("bb", ""), ("a", "5")]
        {
            record.set(key, &value.into(), &limits);
        }
        assert_eq!(attributes(&record), "a=5 bb= c=4");
        Record::give_back(record);
        assert_eq!(attributes(&Record::take()), "");
    }

    #[test]
    fn keys_with_one_hash_are_told_apart() {
        let (one, other) = ("http-a-path", "http-b-path");
        assert_eq!(short_hash(one.as_bytes()), short_hash(other.as_bytes()));
        let mut record = Record::take();
        for (key, value) in [(one, 1), (other, 2), (one, 3)] {
            record.set(key, &Value::I64(value), &Limits::default());
        }
        assert_eq!(attributes(&record), "http-a-path=3 http-b-path=2");
    }

    #[test]
    fn what_is_over_a_limit_is_counted() {
        let mut record = Record::take();
        let limits = Limits {
            span_attributes: 2,
            span_events: 1,
            event_attributes: 1,
            span_links: 0,
            ..Limits::default()
        };
        for key in ["a", "b", "c", "a"] {
            record.set(key, &Value::Bool(true), &limits);
        }
        record.add_event("first", 0, &[KeyValue::new("a", 1), KeyValue::new("b", 2)], &limits);
        record.add_event("second", 0, &[], &limits);
        record.add_link(&SpanContext::empty_context(), &[KeyValue::new("a", 1)], &limits);
        assert_eq!((record.dropped_attributes, record.dropped_events, record.dropped_links), (1, 1, 1));
    }
}

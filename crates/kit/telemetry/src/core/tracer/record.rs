//! What an open span has recorded so far: encoded parts in buffers that are used again.
//!
//! A thread keeps some records for the spans it starts next, so that a span in its steady state allocates nothing of
//! its own. Where spans start on one thread and end on another, the one passes on what the other lacks. Attributes are in
//! the form in which they leave; an index of short hashes finds the earlier value of a key.

use std::borrow::Cow;
use std::cell::RefCell;
use std::sync::{Arc, Mutex};

use opentelemetry::trace::{Link, SpanContext, SpanId, SpanKind, Status};
use opentelemetry::{Context, KeyValue, Value};

use super::{Above, Start};
use crate::base::config::Limits;
use crate::base::wire::attributes::{
    key_of, put_attribute, put_attributes, put_number_attribute, put_text_attribute, read_attribute,
};
use crate::base::wire::read::fields;
use crate::base::wire::{put_bytes, put_fixed32, put_fixed64, put_message, put_number, put_text};
use crate::core::export::{ATTRIBUTES, EVENTS, LINKS, wire_flags};
use crate::core::propagation::tracestate::{raw_tracestate, text_of};

/// Records that a thread keeps.
const MAX_KEPT: usize = 64;
/// Records that a thread gives to others, or takes from them, at once.
const HANDFUL: usize = MAX_KEPT / 2;
/// Records on their way between threads. A busy service has hundreds of open spans, and they come and go in swarms.
const MAX_SHARED: usize = 1024;
/// Buffers larger than this are given back to the system.
const MAX_KEPT_BYTES: usize = 8 * 1024;

/// A span moves its record often, and the box is used again with it.
type Records = Vec<Box<Record>>;

thread_local! {
    static KEPT: RefCell<Records> = const { RefCell::new(Vec::new()) };
}

static SHARED: Mutex<Records> = Mutex::new(Vec::new());

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
    /// A bit for each [`mark`] of the keys in the index: without it a key is a new one.
    marks: u64,
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
        kept.or_else(Self::take_shared).unwrap_or_else(|| {
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
                marks: 0,
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
        record.marks = 0;
        record.events.clear();
        record.drafted_links.clear();
        record.links.clear();
        (record.dropped_attributes, record.event_count, record.dropped_events) = (0, 0, 0);
        (record.link_count, record.dropped_links) = (0, 0);
        let _ = KEPT.try_with(|kept| {
            let mut kept = kept.borrow_mut();
            if kept.len() == MAX_KEPT {
                Self::share(&mut kept);
            }
            kept.push(record);
        });
    }

    /// One of those that other threads had too many of, and some for the next spans. Nobody waits for another thread.
    #[cold]
    fn take_shared() -> Option<Box<Self>> {
        let mut shared = SHARED.try_lock().ok()?;
        let first = shared.pop()?;
        let rest = shared.len().saturating_sub(HANDFUL - 1);
        let _ = KEPT.try_with(|kept| kept.borrow_mut().extend(shared.drain(rest..)));
        Some(first)
    }

    /// Gives some of the records of this thread to others, or back to the system.
    #[cold]
    fn share(kept: &mut Records) {
        let surplus = kept.drain(HANDFUL..);
        if let Ok(mut shared) = SHARED.try_lock() {
            let room = MAX_SHARED.saturating_sub(shared.len());
            shared.extend(surplus.take(room));
        }
    }

    /// Notes where the span stands, and what a sampler of the program adds.
    #[inline]
    pub(super) fn decided(&mut self, start: Start, parent: &Context, limits: &Limits) {
        let Start { context, parent_id, parent_is_remote, result: _, attributes } = start;
        self.stands_at(context, parent_id, parent_is_remote, parent);
        for attribute in &attributes {
            self.set(attribute.key.as_str(), &attribute.value, limits);
        }
    }

    /// Notes where the span stands.
    #[inline]
    pub(super) fn stands(&mut self, context: SpanContext, above: &Above<'_>, parent: &Context) {
        self.stands_at(context, above.span_id(), above.is_remote(), parent);
    }

    #[inline]
    fn stands_at(&mut self, context: SpanContext, parent_id: SpanId, is_remote: bool, parent: &Context) {
        self.parent_id = parent_id;
        self.parent_is_remote = is_remote;
        // What a sampler wrote stands before what came in.
        self.trace_state = raw_tracestate(parent, context.trace_id())
            .and_then(|_| text_of(parent, &context))
            .map(Into::into);
        self.context = context;
    }

    /// Sets an attribute; a later value takes the place of an earlier one.
    #[inline]
    pub(super) fn set(&mut self, key: &str, value: &Value, limits: &Limits) {
        match value {
            Value::String(text) => self.set_text(key, text.as_str(), limits),
            Value::I64(number) => self.set_number(key, *number, limits),
            _ => self.set_other(key, value, limits),
        }
    }

    // For each kind of value all that an attribute takes is one function: calling took as long as writing.

    /// As [`set`](Self::set), for a text that nobody has to own.
    #[inline(never)]
    pub(super) fn set_text(&mut self, key: &str, text: &str, limits: &Limits) {
        let (hash, max_chars) = (short_hash(key.as_bytes()), limits.span_value_length());
        if self.is_first(hash, limits) {
            self.begin(hash);
            put_text_attribute(&mut self.attributes, ATTRIBUTES, key, text, max_chars);
        } else {
            let put = |out: &mut Vec<u8>| put_text_attribute(out, ATTRIBUTES, key, text, max_chars);
            self.set_again(hash, key, limits, &put);
        }
    }

    #[inline(never)]
    pub(super) fn set_number(&mut self, key: &str, number: i64, limits: &Limits) {
        let hash = short_hash(key.as_bytes());
        if self.is_first(hash, limits) {
            self.begin(hash);
            put_number_attribute(&mut self.attributes, ATTRIBUTES, key, number);
        } else {
            let put = |out: &mut Vec<u8>| put_number_attribute(out, ATTRIBUTES, key, number);
            self.set_again(hash, key, limits, &put);
        }
    }

    #[inline(never)]
    pub(super) fn set_other(&mut self, key: &str, value: &Value, limits: &Limits) {
        let hash = short_hash(key.as_bytes());
        if self.is_first(hash, limits) {
            self.begin(hash);
            put_attribute(&mut self.attributes, ATTRIBUTES, key, value, limits.span_value_length());
        } else {
            let max_chars = limits.span_value_length();
            let put = |out: &mut Vec<u8>| put_attribute(out, ATTRIBUTES, key, value, max_chars);
            self.set_again(hash, key, limits, &put);
        }
    }

    /// Whether a key stands nowhere yet, as nearly always, and there is room for it.
    #[inline]
    fn is_first(&self, hash: u32, limits: &Limits) -> bool {
        self.marks & mark(hash) == 0 && self.index.len() < limits.span_attributes as usize
    }

    /// Notes that the attribute which is written next has this key.
    #[inline]
    fn begin(&mut self, hash: u32) {
        self.marks |= mark(hash);
        let begin = u32::try_from(self.attributes.len()).unwrap_or(u32::MAX);
        self.index.push(Slot { hash, begin });
    }

    /// Writes an attribute in place of an earlier one, or where that is none behind the others, or counts it.
    #[cold]
    fn set_again(&mut self, hash: u32, key: &str, limits: &Limits, put: &dyn Fn(&mut Vec<u8>)) {
        if let Some(place) = self.find(hash, key) {
            return self.replace(place, put);
        }
        if self.index.len() >= limits.span_attributes as usize {
            self.dropped_attributes = self.dropped_attributes.saturating_add(1);
            return;
        }
        self.begin(hash);
        put(&mut self.attributes);
    }

    /// The attributes as values.
    pub(super) fn read_attributes(&self) -> Vec<KeyValue> {
        fields(&self.attributes).map(|(_, attribute)| read_attribute(attribute.bytes())).collect()
    }

    /// Where the key stands.
    fn find(&self, hash: u32, key: &str) -> Option<usize> {
        (0..self.index.len()).find(|place| self.is_key(*place, hash, key))
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

    fn replace(&mut self, place: usize, put: &dyn Fn(&mut Vec<u8>)) {
        let mut encoded = Vec::with_capacity(64);
        put(&mut encoded);
        let range = self.range(place);
        let (before, after) = (range.len(), encoded.len());
        self.attributes.splice(range, encoded);
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

/// One of 64 bits.
#[inline]
fn mark(hash: u32) -> u64 {
    1 << (hash >> 26)
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
    fn a_thread_that_only_starts_spans_uses_the_records_of_one_that_only_ends_them() {
        // No new record has as much.
        const ROOM: usize = 5_000;
        let used = |record: &Record| record.attributes.capacity() >= ROOM;
        let ends = std::thread::spawn(|| {
            let records: Vec<_> = (0..2 * MAX_SHARED).map(|_| Record::take()).collect();
            for mut record in records {
                record.attributes.reserve(ROOM);
                Record::give_back(record);
            }
        });
        ends.join().unwrap();
        let starts = std::thread::spawn(move || (0..HANDFUL).filter(|_| used(&Record::take())).count());
        // Other tests of this process take from them, too.
        assert!(starts.join().unwrap() > 0);
    }

    #[test]
    fn more_keys_than_there_are_marks_are_told_apart() {
        let mut record = Record::take();
        let keys: Vec<String> = (0..100).map(|number| format!("key-{number}")).collect();
        for value in [1, 2] {
            for key in &keys {
                record.set(key, &Value::I64(value), &Limits::default());
            }
        }
        let expected: Vec<String> = keys.iter().map(|key| format!("{key}=2")).collect();
        assert_eq!(attributes(&record), expected.join(" "));
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

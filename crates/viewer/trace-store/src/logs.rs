//! What can be asked of log records, and the page of them that answers.
//!
//! Invariant: pages never repeat or skip a record. A place is a time and a digest of the record, so records that are equal in
//! everything, as when they were sent twice, are one.

use crate::{Cursor, NanoRange, ReadError, evaluate::Needle};
use std::collections::BTreeMap;
use waypost_trace_model::{LogRecord, Text, TraceId, otlp};
use xxhash_rust::xxh3::xxh3_64;

/// Which log records are wanted.
#[derive(Clone, Debug, PartialEq)]
pub struct LogQuery {
    /// When they were written, or else seen ([`LogRecord::when`]).
    pub range: NanoRange,
    /// The service that wrote them, exactly.
    pub service: Option<Text>,
    /// The trace during which they were written.
    pub trace: Option<TraceId>,
    /// At least this severity, by OTLP's numbers; 0: every one.
    pub severity: u8,
    /// Text, whatever case, within the body, the name of the event, the severity's own words, or a key or value of the
    /// attributes.
    pub text: Option<String>,
    /// Whether the newest come first.
    pub newest_first: bool,
    /// The most records in one answer.
    pub limit: usize,
    /// Where the answer before ended.
    pub after: Option<Cursor>,
}

impl Default for LogQuery {
    fn default() -> LogQuery {
        LogQuery {
            range: 0..=u64::MAX,
            service: None,
            trace: None,
            severity: 0,
            text: None,
            newest_first: true,
            limit: 100,
            after: None,
        }
    }
}

/// A page of log records.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FoundLogs {
    /// At most the limit, in order.
    pub logs: Vec<LogRecord>,
    /// Where the next page begins; `None` when there is no more.
    pub next: Option<Cursor>,
    /// Set when the store stopped looking before it filled the page, to keep its time bounded: what was written after (with
    /// the oldest first, before) this was looked at. `next` goes on from there.
    pub scanned_to: Option<u64>,
}

/// A place in the order of the answer: the smaller comes first.
type Place = (u64, u64);

/// The page that is being filled: the best records so far.
#[derive(Debug)]
pub(crate) struct Page<'q> {
    query: &'q LogQuery,
    needle: Option<Needle>,
    after: Option<Place>,
    best: BTreeMap<Place, LogRecord>,
}

impl<'q> Page<'q> {
    pub(crate) fn new(query: &'q LogQuery) -> Result<Page<'q>, ReadError> {
        let after = query.after.as_ref().map(|cursor| from_cursor(cursor, query.newest_first)).transpose()?;
        let needle = query.text.as_deref().map(Needle::new);
        Ok(Page { query, needle, after, best: BTreeMap::new() })
    }

    /// Smaller comes first.
    pub(crate) fn rank(&self, time: u64) -> u64 {
        if self.query.newest_first { !time } else { time }
    }

    /// The rank at which the page before ended.
    pub(crate) fn after_rank(&self) -> Option<u64> {
        self.after.map(|(rank, _)| rank)
    }

    /// Takes a record that meets the query and belongs to this page as far as is known.
    pub(crate) fn offer(&mut self, log: &LogRecord) {
        let rank = self.rank(log.when());
        let is_beyond = self.is_full() && self.best.last_key_value().is_some_and(|(last, _)| rank > last.0);
        let is_before = self.after.is_some_and(|after| rank < after.0);
        if is_beyond || is_before || !self.is_met(log) {
            return;
        }
        let place = (rank, xxh3_64(&otlp::logs_to_protobuf(std::slice::from_ref(log))));
        if self.after.is_some_and(|after| place <= after) {
            return;
        }
        self.best.entry(place).or_insert_with(|| log.clone());
        // One more than is answered tells that there is more.
        if self.best.len() > self.query.limit + 1 {
            self.best.pop_last();
        }
    }

    /// Whether nothing of this rank or a later one can be on the page.
    pub(crate) fn is_done(&self, rank: u64) -> bool {
        self.is_full() && self.best.last_key_value().is_some_and(|(last, _)| last.0 < rank)
    }

    fn is_full(&self) -> bool {
        self.best.len() > self.query.limit
    }

    fn is_met(&self, log: &LogRecord) -> bool {
        let query = self.query;
        query.range.contains(&log.when())
            && log.severity >= query.severity
            && query.service.as_ref().is_none_or(|service| *service == log.resource.service)
            && query.trace.is_none_or(|trace| log.trace_id == Some(trace))
            && self.needle.as_ref().is_none_or(|needle| has_text(log, needle))
    }

    /// The whole page.
    pub(crate) fn finish(self) -> FoundLogs {
        self.up_to(None)
    }

    /// The page of a search that stopped: what has this rank or a later one was not looked at.
    pub(crate) fn stopped_at(self, rank: u64) -> FoundLogs {
        self.up_to(Some(rank))
    }

    fn up_to(mut self, horizon: Option<u64>) -> FoundLogs {
        if let Some(horizon) = horizon {
            self.best.retain(|place, _| place.0 < horizon);
        }
        let is_cut = self.is_full();
        if is_cut {
            self.best.pop_last();
        }
        let newest_first = self.query.newest_first;
        let last = self.best.last_key_value().map(|(place, _)| *place).filter(|_| is_cut);
        // Before everything of that rank, and behind what was looked at.
        let stopped = horizon.filter(|_| !is_cut).map(|rank| (rank, 0));
        let next = last.or(stopped).map(|place| to_cursor(place, newest_first));
        let scanned_to = stopped.map(|(rank, _)| if newest_first { !rank } else { rank });
        FoundLogs { logs: self.best.into_values().collect(), next, scanned_to }
    }
}

fn has_text(log: &LogRecord, needle: &Needle) -> bool {
    needle.is_in(&log.body.display())
        || needle.is_in(&log.event_name)
        || needle.is_in(&log.severity_text)
        || needle.is_in_attributes(&log.attributes)
}

fn to_cursor((rank, digest): Place, newest_first: bool) -> Cursor {
    Cursor(format!("{}{rank:016x}{digest:016x}", letter(newest_first)))
}

fn from_cursor(cursor: &Cursor, newest_first: bool) -> Result<Place, ReadError> {
    let digits = cursor.0.strip_prefix(letter(newest_first));
    let digits = digits.filter(|digits| digits.len() == 32 && digits.is_ascii());
    let (rank, digest) = digits.ok_or(ReadError::InvalidCursor)?.split_at(16);
    let number = |digits| u64::from_str_radix(digits, 16).map_err(|_| ReadError::InvalidCursor);
    Ok((number(rank)?, number(digest)?))
}

fn letter(newest_first: bool) -> char {
    if newest_first { 'm' } else { 'p' }
}

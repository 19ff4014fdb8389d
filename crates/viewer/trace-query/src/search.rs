//! From a question to the ids of traces, newest first, a bounded number of pages from the store.

use crate::{error::Error, parameters::time_text};
use std::collections::HashSet;
use waypost_trace_model::TraceId;
use waypost_trace_store::{Match, Query, TraceStore};

/// The most traces in one answer.
pub(crate) const MAX_TRACES: usize = 1_000;

/// Pages that one query may take: a store that stops early to stay quick is asked again this often.
const MAX_PAGES: usize = 64;

/// What is looked for: traces that any of the queries finds.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Search {
    /// Empty: nothing can be found.
    pub(crate) queries: Vec<Query>,
    /// How many traces were asked for; more than [`MAX_TRACES`] are not given.
    pub(crate) limit: usize,
}

/// Ids of traces, and what was not looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Hits {
    pub(crate) traces: Vec<TraceId>,
    /// A sentence when the answer is less than what was asked for.
    pub(crate) notes: Vec<String>,
}

impl Search {
    /// The newest traces that are found.
    pub(crate) fn run(&self, store: &dyn TraceStore) -> Result<Hits, Error> {
        let limit = self.limit.min(MAX_TRACES);
        let mut notes = Vec::new();
        let mut matches = Vec::new();
        let mut has_more = false;
        for query in &self.queries {
            let mut pages = Pages::new(query.clone());
            let mut found = 0;
            while found < limit {
                let Some(page) = pages.next(store, limit - found)? else { break };
                found += page.len();
                matches.extend(page);
            }
            has_more |= !pages.is_done();
            notes.extend(pages.stopped_at().filter(|_| found < limit).map(stopped));
        }
        matches.sort_by(|one: &Match, other| {
            other.start.cmp(&one.start).then_with(|| one.trace_id.cmp(&other.trace_id))
        });
        let mut seen = HashSet::new();
        let mut traces: Vec<TraceId> =
            matches.into_iter().map(|found| found.trace_id).filter(|id| seen.insert(*id)).collect();
        has_more |= traces.len() > limit;
        traces.truncate(limit);
        if self.limit > MAX_TRACES && has_more {
            notes.push(format!("only the newest {limit} traces are given, which is the most in one answer"));
        }
        notes.dedup();
        Ok(Hits { traces, notes })
    }
}

/// A note that the search ended before the range that was asked for did.
pub(crate) fn stopped(at: u64) -> String {
    format!("the search ended early to stay quick: traces from before {} were not looked at", time_text(at))
}

/// The pages of one query, at most [`MAX_PAGES`].
#[derive(Debug)]
pub(crate) struct Pages {
    query: Query,
    left: usize,
    is_done: bool,
    scanned_to: Option<u64>,
}

impl Pages {
    pub(crate) fn new(query: Query) -> Pages {
        Pages { query, left: MAX_PAGES, is_done: false, scanned_to: None }
    }

    /// The next page of at most `limit` matches, which may be empty; `None` when there is no more to look at.
    pub(crate) fn next(&mut self, store: &dyn TraceStore, limit: usize) -> Result<Option<Vec<Match>>, Error> {
        if self.is_done || self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        self.query.limit = limit;
        let found = store.find(&self.query)?;
        self.scanned_to = found.scanned_to.or_else(|| found.matches.last().map(|last| last.start));
        self.is_done = found.next.is_none();
        self.query.after = found.next;
        Ok(Some(found.matches))
    }

    /// Whether everything was looked at.
    pub(crate) fn is_done(&self) -> bool {
        self.is_done
    }

    /// How far the search came, when it was given up.
    pub(crate) fn stopped_at(&self) -> Option<u64> {
        self.scanned_to.filter(|_| !self.is_done && self.left == 0)
    }
}

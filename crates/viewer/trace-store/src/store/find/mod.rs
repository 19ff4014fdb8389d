//! Search: the traces in which every filter is met, in order, a page at a time.
//!
//! Blocks are looked at in the order of the best place that one of their spans could have. A candidate is
//! final when no block that is left could have a better one; so the search stops as soon as the page is full.
//! What is left of the work is bounded: blocks by what is in memory of them, then by their filter of
//! attributes (one page of the file), then by their groups, and only then columns are unpacked.
//!
//! A trace has its place by its best span. Candidates come only from after the cursor; a trace that also has
//! a span before it was on an earlier page, and [`verify`] leaves it out. A trace that gets a better span
//! between two pages may move to before the cursor: it is not repeated then, and a new search has it in its
//! new place.

mod candidates;
pub(crate) mod verify;

use crate::{
    Found, NanoRange, Order, Query, ReadError, SpanFilter,
    block::{
        Zone,
        cache::Cache,
        parts::id,
        reader::{BlockReader, span_id},
        rows::Times,
        select,
    },
    evaluate::SpanCheck,
    place::{Hit, Place},
    store::{file::Block, head::Snapshot},
};
use candidates::Candidates;
use std::sync::Arc;
use verify::Verifier;
use waypost_trace_model::{Span, StatusCode, TraceId};

const ALL: NanoRange = 0..=u64::MAX;

/// How much one answer may cost: about 128 blocks whose columns are read.
pub(crate) const BUDGET: usize = 12_800;

/// Asking the filter of a block.
const FILTER: usize = 1;

/// Reading columns of a block.
const BLOCK: usize = 100;

/// Answers a query from a snapshot.
pub(crate) fn find(snapshot: &Snapshot, cache: &Cache, query: &Query) -> Result<Found, ReadError> {
    let after = query.after.as_ref().map(|cursor| Place::from_cursor(cursor, query.order)).transpose()?;
    let every = SpanFilter::default();
    let mut checks = query.spans.iter().map(SpanCheck::new);
    let first = checks.next().unwrap_or_else(|| SpanCheck::new(&every));
    let others: Vec<SpanCheck<'_>> = checks.collect();
    let search = Search { snapshot, cache, query, first: &first, after };
    search.run(&others)
}

struct Search<'a> {
    snapshot: &'a Snapshot,
    cache: &'a Cache,
    query: &'a Query,
    first: &'a SpanCheck<'a>,
    after: Option<Place>,
}

impl<'a> Search<'a> {
    fn run(&self, others: &'a [SpanCheck<'a>]) -> Result<Found, ReadError> {
        let mut candidates = Candidates::new(self.after, self.query.limit);
        for span in self.snapshot.head_spans() {
            if self.query.range.contains(&span.start) && self.first.holds(span) {
                candidates.offer(span.trace_id, self.hit(span));
            }
        }
        let (blocks, passed) = self.blocks();
        let mut verifier = Verifier::new(self.snapshot, self.cache, self.query, self.first, others, passed);
        let mut blocks = blocks.into_iter().peekable();
        let mut matches = Vec::new();
        let mut work = 0;
        loop {
            let next_best = blocks.peek().map(|(best, _)| *best);
            while let Some((place, trace, hit)) = candidates.pop_before(next_best) {
                let is_met =
                    !candidates.is_before_cursor(trace) && verifier.is_met(trace, self.after.is_some())?;
                if is_met && matches.len() == self.query.limit {
                    let last = matches.last().map(|(place, _)| *place).or(self.after);
                    return Ok(self.found(matches, last, false));
                }
                if is_met {
                    matches.push((place, hit.to_match(trace)));
                }
                if verifier.work > BUDGET {
                    return Ok(self.found(matches, Some(place), true));
                }
            }
            let Some((best, block)) = blocks.next() else {
                // Without a horizon there was nothing else.
                let horizon = candidates.horizon();
                return Ok(self.found(matches, horizon, horizon.is_some()));
            };
            // A block that reaches back to before the cursor was paid for on an earlier page. If it were not
            // free, a page might end where it began.
            let is_new = self.after.is_none_or(|after| best > after.rank);
            if is_new && work + verifier.work > BUDGET && self.query.order.time(best).is_some() {
                return Ok(self.found(matches, Some(Place::before(best)), true));
            }
            let cost = self.scan(block, &mut candidates)?;
            work += if is_new { cost } else { 0 };
        }
    }

    fn found(&self, matches: Vec<(Place, crate::Match)>, next: Option<Place>, is_early: bool) -> Found {
        let order = self.query.order;
        Found {
            matches: matches.into_iter().map(|(_, found)| found).collect(),
            next: next.map(|place| place.to_cursor(order)),
            scanned_to: next.filter(|_| is_early).and_then(|place| order.time(place.rank)),
        }
    }

    fn hit(&self, span: &Span) -> Hit {
        let (start, duration) = (span.start, span.duration());
        let rank = self.query.order.rank(start, duration);
        Hit { rank, span_id: span.span_id, start, duration, status: span.status.code }
    }

    /// Blocks that may have candidates, by the best rank they may have; and those that may only have spans
    /// from before the cursor.
    fn blocks(&self) -> (Vec<Ahead<'a>>, Vec<&'a Arc<Block>>) {
        let (mut ahead, mut passed) = (Vec::new(), Vec::new());
        for block in self.snapshot.blocks.iter() {
            if !select::head_may_match(&block.head, self.first, &self.query.range) {
                continue;
            }
            let (best, worst) = self.ranks(&block.head.zone);
            if self.after.is_some_and(|after| worst < after.rank) {
                passed.push(block);
            } else {
                ahead.push((best, block));
            }
        }
        ahead.sort_by_key(|(best, block)| (*best, std::cmp::Reverse((block.file.number, block.id))));
        (ahead, passed)
    }

    /// The best and the worst rank of spans within these bounds.
    fn ranks(&self, zone: &Zone) -> (u64, u64) {
        let (range, durations) = (&self.query.range, &self.first.filter.duration);
        let (min_start, max_start) = (zone.min_start.max(*range.start()), zone.max_start.min(*range.end()));
        let min_duration = zone.min_duration.max(*durations.start());
        let max_duration = zone.max_duration.min(*durations.end());
        match self.query.order {
            Order::Newest => (!max_start, !min_start),
            Order::Oldest => (min_start, max_start),
            Order::Longest => (!max_duration, !min_duration),
            Order::Shortest => (min_duration, max_duration),
        }
    }

    /// Offers what a block has; returns what that cost.
    fn scan(&self, block: &Block, candidates: &mut Candidates) -> Result<usize, ReadError> {
        let reader = BlockReader::new(block, self.cache);
        if !select::filter_may_match(&reader, self.first)? {
            return Ok(FILTER);
        }
        let rows = select::select(&reader, self.first, &self.query.range)?;
        if rows.is_empty() {
            return Ok(BLOCK);
        }
        let times = Times::read(&reader)?;
        let (traces, trace_of_row) = (reader.traces()?, reader.numbers(id::TRACE_OF_ROW)?);
        let (ids, statuses) = (reader.numbers(id::SPAN_ID)?, reader.numbers(id::STATUS)?);
        for row in rows {
            let trace = usize::try_from(trace_of_row.get(row as usize)).ok();
            let Some(trace) = trace.and_then(|trace| traces.get(trace)) else { continue };
            let (start, duration) = (times.start(row), times.duration(row));
            let rank = self.query.order.rank(start, duration);
            if !candidates.is_of_interest(rank) {
                continue;
            }
            let span_id = reader.check(span_id(ids.get(row as usize)))?;
            let status = StatusCode::from_number(statuses.get(row as usize));
            candidates.offer(*trace, Hit { rank, span_id, start, duration, status });
        }
        Ok(BLOCK)
    }
}

/// A block with the best rank that it may have.
type Ahead<'a> = (u64, &'a Arc<Block>);

/// A trace that was not looked at yet, with its place.
type Candidate = (Place, TraceId, Hit);

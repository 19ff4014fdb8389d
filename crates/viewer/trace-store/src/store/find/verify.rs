//! What the place of a candidate does not say: whether its trace was on an earlier page, whether the other
//! filters are met by other spans of it, and how long all of it took.

use crate::{
    Query, ReadError,
    block::{bloom, cache::Cache, reader::BlockReader, rows, rows::Times, select},
    evaluate::SpanCheck,
    store::{
        file::Block,
        find::{ALL, BLOCK},
        head::Snapshot,
    },
};
use foldhash::{HashMap, HashMapExt};
use std::{rc::Rc, sync::Arc};
use waypost_trace_model::{Span, TraceId};

/// Asking the blocks' filters of traces.
const TRACE: usize = 5;

/// Finding the rows of a trace in a block.
const ROWS: usize = 20;

/// Selections that are remembered.
const SELECTIONS: usize = 256;

/// Rows of a block, for one of the filters.
type Selections = HashMap<(usize, (u64, u32)), Rc<Vec<u32>>>;

/// A block, and rows of it that go up.
type RowsOf<'a> = (&'a Arc<Block>, Vec<u32>);

/// Looks at whole traces.
pub(crate) struct Verifier<'a> {
    snapshot: &'a Snapshot,
    cache: &'a Cache,
    query: &'a Query,
    first: &'a SpanCheck<'a>,
    others: &'a [SpanCheck<'a>],
    /// Blocks all of whose spans come before the cursor.
    passed: Vec<&'a Arc<Block>>,
    head: Option<HashMap<TraceId, Vec<&'a Span>>>,
    selections: Selections,
    /// What it cost so far.
    pub(crate) work: usize,
}

impl<'a> Verifier<'a> {
    pub(crate) fn new(
        snapshot: &'a Snapshot,
        cache: &'a Cache,
        query: &'a Query,
        first: &'a SpanCheck<'a>,
        others: &'a [SpanCheck<'a>],
        passed: Vec<&'a Arc<Block>>,
    ) -> Verifier<'a> {
        let selections = HashMap::new();
        Verifier { snapshot, cache, query, first, others, passed, head: None, selections, work: 0 }
    }

    /// Whether the trace belongs to the answer, and not to an earlier page of it.
    pub(crate) fn is_met(&mut self, trace: TraceId, has_cursor: bool) -> Result<bool, ReadError> {
        if has_cursor && self.is_passed(trace)? {
            return Ok(false);
        }
        if self.others.is_empty() && self.query.trace_duration == ALL {
            return Ok(true);
        }
        let blocks = self.blocks_of(trace)?;
        Ok(self.is_duration_met(trace, &blocks)? && self.are_others_met(trace, &blocks)?)
    }

    /// Whether the trace has a span that meets the first filter in a block that the search did not look into,
    /// because all of it is before the cursor.
    fn is_passed(&mut self, trace: TraceId) -> Result<bool, ReadError> {
        self.work += TRACE;
        let hash = bloom::of_trace(trace);
        let passed: Vec<&'a Arc<Block>> =
            self.passed.iter().copied().filter(|block| block.head.traces.may_hold(hash)).collect();
        for block in passed {
            let rows = rows::of_trace(&self.reader(block), trace)?;
            if !rows.is_empty() && has_common(&rows, &self.selection(0, block)?) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The rows of the trace in every block.
    fn blocks_of(&mut self, trace: TraceId) -> Result<Vec<RowsOf<'a>>, ReadError> {
        self.work += TRACE;
        let hash = bloom::of_trace(trace);
        let mut found = Vec::new();
        for block in self.snapshot.blocks.iter() {
            if block.head.spans > 0 && block.head.traces.may_hold(hash) {
                self.work += ROWS;
                let rows = rows::of_trace(&self.reader(block), trace)?;
                if !rows.is_empty() {
                    found.push((block, rows));
                }
            }
        }
        Ok(found)
    }

    fn is_duration_met(&mut self, trace: TraceId, blocks: &[RowsOf<'a>]) -> Result<bool, ReadError> {
        if self.query.trace_duration == ALL {
            return Ok(true);
        }
        let (mut start, mut end) = (u64::MAX, 0);
        for span in self.head_spans(trace) {
            (start, end) = (start.min(span.start), end.max(span.end));
        }
        for (block, rows) in blocks {
            let times = Times::read(&self.reader(block))?;
            for row in rows {
                (start, end) = (start.min(times.start(*row)), end.max(times.end(*row)));
            }
        }
        Ok(self.query.trace_duration.contains(&end.saturating_sub(start)))
    }

    fn are_others_met(&mut self, trace: TraceId, blocks: &[RowsOf<'a>]) -> Result<bool, ReadError> {
        let others = self.others;
        'others: for (check, place) in others.iter().zip(1..) {
            if self.head_spans(trace).iter().any(|span| check.holds(span)) {
                continue;
            }
            for (block, rows) in blocks {
                if has_common(rows, &self.selection(place, block)?) {
                    continue 'others;
                }
            }
            return Ok(false);
        }
        Ok(true)
    }

    fn reader<'b>(&self, block: &'b Block) -> BlockReader<'b>
    where
        'a: 'b,
    {
        BlockReader::new(block, self.cache)
    }

    fn head_spans(&mut self, trace: TraceId) -> &[&'a Span] {
        let snapshot = self.snapshot;
        let by_trace = self.head.get_or_insert_with(|| {
            let mut by_trace: HashMap<TraceId, Vec<&'a Span>> = HashMap::new();
            snapshot.head_spans().for_each(|span| by_trace.entry(span.trace_id).or_default().push(span));
            by_trace
        });
        by_trace.get(&trace).map(Vec::as_slice).unwrap_or_default()
    }

    /// The rows of a block that meet one of the filters: the first is number 0 and asks for the range too.
    fn selection(&mut self, number: usize, block: &Arc<Block>) -> Result<Rc<Vec<u32>>, ReadError> {
        let key = (number, (block.file.number, block.id));
        if let Some(rows) = self.selections.get(&key) {
            return Ok(rows.clone());
        }
        let (check, range) = match number.checked_sub(1).and_then(|other| self.others.get(other)) {
            Some(check) => (check, &ALL),
            None => (self.first, &self.query.range),
        };
        let reader = BlockReader::new(&**block, self.cache);
        let mut rows = Vec::new();
        if select::head_may_match(&block.head, check, range) && select::filter_may_match(&reader, check)? {
            self.work += BLOCK;
            rows = select::select(&reader, check, range)?;
        }
        if self.selections.len() >= SELECTIONS {
            self.selections.clear();
        }
        let rows = Rc::new(rows);
        self.selections.insert(key, rows.clone());
        Ok(rows)
    }
}

/// Whether two lists that go up have something in common.
fn has_common(few: &[u32], many: &[u32]) -> bool {
    few.iter().any(|row| many.binary_search(row).is_ok())
}

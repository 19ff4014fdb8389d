//! Reads traces: which rows of which blocks they are, and then only the columns that are asked for.

use crate::{
    ReadError, SpanFilter,
    assemble::{self, Line},
    block::{bloom, cache::Cache, reader::BlockReader, rows, select},
    evaluate::SpanCheck,
    losses::Losses,
    store::{BlockStore, file::Block, files, head::Snapshot, journal::EvictedReader, writer::Shared},
};
use foldhash::{HashMap, HashSet};
use std::{num::NonZero, sync::Arc, thread};
use waypost_trace_model::{
    LogRecord, Node, Skeleton, Span, SpanId, Trace, TraceId, TraceLosses, TraceSummary,
};

/// Traces that are worth a thread of their own: unpacking a block for one takes a millisecond.
const TRACES_PER_THREAD: usize = 8;

/// Reads traces, which lie far apart, on as many threads as there are processors. The answers are in the order of the
/// traces; of several errors the first one is told.
fn side_by_side<'t, T: Send>(
    traces: &'t [TraceId],
    read: impl Fn(&'t TraceId) -> Result<T, ReadError> + Sync,
) -> Result<Vec<T>, ReadError> {
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    let per_thread = traces.len().div_ceil(threads).max(TRACES_PER_THREAD);
    if traces.len() <= per_thread {
        return traces.iter().map(read).collect();
    }
    let parts: Vec<Result<Vec<T>, ReadError>> = thread::scope(|scope| {
        let part = |traces: &'t [TraceId]| {
            let read = &read;
            scope.spawn(move || traces.iter().map(read).collect())
        };
        let threads: Vec<_> = traces.chunks(per_thread).map(part).collect();
        let done = |thread: thread::ScopedJoinHandle<'_, _>| {
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        threads.into_iter().map(done).collect()
    });
    let mut all = Vec::with_capacity(traces.len());
    for part in parts {
        all.extend(part?);
    }
    Ok(all)
}

/// Answers questions about traces from one snapshot.
#[derive(Debug)]
pub(crate) struct TraceReader<'a> {
    pub(super) snapshot: Snapshot,
    pub(super) cache: &'a Cache,
    shared: &'a Shared,
    evicted: &'a EvictedReader,
}

/// Where the distinct spans of a trace are.
#[derive(Debug, Default)]
struct Located<'a> {
    /// Rows of blocks, going up.
    blocks: Vec<(&'a Block, Vec<u32>)>,
    head: Vec<&'a Span>,
}

impl Located<'_> {
    fn is_empty(&self) -> bool {
        self.blocks.is_empty() && self.head.is_empty()
    }
}

type HeadSpans<'a> = HashMap<TraceId, Vec<&'a Span>>;

impl BlockStore {
    pub(crate) fn reader(&self) -> Result<TraceReader<'_>, ReadError> {
        let snapshot = self.shared.view.snapshot()?;
        Ok(TraceReader { snapshot, cache: &self.cache, shared: &self.shared, evicted: &self.evicted })
    }
}

impl TraceReader<'_> {
    pub(crate) fn summaries(&self, traces: &[TraceId]) -> Result<Vec<TraceSummary>, ReadError> {
        let head = self.head_spans(traces);
        let mut summaries = Vec::with_capacity(traces.len());
        for trace in traces {
            let located = self.locate(*trace, &head)?;
            let mut lines: Vec<Line> = located.head.iter().map(|span| Line::of(span)).collect();
            for (block, rows) in &located.blocks {
                lines.extend(rows::lines(&self.block(block), rows)?);
            }
            if !lines.is_empty() {
                summaries.extend(assemble::summary(*trace, &lines, self.losses(*trace)?));
            }
        }
        Ok(summaries)
    }

    pub(crate) fn skeleton(&self, trace: TraceId) -> Result<Option<Skeleton>, ReadError> {
        let located = self.locate(trace, &self.head_spans(&[trace]))?;
        if located.is_empty() {
            return Ok(None);
        }
        let mut nodes: Vec<Node> = located.head.iter().map(|span| assemble::node(span)).collect();
        for (block, rows) in &located.blocks {
            nodes.extend(rows::nodes(&self.block(block), rows, trace)?);
        }
        Ok(Some(assemble::skeleton(trace, nodes, &self.logs(trace)?, self.losses(trace)?)))
    }

    pub(crate) fn matching(
        &self,
        trace: TraceId,
        filter: &SpanFilter,
        limit: usize,
    ) -> Result<Vec<SpanId>, ReadError> {
        let check = SpanCheck::new(filter);
        let located = self.locate(trace, &self.head_spans(&[trace]))?;
        let mut lines: Vec<Line> =
            located.head.iter().filter(|span| check.holds(span)).map(|span| Line::of(span)).collect();
        for (block, rows) in &located.blocks {
            let reader = self.block(block);
            if !select::head_may_match(&block.head, &check, &(0..=u64::MAX))
                || !select::filter_may_match(&reader, &check)?
            {
                continue;
            }
            let selected = select::select(&reader, &check, &(0..=u64::MAX))?;
            let rows: Vec<u32> =
                rows.iter().copied().filter(|row| selected.binary_search(row).is_ok()).collect();
            lines.extend(rows::lines(&reader, &rows)?);
        }
        lines.sort_by(|a, b| a.key().cmp(&b.key()));
        Ok(lines.into_iter().map(|line| line.span_id).take(limit).collect())
    }

    pub(crate) fn spans(
        &self,
        trace: TraceId,
        spans: &[SpanId],
    ) -> Result<(Vec<Span>, Vec<LogRecord>), ReadError> {
        let wanted: HashSet<SpanId> = spans.iter().copied().collect();
        let mut located = self.locate(trace, &self.head_spans(&[trace]))?;
        located.head.retain(|span| wanted.contains(&span.span_id));
        for (block, rows) in &mut located.blocks {
            let mut ids = rows::ids(&self.block(block), rows)?.into_iter();
            rows.retain(|_| ids.next().is_some_and(|id| wanted.contains(&id)));
        }
        let mut logs = self.logs(trace)?;
        logs.retain(|log| log.span_id.is_some_and(|id| wanted.contains(&id)));
        let found = assemble::trace(trace, self.decode(&located)?, logs, TraceLosses::default());
        Ok((found.spans, found.logs))
    }

    pub(crate) fn traces(&self, traces: &[TraceId]) -> Result<Vec<Trace>, ReadError> {
        let head = self.head_spans(traces);
        let whole = |trace: &TraceId| {
            let located = self.locate(*trace, &head)?;
            if located.is_empty() {
                return Ok(None);
            }
            let (spans, logs) = (self.decode(&located)?, self.logs(*trace)?);
            Ok(Some(assemble::trace(*trace, spans, logs, self.losses(*trace)?)))
        };
        let found: Result<Vec<Option<Trace>>, ReadError> = side_by_side(traces, whole);
        Ok(found?.into_iter().flatten().collect())
    }

    fn block<'b>(&'b self, block: &'b Block) -> BlockReader<'b> {
        BlockReader::new(block, self.cache)
    }

    fn decode(&self, located: &Located<'_>) -> Result<Vec<Span>, ReadError> {
        let mut spans: Vec<Span> = located.head.iter().copied().cloned().collect();
        for (block, rows) in &located.blocks {
            if !rows.is_empty() {
                spans.extend(rows::spans(&self.block(block), rows)?);
            }
        }
        Ok(spans)
    }

    /// The spans of these traces that are in no block yet.
    fn head_spans(&self, traces: &[TraceId]) -> HeadSpans<'_> {
        let mut wanted: HeadSpans<'_> = traces.iter().map(|trace| (*trace, Vec::new())).collect();
        for span in self.snapshot.head_spans() {
            if let Some(spans) = wanted.get_mut(&span.trace_id) {
                spans.push(span);
            }
        }
        wanted
    }

    /// Blocks that may have something of the trace.
    fn blocks_of(&self, trace: TraceId) -> impl Iterator<Item = &Arc<Block>> {
        let hash = bloom::of_trace(trace);
        self.snapshot.blocks.iter().filter(move |block| block.head.traces.may_hold(hash))
    }

    /// Where the spans of a trace are; of those that are equal in everything, one.
    fn locate<'b>(&'b self, trace: TraceId, head: &HeadSpans<'b>) -> Result<Located<'b>, ReadError> {
        let mut located = Located { blocks: Vec::new(), head: head.get(&trace).cloned().unwrap_or_default() };
        let mut ids: Vec<SpanId> = located.head.iter().map(|span| span.span_id).collect();
        for block in self.blocks_of(trace).filter(|block| block.head.spans > 0) {
            let reader = self.block(block);
            let rows = rows::of_trace(&reader, trace)?;
            if rows.is_empty() {
                continue;
            }
            ids.extend(rows::ids(&reader, &rows)?);
            located.blocks.push((block, rows));
        }
        let repeats = assemble::repeats(&ids, |places| self.digests(&located, places))?;
        if !repeats.is_empty() {
            let mut place = 0..;
            let mut is_kept = || place.next().is_some_and(|place| !repeats.contains(&place));
            located.head.retain(|_| is_kept());
            for (_, rows) in &mut located.blocks {
                rows.retain(|_| is_kept());
            }
        }
        Ok(located)
    }

    /// The digests of the spans at these places, which go up: first of the head, then of each block. Of each
    /// block the rows are decoded together.
    fn digests(&self, located: &Located<'_>, places: &[usize]) -> Result<Vec<u128>, ReadError> {
        let mut begin = located.head.len();
        let (here, mut left) = places.split_at(places.partition_point(|place| *place < begin));
        let spans = here.iter().filter_map(|place| located.head.get(*place));
        let mut digests: Vec<u128> = spans.map(|span| assemble::digest(span)).collect();
        for (block, rows) in &located.blocks {
            let (here, rest) = left.split_at(left.partition_point(|place| *place < begin + rows.len()));
            let wanted: Vec<u32> =
                here.iter().filter_map(|place| rows.get(*place - begin)).copied().collect();
            if !wanted.is_empty() {
                let spans = rows::spans(&self.block(block), &wanted)?;
                digests.extend(spans.iter().map(assemble::digest));
            }
            begin += rows.len();
            left = rest;
        }
        Ok(digests)
    }

    fn logs(&self, trace: TraceId) -> Result<Vec<LogRecord>, ReadError> {
        let head = self.snapshot.head.iter().flat_map(|batch| &batch.batch.logs);
        let mut logs: Vec<LogRecord> = head.filter(|log| log.trace_id == Some(trace)).cloned().collect();
        for block in self.blocks_of(trace).filter(|block| block.head.logs > 0) {
            logs.extend(rows::logs(&self.block(block), trace)?);
        }
        Ok(logs)
    }

    /// What is known to be missing. Evicted spans are counted exactly for the last files that were dropped;
    /// what went with earlier ones is not known any more and not counted.
    fn losses(&self, trace: TraceId) -> Result<TraceLosses, ReadError> {
        let hash = bloom::of_trace(trace);
        let chunks = self.evicted.chunks(files::chunk_of(hash));
        let chunks =
            chunks.map_err(|error| ReadError::Failed(format!("the journal cannot be read: {error}")))?;
        let evicted = chunks.into_iter().map(|chunk| files::spans_of_trace(chunk, hash)).sum();
        let refused = Losses::of(&self.shared.losses(), trace);
        Ok(TraceLosses { refused, evicted })
    }
}

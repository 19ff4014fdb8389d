//! Visits the spans of a snapshot that meet a query, block by block, the newest first.
//!
//! Where no whole traces have to be looked at, every other block is read by a second thread; what is visited, and in which
//! order, is the same.

use crate::{
    ReadError, SpanFilter,
    block::{
        cache::Cache,
        fields::{self, Wanted},
        reader::BlockReader,
        rows, select,
    },
    evaluate::SpanCheck,
    store::{
        file::Block,
        find::{BUDGET, verify::Verifier},
        head::Snapshot,
    },
    survey::{Columns, MAX_SPANS, Survey, Surveyed, needs_traces},
};
use foldhash::{HashMap, HashMapExt};
use std::{
    cmp::Reverse,
    num::NonZero,
    panic,
    sync::{Arc, mpsc::sync_channel},
    thread,
};
use waypost_trace_model::{Span, TraceId};

/// Spans of the head that are visited at once.
const CHUNK: usize = 8192;

/// Blocks that are worth a second thread: reading one takes a millisecond.
const MIN_FOR_TWO: usize = 4;

pub(crate) fn survey(
    snapshot: &Snapshot,
    cache: &Cache,
    survey: &Survey,
    visit: &mut dyn FnMut(&Columns),
) -> Result<Surveyed, ReadError> {
    let every = SpanFilter::default();
    let mut checks = survey.query.spans.iter().map(SpanCheck::new);
    let first = checks.next().unwrap_or_else(|| SpanCheck::new(&every));
    let others: Vec<SpanCheck<'_>> = checks.collect();
    let verifier = Verifier::new(snapshot, cache, &survey.query, &first, &others, Vec::new());
    let marked = survey.marked.as_ref().map(SpanCheck::new);
    let blocks = Blocks { cache, survey, first: &first, marked, wanted: Wanted::new(&survey.fields) };
    let mut visitor = Visitor { blocks: &blocks, verifier, met: HashMap::new() };
    visitor.head(snapshot, visit)?;
    visitor.blocks(snapshot, visit)
}

/// Reads blocks, each by itself.
struct Blocks<'a> {
    cache: &'a Cache,
    survey: &'a Survey,
    first: &'a SpanCheck<'a>,
    marked: Option<SpanCheck<'a>>,
    wanted: Wanted<'a>,
}

impl Blocks<'_> {
    /// The rows that meet the first filter; `None` when the block is known to have none without looking at its rows.
    fn rows(&self, block: &Block) -> Result<Option<Vec<u32>>, ReadError> {
        let reader = BlockReader::new(block, self.cache);
        if !select::filter_may_match(&reader, self.first)? {
            return Ok(None);
        }
        select::select(&reader, self.first, &self.survey.query.range).map(Some)
    }

    /// What is asked of rows.
    fn columns(&self, block: &Block, rows: &[u32]) -> Result<Columns, ReadError> {
        if rows.is_empty() {
            return Ok(Columns::default());
        }
        let reader = BlockReader::new(block, self.cache);
        let range = &self.survey.query.range;
        let marked = match &self.marked {
            Some(check) if select::head_may_match(&block.head, check, range) => {
                select::select(&reader, check, range)?
            }
            _ => Vec::new(),
        };
        fields::read(&reader, rows, &marked, &self.wanted)
    }

    /// All of a block, where whole traces need not be looked at; `None` as in [`Blocks::rows`].
    fn whole(&self, block: &Block) -> Result<Option<Columns>, ReadError> {
        self.rows(block)?.map(|rows| self.columns(block, &rows)).transpose()
    }
}

struct Visitor<'a> {
    blocks: &'a Blocks<'a>,
    verifier: Verifier<'a>,
    /// Traces that were looked at, and whether they meet what is asked of whole traces.
    met: HashMap<TraceId, bool>,
}

impl Visitor<'_> {
    fn head(&mut self, snapshot: &Snapshot, visit: &mut dyn FnMut(&Columns)) -> Result<(), ReadError> {
        let Blocks { survey, first, marked, .. } = self.blocks;
        let mut spans: Vec<&Span> = Vec::new();
        for span in snapshot.head_spans() {
            if survey.query.range.contains(&span.start) && first.holds(span) && self.is_met(span.trace_id)? {
                spans.push(span);
            }
        }
        for spans in spans.chunks(CHUNK) {
            visit(&Columns::of_spans(spans, marked.as_ref(), &survey.fields));
        }
        Ok(())
    }

    fn blocks(
        &mut self,
        snapshot: &Snapshot,
        visit: &mut dyn FnMut(&Columns),
    ) -> Result<Surveyed, ReadError> {
        let Blocks { survey, first, .. } = self.blocks;
        let mut blocks: Vec<&Arc<Block>> = snapshot.blocks.iter().collect();
        blocks.retain(|block| select::head_may_match(&block.head, first, &survey.query.range));
        blocks.sort_by_key(|block| Reverse((block.head.zone.max_start, block.file.number, block.id)));
        let threads = thread::available_parallelism().map_or(1, NonZero::get);
        if needs_traces(&survey.query) {
            self.with_whole_traces(&blocks, visit)
        } else if threads > 1 && blocks.len() >= MIN_FOR_TWO {
            two_at_once(self.blocks, &blocks, visit)
        } else {
            visit_all(&blocks, visit, |_, block| self.blocks.whole(block))
        }
    }

    fn with_whole_traces(
        &mut self,
        blocks: &[&Arc<Block>],
        visit: &mut dyn FnMut(&Columns),
    ) -> Result<Surveyed, ReadError> {
        let mut looked_at = 0;
        for block in blocks {
            if looked_at >= MAX_SPANS || self.verifier.work > BUDGET {
                return Ok(Surveyed { scanned_to: Some(block.head.zone.max_start) });
            }
            let Some(rows) = self.blocks.rows(block)? else { continue };
            looked_at += block.head.spans;
            let rows = self.met_rows(&BlockReader::new(&***block, self.blocks.cache), rows)?;
            let columns = self.blocks.columns(block, &rows)?;
            if !columns.is_empty() {
                visit(&columns);
            }
        }
        Ok(Surveyed::default())
    }

    /// The rows whose traces meet what is asked of whole traces.
    fn met_rows(&mut self, reader: &BlockReader<'_>, rows: Vec<u32>) -> Result<Vec<u32>, ReadError> {
        let traces = rows::traces(reader, &rows)?;
        let mut met = Vec::with_capacity(rows.len());
        for (row, trace) in rows.into_iter().zip(traces) {
            if self.is_met(trace)? {
                met.push(row);
            }
        }
        Ok(met)
    }

    fn is_met(&mut self, trace: TraceId) -> Result<bool, ReadError> {
        if !needs_traces(&self.blocks.survey.query) {
            return Ok(true);
        }
        if let Some(known) = self.met.get(&trace) {
            return Ok(*known);
        }
        let is_met = self.verifier.is_met(trace, false)?;
        self.met.insert(trace, is_met);
        Ok(is_met)
    }
}

/// Visits blocks in their order, up to the bound of a survey. `read` is told the place of the block.
fn visit_all(
    blocks: &[&Arc<Block>],
    visit: &mut dyn FnMut(&Columns),
    mut read: impl FnMut(usize, &Block) -> Result<Option<Columns>, ReadError>,
) -> Result<Surveyed, ReadError> {
    let mut looked_at = 0;
    for (block, place) in blocks.iter().zip(0..) {
        if looked_at >= MAX_SPANS {
            return Ok(Surveyed { scanned_to: Some(block.head.zone.max_start) });
        }
        let Some(columns) = read(place, block)? else { continue };
        looked_at += block.head.spans;
        if !columns.is_empty() {
            visit(&columns);
        }
    }
    Ok(Surveyed::default())
}

/// Another thread reads the blocks at odd places; it is at most one ahead, and ends when nobody waits for it any more.
fn two_at_once(
    blocks: &Blocks<'_>,
    all: &[&Arc<Block>],
    visit: &mut dyn FnMut(&Columns),
) -> Result<Surveyed, ReadError> {
    thread::scope(|scope| {
        let (sender, receiver) = sync_channel(1);
        let odd = scope.spawn(move || {
            let odd = all.iter().skip(1).step_by(2);
            for read in odd.map(|block| blocks.whole(block)) {
                if sender.send(read).is_err() {
                    return;
                }
            }
        });
        let surveyed = visit_all(all, visit, |place, block| {
            // Nothing comes from a thread that panicked, which is passed on below.
            if place.is_multiple_of(2) { blocks.whole(block) } else { receiver.recv().unwrap_or(Ok(None)) }
        });
        drop(receiver);
        match odd.join() {
            Err(panic) => panic::resume_unwind(panic),
            Ok(()) => surveyed,
        }
    })
}

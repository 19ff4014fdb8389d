//! Visits the spans of a snapshot that meet a query, block by block, the newest first.

use crate::{
    ReadError, SpanFilter,
    block::{cache::Cache, fields, reader::BlockReader, rows, select},
    evaluate::SpanCheck,
    store::{
        file::Block,
        find::{BUDGET, verify::Verifier},
        head::Snapshot,
    },
    survey::{Columns, MAX_SPANS, Survey, Surveyed, needs_traces},
};
use foldhash::{HashMap, HashMapExt};
use std::{cmp::Reverse, sync::Arc};
use waypost_trace_model::{Span, TraceId};

/// Spans of the head that are visited at once.
const CHUNK: usize = 8192;

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
    let mut visitor = Visitor { cache, survey, first: &first, marked, verifier, met: HashMap::new() };
    visitor.head(snapshot, visit)?;
    visitor.blocks(snapshot, visit)
}

struct Visitor<'a> {
    cache: &'a Cache,
    survey: &'a Survey,
    first: &'a SpanCheck<'a>,
    marked: Option<SpanCheck<'a>>,
    verifier: Verifier<'a>,
    /// Traces that were looked at, and whether they meet what is asked of whole traces.
    met: HashMap<TraceId, bool>,
}

impl Visitor<'_> {
    fn head(&mut self, snapshot: &Snapshot, visit: &mut dyn FnMut(&Columns)) -> Result<(), ReadError> {
        let range = &self.survey.query.range;
        let mut spans: Vec<&Span> = Vec::new();
        for span in snapshot.head_spans() {
            if range.contains(&span.start) && self.first.holds(span) && self.is_met(span.trace_id)? {
                spans.push(span);
            }
        }
        for spans in spans.chunks(CHUNK) {
            visit(&Columns::of_spans(spans, self.marked.as_ref(), &self.survey.fields));
        }
        Ok(())
    }

    fn blocks(
        &mut self,
        snapshot: &Snapshot,
        visit: &mut dyn FnMut(&Columns),
    ) -> Result<Surveyed, ReadError> {
        let range = &self.survey.query.range;
        let mut blocks: Vec<&Arc<Block>> = snapshot.blocks.iter().collect();
        blocks.retain(|block| select::head_may_match(&block.head, self.first, range));
        blocks.sort_by_key(|block| Reverse((block.head.zone.max_start, block.file.number, block.id)));
        let mut looked_at = 0;
        for block in blocks {
            if looked_at >= MAX_SPANS || self.verifier.work > BUDGET {
                return Ok(Surveyed { scanned_to: Some(block.head.zone.max_start) });
            }
            let reader = BlockReader::new(&**block, self.cache);
            if !select::filter_may_match(&reader, self.first)? {
                continue;
            }
            looked_at += block.head.spans;
            let rows = self.met_rows(&reader, select::select(&reader, self.first, range)?)?;
            if rows.is_empty() {
                continue;
            }
            let marked = match &self.marked {
                Some(check) if select::head_may_match(&block.head, check, range) => {
                    select::select(&reader, check, range)?
                }
                _ => Vec::new(),
            };
            visit(&fields::read(&reader, &rows, &marked, &self.survey.fields)?);
        }
        Ok(Surveyed::default())
    }

    /// The rows whose traces meet what is asked of whole traces.
    fn met_rows(&mut self, reader: &BlockReader<'_>, rows: Vec<u32>) -> Result<Vec<u32>, ReadError> {
        if !needs_traces(&self.survey.query) {
            return Ok(rows);
        }
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
        if !needs_traces(&self.survey.query) {
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

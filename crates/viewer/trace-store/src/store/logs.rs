//! Log records of all blocks, by time.
//!
//! Blocks know between which times their records lie, so those that cannot be on the page are not read. A block of an earlier
//! version does not say; it is read. Work is bounded by the chunks of records that are unpacked.

use crate::{
    FoundLogs, LogQuery, ReadError,
    block::{bloom, parts::id, reader::BlockReader, rows},
    logs::Page,
    store::{file::Block, read::TraceReader},
};
use std::sync::Arc;

/// Chunks of records that one answer may unpack: about half a million records.
const BUDGET: usize = 2048;

impl TraceReader<'_> {
    pub(crate) fn logs_of(&self, query: &LogQuery) -> Result<FoundLogs, ReadError> {
        let mut page = Page::new(query)?;
        for log in self.snapshot.head.iter().flat_map(|batch| &batch.batch.logs) {
            page.offer(log);
        }
        let mut blocks: Vec<(u64, &Arc<Block>)> = self
            .snapshot
            .blocks
            .iter()
            .filter(|block| may_hold(block, query))
            .map(|block| (ranks(&page, query, block), block))
            .filter(|((_, worst), _)| page.after_rank().is_none_or(|after| *worst >= after))
            .map(|((best, _), block)| (best, block))
            .collect();
        blocks.sort_by_key(|(best, block)| (*best, std::cmp::Reverse((block.file.number, block.id))));
        let mut work = 0;
        for (best, block) in blocks {
            if page.is_done(best) {
                break;
            }
            // A block that reaches back to before the page was paid for on an earlier one: if it were not free, a page might
            // end where it began.
            let is_new = page.after_rank().is_none_or(|after| best > after);
            if is_new && work >= BUDGET {
                return Ok(page.stopped_at(best));
            }
            let reader = BlockReader::new(&**block, self.cache);
            for number in rows::log_chunks(&reader, query.trace)? {
                work += usize::from(is_new);
                rows::log_chunk(&reader, id::LOGS + number)?.iter().for_each(|log| page.offer(log));
            }
        }
        Ok(page.finish())
    }
}

fn may_hold(block: &Block, query: &LogQuery) -> bool {
    let head = &block.head;
    let is_of_service = |service| head.services.iter().any(|(name, _, logs)| name == service && *logs > 0);
    let (earliest, latest) = head.log_times.unwrap_or((0, u64::MAX));
    head.logs > 0
        && query.service.as_ref().is_none_or(is_of_service)
        && query.trace.is_none_or(|trace| head.traces.may_hold(bloom::of_trace(trace)))
        && *query.range.start() <= latest
        && *query.range.end() >= earliest
}

/// The best and the worst rank that a record of the block can have.
fn ranks(page: &Page<'_>, query: &LogQuery, block: &Block) -> (u64, u64) {
    let (earliest, latest) = block.head.log_times.unwrap_or((0, u64::MAX));
    let (first, last) = if query.newest_first { (latest, earliest) } else { (earliest, latest) };
    (page.rank(first), page.rank(last))
}

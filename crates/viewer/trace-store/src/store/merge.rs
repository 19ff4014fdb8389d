//! Makes one block of several small ones.
//!
//! A viewer to which little comes writes a block of a few spans every ten minutes and at each end: after months there
//! would be thousands, each with a head in memory, and a question would look into all. Blocks of a file that are alike in
//! size are therefore merged, eight into one, so that a span is written anew at most once for each power of eight up to a
//! whole block.
//!
//! Readers may still hold the blocks that were merged: what is in them goes when the last one is done, or at the next
//! start.

use crate::{
    Durability, ReadError,
    block::{cache::Cache, encode::encode, parts::id, reader::BlockReader, rows},
    clock,
    store::{error::WriteError, file::Block, flush::Flusher},
};
use foldhash::{HashMap, HashMapExt};
use std::{sync::Arc, time::Duration};
use waypost_trace_model::{LogRecord, Span};

/// So many blocks become one.
const WAYS: usize = 8;

/// Of the columns of one block, which are asked for one by one.
const CACHE_BYTES: usize = 8 << 20;

/// When the journal is forced to the disk once a second: after this time it is sure to have forgotten the rows of a block.
const SETTLED: Duration = Duration::from_mins(1);

impl Flusher {
    /// Merges blocks once, if there are some to merge. Only called when the journal has no rows of any block.
    pub(crate) fn merge(&mut self) -> Result<bool, WriteError> {
        self.drop_replaced();
        let Some(small) = self.small_blocks() else { return Ok(false) };
        let (spans, logs) = match read(&small) {
            Ok(read) => read,
            Err(error) => {
                if let Some(damaged) = self.shared.view.take_out(&error) {
                    self.set_aside(&damaged);
                }
                return Err(error.into());
            }
        };
        let encoded = encode(&spans.iter().collect::<Vec<_>>(), &logs.iter().collect::<Vec<_>>())?;
        let merged = self.files.merge(&small, encoded)?;
        let is_old = |block: &Arc<Block>| small.iter().any(|old| Arc::ptr_eq(old, block));
        let mut view = self.shared.view.write();
        let blocks = view.blocks.iter().filter(|block| !is_old(block)).cloned().chain([merged]).collect();
        view.blocks = Arc::new(blocks);
        drop(view);
        self.replaced.extend(small);
        self.drop_replaced();
        Ok(true)
    }

    /// The oldest blocks that are to become one.
    fn small_blocks(&self) -> Option<Vec<Arc<Block>>> {
        let settings = &self.shared.settings;
        let settled = match settings.sync {
            Durability::Always => u64::MAX,
            Durability::EverySecond => {
                clock::now().saturating_sub(u64::try_from(SETTLED.as_nanos()).unwrap_or(u64::MAX))
            }
        };
        let blocks = self.shared.view.read().blocks.clone();
        let mut alike: HashMap<(u64, u32), Vec<Arc<Block>>> = HashMap::new();
        for block in blocks.iter().filter(|block| block.last_arrival <= settled) {
            let size = records(block);
            if size * 2 > settings.head_spans || !self.files.is_growing(block.file.number) {
                continue;
            }
            let class = alike.entry((block.file.number, size.max(1).ilog(WAYS))).or_default();
            class.push(block.clone());
            if class.len() == WAYS {
                if class.iter().map(|block| records(block)).sum::<usize>() <= settings.head_spans {
                    return Some(std::mem::take(class));
                }
                class.remove(0);
            }
        }
        None
    }

    /// Removes what is in merged blocks that no reader holds.
    fn drop_replaced(&mut self) {
        self.replaced.retain(|block| {
            if Arc::strong_count(block) > 1 {
                return true;
            }
            if let Err(error) = block.file.drop_replaced(block.id) {
                let path = block.file.path.display();
                tracing::warn!(%error, %path, "what is left of a merged block goes at the next start");
            }
            false
        });
    }
}

fn records(block: &Block) -> usize {
    usize::try_from(block.head.spans + block.head.logs).unwrap_or(usize::MAX)
}

/// Everything in these blocks.
fn read(blocks: &[Arc<Block>]) -> Result<(Vec<Span>, Vec<LogRecord>), ReadError> {
    let cache = Cache::new(CACHE_BYTES);
    let (mut spans, mut logs) = (Vec::new(), Vec::new());
    for block in blocks {
        let reader = BlockReader::new(&**block, &cache);
        if block.head.spans > 0 {
            let rows: Vec<u32> = (0..u32::try_from(block.head.spans).unwrap_or(u32::MAX)).collect();
            spans.extend(rows::spans(&reader, &rows)?);
        }
        if block.head.logs > 0 {
            for number in rows::log_chunks(&reader, None)? {
                logs.extend(rows::log_chunk(&reader, id::LOGS + number)?);
            }
        }
    }
    Ok((spans, logs))
}

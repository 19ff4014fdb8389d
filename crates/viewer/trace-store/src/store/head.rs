//! What readers see: blocks, and what is on its way to become blocks.
//!
//! Invariant: a record is in exactly one place of a [`Snapshot`]. The places change under one lock: a batch
//! is added when it is durable, and a generation of batches is replaced by its blocks at once.

use crate::{ReadError, store::file::Block};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use tokio::sync::OwnedSemaphorePermit;
use waypost_trace_model::{Batch, Span};

/// A batch that is durable in the journal and not in a block yet.
#[derive(Debug)]
pub(crate) struct HeadBatch {
    pub(crate) batch: Arc<Batch>,
    /// The last row of the journal that it is in.
    pub(crate) seq: i64,
    pub(crate) arrival: u64,
    /// Bytes of its payload, unpacked.
    pub(crate) bytes: usize,
    /// What it takes in memory, the bytes of the request that its texts are slices of included.
    pub(crate) footprint: usize,
}

/// Batches in the order in which they came, and their sums.
#[derive(Debug, Default)]
pub(crate) struct Generation {
    pub(crate) batches: Vec<Arc<HeadBatch>>,
    pub(crate) records: usize,
    /// Of their payloads, unpacked.
    pub(crate) bytes: usize,
    /// What they take in memory.
    pub(crate) footprint: usize,
    /// Their room among what may wait, which is free again when they are blocks.
    room: Vec<OwnedSemaphorePermit>,
}

impl Generation {
    /// Takes over the room of a batch with it.
    pub(crate) fn keep(&mut self, batch: Arc<HeadBatch>, room: Option<OwnedSemaphorePermit>) {
        self.push(batch);
        self.room.extend(room);
    }

    pub(crate) fn push(&mut self, batch: Arc<HeadBatch>) {
        self.footprint += batch.footprint;
        self.records += batch.batch.spans.len() + batch.batch.logs.len();
        self.bytes += batch.bytes;
        self.batches.push(batch);
    }

    /// When its first batch came.
    pub(crate) fn oldest(&self) -> Option<u64> {
        self.batches.first().map(|batch| batch.arrival)
    }

    /// When its last batch came.
    pub(crate) fn newest(&self) -> Option<u64> {
        self.batches.last().map(|batch| batch.arrival)
    }
}

/// Everything that can be read.
#[derive(Debug, Default)]
pub(crate) struct View {
    pub(crate) blocks: Arc<Vec<Arc<Block>>>,
    /// Becoming blocks now.
    pub(crate) flushing: Generation,
    /// Taking what comes.
    pub(crate) current: Generation,
    pub(crate) is_closed: bool,
}

/// The view and its lock.
#[derive(Debug, Default)]
pub(crate) struct SharedView(RwLock<View>);

impl SharedView {
    pub(crate) fn read(&self) -> RwLockReadGuard<'_, View> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, View> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the block out that an error is about, if there is one and it was not taken out before.
    pub(crate) fn take_out(&self, error: &ReadError) -> Option<Arc<Block>> {
        let ReadError::Damaged { file, block: id, .. } = error else { return None };
        let mut view = self.write();
        let is_it = |block: &&Arc<Block>| block.file.number == *file && block.id == *id;
        let damaged = view.blocks.iter().find(is_it).cloned()?;
        view.blocks = Arc::new(view.blocks.iter().filter(|block| !is_it(block)).cloned().collect());
        drop(view);
        tracing::error!(%error, spans = damaged.head.spans, "a block is set aside");
        Some(damaged)
    }

    pub(crate) fn snapshot(&self) -> Result<Snapshot, ReadError> {
        let view = self.read();
        if view.is_closed {
            return Err(ReadError::Closed);
        }
        let batches = view.flushing.batches.iter().chain(&view.current.batches);
        Ok(Snapshot { blocks: view.blocks.clone(), head: batches.cloned().collect() })
    }
}

/// What a reader sees from its beginning to its end.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    pub(crate) blocks: Arc<Vec<Arc<Block>>>,
    pub(crate) head: Vec<Arc<HeadBatch>>,
}

impl Snapshot {
    /// The spans that are in no block yet.
    pub(crate) fn head_spans(&self) -> impl Iterator<Item = &Span> {
        self.head.iter().flat_map(|batch| &batch.batch.spans)
    }
}

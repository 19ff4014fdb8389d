//! The files of blocks: which one grows, which one goes.

use crate::{
    ReadError, Settings,
    block::{bloom, bytes::put_varint, cache::Cache, encode::Encoded, parts::id, reader::BlockReader},
    store::{
        chain::{self, Chain, Extent},
        error::WriteError,
        file::{Block, BlockFile, NewBlock},
    },
};
use foldhash::{HashMap, HashMapExt, HashSet};
use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};
use waypost_trace_model::Text;

/// A file is not longer than this.
const FILE_BYTES: u64 = 256 << 20;

/// A file takes what arrives in this part of the time that the store keeps. Without such a time only its size
/// ends a file: one an hour would be thousands of open files after some months on a machine where little
/// happens.
const AGE_PART: u64 = 8;

/// The most services with a chain of their own: each keeps a file open, and whoever sends chooses the names.
const OWN_CHAINS: usize = 32;

/// Spans and log records of each service.
pub(crate) type Counts = HashMap<Text, (u64, u64)>;

/// Every file, oldest first.
#[derive(Debug)]
pub(crate) struct Files {
    folder: PathBuf,
    list: Vec<FileState>,
    next_number: u64,
    max_bytes: u64,
    max_age: u64,
    sums: Arc<Sums>,
}

/// What others may know.
#[derive(Debug, Default)]
pub(crate) struct Sums {
    pub(crate) bytes: AtomicU64,
    pub(crate) files: AtomicU64,
}

#[derive(Debug)]
struct FileState {
    file: Arc<BlockFile>,
    bytes: u64,
    first_arrival: u64,
    last_arrival: u64,
    counts: Counts,
    is_growing: bool,
}

impl FileState {
    fn new(file: Arc<BlockFile>) -> FileState {
        FileState {
            file,
            bytes: 0,
            first_arrival: u64::MAX,
            last_arrival: 0,
            counts: Counts::new(),
            is_growing: true,
        }
    }

    fn count(&mut self, block: &Block) {
        self.first_arrival = self.first_arrival.min(block.first_arrival);
        self.last_arrival = self.last_arrival.max(block.last_arrival);
        for (service, spans, logs) in &block.head.services {
            let counts = self.counts.entry(service.clone()).or_default();
            counts.0 += spans;
            counts.1 += logs;
        }
    }
}

impl Files {
    pub(crate) fn new(folder: PathBuf, settings: &Settings) -> Files {
        let age = settings.keeps_for_nanos() / AGE_PART;
        Files {
            folder,
            list: Vec::new(),
            next_number: 1,
            max_bytes: FILE_BYTES.min(settings.budget_bytes / 16),
            max_age: if age == 0 { u64::MAX } else { age },
            sums: Arc::default(),
        }
    }

    pub(crate) fn sums(&self) -> Arc<Sums> {
        self.sums.clone()
    }

    fn log_pages(&self) -> u64 {
        (self.max_bytes / 8 / 4096).clamp(4, 1024)
    }

    /// Takes a file that was there when the store was opened, with its blocks.
    pub(crate) fn found(&mut self, file: Arc<BlockFile>, blocks: &[Arc<Block>]) {
        self.next_number = self.next_number.max(file.number + 1);
        let mut state = FileState::new(file);
        for block in blocks {
            state.count(block);
        }
        state.bytes = state.file.bytes();
        self.list.push(state);
    }

    /// After the last [`Files::found`]: the newest file of each chain goes on growing.
    pub(crate) fn resume(&mut self) {
        self.list.sort_by_key(|state| state.file.number);
        let log_pages = self.log_pages();
        let mut newest: HashMap<Chain, u64> = HashMap::new();
        for state in &self.list {
            newest.insert(state.file.chain.clone(), state.file.number);
        }
        for state in &mut self.list {
            state.is_growing = newest.get(&state.file.chain) == Some(&state.file.number);
            let done = if state.is_growing { state.file.resume(log_pages) } else { state.file.seal() };
            if let Err(error) = done {
                let path = state.file.path.display();
                tracing::error!(%error, %path, "a block file can be read and not written to; another takes its place");
                state.is_growing = false;
            }
            state.bytes = state.file.bytes();
        }
        self.publish();
    }

    /// Whether a service may have a chain of its own: it has one, or there are not too many.
    pub(crate) fn may_have_own(&self, service: &Text) -> bool {
        let own: HashSet<&str> = self.list.iter().filter_map(|state| state.file.chain.service()).collect();
        own.contains(&**service) || own.len() < OWN_CHAINS
    }

    /// Numbers up to this one were used, by files that are gone too.
    pub(crate) fn used(&mut self, number: u64) {
        self.next_number = self.next_number.max(number + 1);
    }

    /// Adds a block to its chain.
    pub(crate) fn add(&mut self, chain: &Chain, new: &NewBlock) -> Result<Arc<Block>, WriteError> {
        let place = self.growing(chain, new.last_arrival)?;
        let Some(state) = self.list.get_mut(place) else { return Err(WriteError::Closed) };
        let block = Arc::new(state.file.add(new)?);
        state.count(&block);
        state.bytes = state.file.bytes();
        self.publish();
        Ok(block)
    }

    /// The place of the file that takes the next block of a chain.
    fn growing(&mut self, chain: &Chain, arrival: u64) -> Result<usize, WriteError> {
        let place = self.list.iter().position(|state| state.is_growing && state.file.chain == *chain);
        if let Some(place) = place
            && let Some(state) = self.list.get_mut(place)
        {
            let is_young = arrival.saturating_sub(state.first_arrival) < self.max_age;
            if state.counts.is_empty() || (state.bytes < self.max_bytes && is_young) {
                return Ok(place);
            }
            state.file.seal()?;
            state.bytes = state.file.bytes();
            state.is_growing = false;
        }
        let file = BlockFile::create(&self.folder, chain.clone(), self.next_number, self.log_pages())?;
        self.next_number += 1;
        self.list.push(FileState::new(Arc::new(file)));
        Ok(self.list.len() - 1)
    }

    /// All bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.list.iter().map(|state| state.bytes).sum()
    }

    fn extents(&self) -> Vec<Extent<'_>> {
        let mut extents = Vec::with_capacity(self.list.len());
        for state in &self.list {
            extents.push(Extent {
                number: state.file.number,
                chain: &state.file.chain,
                bytes: state.bytes,
                last_arrival: state.last_arrival,
                services: state.counts.keys().collect(),
            });
        }
        extents
    }

    /// The file to drop so that fewer bytes are kept.
    pub(crate) fn to_shrink(&self) -> Option<u64> {
        chain::to_shrink(&self.extents())
    }

    /// A file of which everything came before `horizon`.
    pub(crate) fn to_expire(&self, horizon: u64) -> Option<u64> {
        chain::to_expire(&self.extents(), horizon)
    }

    /// Takes a file out of the list.
    pub(crate) fn take(&mut self, number: u64) -> Option<(Arc<BlockFile>, Counts)> {
        let place = self.list.iter().position(|state| state.file.number == number)?;
        let state = self.list.remove(place);
        self.publish();
        Some((state.file, state.counts))
    }

    /// Whether blocks are added to a file.
    pub(crate) fn is_growing(&self, number: u64) -> bool {
        self.list.iter().any(|state| state.is_growing && state.file.number == number)
    }

    /// Puts one block in the place of some of the same file.
    pub(crate) fn merge(&mut self, small: &[Arc<Block>], merged: Encoded) -> Result<Arc<Block>, WriteError> {
        let file = small.first().map(|block| block.file.clone()).ok_or(WriteError::Closed)?;
        let block = Arc::new(file.merge(small, merged)?);
        if let Some(state) = self.list.iter_mut().find(|state| state.file.number == file.number) {
            state.bytes = state.file.bytes();
        }
        self.publish();
        Ok(block)
    }

    /// A block of a file is set aside: what it held is not counted there any more.
    pub(crate) fn set_aside(&mut self, block: &Block) -> Result<Counts, WriteError> {
        block.file.set_aside(block.id)?;
        let state = self.list.iter_mut().find(|state| state.file.number == block.file.number);
        let mut gone = Counts::new();
        for (service, spans, logs) in &block.head.services {
            gone.insert(service.clone(), (*spans, *logs));
        }
        for (service, (spans, logs)) in state.into_iter().flat_map(|state| &mut state.counts) {
            let (spans_gone, logs_gone) = gone.get(service).copied().unwrap_or_default();
            *spans -= spans_gone;
            *logs -= logs_gone;
        }
        Ok(gone)
    }

    fn publish(&self) {
        self.sums.bytes.store(self.bytes(), Ordering::Relaxed);
        self.sums.files.store(self.list.len() as u64, Ordering::Relaxed);
    }
}

/// How many spans of which trace some blocks have: for each chunk of the traces, by the first byte of their
/// hash, the hash and the number.
pub(crate) fn spans_by_trace(blocks: &[Arc<Block>]) -> Result<Vec<(u8, Vec<u8>)>, ReadError> {
    let cache = Cache::new(0);
    let mut counts: HashMap<u64, u64> = HashMap::new();
    for block in blocks.iter().filter(|block| block.head.spans > 0) {
        let reader = BlockReader::new(&**block, &cache);
        let (traces, rows) = (reader.traces()?, reader.numbers(id::TRACE_OF_ROW)?);
        let hashes: Vec<u64> = traces.iter().copied().map(bloom::of_trace).collect();
        for row in 0..rows.len() {
            let trace = usize::try_from(rows.get(row)).ok().and_then(|trace| hashes.get(trace));
            if let Some(hash) = trace {
                *counts.entry(*hash).or_default() += 1;
            }
        }
    }
    let mut sorted: Vec<(u64, u64)> = counts.into_iter().collect();
    sorted.sort_unstable();
    let mut chunks: Vec<(u8, Vec<u8>)> = Vec::new();
    for (hash, spans) in sorted {
        let number = chunk_of(hash);
        if chunks.last().is_none_or(|(last, _)| *last != number) {
            chunks.push((number, Vec::new()));
        }
        if let Some((_, chunk)) = chunks.last_mut() {
            chunk.extend_from_slice(&hash.to_be_bytes());
            put_varint(chunk, spans);
        }
    }
    Ok(chunks)
}

/// In which chunk a trace is.
pub(crate) fn chunk_of(hash: u64) -> u8 {
    hash.to_be_bytes()[0]
}

/// The number of spans that a chunk says of a trace.
pub(crate) fn spans_of_trace(chunk: Vec<u8>, hash: u64) -> u64 {
    let mut reader = crate::block::bytes::Reader::new(chunk.into());
    let wanted = hash.to_be_bytes();
    while let Ok(found) = reader.take(8) {
        let Ok(spans) = reader.varint() else { return 0 };
        if *found == wanted {
            return spans;
        }
    }
    0
}

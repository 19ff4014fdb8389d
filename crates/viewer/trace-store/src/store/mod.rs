//! Spans in files: a journal, and blocks of columns.
//!
//! ```text
//! append -> pack -> [writer thread: journal.db, one commit for all that wait] -> head in memory -> answer
//! head -> [flush thread: sort, encode, blocks/<chain>-<number>.db] -> shown in place of the head -> rows deleted
//! small blocks -> [flush thread, when it has nothing else to do] -> one
//! find, traces, ... -> a snapshot: blocks (their heads in memory, their columns through a cache) and the head
//! ```
//!
//! Invariants:
//! - An acknowledged record is in the journal or in a block on the disk, and readers see it in exactly one
//!   place.
//! - Block files are only added to and dropped as a whole, but for small blocks that become one; what is dropped is in
//!   the ledger, and so is a block that turns out to be damaged.
//! - Memory holds what is not in blocks yet, which is bounded, the heads of the blocks, and a bounded cache.
//!
//! Packing and admission happen on the thread of whoever appends, so that the writer thread only writes.
//! Block files are always forced to the disk at a block, also with [`crate::Durability::EverySecond`]: the journal
//! forgets the rows right after.

mod chain;
mod error;
mod file;
mod files;
mod find;
mod flush;
mod head;
mod journal;
mod logs;
mod merge;
mod open;
mod outage;
mod packer;
mod read;
mod room;
mod survey;
#[cfg(test)]
mod tests;
mod writer;

pub use error::OpenError;

use crate::{
    AppendError, Columns, Found, FoundLogs, Ledger, LogQuery, Query, ReadError, Receipt, Settings,
    SpanFilter, Survey, Surveyed, TraceStore, Usage, block::cache::Cache, recent::Payload,
};
use files::Sums;
use flush::Wake;
use futures_util::future::{BoxFuture, FutureExt, ready};
use journal::EvictedReader;
use std::{
    cell::Cell,
    fs::File,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::Sender,
    },
    thread::JoinHandle,
};
use tokio::sync::oneshot;
use waypost_trace_model::{
    Batch, LogRecord, RefusalReason, Skeleton, Span, SpanId, Text, Trace, TraceId, TraceSummary,
};
use waypost_trace_statistics::Statistics;
use writer::{Command, Pending, Shared, Trouble};

/// What a batch takes on its way beside its bytes.
const PENDING_OVERHEAD: usize = 256;

/// Bytes of heads, unpacked, beyond which no more is taken.
const HEAD_BYTES: usize = 128 << 20;

/// A [`TraceStore`] of blocks of columns in SQLite files.
///
/// Dropping it stops its threads; what was acknowledged is safe. [`TraceStore::close`] also writes the last
/// blocks.
#[derive(Debug)]
pub struct BlockStore {
    shared: Arc<Shared>,
    cache: Cache,
    evicted: EvictedReader,
    journal_path: PathBuf,
    sums: Arc<Sums>,
    commands: Sender<Command>,
    wakes: Sender<Wake>,
    is_closed: Arc<AtomicBool>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    #[cfg(test)]
    faults: Arc<tests::Faults>,
    /// Held as long as the store is open, so that no other process opens the folder. The last field: it is
    /// dropped when every file is closed.
    _lock: FolderLock,
}

/// The lock of the folder.
#[derive(Debug)]
struct FolderLock(File);

impl Drop for FolderLock {
    fn drop(&mut self) {
        // Closing is not enough: a process that is being started by another thread has a copy of the file for
        // a moment.
        let _ = self.0.unlock();
    }
}

impl BlockStore {
    /// Opens the store in a folder, which is made when it is not there. Reads back what the journal has and
    /// the heads of all blocks. A block file that is damaged is set aside under the name `<name>.damaged` and
    /// counted as evicted.
    pub fn open(folder: &Path, settings: Settings) -> Result<BlockStore, OpenError> {
        Self::open_with(folder, settings, || {})
    }

    /// As [`BlockStore::open`]; `on_idle` is called by each of the store's own threads before it waits for more to do.
    pub fn open_with(folder: &Path, settings: Settings, on_idle: fn()) -> Result<BlockStore, OpenError> {
        open::open(folder, settings, on_idle)
    }

    /// Makes blocks of what waits in the head, now. Resolves when they are on the disk.
    pub fn flush(&self) -> BoxFuture<'static, Result<(), AppendError>> {
        let (reply, answer) = oneshot::channel();
        if self.is_closed.load(Ordering::Acquire) || self.wakes.send(Wake::Flush(reply)).is_err() {
            return ready(Err(AppendError::Closed)).boxed();
        }
        async move { answer.await.unwrap_or(Err(AppendError::Closed)) }.boxed()
    }

    /// Merges small blocks, now, until there are none that are to be merged.
    pub fn merge(&self) -> BoxFuture<'static, Result<(), AppendError>> {
        let (reply, answer) = oneshot::channel();
        if self.is_closed.load(Ordering::Acquire) || self.wakes.send(Wake::Merge(reply)).is_err() {
            return ready(Err(AppendError::Closed)).boxed();
        }
        async move { answer.await.unwrap_or(Err(AppendError::Closed)) }.boxed()
    }

    /// Does the work of an append and sends the batch on its way, or says that there is no room for it at the moment.
    fn send(&self, batch: &Arc<Batch>) -> Result<Sent, AppendError> {
        if self.is_closed.load(Ordering::Acquire) {
            return Err(AppendError::Closed);
        }
        let payload = Payload::of(batch);
        let bytes = payload.len() + PENDING_OVERHEAD;
        if !self.has_room(bytes) {
            self.shared.refuse(batch, RefusalReason::Overloaded);
            return Err(AppendError::Overloaded);
        }
        let digest = (payload.len() > 0).then(|| payload.digest());
        let (batch, refused) = self.admit(batch);
        let packer = &self.shared.packer;
        let rows = if refused.is_empty() { packer.pack(&payload) } else { packer.pack(&Payload::of(&batch)) };
        let (reply, answer) = oneshot::channel();
        let rows = rows.map_err(|error| {
            self.shared.refuse(&batch, RefusalReason::Disk);
            give_up(&self.shared, &batch, bytes);
            AppendError::Failed(error.to_string())
        })?;
        let footprint = batch.footprint() + payload.len();
        let room = self.shared.room.try_take(footprint);
        let has_room = room.is_some();
        let pending = Pending { batch, refused, rows, digest, bytes, footprint, room, reply };
        if !has_room {
            return Ok(Sent::Blocked(pending, answer));
        }
        hand_over(&self.commands, &self.shared, pending)?;
        Ok(Sent::UnderWay(answer))
    }

    /// Answers a question from what can be read: a block that turns out to be damaged is set aside and counted as evicted,
    /// and the question is answered without it.
    fn without_damage<T>(&self, ask: impl Fn() -> Result<T, ReadError>) -> Result<T, ReadError> {
        loop {
            match ask() {
                // Each time there is one block less.
                Err(error) if self.set_aside(&error) => {}
                answer => return answer,
            }
        }
    }

    /// Whether the error is about a block, which no reader sees from now on.
    fn set_aside(&self, error: &ReadError) -> bool {
        if let Some(damaged) = self.shared.view.take_out(error) {
            let _ = self.wakes.send(Wake::Damaged(damaged));
        }
        // Another reader may have been the first, or the block was merged while this one read it.
        matches!(error, ReadError::Damaged { .. })
    }

    /// Reserves room for bytes on their way to the journal, if there is some.
    fn has_room(&self, bytes: usize) -> bool {
        let settings = &self.shared.settings;
        let waiting = self.shared.pending.fetch_add(bytes, Ordering::Relaxed);
        let max_bytes = HEAD_BYTES.min(usize::try_from(settings.budget_bytes).unwrap_or(usize::MAX));
        let has_head_room = {
            let current = &self.shared.view.read().current;
            current.bytes < max_bytes
        };
        let has_room = (waiting == 0 || waiting + bytes <= settings.pending_bytes) && has_head_room;
        if !has_room {
            self.shared.pending.fetch_sub(bytes, Ordering::Relaxed);
        }
        has_room
    }

    /// The batch without the spans whose trace is full, and whose those are.
    fn admit(&self, batch: &Arc<Batch>) -> (Arc<Batch>, Vec<(Text, TraceId)>) {
        let is_admitted: Vec<bool> = {
            let mut sizes = self.shared.sizes();
            batch.spans.iter().map(|span| sizes.admit(span.trace_id)).collect()
        };
        if !is_admitted.contains(&false) {
            return (batch.clone(), Vec::new());
        }
        let (mut kept, mut refused) = (Vec::new(), Vec::new());
        for (span, is_admitted) in batch.spans.iter().zip(is_admitted) {
            if is_admitted {
                kept.push(span.clone());
            } else {
                refused.push((span.service().clone(), span.trace_id));
            }
        }
        let batch =
            Batch { spans: kept, logs: batch.logs.clone(), refused: batch.refused.clone(), wire: None };
        (Arc::new(batch), refused)
    }
}

type Answer = oneshot::Receiver<Result<Receipt, AppendError>>;

/// A batch that was appended.
enum Sent {
    /// To the journal.
    UnderWay(Answer),
    /// It waits for room in memory.
    Blocked(Pending, Answer),
}

fn hand_over(commands: &Sender<Command>, shared: &Shared, pending: Pending) -> Result<(), AppendError> {
    let (batch, bytes) = (pending.batch.clone(), pending.bytes);
    commands.send(Command::Append(pending)).map_err(|_| {
        give_up(shared, &batch, bytes);
        AppendError::Closed
    })
}

/// Undoes what was reserved for a batch.
fn give_up(shared: &Shared, batch: &Batch, bytes: usize) {
    shared.pending.fetch_sub(bytes, Ordering::Relaxed);
    shared.release(batch);
}

/// Undoes what was reserved for a batch that waits for room, should nobody wait for it any longer.
struct Waiting {
    shared: Arc<Shared>,
    batch: Arc<Batch>,
    bytes: usize,
    is_over: bool,
}

impl Waiting {
    /// It has its room.
    fn end(mut self) {
        self.is_over = true;
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if !self.is_over {
            self.shared.refuse(&self.batch, RefusalReason::Overloaded);
            give_up(&self.shared, &self.batch, self.bytes);
        }
    }
}

/// Sends a batch on its way as soon as there is room for it, or refuses it.
fn send_later(
    commands: Sender<Command>,
    shared: Arc<Shared>,
    mut pending: Pending,
    answer: Answer,
) -> impl Future<Output = Result<Receipt, AppendError>> + Send + 'static {
    let (batch, bytes) = (pending.batch.clone(), pending.bytes);
    // Made before the future is polled, which may never be.
    let waiting = Waiting { shared: shared.clone(), batch, bytes, is_over: false };
    async move {
        pending.room = Some(shared.room.take(pending.footprint).await.ok_or(AppendError::Overloaded)?);
        waiting.end();
        hand_over(&commands, &shared, pending)?;
        answer.await.unwrap_or(Err(AppendError::Closed))
    }
}

impl TraceStore for BlockStore {
    fn append(&self, batch: Arc<Batch>) -> BoxFuture<'static, Result<Receipt, AppendError>> {
        match self.send(&batch) {
            Ok(Sent::UnderWay(answer)) => {
                async move { answer.await.unwrap_or(Err(AppendError::Closed)) }.boxed()
            }
            Ok(Sent::Blocked(pending, answer)) => {
                send_later(self.commands.clone(), self.shared.clone(), pending, answer).boxed()
            }
            Err(error) => ready(Err(error)).boxed(),
        }
    }

    fn find(&self, query: &Query) -> Result<Found, ReadError> {
        self.without_damage(|| find::find(&self.shared.view.snapshot()?, &self.cache, query))
    }

    fn summaries(&self, traces: &[TraceId]) -> Result<Vec<TraceSummary>, ReadError> {
        self.without_damage(|| self.reader()?.summaries(traces))
    }

    fn skeleton(&self, trace: TraceId) -> Result<Option<Skeleton>, ReadError> {
        self.without_damage(|| self.reader()?.skeleton(trace))
    }

    fn matching(&self, trace: TraceId, filter: &SpanFilter, limit: usize) -> Result<Vec<SpanId>, ReadError> {
        self.without_damage(|| self.reader()?.matching(trace, filter, limit))
    }

    fn spans(&self, trace: TraceId, spans: &[SpanId]) -> Result<(Vec<Span>, Vec<LogRecord>), ReadError> {
        self.without_damage(|| self.reader()?.spans(trace, spans))
    }

    fn logs(&self, query: &LogQuery) -> Result<FoundLogs, ReadError> {
        self.without_damage(|| self.reader()?.logs_of(query))
    }

    fn traces(&self, traces: &[TraceId]) -> Result<Vec<Trace>, ReadError> {
        self.without_damage(|| self.reader()?.traces(traces))
    }

    fn survey(&self, survey: &Survey, visit: &mut dyn FnMut(&Columns)) -> Result<Surveyed, ReadError> {
        let has_visited = Cell::new(false);
        let mut visit = |columns: &Columns| {
            has_visited.set(true);
            visit(columns);
        };
        loop {
            match survey::survey(&self.shared.view.snapshot()?, &self.cache, survey, &mut visit) {
                Err(error) if self.set_aside(&error) => {}
                done => return done,
            }
            // What was visited cannot be taken back, and would be visited again.
            if has_visited.get() {
                return Err(ReadError::Failed(
                    "a damaged block was set aside meanwhile; ask again".to_owned(),
                ));
            }
        }
    }

    fn statistics(&self) -> &Statistics {
        &self.shared.statistics
    }

    fn ledger(&self) -> Ledger {
        self.shared.book().ledger()
    }

    fn usage(&self) -> Usage {
        let settings = &self.shared.settings;
        let (spans, logs) = self.shared.book().stored();
        let Trouble { journal, blocks } = self.shared.trouble().clone();
        let trouble = journal.or(blocks);
        let (oldest, newest) = {
            let view = self.shared.view.read();
            let head = view.flushing.batches.iter().chain(&view.current.batches);
            let starts = head.flat_map(|batch| batch.batch.spans.iter().map(|span| (span.start, span.start)));
            let blocks = view.blocks.iter().filter(|block| block.head.spans > 0);
            let bounds =
                starts.chain(blocks.map(|block| (block.head.zone.min_start, block.head.zone.max_start)));
            let widest = bounds.reduce(|wide, next| (wide.0.min(next.0), wide.1.max(next.1)));
            (widest.map(|bounds| bounds.0), widest.map(|bounds| bounds.1))
        };
        Usage {
            spans,
            logs,
            bytes: self.sums.bytes.load(Ordering::Relaxed) + flush::journal_bytes(&self.journal_path),
            budget: settings.budget_bytes,
            keeps_for: settings.keeps_for_nanos(),
            oldest,
            newest,
            files: self.sums.files.load(Ordering::Relaxed),
            trouble,
        }
    }

    fn close(&self) -> BoxFuture<'static, ()> {
        let (flushed, is_flushed) = oneshot::channel();
        let (closed, is_closed) = oneshot::channel();
        if self.is_closed.swap(true, Ordering::AcqRel) || self.wakes.send(Wake::Close(flushed)).is_err() {
            return ready(()).boxed();
        }
        let commands = self.commands.clone();
        async move {
            let _ = is_flushed.await;
            if commands.send(Command::Close(closed)).is_ok() {
                let _ = is_closed.await;
            }
        }
        .boxed()
    }
}

/// Ends the threads and waits for them, so that the folder can be opened again.
impl Drop for BlockStore {
    fn drop(&mut self) {
        let _ = self.wakes.send(Wake::Stop);
        let threads = std::mem::take(self.threads.get_mut().unwrap_or_else(PoisonError::into_inner));
        let mut threads = threads.into_iter();
        if let Some(flusher) = threads.next() {
            let _ = flusher.join();
        }
        let (done, _) = oneshot::channel();
        let _ = self.commands.send(Command::Close(done));
        threads.for_each(|thread| drop(thread.join()));
    }
}

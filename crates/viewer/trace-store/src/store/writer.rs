//! The thread that owns the journal: it takes what waits, commits it once, shows it to readers, and answers
//! all.
//!
//! The order keeps the promises: nothing is shown or answered before it is durable, and nothing is answered
//! before it is shown. What cannot be written is refused and counted; the counts are written with the next
//! commit that succeeds.

use crate::{
    AppendError, Durability, EvictionReason, Receipt, Settings,
    book::{Book, Changes},
    clock,
    losses::{self, Loss, Losses, TraceSizes},
    recent::{Digest, Recent},
    store::{
        error::WriteError,
        files::Counts,
        head::{HeadBatch, SharedView},
        journal::{Beside, Checkpoint, Journal, Row},
        outage::Outage,
        packer::Packer,
        room::Room,
    },
};
use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
        mpsc::{Receiver, RecvTimeoutError, Sender},
    },
    time::{Duration, Instant},
};
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use waypost_trace_model::{Batch, RefusalReason, Text, TraceId};
use waypost_trace_statistics::Statistics;

/// The most bytes of one commit, so that the first of a long queue does not wait for the last.
const GROUP_BYTES: usize = 4 << 20;

/// How often commits are forced to the disk when each is not.
const SYNC_EVERY: Duration = Duration::from_secs(1);

/// A checkpoint of the statistics takes at most this part of the time: one in so many.
const CHECKPOINT_PART: u32 = 20;

/// The least time between two checkpoints, unless the store ends: under load blocks are made several times a second, and each checkpoint
/// writes all the figures.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(1);

/// What the threads and the readers share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) settings: Settings,
    pub(crate) view: SharedView,
    pub(crate) statistics: Statistics,
    /// Bytes of batches that wait for the journal.
    pub(crate) pending: AtomicUsize,
    /// For batches from their way to the journal until they are in blocks.
    pub(crate) room: Room,
    pub(crate) packer: Packer,
    book: Mutex<Book>,
    losses: Mutex<Losses>,
    sizes: Mutex<TraceSizes>,
    trouble: Mutex<Trouble>,
}

/// What fails at present.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trouble {
    pub(crate) journal: Option<String>,
    pub(crate) blocks: Option<String>,
}

impl Shared {
    pub(crate) fn new(settings: Settings, statistics: Statistics, book: Book, losses: Losses) -> Shared {
        Shared {
            view: SharedView::default(),
            statistics,
            pending: AtomicUsize::new(0),
            room: Room::default(),
            packer: Packer::default(),
            book: Mutex::new(book),
            losses: Mutex::new(losses),
            sizes: Mutex::new(TraceSizes::new(settings.spans_per_trace)),
            trouble: Mutex::default(),
            settings,
        }
    }

    pub(crate) fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn losses(&self) -> MutexGuard<'_, Losses> {
        self.losses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn sizes(&self) -> MutexGuard<'_, TraceSizes> {
        self.sizes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn trouble(&self) -> MutexGuard<'_, Trouble> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes spans that were admitted and are not kept out of the sizes of their traces.
    pub(crate) fn release(&self, batch: &Batch) {
        let mut sizes = self.sizes();
        for span in &batch.spans {
            sizes.release(span.trace_id);
        }
    }

    /// Counts a batch that is not kept.
    pub(crate) fn refuse(&self, batch: &Batch, reason: RefusalReason) {
        let mut changes = Changes::default();
        changes.refuse_batch(batch, reason);
        self.book().enter(&changes);
    }
}

/// A batch on its way to the journal.
#[derive(Debug)]
pub(crate) struct Pending {
    /// What is to be kept.
    pub(crate) batch: Arc<Batch>,
    /// Spans that the store refuses because their trace is full.
    pub(crate) refused: Vec<(Text, TraceId)>,
    pub(crate) rows: Vec<Row>,
    /// Of the request as it came; `None` when it brought no records.
    pub(crate) digest: Option<Digest>,
    /// Bytes unpacked, as counted in [`Shared::pending`].
    pub(crate) bytes: usize,
    /// What it takes in memory.
    pub(crate) footprint: usize,
    /// For its footprint; `None` while it waits for some.
    pub(crate) room: Option<OwnedSemaphorePermit>,
    pub(crate) reply: oneshot::Sender<Result<Receipt, AppendError>>,
}

type Reply<T> = oneshot::Sender<Result<T, WriteError>>;

/// What the thread is asked to do.
#[derive(Debug)]
pub(crate) enum Command {
    Append(Pending),
    /// The rows up to this one are in blocks.
    Finish {
        up_to: i64,
        must_checkpoint: bool,
        reply: Reply<()>,
    },
    /// A file is about to be removed; its records are entered as evicted.
    Drop(DropFile, Reply<()>),
    /// A block is not read any more: spans and log records of each service in it.
    SetAside(Counts, Reply<()>),
    /// The file was removed.
    Dropped {
        path: String,
        reply: Reply<()>,
    },
    /// Writes what is unwritten and ends.
    Close(oneshot::Sender<()>),
    #[cfg(test)]
    Pragma(String, oneshot::Sender<()>),
}

/// A file that is to be removed.
#[derive(Debug)]
pub(crate) struct DropFile {
    pub(crate) path: String,
    pub(crate) number: u64,
    pub(crate) evicted: Vec<(u8, Vec<u8>)>,
    pub(crate) reason: EvictionReason,
    /// Spans and log records of each service.
    pub(crate) counts: Counts,
}

/// The thread's own state.
#[derive(Debug)]
pub(crate) struct Writer {
    pub(crate) shared: Arc<Shared>,
    pub(crate) journal: Journal,
    pub(crate) recent: Recent,
    /// The last row that was written.
    pub(crate) last_row: i64,
    pub(crate) flush: Sender<super::flush::Wake>,
    /// `None` before the first.
    pub(crate) last_checkpoint: Option<Instant>,
    pub(crate) checkpoint_cost: Duration,
    /// The journal has forgotten rows that no checkpoint counts yet: after a crash figures would be short of them.
    pub(crate) owes_checkpoint: bool,
    pub(crate) outage: Outage,
    pub(crate) on_idle: fn(),
}

impl Writer {
    /// Works until it is told to close, or nobody is left to tell it.
    pub(crate) fn run(mut self, commands: &Receiver<Command>) {
        let mut last_sync = Instant::now();
        loop {
            (self.on_idle)();
            let command = match commands.recv_timeout(SYNC_EVERY) {
                Ok(command) => Some(command),
                Err(RecvTimeoutError::Timeout) => {
                    self.shared.packer.rest();
                    None
                }
                Err(RecvTimeoutError::Disconnected) => break,
            };
            let mut next = command;
            while let Some(command) = next.take() {
                match command {
                    Command::Append(first) => next = self.append(first, commands),
                    Command::Close(done) => {
                        self.close();
                        let _ = done.send(());
                        return;
                    }
                    other => self.perform(other),
                }
            }
            if self.owes_checkpoint
                && self.is_checkpoint_due()
                && let Err(error) = self.finish(0, true)
            {
                tracing::warn!(%error, "the figures of services and operations could not be written; they are with the next block");
            }
            if self.shared.settings.sync == Durability::EverySecond && last_sync.elapsed() >= SYNC_EVERY {
                last_sync = Instant::now();
                if let Err(error) = self.journal.sync() {
                    tracing::error!(%error, "the journal could not be forced to the disk");
                    self.shared.trouble().journal = Some(error.to_string());
                }
            }
        }
    }

    fn perform(&mut self, command: Command) {
        match command {
            Command::Finish { up_to, must_checkpoint, reply } => {
                let _ = reply.send(self.finish(up_to, must_checkpoint).map_err(WriteError::from));
            }
            Command::Drop(file, reply) => {
                let _ = reply.send(self.drop_file(&file).map_err(WriteError::from));
            }
            Command::SetAside(counts, reply) => {
                let _ = reply.send(self.set_aside(&counts).map_err(WriteError::from));
            }
            Command::Dropped { path, reply } => {
                let _ = reply.send(self.journal.dropped(&path).map_err(WriteError::from));
            }
            #[cfg(test)]
            Command::Pragma(pragma, reply) => {
                self.journal.pragma(&pragma);
                let _ = reply.send(());
            }
            Command::Append(_) | Command::Close(_) => {}
        }
    }

    /// Commits this batch and those that wait behind it; returns the first other command that it found.
    fn append(&mut self, first: Pending, commands: &Receiver<Command>) -> Option<Command> {
        let mut bytes = first.bytes;
        let mut group = vec![first];
        let mut other = None;
        while bytes < GROUP_BYTES {
            match commands.try_recv() {
                Ok(Command::Append(pending)) => {
                    bytes += pending.bytes;
                    group.push(pending);
                }
                Ok(command) => {
                    other = Some(command);
                    break;
                }
                Err(_) => break,
            }
        }
        self.commit(group);
        self.shared.pending.fetch_sub(bytes, Ordering::Relaxed);
        other
    }

    fn commit(&mut self, group: Vec<Pending>) {
        let (repeats, group): (Vec<Pending>, Vec<Pending>) = group
            .into_iter()
            .partition(|pending| pending.digest.is_some_and(|digest| self.recent.contains(digest)));
        let mut seen: Vec<Digest> = Vec::new();
        // The same request twice in one group: the second one shares the fate of the first.
        let (twins, group): (Vec<Pending>, Vec<Pending>) = group.into_iter().partition(|pending| {
            let Some(digest) = pending.digest else { return false };
            let is_twin = seen.contains(&digest);
            seen.push(digest);
            is_twin
        });
        let mut changes = Changes::default();
        let mut losses: Vec<Loss> = Vec::new();
        for pending in &group {
            changes.keep(&pending.batch.spans, &pending.batch.logs);
            changes.refuse_as_told(&pending.batch);
            losses.extend(losses::told(&pending.batch));
            for (service, trace) in &pending.refused {
                changes.refuse(service, RefusalReason::TraceLimit, 1, 0);
                losses.push(Loss { trace: *trace, reason: RefusalReason::TraceLimit, spans: 1 });
            }
        }
        self.answer_repeats(repeats);
        let beside = Beside {
            ledger: self.shared.book().rows(&changes),
            losses,
            digests: group.iter().filter_map(|pending| pending.digest).collect(),
        };
        let rows: Vec<&Row> = group.iter().flat_map(|pending| &pending.rows).collect();
        match self.journal.append(&rows, &beside) {
            Ok(last) => {
                self.last_row = last.unwrap_or(self.last_row);
                self.shared.book().enter(&changes);
                self.shared.book().written(&beside.ledger);
                self.shared.losses().add_all(&beside.losses);
                self.shared.trouble().journal = None;
                if let Some(untold) = self.outage.worked() {
                    tracing::info!(failures = untold, "the journal can be written again");
                }
                self.publish(group);
                self.answer_repeats(twins);
            }
            Err(error) => self.fail(group.into_iter().chain(twins).collect(), &error.into()),
        }
    }

    /// Says that these requests are kept already.
    fn answer_repeats(&self, repeats: Vec<Pending>) {
        let mut changes = Changes::default();
        for pending in &repeats {
            self.shared.release(&pending.batch);
            changes.refuse_batch(&pending.batch, RefusalReason::Repeated);
            for (service, _) in &pending.refused {
                changes.refuse(service, RefusalReason::Repeated, 1, 0);
            }
        }
        self.shared.book().enter(&changes);
        for pending in repeats {
            let _ = pending.reply.send(Ok(Receipt { is_repeat: true, ..Receipt::default() }));
        }
    }

    fn fail(&mut self, group: Vec<Pending>, error: &WriteError) {
        if let Some(failures) = self.outage.failed(Instant::now()) {
            tracing::error!(%error, failures, "batches could not be written to the journal and are refused");
        }
        self.shared.trouble().journal = Some(error.to_string());
        for pending in group {
            self.shared.release(&pending.batch);
            self.shared.refuse(&pending.batch, RefusalReason::Disk);
            let mut changes = Changes::default();
            for (service, _) in &pending.refused {
                changes.refuse(service, RefusalReason::TraceLimit, 1, 0);
            }
            self.shared.book().enter(&changes);
            let _ = pending.reply.send(Err(error.to_append_error()));
        }
    }

    /// Shows batches that are durable, and answers for them.
    fn publish(&mut self, mut group: Vec<Pending>) {
        let (seq, arrival) = (self.last_row, clock::now());
        let has_records = |pending: &&mut Pending| !pending.rows.is_empty();
        let is_full = {
            let mut view = self.shared.view.write();
            for pending in group.iter_mut().filter(has_records) {
                // All of a group have the number of its last row: they become blocks together.
                let arrival = pending.rows.first().map_or(arrival, |row| row.arrival);
                let (batch, bytes, footprint) = (pending.batch.clone(), pending.bytes, pending.footprint);
                let head = HeadBatch { batch, seq, arrival, bytes, footprint };
                view.current.keep(Arc::new(head), pending.room.take());
            }
            super::flush::is_full(&view.current, &self.shared.settings)
        };
        for pending in &group {
            self.shared.statistics.observe(&pending.batch, arrival);
        }
        for digest in group.iter().filter_map(|pending| pending.digest) {
            self.recent.insert(digest);
        }
        if is_full {
            let _ = self.flush.send(super::flush::Wake::Full);
        }
        for pending in group {
            let _ = pending.reply.send(Ok(Receipt {
                spans: pending.batch.spans.len() as u64,
                logs: pending.batch.logs.len() as u64,
                trace_limit: pending.refused.len() as u64,
                is_repeat: false,
            }));
        }
    }

    fn is_checkpoint_due(&self) -> bool {
        let pause = CHECKPOINT_EVERY.max(self.checkpoint_cost * CHECKPOINT_PART);
        self.last_checkpoint.is_none_or(|last| last.elapsed() >= pause)
    }

    /// Forgets the rows up to this one, 0 for none, and writes the figures down when that is due.
    fn finish(&mut self, up_to: i64, must_checkpoint: bool) -> rusqlite::Result<()> {
        let begun = Instant::now();
        let is_due = must_checkpoint || self.is_checkpoint_due();
        let checkpoint =
            is_due.then(|| Checkpoint { seq: self.last_row, bytes: self.shared.statistics.checkpoint() });
        if is_due {
            // Also of one that cannot be written, or a full disk would be tried at once again.
            self.last_checkpoint = Some(begun);
        }
        let ledger = self.shared.book().rows(&Changes::default());
        self.journal.finish(up_to, &ledger, checkpoint.as_ref())?;
        if is_due {
            self.checkpoint_cost = begun.elapsed();
        }
        self.owes_checkpoint = !is_due;
        self.shared.book().written(&ledger);
        Ok(())
    }

    /// Should this not be written, the next start finds the same records missing and counts them in the same way.
    fn set_aside(&mut self, counts: &Counts) -> rusqlite::Result<()> {
        let mut changes = Changes::default();
        for (service, (spans, logs)) in counts {
            changes.evict(service, EvictionReason::Damaged, *spans, *logs);
        }
        self.recent = Recent::new();
        self.shared.book().enter(&changes);
        let ledger = self.shared.book().rows(&Changes::default());
        self.journal.append(&[], &Beside { ledger: ledger.clone(), ..Beside::default() })?;
        self.shared.book().written(&ledger);
        Ok(())
    }

    fn drop_file(&mut self, file: &DropFile) -> rusqlite::Result<()> {
        let mut changes = Changes::default();
        for (service, (spans, logs)) in &file.counts {
            changes.evict(service, file.reason, *spans, *logs);
        }
        self.recent = Recent::new();
        let ledger = self.shared.book().rows(&changes);
        let written = self.journal.drop_file(&file.path, file.number, &file.evicted, &ledger);
        let mut book = self.shared.book();
        // The file goes even when the disk is too full to say so: that may be what makes room.
        book.enter(&changes);
        if written.is_ok() {
            book.written(&ledger);
        }
        written
    }

    fn close(mut self) {
        if self.owes_checkpoint
            && let Err(error) = self.finish(0, true)
        {
            tracing::error!(%error, "the last figures of services and operations could not be written");
        }
        let ledger = self.shared.book().rows(&Changes::default());
        let mut journal = self.journal;
        if let Err(error) = journal.append(&[], &Beside { ledger, ..Beside::default() }) {
            tracing::error!(%error, "the last changes of the ledger could not be written");
        }
        journal.close();
    }
}

//! The thread that makes blocks of what waits in the head, and drops what is too much or too old.
//!
//! A flush that fails is tried again with what it has: blocks that were written stay written, and the head
//! that it took stays readable. Only when all its blocks are on the disk are they shown in place of the head,
//! and then the journal forgets the rows. After a crash in between, the blocks are thrown away and the rows
//! are read again.

use crate::{
    AppendError, EvictionReason, Settings,
    block::encode::{Encoded, encode},
    clock,
    store::{
        chain::{self, Chain},
        error::WriteError,
        file::{self, Block, NewBlock},
        files::{self, Files},
        head::{Generation, HeadBatch},
        room::HEAD_ROOM,
        writer::{Command, DropFile, Shared},
    },
};
use foldhash::HashSet;
use std::{
    collections::BTreeMap,
    fs,
    path::PathBuf,
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, Sender},
    },
    time::{Duration, Instant},
};
use tokio::sync::oneshot;
use waypost_trace_model::{LogRecord, Span, Text};

/// The most bytes of a head, unpacked.
const HEAD_BYTES: u64 = 32 << 20;

/// A head becomes blocks when its first batch is this old.
const HEAD_AGE: Duration = Duration::from_mins(10);

/// Memory of a head that is worth a block when nothing comes to it any more: in blocks it takes a fiftieth of that.
const RESTING_ROOM: usize = HEAD_ROOM / 8;

/// How often ages are looked at.
const TICK: Duration = Duration::from_secs(1);

/// After a flush that failed, the next is not tried sooner.
const RETRY: Duration = Duration::from_secs(1);

/// What the thread is woken for.
#[derive(Debug)]
pub(crate) enum Wake {
    /// The head is full.
    Full,
    /// Somebody wants the head flushed, whatever it has.
    Flush(oneshot::Sender<Result<(), AppendError>>),
    /// Somebody wants small blocks merged.
    Merge(oneshot::Sender<Result<(), AppendError>>),
    /// Readers found a block that is damaged, and do not see it any more.
    Damaged(Arc<Block>),
    /// Flush and end.
    Close(oneshot::Sender<()>),
    /// End.
    Stop,
}

/// Whether a head should become blocks.
pub(crate) fn is_full(head: &Generation, settings: &Settings) -> bool {
    is_full_to(head, settings, 1)
}

/// Whether it is full to a half, a third, and so on.
fn is_full_to(head: &Generation, settings: &Settings, part: usize) -> bool {
    let max_bytes = HEAD_BYTES.min(settings.budget_bytes / 16).max(1);
    head.records * part >= settings.head_spans
        || (head.bytes * part) as u64 >= max_bytes
        || head.footprint * part >= HEAD_ROOM
}

/// The thread's state.
#[derive(Debug)]
pub(crate) struct Flusher {
    pub(crate) shared: Arc<Shared>,
    pub(crate) journal: Sender<Command>,
    pub(crate) journal_path: PathBuf,
    pub(crate) files: Files,
    /// A flush that is not done.
    pub(crate) plan: Option<Plan>,
    /// The journal still has the rows up to this one, although they are in blocks that are shown.
    pub(crate) unfinished: Option<i64>,
    pub(crate) failed: Option<Instant>,
    /// Blocks that were merged, and whose contents readers may still hold.
    pub(crate) replaced: Vec<Arc<Block>>,
    pub(crate) on_idle: fn(),
    #[cfg(test)]
    pub(crate) faults: Arc<super::tests::Faults>,
}

/// The blocks that a head becomes.
#[derive(Debug)]
pub(crate) struct Plan {
    up_to: i64,
    to_write: Vec<(Chain, NewBlock)>,
    written: Vec<Arc<Block>>,
}

impl Flusher {
    /// Works until it is told to end, or nobody is left to tell it.
    pub(crate) fn run(mut self, wakes: &Receiver<Wake>) {
        loop {
            (self.on_idle)();
            match wakes.recv_timeout(TICK) {
                Ok(Wake::Full) => {
                    let is_full = is_full(&self.shared.view.read().current, &self.shared.settings);
                    if is_full && self.may_try() {
                        let _ = self.flush(false);
                    }
                }
                Ok(Wake::Flush(reply)) => {
                    let _ = reply.send(self.flush(false).map_err(|error| error.to_append_error()));
                }
                Ok(Wake::Merge(reply)) => {
                    let _ = reply.send(self.merge_all().map_err(|error| error.to_append_error()));
                }
                Ok(Wake::Damaged(block)) => self.set_aside(&block),
                Ok(Wake::Close(done)) => {
                    let _ = self.flush(true);
                    self.shared.view.write().is_closed = true;
                    let _ = done.send(());
                    return;
                }
                Err(RecvTimeoutError::Timeout) => self.tick(),
                Ok(Wake::Stop) | Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn may_try(&self) -> bool {
        self.failed.is_none_or(|failed| failed.elapsed() >= RETRY)
    }

    fn tick(&mut self) {
        let settings = &self.shared.settings;
        let age = match settings.keeps_for {
            Duration::ZERO => HEAD_AGE,
            keeps_for => HEAD_AGE.min(keeps_for / 4),
        };
        let is_due = {
            let current = &self.shared.view.read().current;
            let is_older = |arrival: Option<u64>, than: Duration| {
                let horizon = clock::now().saturating_sub(u64::try_from(than.as_nanos()).unwrap_or(u64::MAX));
                arrival.is_some_and(|arrival| arrival < horizon)
            };
            let rests = current.footprint >= RESTING_ROOM && is_older(current.newest(), settings.rests_after);
            is_full(current, settings) || is_older(current.oldest(), age) || rests
        };
        let is_unfinished = self.plan.is_some() || self.unfinished.is_some();
        if (is_due || is_unfinished) && self.may_try() {
            let _ = self.flush(false);
        } else if !is_unfinished {
            self.retain();
            if self.may_try()
                && let Err(error) = self.merge()
            {
                tracing::warn!(%error, "small blocks could not be merged; they stay as they are for now");
                self.failed = Some(Instant::now());
            }
        }
    }

    fn merge_all(&mut self) -> Result<(), WriteError> {
        while self.plan.is_none() && self.unfinished.is_none() && self.merge()? {}
        Ok(())
    }

    /// Makes blocks of the head and drops what is too much.
    fn flush(&mut self, must_checkpoint: bool) -> Result<(), WriteError> {
        let done = self.try_flush(must_checkpoint);
        self.failed = None;
        self.shared.trouble().blocks = None;
        if let Err(error) = &done {
            tracing::error!(%error, "the head could not be written to a block; it stays in the journal");
            self.shared.trouble().blocks = Some(error.to_string());
            self.failed = Some(Instant::now());
        }
        done
    }

    fn try_flush(&mut self, must_checkpoint: bool) -> Result<(), WriteError> {
        let mut plan = match self.plan.take() {
            Some(plan) => plan,
            None => self.plan()?,
        };
        while let Some((chain, new)) = plan.to_write.last() {
            match self.files.add(chain, new) {
                Ok(block) => plan.written.push(block),
                Err(error) => {
                    self.plan = Some(plan);
                    return Err(error);
                }
            }
            plan.to_write.pop();
        }
        #[cfg(test)]
        if self.faults.dies_before_finish() {
            return Err(WriteError::Closed);
        }
        if !plan.written.is_empty() {
            self.show(plan.written);
            self.unfinished = Some(plan.up_to);
        }
        self.finish(must_checkpoint)?;
        self.retain();
        Ok(())
    }

    /// Lets the journal forget what is in blocks.
    fn finish(&mut self, must_checkpoint: bool) -> Result<(), WriteError> {
        let up_to = self.unfinished.unwrap_or_default();
        if self.unfinished.is_some() || must_checkpoint {
            self.ask(|reply| Command::Finish { up_to, must_checkpoint, reply })?;
            self.unfinished = None;
        }
        Ok(())
    }

    /// Takes the head and encodes it. If that fails, the next attempt finds the same head.
    fn plan(&self) -> Result<Plan, WriteError> {
        let batches = {
            let mut view = self.shared.view.write();
            if view.flushing.batches.is_empty() {
                view.flushing = std::mem::take(&mut view.current);
            }
            view.flushing.batches.clone()
        };
        let Some((first, last)) = batches.first().cloned().zip(batches.last().cloned()) else {
            return Ok(Plan { up_to: 0, to_write: Vec::new(), written: Vec::new() });
        };
        let (first_arrival, last_arrival) = (first.arrival, last.arrival);
        let settings = &self.shared.settings;
        let mut to_write = Vec::new();
        for part in parts(batches, settings) {
            let spans = part.batches.iter().flat_map(|batch| &batch.batch.spans);
            let logs = part.batches.iter().flat_map(|batch| &batch.batch.logs);
            for (chain, spans, logs) in self.by_chain(&spans, &logs, is_full_to(&part, settings, 2)) {
                let encoded: Encoded = encode(&spans, &logs)?;
                // Every block is of all the rows: they are forgotten together.
                to_write.push((chain, NewBlock { encoded, last_row: last.seq, first_arrival, last_arrival }));
            }
        }
        // They are taken from the end.
        to_write.reverse();
        Ok(Plan { up_to: last.seq, to_write, written: Vec::new() })
    }

    /// Shows the blocks in place of the head that they were made of.
    fn show(&self, written: Vec<Arc<Block>>) {
        let mut view = self.shared.view.write();
        let blocks = view.blocks.iter().cloned().chain(written).collect();
        view.blocks = Arc::new(blocks);
        view.flushing = Generation::default();
    }

    fn ask(
        &self,
        command: impl FnOnce(oneshot::Sender<Result<(), WriteError>>) -> Command,
    ) -> Result<(), WriteError> {
        let (reply, answer) = oneshot::channel();
        self.journal.send(command(reply)).map_err(|_| WriteError::Closed)?;
        answer.blocking_recv().map_err(|_| WriteError::Closed)?
    }

    /// Drops files until what is kept is neither too old nor too much. Only called when the journal has no
    /// rows of any block: rows would come back after a crash.
    fn retain(&mut self) {
        let settings = &self.shared.settings;
        let (budget, keeps_for) = (settings.budget_bytes, settings.keeps_for_nanos());
        loop {
            let horizon = clock::now().saturating_sub(keeps_for);
            if keeps_for > 0
                && let Some(number) = self.files.to_expire(horizon)
            {
                self.drop_file(number, EvictionReason::Age);
                continue;
            }
            // The journal may not squeeze the blocks out, however long it is for the moment.
            let room = budget.saturating_sub(journal_bytes(&self.journal_path)).max(budget / 2);
            let Some(number) = self.files.to_shrink().filter(|_| self.files.bytes() > room) else { return };
            self.drop_file(number, EvictionReason::Size);
        }
    }

    pub(crate) fn set_aside(&mut self, block: &Block) {
        let path = block.file.path.display();
        let written =
            self.files.set_aside(block).and_then(|counts| self.ask(|reply| Command::SetAside(counts, reply)));
        if let Err(error) = written {
            tracing::error!(%error, %path, block = block.id, "a damaged block is set aside until the next start only");
        }
    }

    fn drop_file(&mut self, number: u64, reason: EvictionReason) {
        let Some((file, counts)) = self.files.take(number) else { return };
        let path = file.path.display().to_string();
        let (gone, kept): (Vec<Arc<Block>>, Vec<Arc<Block>>) =
            self.shared.view.read().blocks.iter().cloned().partition(|block| block.file.number == number);
        let evicted = files::spans_by_trace(&gone).unwrap_or_else(|error| {
            tracing::warn!(%error, path, "traces will not say how many of their spans went with this file");
            Vec::new()
        });
        let name = file.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let drop_file = DropFile { path: name.clone(), number, evicted, reason, counts };
        if let Err(error) = self.ask(|reply| Command::Drop(drop_file, reply)) {
            tracing::error!(%error, path, "a dropped file is not in the ledger on the disk yet");
        }
        self.shared.view.write().blocks = Arc::new(kept);
        if let Err(error) = file::remove(&file.path) {
            tracing::error!(%error, path, "a dropped file could not be removed; it is removed at the next start");
            return;
        }
        tracing::info!(path, reason = reason.name(), "dropped the oldest file");
        if let Err(error) = self.ask(|reply| Command::Dropped { path: name, reply }) {
            tracing::warn!(%error, path, "the journal still names a file that is gone");
        }
    }
}

/// Bytes of the journal and its log.
pub(crate) fn journal_bytes(path: &std::path::Path) -> u64 {
    let log = PathBuf::from(format!("{}-wal", path.display()));
    [path, &log].iter().filter_map(|path| fs::metadata(path).ok()).map(|metadata| metadata.len()).sum()
}

/// A head that grew while another was written, in parts that are full each, so that blocks are alike in size.
fn parts(batches: Vec<Arc<HeadBatch>>, settings: &Settings) -> Vec<Generation> {
    let mut parts = vec![Generation::default()];
    for batch in batches {
        if parts.last().is_some_and(|part| is_full(part, settings)) {
            parts.push(Generation::default());
        }
        if let Some(part) = parts.last_mut() {
            part.push(batch);
        }
    }
    parts
}

type Part<'a> = (Chain, Vec<&'a Span>, Vec<&'a LogRecord>);

impl Flusher {
    /// The records of each chain.
    fn by_chain<'a>(
        &self,
        spans: &(impl Iterator<Item = &'a Span> + Clone),
        logs: &(impl Iterator<Item = &'a LogRecord> + Clone),
        is_full: bool,
    ) -> Vec<Part<'a>> {
        let mut records: BTreeMap<Text, usize> = BTreeMap::new();
        let services = spans.clone().map(Span::service).chain(logs.clone().map(|log| &log.resource.service));
        for service in services {
            match records.get_mut(service) {
                Some(count) => *count += 1,
                None => drop(records.insert(crate::book::owned(service), 1)),
            }
        }
        let mut noisy = chain::noisy(&records, is_full);
        noisy.retain(|service| self.files.may_have_own(service));
        let names: HashSet<&str> = noisy.iter().map(|service| &**service).collect();
        let mut parts: Vec<Part<'a>> = Vec::new();
        let shared = spans.clone().filter(|span| !names.contains(&**span.service())).collect::<Vec<_>>();
        let shared_logs =
            logs.clone().filter(|log| !names.contains(&*log.resource.service)).collect::<Vec<_>>();
        parts.push((Chain::Shared, shared, shared_logs));
        for service in &noisy {
            let spans = spans.clone().filter(|span| span.service() == service).collect();
            let logs = logs.clone().filter(|log| log.resource.service == *service).collect();
            parts.push((Chain::Own(service.clone()), spans, logs));
        }
        parts.retain(|(_, spans, logs)| !spans.is_empty() || !logs.is_empty());
        parts
    }
}

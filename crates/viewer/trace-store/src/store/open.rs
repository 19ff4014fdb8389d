//! Opening a folder: what was left half done is finished or thrown away, and what was acknowledged is there.

use crate::{
    Settings,
    block::{bytes::Damaged, cache::Cache},
    book::Book,
    losses::Losses,
    recent::Recent,
    store::{
        BlockStore, FolderLock, OpenError,
        error::WriteError,
        file::{self, Block, BlockFile},
        files::Files,
        flush::{self, Flusher},
        head::HeadBatch,
        journal::{EvictedReader, Journal, Kind, Row, Told},
        writer::{Shared, Writer},
    },
};
use std::{
    fs::{self, File, TryLockError},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, atomic::AtomicBool, mpsc},
    thread,
    time::Duration,
};
use waypost_trace_model::{Batch, Limits, otlp};
use waypost_trace_statistics::{Bounds, Statistics};

/// Bytes of unpacked columns that are kept for the next question.
const CACHE_BYTES: usize = 32 << 20;

pub(crate) fn open(folder: &Path, settings: Settings, on_idle: fn()) -> Result<BlockStore, OpenError> {
    let unusable = |source| OpenError::Folder { path: folder.to_owned(), source };
    let blocks_folder = folder.join("blocks");
    fs::create_dir_all(&blocks_folder).map_err(unusable)?;
    let lock = lock(folder)?;
    let journal_path = folder.join("journal.db");
    let journal = Journal::open(&journal_path, &settings)?;
    let failed = |source| OpenError::Journal { path: journal_path.clone(), source };
    let mut told = journal.told().map_err(failed)?;
    for name in &told.dropped {
        file::remove(&blocks_folder.join(name)).map_err(unusable)?;
    }

    let mut files = Files::new(blocks_folder.clone(), &settings);
    let blocks = open_files(&blocks_folder, &mut files, told.first)?;
    let mut book = Book::restore(std::mem::take(&mut told.ledger));
    for (service, spans, logs) in blocks.iter().flat_map(|block| &block.head.services) {
        book.found(service, *spans, *logs);
    }
    let statistics = restore_statistics(&settings, &told);
    let mut losses = Losses::default();
    losses.add_all(&told.losses);
    let shared = Arc::new(Shared::new(settings, statistics, book, losses));
    shared.view.write().blocks = Arc::new(blocks);
    let last_row = replay(&journal, &shared, &told).map_err(failed)?;
    let (spans, logs) = shared.book().settle();
    if spans + logs > 0 {
        tracing::error!(
            spans,
            logs,
            "records are gone with files that cannot be read; they are counted as evicted"
        );
    }
    let mut recent = Recent::new();
    for digest in &told.digests {
        recent.insert(*digest);
    }
    let evicted = EvictedReader::open(&journal_path).map_err(failed)?;
    start(Parts { lock, journal_path, journal, files, shared, last_row, recent, evicted, on_idle })
}

struct Parts {
    lock: FolderLock,
    journal_path: PathBuf,
    journal: Journal,
    files: Files,
    shared: Arc<Shared>,
    last_row: i64,
    recent: Recent,
    evicted: EvictedReader,
    on_idle: fn(),
}

fn start(parts: Parts) -> Result<BlockStore, OpenError> {
    let Parts { lock, journal_path, journal, files, shared, last_row, recent, evicted, on_idle } = parts;
    let (commands, commands_in) = mpsc::channel();
    let (wakes, wakes_in) = mpsc::channel();
    let sums = files.sums();
    #[cfg(test)]
    let faults = Arc::new(super::tests::Faults::default());
    let writer = Writer {
        shared: shared.clone(),
        journal,
        recent,
        last_row,
        flush: wakes.clone(),
        last_checkpoint: None,
        checkpoint_cost: Duration::ZERO,
        owes_checkpoint: false,
        outage: super::outage::Outage::default(),
        on_idle,
    };
    let flusher = Flusher {
        shared: shared.clone(),
        journal: commands.clone(),
        journal_path: journal_path.clone(),
        files,
        plan: None,
        unfinished: None,
        failed: None,
        replaced: Vec::new(),
        on_idle,
        #[cfg(test)]
        faults: faults.clone(),
    };
    let thread = |name: &str| thread::Builder::new().name(name.to_owned());
    let flusher = thread("trace-flush").spawn(move || flusher.run(&wakes_in)).map_err(OpenError::Thread)?;
    let writer =
        thread("trace-journal").spawn(move || writer.run(&commands_in)).map_err(OpenError::Thread)?;
    if flush::is_full(&shared.view.read().current, &shared.settings) {
        let _ = wakes.send(flush::Wake::Full);
    }
    Ok(BlockStore {
        shared,
        cache: Cache::new(CACHE_BYTES),
        evicted,
        journal_path,
        sums,
        commands,
        wakes,
        is_closed: Arc::new(AtomicBool::new(false)),
        threads: Mutex::new(vec![flusher, writer]),
        #[cfg(test)]
        faults,
        _lock: lock,
    })
}

fn lock(folder: &Path) -> Result<FolderLock, OpenError> {
    let unusable = |source| OpenError::Folder { path: folder.to_owned(), source };
    let lock = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(folder.join("lock"))
        .map_err(unusable)?;
    match lock.try_lock() {
        Ok(()) => Ok(FolderLock(lock)),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse { path: folder.to_owned() }),
        Err(TryLockError::Error(source)) => Err(unusable(source)),
    }
}

/// Opens every block file; one that cannot be read is set aside.
fn open_files(
    folder: &Path,
    files: &mut Files,
    first_row: Option<i64>,
) -> Result<Vec<Arc<Block>>, OpenError> {
    let unusable = |source| OpenError::Folder { path: folder.to_owned(), source };
    let mut found: Vec<(u64, PathBuf)> = Vec::new();
    for entry in fs::read_dir(folder).map_err(unusable)? {
        let path = entry.map_err(unusable)?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        // Files that were set aside had numbers too, which are not given again.
        let stem = name.split_once(".db").map(|(stem, _)| stem);
        let number = stem.and_then(|stem| stem.rsplit_once('-')).and_then(|(_, number)| number.parse().ok());
        let Some(number) = number else { continue };
        files.used(number);
        if path.extension().is_some_and(|extension| extension == "db") {
            found.push((number, path));
        }
    }
    found.sort();
    let mut blocks = Vec::new();
    for (number, path) in found {
        match open_file(&path, number, first_row) {
            Ok((file, of_file)) => {
                files.found(file, &of_file);
                blocks.extend(of_file);
            }
            // The file may be whole: to set it aside would lose it.
            Err(WriteError::Sql(source)) if is_temporary(&source) => {
                return Err(OpenError::Blocks { path, source });
            }
            Err(error) => {
                let path_text = path.display();
                tracing::error!(%error, path = %path_text, "a block file cannot be read and is set aside as .damaged");
                file::set_aside(&path).map_err(unusable)?;
            }
        }
    }
    files.resume();
    Ok(blocks)
}

fn open_file(
    path: &Path,
    number: u64,
    first_row: Option<i64>,
) -> Result<(Arc<BlockFile>, Vec<Arc<Block>>), WriteError> {
    let file = Arc::new(BlockFile::open(path, number)?);
    let blocks = file.blocks(first_row)?.into_iter().map(Arc::new).collect();
    Ok((file, blocks))
}

/// Whether an error says nothing about the file.
fn is_temporary(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{
        CannotOpen, DatabaseBusy, DatabaseLocked, DiskFull, OutOfMemory, PermissionDenied,
    };
    let temporary = [CannotOpen, DatabaseBusy, DatabaseLocked, DiskFull, OutOfMemory, PermissionDenied];
    error.sqlite_error_code().is_some_and(|code| temporary.contains(&code))
}

/// Bytes of the budget for each span that is remembered; one takes some 40 in a file.
const BUDGET_PER_PENDING: u64 = 1024;

fn restore_statistics(settings: &Settings, told: &Told) -> Statistics {
    // Those of spans that came lately are written down with the statistics, twice while one form takes the place of the other:
    // a small budget leaves room for few.
    let pending = usize::try_from(settings.budget_bytes / BUDGET_PER_PENDING).unwrap_or(usize::MAX);
    let bounds = settings.statistics.clone();
    let bounds = Bounds { pending: bounds.pending.min(pending), ..bounds };
    let restored =
        told.statistics.as_ref().map(|checkpoint| Statistics::restore(bounds.clone(), &checkpoint.bytes));
    restored.and_then(Result::ok).unwrap_or_else(|| {
        if told.statistics.is_some() {
            tracing::error!("the figures of services and operations cannot be read and begin anew; spans are not concerned");
        }
        Statistics::new(bounds)
    })
}

/// Puts what is in no block back into the head; returns the number of the last row.
fn replay(journal: &Journal, shared: &Shared, told: &Told) -> rusqlite::Result<i64> {
    let counted = told.statistics.as_ref().map_or(0, |checkpoint| checkpoint.seq);
    let mut last_row = counted;
    let mut batches: Vec<Arc<HeadBatch>> = Vec::new();
    journal.replay(|seq, row| {
        last_row = last_row.max(seq);
        let (arrival, bytes) = (row.arrival, row.length);
        match unpack(&row) {
            Ok(batch) => {
                let batch = Arc::new(batch);
                if seq > counted {
                    shared.statistics.observe(&batch, arrival);
                }
                let footprint = batch.footprint() + bytes;
                batches.push(Arc::new(HeadBatch { batch, seq, arrival, bytes, footprint }));
            }
            Err(error) => tracing::error!(%error, row = seq, "a row of the journal cannot be read"),
        }
    })?;
    let mut book = shared.book();
    let mut sizes = shared.sizes();
    let mut view = shared.view.write();
    for head in batches {
        for span in &head.batch.spans {
            book.found(span.service(), 1, 0);
            sizes.count(span.trace_id);
        }
        for log in &head.batch.logs {
            book.found(&log.resource.service, 0, 1);
        }
        // What was acknowledged is kept, also beyond what may wait.
        let room = shared.room.try_take(head.footprint);
        view.current.keep(head, room);
    }
    Ok(last_row)
}

fn unpack(row: &Row) -> Result<Batch, Damaged> {
    let bytes =
        zstd::bulk::decompress(&row.payload, row.length).map_err(|_| Damaged("it cannot be unpacked"))?;
    let bytes = bytes.into();
    let batch = match row.kind {
        Kind::Spans => otlp::traces_from_protobuf(&bytes, &Limits::none()),
        Kind::Logs => otlp::logs_from_protobuf(&bytes, &Limits::none()),
    };
    batch.map_err(|_| Damaged("it is not what was written"))
}

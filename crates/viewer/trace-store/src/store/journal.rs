//! The journal: what was acknowledged and is not in a block yet, and everything else that must change in the
//! same transaction. All its SQL is here; one thread owns it.
//!
//! Invariant: a row of `wal` is there from the moment its batch is acknowledged until the blocks that hold
//! its records are durable, and its number is never used again. A block says from which rows it was made, so
//! that after a crash exactly one of the two is kept.

use crate::{
    Durability, Settings,
    book::Account,
    losses::{self, Loss},
    recent::{self, Digest},
    store::error::OpenError,
};
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use std::{
    collections::BTreeMap,
    fs::File,
    io,
    path::{Path, PathBuf},
};
use waypost_trace_model::{RefusalReason, Text, TraceId};

/// The format of the folder, journal and blocks together.
pub(crate) const FORMAT: i64 = 1;

/// Dropped files of which is known how many spans of which trace they had.
const EVICTED_FILES: i64 = 16;

const SCHEMA: &str = "
CREATE TABLE wal(seq INTEGER PRIMARY KEY AUTOINCREMENT, kind INTEGER NOT NULL, arrival INTEGER NOT NULL,
  length INTEGER NOT NULL, payload BLOB NOT NULL) STRICT;
CREATE TABLE ledger(service TEXT PRIMARY KEY, account TEXT NOT NULL) STRICT;
CREATE TABLE recent(number INTEGER PRIMARY KEY, digest BLOB NOT NULL) STRICT;
CREATE TABLE refusal(number INTEGER PRIMARY KEY, trace BLOB NOT NULL, reason TEXT NOT NULL, spans INTEGER NOT NULL,
  UNIQUE(trace, reason)) STRICT;
CREATE TABLE dropped(path TEXT PRIMARY KEY) STRICT;
CREATE TABLE evicted(file INTEGER NOT NULL, chunk INTEGER NOT NULL, data BLOB NOT NULL,
  PRIMARY KEY(file, chunk)) STRICT;
CREATE TABLE statistics(only INTEGER PRIMARY KEY CHECK(only = 1), seq INTEGER NOT NULL,
  checkpoint BLOB NOT NULL) STRICT;
";

/// What a row of the journal holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Spans = 0,
    Logs = 1,
}

/// The records of a batch, packed.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) kind: Kind,
    pub(crate) arrival: u64,
    /// Bytes when unpacked.
    pub(crate) length: usize,
    pub(crate) payload: Vec<u8>,
}

/// What becomes durable together with some rows.
#[derive(Debug, Default)]
pub(crate) struct Beside {
    pub(crate) ledger: BTreeMap<Text, Account>,
    pub(crate) losses: Vec<Loss>,
    pub(crate) digests: Vec<Digest>,
}

/// A checkpoint of the statistics, and up to which row it counts.
#[derive(Debug)]
pub(crate) struct Checkpoint {
    pub(crate) seq: i64,
    pub(crate) bytes: Vec<u8>,
}

/// The open journal.
#[derive(Debug)]
pub(crate) struct Journal {
    connection: Connection,
    /// The file of the write-ahead log, to force it to the disk once a second.
    unsynced: Option<(PathBuf, bool)>,
    /// Pages without content that the file may keep for the next rows.
    spare_pages: u64,
}

/// Spare pages are worth their removal when they are as many, whatever the budget.
const SPARE_PAGES: u64 = 4096;

impl Journal {
    pub(crate) fn open(path: &Path, settings: &Settings) -> Result<Journal, OpenError> {
        let failed = |source| OpenError::Journal { path: path.to_owned(), source };
        let connection = connect(path, settings).map_err(failed)?;
        let found: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(failed)?;
        match found {
            0 => {
                let schema = format!("BEGIN IMMEDIATE; {SCHEMA} PRAGMA user_version = {FORMAT}; COMMIT;");
                connection.execute_batch(&schema).map_err(failed)?;
            }
            FORMAT => {}
            found => return Err(OpenError::Format { path: path.to_owned(), found, known: FORMAT }),
        }
        let wal = PathBuf::from(format!("{}-wal", path.display()));
        let unsynced = (settings.sync == Durability::EverySecond).then_some((wal, false));
        let spare_pages = (settings.budget_bytes / 256 / 4096).clamp(16, SPARE_PAGES);
        Ok(Journal { connection, unsynced, spare_pages })
    }

    /// Writes rows and what belongs to them; returns the number of the last row, if there are any.
    pub(crate) fn append(&mut self, rows: &[&Row], beside: &Beside) -> rusqlite::Result<Option<i64>> {
        let transaction = self.connection.transaction()?;
        let mut last = None;
        {
            let mut insert = transaction
                .prepare_cached("INSERT INTO wal(kind, arrival, length, payload) VALUES (?1, ?2, ?3, ?4)")?;
            for row in rows {
                let arrival = row.arrival.cast_signed();
                let length = i64::try_from(row.length).unwrap_or(i64::MAX);
                last = Some(insert.insert(params![row.kind as i64, arrival, length, row.payload])?);
            }
        }
        put_ledger(&transaction, &beside.ledger)?;
        put_losses(&transaction, &beside.losses)?;
        put_digests(&transaction, &beside.digests)?;
        transaction.commit()?;
        if let Some((_, is_unsynced)) = &mut self.unsynced {
            *is_unsynced = true;
        }
        Ok(last)
    }

    /// The rows up to this one are in blocks now.
    pub(crate) fn finish(
        &mut self,
        up_to: i64,
        ledger: &BTreeMap<Text, Account>,
        checkpoint: Option<&Checkpoint>,
    ) -> rusqlite::Result<()> {
        let transaction = self.connection.transaction()?;
        transaction.prepare_cached("DELETE FROM wal WHERE seq <= ?1")?.execute([up_to])?;
        if let Some(Checkpoint { seq, bytes }) = checkpoint {
            transaction
                .prepare_cached(
                    "INSERT OR REPLACE INTO statistics(only, seq, checkpoint) VALUES (1, ?1, ?2)",
                )?
                .execute(params![seq, bytes])?;
        }
        put_ledger(&transaction, ledger)?;
        transaction.commit()?;
        if let Err(error) = self.shrink() {
            tracing::debug!(%error, "the journal keeps its size for now");
        }
        Ok(())
    }

    /// Gives the disk back what a long queue has taken, when most of the file is empty.
    fn shrink(&mut self) -> rusqlite::Result<()> {
        let count = |pragma| {
            self.connection.query_row(pragma, [], |row| row.get::<_, i64>(0).map(i64::cast_unsigned))
        };
        let (spare, all) = (count("PRAGMA freelist_count")?, count("PRAGMA page_count")?);
        if spare < self.spare_pages || spare * 4 < all * 3 {
            return Ok(());
        }
        self.connection.execute_batch("VACUUM")?;
        self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
    }

    /// A file is about to be removed; `evicted` are the chunks of the account of its traces.
    pub(crate) fn drop_file(
        &mut self,
        path: &str,
        number: u64,
        evicted: &[(u8, Vec<u8>)],
        ledger: &BTreeMap<Text, Account>,
    ) -> rusqlite::Result<()> {
        let transaction = self.connection.transaction()?;
        transaction.execute("INSERT OR IGNORE INTO dropped(path) VALUES (?1)", [path])?;
        // What was kept may be gone: it is no repeat when it comes again.
        transaction.execute("DELETE FROM recent", [])?;
        {
            let mut insert = transaction
                .prepare_cached("INSERT OR REPLACE INTO evicted(file, chunk, data) VALUES (?1, ?2, ?3)")?;
            for (chunk, data) in evicted {
                insert.execute(params![number.cast_signed(), chunk, data])?;
            }
        }
        put_ledger(&transaction, ledger)?;
        transaction.commit()
    }

    /// The file is gone. Of the accounts of evicted traces the newest are kept.
    pub(crate) fn dropped(&mut self, path: &str) -> rusqlite::Result<()> {
        let transaction = self.connection.transaction()?;
        transaction.execute("DELETE FROM dropped WHERE path = ?1", [path])?;
        transaction.execute(
            "DELETE FROM evicted WHERE file NOT IN (SELECT DISTINCT file FROM evicted ORDER BY file DESC LIMIT ?1)",
            [EVICTED_FILES],
        )?;
        transaction.commit()
    }

    /// Forces what was committed to the disk, when commits do not.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        if let Some((path, is_unsynced)) = &mut self.unsynced
            && *is_unsynced
        {
            match File::open(path) {
                Ok(file) => file.sync_data()?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
            *is_unsynced = false;
        }
        Ok(())
    }

    /// Moves everything into the main file.
    pub(crate) fn close(self) {
        let checkpoint = self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        if let Err(error) = checkpoint {
            tracing::warn!(%error, "the journal was closed without a checkpoint; nothing is lost");
        }
    }

    /// Runs a pragma, to make a disk that is full.
    #[cfg(test)]
    pub(crate) fn pragma(&self, pragma: &str) {
        self.connection.query_row(pragma, [], |_| Ok(())).unwrap();
    }
}

fn connect(path: &Path, settings: &Settings) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    // The log is moved into the main file when it is this long; by then most of it was deleted again.
    let pages = (settings.budget_bytes / 256 / 4096).clamp(64, 4096);
    let synchronous = match settings.sync {
        Durability::Always => "FULL",
        Durability::EverySecond => "NORMAL",
    };
    connection.execute_batch(&format!(
        "PRAGMA locking_mode = NORMAL; PRAGMA journal_mode = WAL; PRAGMA synchronous = {synchronous};
         PRAGMA wal_autocheckpoint = {pages}; PRAGMA journal_size_limit = {}; PRAGMA cache_size = -4096;
         PRAGMA temp_store = MEMORY;",
        pages * 4096
    ))?;
    Ok(connection)
}

fn put_ledger(transaction: &Transaction<'_>, ledger: &BTreeMap<Text, Account>) -> rusqlite::Result<()> {
    let mut put =
        transaction.prepare_cached("INSERT OR REPLACE INTO ledger(service, account) VALUES (?1, ?2)")?;
    for (service, account) in ledger {
        let account = serde_json::to_string(account)
            .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
        put.execute(params![&**service, account])?;
    }
    Ok(())
}

fn put_losses(transaction: &Transaction<'_>, losses: &[Loss]) -> rusqlite::Result<()> {
    if losses.is_empty() {
        return Ok(());
    }
    let mut put = transaction.prepare_cached(
        "INSERT INTO refusal(trace, reason, spans) VALUES (?1, ?2, ?3)
         ON CONFLICT(trace, reason) DO UPDATE SET spans = spans + excluded.spans",
    )?;
    for loss in losses {
        put.execute(params![loss.trace.as_bytes(), loss.reason.name(), loss.spans.cast_signed()])?;
    }
    transaction
        .prepare_cached("DELETE FROM refusal WHERE number <= (SELECT max(number) FROM refusal) - ?1")?
        .execute([i64::try_from(losses::TRACES).unwrap_or(i64::MAX)])
        .map(drop)
}

fn put_digests(transaction: &Transaction<'_>, digests: &[Digest]) -> rusqlite::Result<()> {
    let mut last = None;
    let mut put = transaction.prepare_cached("INSERT INTO recent(digest) VALUES (?1)")?;
    for Digest(digest) in digests {
        last = Some(put.insert([digest.to_be_bytes()])?);
    }
    let Some(last) = last else { return Ok(()) };
    let oldest = last - i64::try_from(recent::REQUESTS).unwrap_or(i64::MAX);
    transaction.prepare_cached("DELETE FROM recent WHERE number <= ?1")?.execute([oldest]).map(drop)
}

/// What a journal that was opened tells.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) ledger: Vec<(String, Account)>,
    pub(crate) losses: Vec<Loss>,
    pub(crate) digests: Vec<Digest>,
    pub(crate) dropped: Vec<String>,
    pub(crate) statistics: Option<Checkpoint>,
    /// The lowest number of a row that is not in a block.
    pub(crate) first: Option<i64>,
}

impl Journal {
    /// Everything but the rows.
    pub(crate) fn told(&self) -> rusqlite::Result<Told> {
        let connection = &self.connection;
        let mut ledger = connection.prepare("SELECT service, account FROM ledger")?;
        let ledger = ledger.query_map([], |row| Ok((row.get(0)?, row.get::<_, String>(1)?)))?;
        let ledger = ledger.map(|row| {
            let (service, account) = row?;
            let account = serde_json::from_str(&account);
            let failed = |error: serde_json::Error| {
                rusqlite::Error::FromSqlConversionFailure(1, rusqlite::types::Type::Text, error.into())
            };
            Ok((service, account.map_err(failed)?))
        });
        let mut losses = connection.prepare("SELECT trace, reason, spans FROM refusal ORDER BY number")?;
        let losses = losses.query_map([], |row| {
            let (trace, reason): (Vec<u8>, String) = (row.get(0)?, row.get(1)?);
            let reason = RefusalReason::ALL.into_iter().find(|known| known.name() == reason);
            let spans = row.get::<_, i64>(2)?.cast_unsigned();
            Ok(TraceId::from_bytes(&trace).zip(reason).map(|(trace, reason)| Loss { trace, reason, spans }))
        })?;
        let mut digests = connection.prepare("SELECT digest FROM recent ORDER BY number")?;
        let digests = digests.query_map([], |row| row.get(0).map(u128::from_be_bytes).map(Digest))?;
        let mut dropped = connection.prepare("SELECT path FROM dropped")?;
        let dropped = dropped.query_map([], |row| row.get(0))?;
        let statistics = connection.query_row("SELECT seq, checkpoint FROM statistics", [], |row| {
            Ok(Checkpoint { seq: row.get(0)?, bytes: row.get(1)? })
        });
        Ok(Told {
            ledger: ledger.collect::<rusqlite::Result<_>>()?,
            losses: losses.filter_map(Result::transpose).collect::<rusqlite::Result<_>>()?,
            digests: digests.collect::<rusqlite::Result<_>>()?,
            dropped: dropped.collect::<rusqlite::Result<_>>()?,
            statistics: statistics.optional()?,
            first: connection.query_row("SELECT min(seq) FROM wal", [], |row| row.get(0))?,
        })
    }

    /// The rows that are not in a block, in the order in which they came.
    pub(crate) fn replay(&self, mut take: impl FnMut(i64, Row)) -> rusqlite::Result<()> {
        let mut rows =
            self.connection.prepare("SELECT seq, kind, arrival, length, payload FROM wal ORDER BY seq")?;
        let mut rows = rows.query([])?;
        while let Some(row) = rows.next()? {
            let kind = if row.get::<_, i64>(1)? == Kind::Spans as i64 { Kind::Spans } else { Kind::Logs };
            let arrival = row.get::<_, i64>(2)?.cast_unsigned();
            let length = usize::try_from(row.get::<_, i64>(3)?).unwrap_or_default();
            take(row.get(0)?, Row { kind, arrival, length, payload: row.get(4)? });
        }
        Ok(())
    }
}

/// Reads the account of evicted traces, beside the thread that writes it.
#[derive(Debug)]
pub(crate) struct EvictedReader {
    connection: std::sync::Mutex<Connection>,
}

impl EvictedReader {
    pub(crate) fn open(path: &Path) -> rusqlite::Result<EvictedReader> {
        // Not read-only: whichever connection closes last removes the files beside the journal, and this one
        // may be it.
        let connection = Connection::open(path)?;
        connection.execute_batch("PRAGMA cache_size = -1024;")?;
        Ok(EvictedReader { connection: std::sync::Mutex::new(connection) })
    }

    /// The chunks of this number, of every file.
    pub(crate) fn chunks(&self, chunk: u8) -> rusqlite::Result<Vec<Vec<u8>>> {
        let connection = self.connection.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut chunks = connection.prepare_cached("SELECT data FROM evicted WHERE chunk = ?1")?;
        let chunks = chunks.query_map([chunk], |row| row.get(0))?;
        chunks.collect()
    }
}

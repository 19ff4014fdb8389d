//! A file of blocks: one SQLite database that is added to, in which small blocks become one, and which is dropped as a whole.
//!
//! While it grows it has a write-ahead log and is forced to the disk at each block, before the journal
//! forgets the rows that the block was made of. One connection reads and writes, behind a lock. A reader
//! keeps the file open as long as it holds one of its blocks, also when its name is gone.

use crate::{
    ReadError,
    block::{
        Head,
        bloom::{self, LINE},
        encode::Encoded,
        reader::{Source, damaged},
    },
    store::{chain::Chain, error::WriteError, journal::FORMAT},
};
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use waypost_trace_model::Text;

const SCHEMA: &str = "
CREATE TABLE file(only INTEGER PRIMARY KEY CHECK(only = 1), service TEXT) STRICT;
CREATE TABLE block(id INTEGER PRIMARY KEY AUTOINCREMENT, last_row INTEGER NOT NULL, first_arrival INTEGER NOT NULL,
  last_arrival INTEGER NOT NULL, head BLOB NOT NULL) STRICT;
CREATE TABLE part(id INTEGER PRIMARY KEY, data BLOB NOT NULL) STRICT;
CREATE TABLE filter(id INTEGER PRIMARY KEY, data BLOB NOT NULL) STRICT;
";

/// Blocks that cannot be read. Their parts stay where they are, to be looked at, until the file goes.
const SET_ASIDE: &str = "
CREATE TABLE IF NOT EXISTS damaged(id INTEGER PRIMARY KEY, last_row INTEGER NOT NULL, first_arrival INTEGER NOT NULL,
  last_arrival INTEGER NOT NULL, head BLOB NOT NULL) STRICT;
";

/// Blocks that were merged: their parts are there until no reader holds them.
const REPLACED: &str = "CREATE TABLE IF NOT EXISTS replaced(id INTEGER PRIMARY KEY) STRICT;";

/// Parts of one block have numbers below this; the key of a part is the number of its block times this, plus
/// its own.
const PARTS: i64 = 1 << 24;

/// Lines of the filter in one row, so that a row fits a page.
const LINES: usize = 60;

/// An open file of blocks.
#[derive(Debug)]
pub(crate) struct BlockFile {
    /// Files are numbered in the order in which they were begun.
    pub(crate) number: u64,
    pub(crate) path: PathBuf,
    pub(crate) chain: Chain,
    connection: Mutex<Connection>,
}

/// A block in a file.
#[derive(Debug)]
pub(crate) struct Block {
    pub(crate) file: Arc<BlockFile>,
    pub(crate) id: u32,
    pub(crate) head: Head,
    pub(crate) first_arrival: u64,
    pub(crate) last_arrival: u64,
}

/// A block to write.
#[derive(Debug)]
pub(crate) struct NewBlock {
    pub(crate) encoded: Encoded,
    /// The last row of the journal that it is made of.
    pub(crate) last_row: i64,
    pub(crate) first_arrival: u64,
    pub(crate) last_arrival: u64,
}

impl BlockFile {
    /// Begins a file.
    pub(crate) fn create(
        folder: &Path,
        chain: Chain,
        number: u64,
        log_pages: u64,
    ) -> Result<BlockFile, WriteError> {
        let path = folder.join(format!("{}-{number:08}.db", chain.file_name()));
        // A file of this name can only be what a failed attempt left behind.
        remove(&path)?;
        let connection = connect(&path)?;
        with_log(&connection, log_pages)?;
        connection
            .execute_batch(&format!("BEGIN IMMEDIATE; {SCHEMA} PRAGMA user_version = {FORMAT}; COMMIT;"))?;
        connection.execute("INSERT INTO file(only, service) VALUES (1, ?1)", [chain.service()])?;
        Ok(BlockFile { number, path, chain, connection: Mutex::new(connection) })
    }

    /// Opens a file that is there.
    pub(crate) fn open(path: &Path, number: u64) -> Result<BlockFile, WriteError> {
        let connection = connect(path)?;
        let format: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        if format != FORMAT {
            return Err(ReadError::Failed(format!("its format is {format} and not {FORMAT}")).into());
        }
        let service: Option<String> =
            connection.query_row("SELECT service FROM file", [], |row| row.get(0))?;
        let chain = service.map_or(Chain::Shared, |service| Chain::Own(Text::from(service)));
        Ok(BlockFile { number, path: path.to_owned(), chain, connection: Mutex::new(connection) })
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its blocks, without those that were made of rows that the journal still has.
    pub(crate) fn blocks(self: &Arc<BlockFile>, first_row: Option<i64>) -> Result<Vec<Block>, WriteError> {
        let mut connection = self.connection();
        let transaction = connection.transaction()?;
        if let Some(first) = first_row {
            let mut unfinished = transaction.prepare("SELECT id FROM block WHERE last_row >= ?1")?;
            let unfinished = unfinished.query_map([first], |row| row.get::<_, i64>(0))?;
            for id in unfinished.collect::<rusqlite::Result<Vec<_>>>()? {
                drop_parts(&transaction, id)?;
                transaction.execute("DELETE FROM block WHERE id = ?1", [id])?;
            }
        }
        drop_all_replaced(&transaction)?;
        let mut unreadable: Vec<u32> = Vec::new();
        let blocks = {
            let mut rows =
                transaction.prepare("SELECT id, first_arrival, last_arrival, head FROM block ORDER BY id")?;
            let mut rows = rows.query([])?;
            let mut blocks = Vec::new();
            while let Some(row) = rows.next()? {
                let id = row.get(0)?;
                let head = match Head::from_bytes(row.get(3)?) {
                    Ok(head) => head,
                    Err(damage) => {
                        let path = self.path.display();
                        tracing::error!(%damage, %path, block = id, "a block cannot be read and is set aside");
                        unreadable.push(id);
                        continue;
                    }
                };
                blocks.push(Block {
                    file: self.clone(),
                    id,
                    head,
                    first_arrival: row.get::<_, i64>(1)?.cast_unsigned(),
                    last_arrival: row.get::<_, i64>(2)?.cast_unsigned(),
                });
            }
            blocks
        };
        for id in unreadable {
            set_block_aside(&transaction, id)?;
        }
        transaction.commit()?;
        Ok(blocks)
    }

    /// Leaves a block out from now on, also after a start; what there is of it stays in the file.
    pub(crate) fn set_aside(&self, id: u32) -> Result<(), WriteError> {
        let mut connection = self.connection();
        let transaction = connection.transaction()?;
        set_block_aside(&transaction, id)?;
        Ok(transaction.commit()?)
    }

    /// Adds a block; when this returns, it is on the disk.
    pub(crate) fn add(self: &Arc<BlockFile>, new: &NewBlock) -> Result<Block, WriteError> {
        let mut connection = self.connection();
        let transaction = connection.transaction()?;
        let block = self.insert(&transaction, new)?;
        transaction.commit()?;
        Ok(block)
    }

    /// Puts a block in the place of some others, all at once. What was in these stays until [`BlockFile::drop_replaced`].
    pub(crate) fn merge(
        self: &Arc<BlockFile>,
        small: &[Arc<Block>],
        merged: Encoded,
    ) -> Result<Block, WriteError> {
        let mut connection = self.connection();
        let transaction = connection.transaction()?;
        transaction.execute_batch(REPLACED)?;
        let mut last_row = 0;
        for block in small {
            let row: i64 =
                transaction
                    .query_row("SELECT last_row FROM block WHERE id = ?1", [block.id], |row| row.get(0))?;
            last_row = last_row.max(row);
            transaction.execute("DELETE FROM block WHERE id = ?1", [block.id])?;
            transaction.execute("INSERT INTO replaced(id) VALUES (?1)", [block.id])?;
        }
        let new = NewBlock {
            encoded: merged,
            last_row,
            first_arrival: small.iter().map(|block| block.first_arrival).min().unwrap_or_default(),
            last_arrival: small.iter().map(|block| block.last_arrival).max().unwrap_or_default(),
        };
        let block = self.insert(&transaction, &new)?;
        transaction.commit()?;
        Ok(block)
    }

    /// Removes what is in a block that was merged.
    pub(crate) fn drop_replaced(&self, id: u32) -> Result<(), WriteError> {
        let mut connection = self.connection();
        let transaction = connection.transaction()?;
        drop_parts(&transaction, id.into())?;
        transaction.execute("DELETE FROM replaced WHERE id = ?1", [id])?;
        Ok(transaction.commit()?)
    }

    fn insert(
        self: &Arc<BlockFile>,
        transaction: &Transaction<'_>,
        new: &NewBlock,
    ) -> Result<Block, WriteError> {
        let NewBlock { encoded, last_row, first_arrival, last_arrival } = new;
        transaction
            .prepare_cached(
                "INSERT INTO block(last_row, first_arrival, last_arrival, head) VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute(params![
                last_row,
                first_arrival.cast_signed(),
                last_arrival.cast_signed(),
                encoded.head.to_bytes()
            ])?;
        let id = transaction.last_insert_rowid();
        let mut insert = transaction.prepare_cached("INSERT INTO part(id, data) VALUES (?1, ?2)")?;
        let mut parts: Vec<&(u32, Vec<u8>)> = encoded.parts.iter().collect();
        parts.sort_unstable_by_key(|(part, _)| *part);
        for (part, data) in parts {
            insert.execute(params![id * PARTS + i64::from(*part), data])?;
        }
        let mut insert = transaction.prepare_cached("INSERT INTO filter(id, data) VALUES (?1, ?2)")?;
        for (lines, place) in encoded.filter.as_bytes().chunks(LINES * LINE).zip(0_i64..) {
            insert.execute(params![id * PARTS + place, lines])?;
        }
        let id =
            u32::try_from(id).map_err(|_| ReadError::Failed("the file has too many blocks".to_owned()))?;
        Ok(Block {
            file: self.clone(),
            id,
            head: encoded.head.clone(),
            first_arrival: *first_arrival,
            last_arrival: *last_arrival,
        })
    }

    /// Is added to again.
    pub(crate) fn resume(&self, log_pages: u64) -> Result<(), WriteError> {
        Ok(with_log(&self.connection(), log_pages)?)
    }

    /// Moves everything into the one file; nothing is added any more.
    pub(crate) fn seal(&self) -> Result<(), WriteError> {
        let connection = self.connection();
        connection.query_row("PRAGMA journal_mode = DELETE", [], |_| Ok(()))?;
        Ok(())
    }

    /// Bytes on the disk.
    pub(crate) fn bytes(&self) -> u64 {
        companions(&self.path)
            .iter()
            .filter_map(|path| fs::metadata(path).ok())
            .map(|metadata| metadata.len())
            .sum()
    }

    /// Runs a pragma, to make a disk that is full.
    #[cfg(test)]
    pub(crate) fn pragma(&self, pragma: &str) {
        self.connection().query_row(pragma, [], |_| Ok(())).unwrap();
    }
}

/// Removes what is in a block.
fn drop_parts(transaction: &Transaction<'_>, id: i64) -> rusqlite::Result<()> {
    let range = [id * PARTS, (id + 1) * PARTS];
    transaction.execute("DELETE FROM part WHERE id >= ?1 AND id < ?2", range)?;
    transaction.execute("DELETE FROM filter WHERE id >= ?1 AND id < ?2", range)?;
    Ok(())
}

/// Removes what is in blocks that were merged, when nobody can hold them.
fn drop_all_replaced(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    let has_some = "SELECT count(*) FROM sqlite_schema WHERE name = 'replaced'";
    if transaction.query_row(has_some, [], |row| row.get::<_, u32>(0))? == 0 {
        return Ok(());
    }
    let mut replaced = transaction.prepare("SELECT id FROM replaced")?;
    for id in replaced.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<Vec<i64>>>()? {
        drop_parts(transaction, id)?;
    }
    transaction.execute("DELETE FROM replaced", [])?;
    Ok(())
}

fn set_block_aside(transaction: &Transaction<'_>, id: u32) -> rusqlite::Result<()> {
    transaction.execute_batch(SET_ASIDE)?;
    transaction.execute("INSERT OR IGNORE INTO damaged SELECT * FROM block WHERE id = ?1", [id])?;
    transaction.execute("DELETE FROM block WHERE id = ?1", [id])?;
    Ok(())
}

impl Block {
    fn read<T>(&self, ask: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, ReadError> {
        use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
        ask(&self.file.connection()).map_err(|error| match error.sqlite_error_code() {
            Some(DatabaseCorrupt | NotADatabase) => damaged(self, &error),
            _ => ReadError::Failed(format!("{}: {error}", self.file.path.display())),
        })
    }
}

impl Source for Block {
    fn part(&self, id: u32) -> Result<Option<Vec<u8>>, ReadError> {
        let key = i64::from(self.id) * PARTS + i64::from(id);
        self.read(|connection| {
            let mut part = connection.prepare_cached("SELECT data FROM part WHERE id = ?1")?;
            part.query_row([key], |row| row.get(0)).optional()
        })
    }

    fn may_hold(&self, hash: u64) -> Result<bool, ReadError> {
        let line = bloom::line_of(hash, self.head.filter_lines);
        let key = i64::from(self.id) * PARTS + i64::try_from(line / LINES).unwrap_or_default();
        let start = line % LINES * LINE;
        let held = self.read(|connection| {
            let mut lines = connection.prepare_cached("SELECT data FROM filter WHERE id = ?1")?;
            lines
                .query_row([key], |row| {
                    let lines = row.get_ref(0)?.as_blob()?;
                    Ok(lines.get(start..start + LINE).map(|line| bloom::line_may_hold(line, hash)))
                })
                .optional()
        })?;
        held.flatten().ok_or_else(|| damaged(self, &"a filter is missing"))
    }

    fn key(&self) -> (u64, u32) {
        (self.file.number, self.id)
    }

    fn name(&self) -> String {
        format!("{}, block {}", self.file.path.display(), self.id)
    }
}

/// The file and what SQLite may put beside it.
fn companions(path: &Path) -> [PathBuf; 4] {
    ["", "-wal", "-shm", "-journal"].map(|suffix| PathBuf::from(format!("{}{suffix}", path.display())))
}

/// Removes a file and what is beside it; one that is not there is gone already.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    for path in companions(path) {
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// Gives a file that cannot be read another name, so that it is in nobody's way and can be looked at.
pub(crate) fn set_aside(path: &Path) -> io::Result<()> {
    for path in companions(path) {
        match fs::rename(&path, format!("{}.damaged", path.display())) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    // Exclusive: the one connection of the one process; then the log needs no shared memory beside it.
    connection.execute_batch(
        "PRAGMA locking_mode = EXCLUSIVE; PRAGMA synchronous = FULL; PRAGMA cache_size = -512;
         PRAGMA temp_store = MEMORY;",
    )?;
    Ok(connection)
}

/// While a file grows, a block is first written to its log, which is moved into the file when it has so many
/// pages.
fn with_log(connection: &Connection, log_pages: u64) -> rusqlite::Result<()> {
    connection.execute_batch(&format!(
        "PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = {log_pages}; PRAGMA journal_size_limit = 0;"
    ))
}

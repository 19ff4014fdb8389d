//! SQLite behind one writer thread a file, with readers of its own: the only way into a database.
//!
//! For stores. A unit of work is a closure that runs on the writer's thread inside its own savepoint; units that wait
//! together share one `BEGIN IMMEDIATE .. COMMIT` and so one sync of the disk. There is no transaction handle to hold
//! over a network call and no future to cancel inside a transaction. Databases of several roles may be in one file
//! ([`SharedFile`]): their units share commits, and nothing else.
//!
//! Invariants: an answer is given after the commit that holds the unit; a unit that fails or panics leaves nothing
//! behind and harms no other; a commit that fails acknowledges nobody.
//!
//! Left out: SQL built at run time. Statements are `&'static str`, so each is prepared once and its text may stand on
//! a span.

mod companion;
mod file;
mod files;
mod job;
mod reader;
mod sqlite_error;
mod unit;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use waypost_telemetry::opentelemetry::Context;
use waypost_telemetry::{ErrorType, Telemetry, sql};

use crate::{Clock, Error, Migration};
use file::{Membership, OpenFile};
use job::Message;
pub use unit::Unit;

pub use companion::Companion;
pub use file::SharedFile;
pub use files::make_folder;
pub(crate) use files::{explain, lock, open_alone, open_error, open_existing, open_or_make, sync_folder};

/// Where a database lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// In this file. Its folder is created when it is missing.
    File(PathBuf),
    /// In this file, which other databases of the process are in as well.
    Within(SharedFile),
    /// In a private temporary folder that is removed when the database is closed or dropped.
    Ephemeral,
}

impl Location {
    /// The file; `None` when it is in a temporary folder.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Location::File(path) => Some(path),
            Location::Within(file) => file.path(),
            Location::Ephemeral => None,
        }
    }
}

/// Whether other processes may have the database open too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// One process at a time; a second one is refused with [`Error::InUse`].
    Exclusive,
    /// Every process that opens it as shared, too.
    Shared,
}

/// How a database is opened.
#[derive(Clone, Debug)]
pub struct DatabaseOptions {
    /// Where it lives.
    pub location: Location,
    /// Its name in spans (`db.namespace`), thread names and messages.
    pub name: &'static str,
    /// Whose spans and metrics its operations become.
    pub telemetry: Telemetry,
    /// Reader threads, each with its own read-only connection. At least 1. Default 1. [`Database::scan`] has one more.
    pub readers: usize,
    /// Units that may wait for the writer; a full queue makes callers wait. Default 1024.
    pub queue: usize,
    /// Most units of one commit. Default 256.
    pub group: usize,
    /// Whether other processes may open it. Default [`Sharing::Exclusive`].
    pub sharing: Sharing,
    /// How long a write lock of another process is waited for. Default 5 s.
    pub busy_timeout: Duration,
    /// Largest size in pages of 4 KiB; a write beyond it fails with [`Error::Full`]. Default: none.
    pub max_pages: Option<u32>,
    /// What [`Unit::now`] tells. Default: the machine's.
    pub clock: Clock,
}

impl DatabaseOptions {
    /// The defaults for a database of this name.
    pub fn new(location: Location, name: &'static str, telemetry: &Telemetry) -> DatabaseOptions {
        DatabaseOptions {
            location,
            name,
            telemetry: telemetry.clone(),
            readers: 1,
            queue: 1024,
            group: 256,
            sharing: Sharing::Exclusive,
            busy_timeout: Duration::from_secs(5),
            max_pages: None,
            clock: Clock::system(),
        }
    }
}

/// What the writer of a database's file has done since that was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Transactions committed by the writer.
    pub commits: u64,
    /// Units that were in them, those that rolled back to their savepoint included.
    pub units: u64,
}

/// A database. Cheap to clone; all clones share one writer, with the other databases of its file, if there are any.
///
/// [`Database::close`] ends it. Without it the writer ends by itself, in the background, when the last clone is dropped.
///
/// ```
/// use waypost_durable::{Database, DatabaseOptions, Error, Location, Migration};
/// use waypost_telemetry::Telemetry;
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let schema = [Migration::new("0001_stock", "CREATE TABLE stock (sku TEXT PRIMARY KEY, held INTEGER CHECK (held <= 3))")];
/// let options = DatabaseOptions::new(Location::Ephemeral, "inventory", &Telemetry::disabled());
/// let stock = Database::open(options, &schema)?;
///
/// let hold = |pieces: i64| {
///     stock.write("hold-stock", move |unit| {
///         unit.execute("INSERT INTO stock VALUES ('prod456', ?1) ON CONFLICT DO UPDATE SET held = held + ?1", (pieces,))
///     })
/// };
/// let (two, two_more) = tokio::join!(hold(2), hold(2));
/// assert!(two.is_ok());
/// // Refused by the CHECK; rolled back alone, although both waited for the same commit.
/// assert!(matches!(two_more, Err(Error::Constraint { .. })));
///
/// let held: i64 = stock
///     .read("stock-held", |unit| unit.query_row("SELECT held FROM stock", (), |row| row.get(0)))
///     .await
///     .map_err(|error: Error| error)?;
/// assert_eq!(held, 2);
/// # Ok::<(), Error>(())
/// # })?;
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone)]
pub struct Database {
    file: Arc<OpenFile>,
    readers: mpsc::Sender<Message>,
    /// For queries that may take long.
    scanners: mpsc::Sender<Message>,
    spans: sql::Database,
    is_traced: bool,
    shared: Arc<Shared>,
}

/// What handles and threads of one database have in common.
pub(crate) struct Shared {
    name: &'static str,
    membership: Membership,
    clock: Clock,
    /// Rises with each commit that appended to the outbox.
    appended: Arc<watch::Sender<u64>>,
    closing: AtomicBool,
    closed: CancellationToken,
}

impl Database {
    /// Opens the database, creates it when it is missing, and applies the migrations that it lacks.
    ///
    /// Blocks for as long as that takes; meant for start-up.
    #[expect(clippy::needless_pass_by_value, reason = "options describe one database and are used up by it")]
    pub fn open(options: DatabaseOptions, migrations: &[Migration]) -> Result<Database, Error> {
        let (file, membership) = OpenFile::enter(&options, migrations)?;
        let path = &file.common.path;
        let readers = (0..options.readers.max(1))
            .map(|_| files::open_reader(path, &options))
            .collect::<Result<Vec<_>, _>>()?;
        let scanner = files::open_reader(path, &options)?;

        let shared = Arc::new(Shared {
            name: options.name,
            membership,
            clock: options.clock.clone(),
            appended: Arc::new(watch::Sender::new(0)),
            closing: AtomicBool::new(false),
            closed: CancellationToken::new(),
        });
        let started = |kind, connections| {
            let (sender, receiver) = mpsc::channel(options.queue.max(1));
            let threads = reader::start(kind, connections, receiver, &shared)
                .map_err(|error| files::no_thread(path, error))?;
            file.common.add_readers(threads);
            Ok::<_, Error>(sender)
        };
        let (readers, scanners) = (started("reader", readers)?, started("scanner", vec![scanner])?);
        let spans = options.telemetry.sql("sqlite", options.name);
        Ok(Database { file, readers, scanners, spans, is_traced: true, shared })
    }

    /// The same database without spans and measurements: for polling and other background work, whose operations
    /// belong to no request.
    #[must_use]
    pub fn untraced(&self) -> Database {
        Database {
            spans: Telemetry::disabled().sql("sqlite", self.shared.name),
            is_traced: false,
            ..self.clone()
        }
    }

    /// Runs a unit of work on the writer and answers after the commit that holds its effects.
    ///
    /// `operation` names it in messages; the span's name is made from its statements. An `Err` of the unit rolls back
    /// what the unit did and nothing else.
    ///
    /// Cancel safety: once the future has been polled and the queue had room, the unit runs to its commit whether or
    /// not the future is still there. A future dropped while it waits for room leaves nothing behind.
    pub async fn write<T, E, F>(&self, operation: &'static str, unit: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + ErrorType + Send + 'static,
        F: FnOnce(&mut Unit<'_>) -> Result<T, E> + Send + 'static,
    {
        self.run(&self.file.writer, operation, unit).await
    }

    /// Runs a query on a reader. All statements of one query see one state of the database, which holds every write
    /// that was answered before. Statements that write are refused.
    ///
    /// Cancel safety: as [`Database::write`].
    pub async fn read<T, E, F>(&self, operation: &'static str, query: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + ErrorType + Send + 'static,
        F: FnOnce(&mut Unit<'_>) -> Result<T, E> + Send + 'static,
    {
        self.run(&self.readers, operation, query).await
    }

    /// As [`Database::read`], on a reader of its own: for lists, counts and whatever else may take long, so that nobody who
    /// asks for one row waits behind it.
    pub async fn scan<T, E, F>(&self, operation: &'static str, query: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + ErrorType + Send + 'static,
        F: FnOnce(&mut Unit<'_>) -> Result<T, E> + Send + 'static,
    {
        self.run(&self.scanners, operation, query).await
    }

    /// Refuses new work and finishes what waits. When no other database is in its file, the write-ahead log is moved into the
    /// file, which is closed and its lock let go. Repeating it waits for the same end.
    pub async fn close(&self) {
        self.shared.closing.store(true, Ordering::Release);
        // An error means that the thread has ended already.
        for queue in [&self.file.writer, &self.readers, &self.scanners] {
            let _ = queue.send(Message::Close(Arc::clone(&self.shared))).await;
        }
        self.shared.closed.cancelled().await;
    }

    /// What the writer of its file has done so far.
    pub fn counters(&self) -> Counters {
        Counters {
            commits: self.file.common.commits.load(Ordering::Relaxed),
            units: self.file.common.units.load(Ordering::Relaxed),
        }
    }

    /// The name given in the options.
    pub fn name(&self) -> &'static str {
        self.shared.name
    }

    /// The database's file.
    pub fn path(&self) -> &Path {
        &self.file.common.path
    }

    /// Sees each commit that appended to the outbox.
    pub(crate) fn appended(&self) -> watch::Receiver<u64> {
        self.shared.appended.subscribe()
    }

    async fn run<T, E, F>(
        &self,
        queue: &mpsc::Sender<Message>,
        operation: &'static str,
        unit: F,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + ErrorType + Send + 'static,
        F: FnOnce(&mut Unit<'_>) -> Result<T, E> + Send + 'static,
    {
        let span = if self.is_traced {
            self.spans.start(operation)
        } else {
            // An empty context, because the current one may carry a handle that records.
            self.spans.start_within(&Context::new(), operation)
        };
        let (job, answer) = job::new(Arc::clone(&self.shared), operation, span, unit);
        if self.shared.closing.load(Ordering::Acquire) {
            job.settle(Err(Error::Closed(self.shared.name)));
        } else if let Err(mpsc::error::SendError(Message::Run(job))) = queue.send(Message::Run(job)).await {
            job.settle(Err(Error::Closed(self.shared.name)));
        }
        match answer.await {
            Ok(result) => result,
            Err(_) => Err(E::from(Error::Closed(self.shared.name))),
        }
    }
}

/// Runs what blocks, such as opening a file, on a thread that may do so. The caller may leave; it is done all the same.
pub(crate) async fn on_blocking_thread<T, E>(
    run: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, E>
where
    T: Send + 'static,
    E: From<Error> + Send + 'static,
{
    waypost_telemetry::spawn_blocking(run).await.unwrap_or_else(|error| {
        Err(E::from(Error::Panicked { operation: "open", message: error.to_string() }))
    })
}

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Database")
            .field("name", &self.shared.name)
            .field("path", &self.path())
            .finish_non_exhaustive()
    }
}

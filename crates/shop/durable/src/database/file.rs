//! A file that is open, and the databases that are in it: a single one, or those of several roles that share it.

use std::fmt::{self, Debug};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::JoinHandle;

use tokio::sync::mpsc;

use super::files::{self, Files};
use super::job::Message;
use super::writer::Writer;
use super::{DatabaseOptions, Location};
use crate::migration::{self, Record};
use crate::{Error, Migration};

/// A file that several databases of one process are in: one write-ahead log, one writer, and one commit for the units of
/// all of them. Their tables have names of their own; each has its own readers, clock and record of migrations.
///
/// It is opened with the first database and closed with the last one. Options that concern the file (its lock, the writer's
/// queue and groups, its largest size) are those of the database that opens it. Clones stand for the same file.
#[derive(Clone)]
pub struct SharedFile {
    /// `None`: in a temporary folder that goes with it.
    path: Option<PathBuf>,
    open: Arc<Mutex<Weak<OpenFile>>>,
}

impl SharedFile {
    /// The file at this path.
    pub fn at(path: impl Into<PathBuf>) -> SharedFile {
        SharedFile { path: Some(path.into()), open: Arc::default() }
    }

    /// A file in a temporary folder that is removed when the last database in it is closed or dropped.
    pub fn ephemeral() -> SharedFile {
        SharedFile { path: None, open: Arc::default() }
    }

    /// Where it is; `None` for one in a temporary folder.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// Puts a database into the file, which is opened if it is not.
    fn enter(
        &self,
        options: &DatabaseOptions,
        migrations: &[Migration],
    ) -> Result<(Arc<OpenFile>, Membership), Error> {
        // Held until the schema is there: databases enter one after the other.
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = open.upgrade()
            && let Some(membership) = file.common.join()
        {
            // By a connection of its own, as another process would: the writer's has work to do.
            let path = &file.common.path;
            let mut connection = files::open_writer(path, options)?;
            migration::apply(&mut connection, &Record::of(options.name), migrations)
                .map_err(|error| files::explain(path, error))?;
            return Ok((file, membership));
        }
        let (file, membership) = OpenFile::open("shared", options, &Record::of(options.name), migrations)?;
        *open = Arc::downgrade(&file);
        Ok((file, membership))
    }
}

impl PartialEq for SharedFile {
    fn eq(&self, other: &SharedFile) -> bool {
        Arc::ptr_eq(&self.open, &other.open) || (self.path.is_some() && self.path == other.path)
    }
}

impl Eq for SharedFile {}

impl Debug for SharedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedFile").field("path", &self.path).finish_non_exhaustive()
    }
}

/// The way to the writer of an open file. When the last database that has it is gone, the writer ends.
pub(super) struct OpenFile {
    pub(super) writer: mpsc::Sender<Message>,
    pub(super) common: Arc<Common>,
}

impl OpenFile {
    /// The file that the options lead to, with the database in it.
    pub(super) fn enter(
        options: &DatabaseOptions,
        migrations: &[Migration],
    ) -> Result<(Arc<OpenFile>, Membership), Error> {
        match &options.location {
            Location::Within(file) => file.enter(options, migrations),
            Location::File(_) | Location::Ephemeral => {
                OpenFile::open(options.name, options, &Record::own(), migrations)
            }
        }
    }

    fn open(
        name: &'static str,
        options: &DatabaseOptions,
        record: &Record,
        migrations: &[Migration],
    ) -> Result<(Arc<OpenFile>, Membership), Error> {
        let files = Files::prepare(options)?;
        let path = files.path().to_path_buf();
        let mut connection = files::open_writer(&path, options)?;
        migration::apply(&mut connection, record, migrations)
            .map_err(|error| files::explain(&path, error))?;
        let common = Arc::new(Common {
            name,
            path,
            members: Mutex::default(),
            readers: Mutex::default(),
            commits: AtomicU64::new(0),
            units: AtomicU64::new(0),
        });
        let membership = common.join().ok_or(Error::Closed(options.name))?;
        let (writer, waiting) = mpsc::channel(options.queue.max(1));
        Writer::new(connection, waiting, options.group, Arc::clone(&common), files)
            .start()
            .map_err(|error| files::no_thread(&common.path, error))?;
        Ok((Arc::new(OpenFile { writer, common }), membership))
    }
}

/// What the databases of a file and its writer have in common.
pub(super) struct Common {
    pub(super) name: &'static str,
    pub(super) path: PathBuf,
    members: Mutex<Members>,
    readers: Mutex<Vec<JoinHandle<()>>>,
    pub(super) commits: AtomicU64,
    pub(super) units: AtomicU64,
}

#[derive(Default)]
struct Members {
    count: usize,
    /// Nobody comes in any more: the file is being closed.
    is_over: bool,
}

impl Common {
    /// One more database is in the file; `None` when it is being closed.
    fn join(self: &Arc<Common>) -> Option<Membership> {
        let mut members = self.members.lock().unwrap_or_else(PoisonError::into_inner);
        if members.is_over {
            return None;
        }
        members.count += 1;
        Some(Membership { common: Arc::clone(self), has_left: AtomicBool::new(false) })
    }

    /// Threads that are to end before the file is closed.
    pub(super) fn add_readers(&self, threads: Vec<JoinHandle<()>>) {
        self.readers.lock().unwrap_or_else(PoisonError::into_inner).extend(threads);
    }

    pub(super) fn take_readers(&self) -> Vec<JoinHandle<()>> {
        std::mem::take(&mut *self.readers.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// That a database is in a file: until it leaves, or is dropped.
pub(super) struct Membership {
    common: Arc<Common>,
    has_left: AtomicBool,
}

impl Membership {
    /// Leaves the file, the first time; true when nobody is in it any more.
    pub(super) fn leave(&self) -> bool {
        if self.has_left.swap(true, Ordering::AcqRel) {
            return false;
        }
        let mut members = self.common.members.lock().unwrap_or_else(PoisonError::into_inner);
        members.count = members.count.saturating_sub(1);
        members.is_over = members.count == 0;
        members.is_over
    }

    /// Whether it has left.
    pub(super) fn is_over(&self) -> bool {
        self.has_left.load(Ordering::Acquire)
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.leave();
    }
}

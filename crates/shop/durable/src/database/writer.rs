//! The writer thread: takes what waits, runs each unit in its savepoint, commits once, answers all.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rusqlite::Connection;
use tokio::sync::mpsc;

use super::file::Common;
use super::files::Files;
use super::job::{Job, Message};
use super::sqlite_error::failed_commit;
use crate::Error;

/// The one that writes to a file, for every database that is in it.
pub(super) struct Writer {
    connection: Connection,
    waiting: mpsc::Receiver<Message>,
    group: usize,
    common: Arc<Common>,
    files: Files,
}

impl Writer {
    pub(super) fn new(
        connection: Connection,
        waiting: mpsc::Receiver<Message>,
        group: usize,
        common: Arc<Common>,
        files: Files,
    ) -> Writer {
        Writer { connection, waiting, group: group.max(1), common, files }
    }

    /// Starts its thread, which ends when the last database of the file is closed or the last handle of any is dropped.
    pub(super) fn start(self) -> io::Result<()> {
        let name = format!("{}-writer", self.common.name);
        std::thread::Builder::new().name(name).spawn(move || self.run()).map(drop)
    }

    fn run(mut self) {
        let mut messages = Vec::with_capacity(self.group);
        let mut jobs = Vec::with_capacity(self.group);
        let (mut leaving, mut last) = (Vec::new(), None);
        while self.waiting.blocking_recv_many(&mut messages, self.group) > 0 {
            for message in messages.drain(..) {
                match message {
                    // What came after its database was closed.
                    Message::Run(job) if job.database().membership.is_over() => {
                        let name = job.database().name;
                        settle(job, Err(Error::Closed(name)));
                    }
                    Message::Run(job) => jobs.push(job),
                    // Said once more, by another handle.
                    Message::Close(database) if database.membership.is_over() => {}
                    Message::Close(database) if database.membership.leave() => {
                        // Whoever still waits for room in the queue is refused.
                        self.waiting.close();
                        last = Some(database);
                    }
                    Message::Close(database) => leaving.push(database),
                }
            }
            self.commit_all(&mut jobs);
            for database in leaving.drain(..) {
                database.closed.cancel();
            }
        }
        self.finish();
        if let Some(database) = last {
            database.closed.cancel();
        }
    }

    /// Runs the jobs in as few transactions as possible: one, unless a failure takes a transaction down.
    fn commit_all(&self, jobs: &mut Vec<Box<dyn Job>>) {
        let mut waiting = jobs.drain(..);
        while waiting.len() > 0 {
            if let Err(error) = self.run_statement("BEGIN IMMEDIATE") {
                // Not begun: told to everybody at once, since each would wait for the same lock or disk.
                waiting.by_ref().for_each(|job| settle(job, Err(error.clone())));
                return;
            }
            let mut done = Vec::with_capacity(waiting.len());
            let lost = waiting.by_ref().find_map(|mut job| {
                let result = self.run_unit(job.as_mut());
                done.push(job);
                result.err()
            });
            self.commit(done, lost);
        }
    }

    /// Runs one unit in its savepoint. `Err`: the whole transaction is gone, with this unit's failure as the reason.
    fn run_unit(&self, job: &mut dyn Job) -> Result<(), Error> {
        self.run_statement("SAVEPOINT unit")?;
        let keep = job.run(&self.connection);
        // SQLite rolls the whole transaction back by itself after some failures (disk full, I/O, out of memory).
        if self.connection.is_autocommit() {
            return Err(job.failure().unwrap_or_else(|| {
                Error::from(rusqlite::Error::SqliteFailure(
                    rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_ABORT_ROLLBACK),
                    Some("a unit ended the transaction of its group".to_owned()),
                ))
            }));
        }
        if !keep {
            self.run_statement("ROLLBACK TO unit")?;
        }
        self.run_statement("RELEASE unit")
    }

    fn commit(&self, done: Vec<Box<dyn Job>>, lost: Option<Error>) {
        let units = done.len();
        let result = match lost {
            None => self.run_statement("COMMIT").map(|()| units).map_err(failed_commit),
            Some(cause) => Err(Error::GroupRolledBack(Arc::new(cause))),
        };
        if result.is_ok() {
            self.common.commits.fetch_add(1, Ordering::Relaxed);
            self.common.units.fetch_add(units as u64, Ordering::Relaxed);
        } else if !self.connection.is_autocommit() {
            // A failed commit can leave the transaction open (busy, a deferred foreign key).
            if let Err(error) = self.run_statement("ROLLBACK") {
                tracing::error!(database = self.common.name, %error, "rolling back a failed commit failed");
            }
        }
        for job in done {
            settle(job, result.clone());
        }
    }

    fn run_statement(&self, sql: &'static str) -> Result<(), Error> {
        self.connection.prepare_cached(sql)?.execute(())?;
        Ok(())
    }

    /// Ends in this order: readers (they would keep the log busy), checkpoint, connection, lock and folder.
    fn finish(self) {
        for reader in self.common.take_readers() {
            let _ = reader.join();
        }
        if let Err(error) = self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |_| Ok(())) {
            // Nothing is lost: the next start reads the log.
            tracing::warn!(database = self.common.name, %error, "the write-ahead log could not be moved into the database");
        }
        if let Err((_, error)) = self.connection.close() {
            tracing::warn!(database = self.common.name, %error, "closing the database failed");
        }
        drop(self.files);
    }
}

/// Answers a job. What its caller left behind (a value's drop, a callback) must not end the writer.
fn settle(job: Box<dyn Job>, commit: Result<usize, Error>) {
    if catch_unwind(AssertUnwindSafe(|| job.settle(commit))).is_err() {
        tracing::error!("a unit's value panicked after the commit");
    }
}

//! Transactions and savepoints.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use rusqlite::{DropBehavior, Result};

use super::super::open_transaction::OpenTransaction;
use super::super::running::Running;
use super::super::target::Target;
use super::statement::observed;
use super::traced::Traced;

/// A transaction whose statements are spans. It leads to the [`Traced`] that has their methods.
///
/// Dropped without [`commit`](Self::commit) or [`rollback`](Self::rollback) it does what its behavior says, without a span. If
/// that is a rollback, the span that is current has the event `waypost.db.transaction.dropped`.
#[must_use = "a transaction that is dropped is rolled back"]
pub struct Transaction<'c> {
    traced: Traced<rusqlite::Transaction<'c>>,
    open: Option<OpenTransaction>,
}

impl<'c> Transaction<'c> {
    pub(super) fn new(target: Arc<Target>, inner: rusqlite::Transaction<'c>) -> Self {
        Self { traced: Traced::new(target, inner), open: Some(OpenTransaction::begun()) }
    }

    /// Sets a savepoint: a span `SAVEPOINT`.
    ///
    /// # Errors
    /// Those of SQLite.
    pub fn savepoint(&mut self) -> Result<Savepoint<'_>> {
        let Traced { target, inner } = &mut self.traced;
        Savepoint::set(target, None, inner, rusqlite::Transaction::savepoint)
    }

    /// Sets a savepoint of this name: a span `SAVEPOINT`.
    ///
    /// # Errors
    /// Those of SQLite.
    pub fn savepoint_with_name(&mut self, name: &str) -> Result<Savepoint<'_>> {
        let Traced { target, inner } = &mut self.traced;
        Savepoint::set(target, Some(name), inner, |transaction| transaction.savepoint_with_name(name))
    }

    /// What becomes of it when it is dropped. As `Transaction::drop_behavior` of rusqlite.
    pub fn drop_behavior(&self) -> DropBehavior {
        self.traced.inner.drop_behavior()
    }

    /// As `Transaction::set_drop_behavior` of rusqlite.
    pub fn set_drop_behavior(&mut self, behavior: DropBehavior) {
        self.traced.inner.set_drop_behavior(behavior);
        // Only who did not ask for anything else is told of it.
        match behavior {
            DropBehavior::Rollback if self.open.is_none() => self.open = Some(OpenTransaction::begun()),
            DropBehavior::Rollback => {}
            _ => end(&mut self.open),
        }
    }

    /// Commits it: a span `COMMIT`.
    ///
    /// # Errors
    /// Those of SQLite. If others hold the file it is rolled back then.
    pub fn commit(self) -> Result<()> {
        let Self { traced: Traced { target, inner }, mut open } = self;
        end(&mut open);
        observed(Running::start(&target, "COMMIT", false), || inner.commit())
    }

    /// Gives up what was done since it began: a span `ROLLBACK`.
    ///
    /// # Errors
    /// Those of SQLite.
    pub fn rollback(self) -> Result<()> {
        let Self { traced: Traced { target, inner }, mut open } = self;
        end(&mut open);
        observed(Running::start(&target, "ROLLBACK", false), || inner.rollback())
    }
}

/// A savepoint whose statements are spans. It leads to the [`Traced`] that has their methods.
///
/// Dropped without [`commit`](Self::commit) what was done since it was set is given up, without a span.
#[must_use = "a savepoint that is dropped is rolled back"]
pub struct Savepoint<'c> {
    traced: Traced<rusqlite::Savepoint<'c>>,
    /// As the program named it.
    name: Option<Box<str>>,
    open: Option<OpenTransaction>,
}

impl<'c> Savepoint<'c> {
    /// Sets one on what `place` is.
    pub(super) fn set<P>(
        target: &Arc<Target>,
        name: Option<&str>,
        place: &'c mut P,
        set: impl FnOnce(&'c mut P) -> Result<rusqlite::Savepoint<'c>>,
    ) -> Result<Self> {
        let running = Running::start(target, &with_name("SAVEPOINT", name), false);
        let inner = observed(running, || set(place))?;
        let (traced, name) = (Traced::new(Arc::clone(target), inner), name.map(Into::into));
        Ok(Self { traced, name, open: Some(OpenTransaction::begun()) })
    }

    /// Sets a savepoint inside of it: a span `SAVEPOINT`.
    ///
    /// # Errors
    /// Those of SQLite.
    pub fn savepoint(&mut self) -> Result<Savepoint<'_>> {
        let Traced { target, inner } = &mut self.traced;
        Savepoint::set(target, None, inner, rusqlite::Savepoint::savepoint)
    }

    /// Releases it, so that what was done belongs to what it stands in: a span `RELEASE`.
    ///
    /// # Errors
    /// Those of SQLite.
    pub fn commit(self) -> Result<()> {
        let Self { traced: Traced { target, inner }, name, mut open } = self;
        end(&mut open);
        observed(Running::start(&target, &with_name("RELEASE", name.as_deref()), false), || inner.commit())
    }

    /// Gives up what was done since it was set: a span `ROLLBACK`. It stays set, as with rusqlite.
    ///
    /// # Errors
    /// Those of SQLite.
    pub fn rollback(&mut self) -> Result<()> {
        end(&mut self.open);
        let text = with_name("ROLLBACK TO", self.name.as_deref());
        observed(Running::start(&self.traced.target, &text, false), || self.traced.inner.rollback())
    }
}

/// A savepoint without a name of the program's has one of rusqlite's, which nobody needs to see.
fn with_name(verb: &str, name: Option<&str>) -> String {
    match name {
        Some(name) => format!("{verb} {name}"),
        None => verb.to_owned(),
    }
}

/// It is ended by somebody who says so.
fn end(open: &mut Option<OpenTransaction>) {
    if let Some(open) = open.take() {
        open.end();
    }
}

impl<'c> Deref for Transaction<'c> {
    type Target = Traced<rusqlite::Transaction<'c>>;

    fn deref(&self) -> &Self::Target {
        &self.traced
    }
}

impl<'c> Deref for Savepoint<'c> {
    type Target = Traced<rusqlite::Savepoint<'c>>;

    fn deref(&self) -> &Self::Target {
        &self.traced
    }
}

impl fmt::Debug for Transaction<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transaction").field("traced", &self.traced).finish_non_exhaustive()
    }
}

impl fmt::Debug for Savepoint<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Savepoint").field("traced", &self.traced).finish_non_exhaustive()
    }
}

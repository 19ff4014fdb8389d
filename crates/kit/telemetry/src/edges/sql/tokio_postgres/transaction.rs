//! Transactions and savepoints.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use tokio_postgres::{Error, IsolationLevel};

use super::super::open_transaction::OpenTransaction;
use super::super::running::Running;
use super::super::target::Target;
use super::traced::{Traced, observed};

/// A transaction or a savepoint whose statements are spans. It leads to the [`Traced`] that has their methods.
///
/// Dropped without [`commit`](Self::commit) or [`rollback`](Self::rollback) it is rolled back, which nobody waits for; the
/// span that is current then has the event `waypost.db.transaction.dropped`.
#[must_use = "a transaction that is dropped is rolled back"]
pub struct Transaction<'c> {
    traced: Traced<tokio_postgres::Transaction<'c>>,
    open: OpenTransaction,
    /// The savepoint's name; `None` for a transaction.
    savepoint: Option<String>,
    depth: usize,
}

impl<'c> Transaction<'c> {
    fn new(
        target: Arc<Target>,
        inner: tokio_postgres::Transaction<'c>,
        savepoint: Option<String>,
        depth: usize,
    ) -> Self {
        Self { traced: Traced::new(target, inner), open: OpenTransaction::begun(), savepoint, depth }
    }

    /// Sets a savepoint: a span `SAVEPOINT`.
    pub async fn transaction(&mut self) -> Result<Transaction<'_>, Error> {
        // The name that tokio-postgres gives it.
        let name = format!("sp_{}", self.depth + 1);
        self.savepoint(name).await
    }

    /// Sets a savepoint of this name: a span `SAVEPOINT`.
    pub async fn savepoint(&mut self, name: impl Into<String>) -> Result<Transaction<'_>, Error> {
        let (name, depth, target) = (name.into(), self.depth + 1, Arc::clone(&self.traced.target));
        let running = Running::start(&target, &format!("SAVEPOINT {name}"), false);
        let setting = self.traced.inner.savepoint(name.clone());
        let inner = observed(running, setting, |_| None).await?;
        Ok(Transaction::new(target, inner, Some(name), depth))
    }

    /// Commits it, or releases the savepoint: a span `COMMIT` or `RELEASE`.
    pub async fn commit(self) -> Result<(), Error> {
        let Self { traced: Traced { target, inner }, open, savepoint, .. } = self;
        open.end();
        let text = savepoint.map_or(Cow::Borrowed("COMMIT"), |name| format!("RELEASE {name}").into());
        observed(Running::start(&target, &text, false), inner.commit(), |()| None).await
    }

    /// Gives up what was done since it began: a span `ROLLBACK`.
    pub async fn rollback(self) -> Result<(), Error> {
        let Self { traced: Traced { target, inner }, open, savepoint, .. } = self;
        open.end();
        let text = savepoint.map_or(Cow::Borrowed("ROLLBACK"), |name| format!("ROLLBACK TO {name}").into());
        observed(Running::start(&target, &text, false), inner.rollback(), |()| None).await
    }
}

impl<'c> Deref for Transaction<'c> {
    type Target = Traced<tokio_postgres::Transaction<'c>>;

    fn deref(&self) -> &Self::Target {
        &self.traced
    }
}

impl fmt::Debug for Transaction<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transaction").field("traced", &self.traced).finish_non_exhaustive()
    }
}

/// A transaction that is about to begin. As `tokio_postgres::TransactionBuilder`.
#[must_use = "nothing begins before `start`"]
pub struct TransactionBuilder<'c> {
    target: Arc<Target>,
    inner: tokio_postgres::TransactionBuilder<'c>,
}

impl<'c> TransactionBuilder<'c> {
    pub(super) fn new(target: Arc<Target>, inner: tokio_postgres::TransactionBuilder<'c>) -> Self {
        Self { target, inner }
    }

    /// As `TransactionBuilder::isolation_level`.
    pub fn isolation_level(self, level: IsolationLevel) -> Self {
        Self { target: self.target, inner: self.inner.isolation_level(level) }
    }

    /// As `TransactionBuilder::read_only`.
    pub fn read_only(self, read_only: bool) -> Self {
        Self { target: self.target, inner: self.inner.read_only(read_only) }
    }

    /// As `TransactionBuilder::deferrable`.
    pub fn deferrable(self, deferrable: bool) -> Self {
        Self { target: self.target, inner: self.inner.deferrable(deferrable) }
    }

    /// Begins it: a span `BEGIN`.
    pub async fn start(self) -> Result<Transaction<'c>, Error> {
        // What is sent is another word for it; programs of all drivers are to see the same name.
        let running = Running::start_as(&self.target, Cow::Borrowed("BEGIN"), "START TRANSACTION", false);
        let inner = observed(running, self.inner.start(), |_| None).await?;
        Ok(Transaction::new(self.target, inner, None, 0))
    }
}

impl fmt::Debug for TransactionBuilder<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransactionBuilder").finish_non_exhaustive()
    }
}

//! Keeps what ended in memory, at once, for tests and for programs that tell their own story.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::account::Account;
use crate::base::ledger::{DropReason, ExporterLedger};

/// A bounded ring: the newest are kept, the others counted as dropped.
#[derive(Debug)]
pub(crate) struct Memory<T> {
    items: Mutex<VecDeque<T>>,
    capacity: usize,
    account: Account,
    changed: watch::Sender<u64>,
    is_stopped: AtomicBool,
}

impl<T: Clone> Memory<T> {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            items: Mutex::default(),
            capacity: capacity.max(1),
            account: Account::new("memory"),
            changed: watch::Sender::new(0),
            is_stopped: AtomicBool::new(false),
        }
    }

    /// Keeps an item; a stopped memory only counts it. `make` is called if the item is kept.
    pub(super) fn keep(&self, make: impl FnOnce() -> T) {
        if self.is_stopped.load(Ordering::Acquire) {
            self.account.dropped(DropReason::Overwritten, 1);
            return;
        }
        let item = make();
        let mut items = self.items();
        if items.len() == self.capacity {
            items.pop_front();
            self.account.taken_back(DropReason::Overwritten);
        }
        items.push_back(item);
        drop(items);
        self.account.exported(1);
        self.changed.send_modify(|version| *version += 1);
    }

    pub(super) fn ledger(&self) -> ExporterLedger {
        self.account.ledger()
    }

    pub(crate) fn all(&self) -> Vec<T> {
        self.items().iter().cloned().collect()
    }

    /// Forgets everything; the account stays as it is.
    pub(crate) fn forget(&self) {
        self.items().clear();
    }

    /// Forgets everything and keeps nothing from now on; what comes is counted as overwritten.
    pub(crate) fn stop(&self) {
        self.is_stopped.store(true, Ordering::Release);
        *self.items() = VecDeque::new();
    }

    /// Tells when something was added.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    fn items(&self) -> MutexGuard<'_, VecDeque<T>> {
        self.items.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

//! Keeps what ended in memory, at once, for tests and for programs that tell their own story.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use opentelemetry_sdk::trace::SpanData;
use tokio::sync::watch;

use super::Sink;
use super::account::Account;
use crate::base::finished::{FinishedLog, FinishedSpan};
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

    fn push(&self, item: T) {
        self.account.enter();
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

    /// Counts an item that a stopped memory does not keep. False when it keeps it.
    fn passes_over(&self) -> bool {
        let is_stopped = self.is_stopped.load(Ordering::Acquire);
        if is_stopped {
            self.account.enter();
            self.account.exported(1);
            self.account.taken_back(DropReason::Overwritten);
        }
        is_stopped
    }

    /// Tells when something was added.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    fn items(&self) -> MutexGuard<'_, VecDeque<T>> {
        self.items.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Spans become plain values as they arrive.
#[derive(Debug)]
pub(crate) struct SpanMemory {
    pub(crate) spans: Arc<Memory<FinishedSpan>>,
    pub(crate) service_name: Arc<str>,
}

impl Sink<SpanData> for SpanMemory {
    fn accept(&self, span: SpanData) {
        if !self.spans.passes_over() {
            self.spans.push(FinishedSpan::new(Arc::clone(&self.service_name), span));
        }
    }

    fn ledger(&self) -> ExporterLedger {
        self.spans.account.ledger()
    }
}

/// Log records.
#[derive(Debug)]
pub(crate) struct LogMemory(pub(crate) Arc<Memory<FinishedLog>>);

impl Sink<FinishedLog> for LogMemory {
    fn accept(&self, record: FinishedLog) {
        if !self.0.passes_over() {
            self.0.push(record);
        }
    }

    fn ledger(&self) -> ExporterLedger {
        self.0.account.ledger()
    }
}

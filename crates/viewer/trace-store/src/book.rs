//! The ledger as it is kept: one account for each service, and changes that are entered once they are true.
//!
//! Invariant: what is stored is counted where spans are put in and taken out, not derived from the other
//! figures, so that the equation received = stored + refused + evicted is a check and not a definition.

use crate::ledger::{EvictionReason, Ledger, ServiceLedger};
use foldhash::{HashMap, HashSet, HashSetExt};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use waypost_trace_model::{Batch, LogRecord, RefusalReason, Span, Text};
use waypost_trace_statistics::OTHER;

/// Services with an account of their own; more are accounted for together as [`OTHER`].
const SERVICES: usize = 10_000;

/// A longer name has no account of its own: a client may send any name, and each is kept.
pub(crate) const NAME_BYTES: usize = 1024;

/// One service's account, or a change of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Account {
    received: u64,
    refused: BTreeMap<RefusalReason, u64>,
    evicted: BTreeMap<EvictionReason, u64>,
    logs_received: u64,
    logs_refused: u64,
    logs_evicted: u64,
    /// Counted anew from the files when a store is opened.
    #[serde(skip)]
    stored: u64,
    #[serde(skip)]
    logs_stored: u64,
}

impl Account {
    fn add(&mut self, change: &Account) {
        self.received += change.received;
        self.logs_received += change.logs_received;
        self.logs_refused += change.logs_refused;
        self.logs_evicted += change.logs_evicted;
        self.stored = self.stored.wrapping_add(change.stored);
        self.logs_stored = self.logs_stored.wrapping_add(change.logs_stored);
        for (reason, spans) in &change.refused {
            *self.refused.entry(*reason).or_default() += spans;
        }
        for (reason, spans) in &change.evicted {
            *self.evicted.entry(*reason).or_default() += spans;
        }
    }

    fn evict(&mut self, reason: EvictionReason, spans: u64, logs: u64) {
        if spans > 0 {
            *self.evicted.entry(reason).or_default() += spans;
        }
        self.logs_evicted += logs;
    }
}

/// Changes of several accounts that become true together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Changes {
    accounts: HashMap<Text, Account>,
}

impl Changes {
    fn account(&mut self, service: &Text) -> &mut Account {
        if !self.accounts.contains_key(service) {
            self.accounts.insert(owned(service), Account::default());
        }
        self.accounts.entry(service.clone()).or_default()
    }

    /// Records that were received and are kept.
    pub(crate) fn keep<'a>(
        &mut self,
        spans: impl IntoIterator<Item = &'a Span>,
        logs: impl IntoIterator<Item = &'a LogRecord>,
    ) {
        for (service, spans) in runs(spans.into_iter().map(|span| &span.resource.service)) {
            let account = self.account(service);
            account.received += spans;
            account.stored += spans;
        }
        for (service, logs) in runs(logs.into_iter().map(|log| &log.resource.service)) {
            let account = self.account(service);
            account.logs_received += logs;
            account.logs_stored += logs;
        }
    }

    /// Records that were kept and are dropped.
    pub(crate) fn evict(&mut self, service: &Text, reason: EvictionReason, spans: u64, logs: u64) {
        let account = self.account(service);
        // A change may take away: it is added around the end.
        account.stored = account.stored.wrapping_sub(spans);
        account.logs_stored = account.logs_stored.wrapping_sub(logs);
        account.evict(reason, spans, logs);
    }

    /// Records that were received and are not kept.
    pub(crate) fn refuse(&mut self, service: &Text, reason: RefusalReason, spans: u64, logs: u64) {
        let account = self.account(service);
        account.received += spans;
        if spans > 0 {
            *account.refused.entry(reason).or_default() += spans;
        }
        account.logs_received += logs;
        account.logs_refused += logs;
    }

    /// A whole batch that is not kept; what it says itself was refused keeps its own reasons.
    pub(crate) fn refuse_batch(&mut self, batch: &Batch, reason: RefusalReason) {
        for (service, spans) in runs(batch.spans.iter().map(|span| &span.resource.service)) {
            self.refuse(service, reason, spans, 0);
        }
        for (service, logs) in runs(batch.logs.iter().map(|log| &log.resource.service)) {
            self.refuse(service, reason, 0, logs);
        }
        self.refuse_as_told(batch);
    }

    /// What a batch says was refused before it came here.
    pub(crate) fn refuse_as_told(&mut self, batch: &Batch) {
        for refusal in &batch.refused {
            self.refuse(&refusal.service, refusal.reason, refusal.spans, refusal.logs);
        }
    }
}

/// Neighbours that are equal, counted.
fn runs<'a>(services: impl Iterator<Item = &'a Text>) -> impl Iterator<Item = (&'a Text, u64)> {
    let mut services = services.peekable();
    std::iter::from_fn(move || {
        let service = services.next()?;
        let mut count = 1;
        while services.next_if(|next| *next == service).is_some() {
            count += 1;
        }
        Some((service, count))
    })
}

/// A copy that does not keep the request alive of which the text is a slice.
pub(crate) fn owned(text: &Text) -> Text {
    Text::from(String::from(&**text))
}

/// Every account.
#[derive(Debug, Default)]
pub(crate) struct Book {
    accounts: HashMap<Text, Account>,
    /// Accounts that changed since they were last written.
    unwritten: HashSet<Text>,
}

impl Book {
    /// From the rows that [`Book::rows`] gave.
    pub(crate) fn restore(rows: impl IntoIterator<Item = (String, Account)>) -> Book {
        let accounts = rows.into_iter().map(|(service, account)| (Text::from(service), account)).collect();
        Book { accounts, unwritten: HashSet::new() }
    }

    /// Enters changes.
    pub(crate) fn enter(&mut self, changes: &Changes) {
        self.open_accounts(changes);
        for (service, change) in &changes.accounts {
            let name = self.name(service);
            self.unwritten.insert(name.clone());
            self.accounts.entry(name).or_default().add(change);
        }
    }

    /// Counts records as stored that were received before the store was opened.
    pub(crate) fn found(&mut self, service: &Text, spans: u64, logs: u64) {
        let name = self.name(service);
        let account = self.accounts.entry(name).or_default();
        account.stored += spans;
        account.logs_stored += logs;
    }

    /// Once everything that is stored was counted with [`Book::found`]: what is not there although it was
    /// never evicted was lost with a damaged file, and is counted as that. Returns such spans and log
    /// records.
    pub(crate) fn settle(&mut self) -> (u64, u64) {
        let (mut spans, mut logs) = (0, 0);
        for (service, account) in &mut self.accounts {
            let gone = account.refused.values().chain(account.evicted.values()).sum::<u64>() + account.stored;
            let lost = account.received.saturating_sub(gone);
            let logs_gone = account.logs_refused + account.logs_evicted + account.logs_stored;
            let logs_lost = account.logs_received.saturating_sub(logs_gone);
            if lost + logs_lost > 0 {
                account.evict(EvictionReason::Damaged, lost, logs_lost);
                self.unwritten.insert(service.clone());
            }
            spans += lost;
            logs += logs_lost;
        }
        (spans, logs)
    }

    /// The accounts that would differ from what was last written, were the changes entered.
    pub(crate) fn rows(&mut self, changes: &Changes) -> BTreeMap<Text, Account> {
        self.open_accounts(changes);
        let unwritten =
            self.unwritten.iter().filter_map(|name| Some((name.clone(), self.accounts.get(name)?.clone())));
        let mut rows: BTreeMap<Text, Account> = unwritten.collect();
        for (service, change) in &changes.accounts {
            let name = self.name(service);
            let present = || self.accounts.get(&name).cloned().unwrap_or_default();
            rows.entry(name.clone()).or_insert_with(present).add(change);
        }
        rows
    }

    /// These rows were written.
    pub(crate) fn written(&mut self, rows: &BTreeMap<Text, Account>) {
        for (name, row) in rows {
            if self.accounts.get(name) == Some(row) {
                self.unwritten.remove(name);
            }
        }
    }

    /// For the reader.
    pub(crate) fn ledger(&self) -> Ledger {
        let mut services: Vec<ServiceLedger> = self
            .accounts
            .iter()
            .map(|(service, account)| ServiceLedger {
                service: service.clone(),
                received: account.received,
                stored: account.stored,
                refused: account.refused.clone(),
                evicted: account.evicted.clone(),
                logs_received: account.logs_received,
                logs_stored: account.logs_stored,
                logs_refused: account.logs_refused,
                logs_evicted: account.logs_evicted,
            })
            .collect();
        services.sort_by(|a, b| a.service.cmp(&b.service));
        Ledger { services }
    }

    /// Spans and log records that are stored.
    pub(crate) fn stored(&self) -> (u64, u64) {
        self.accounts
            .values()
            .fold((0, 0), |sum, account| (sum.0 + account.stored, sum.1 + account.logs_stored))
    }

    /// Gives each service an account of its own while there is room, unless its name is too long.
    fn open_accounts(&mut self, changes: &Changes) {
        for service in changes.accounts.keys() {
            let is_beyond = self.accounts.len() >= SERVICES || service.len() > NAME_BYTES;
            if !is_beyond && !self.accounts.contains_key(service) {
                self.accounts.insert(owned(service), Account::default());
            }
        }
    }

    /// Under which name a service is accounted for. An account is never closed, so that the name stays the
    /// same.
    fn name(&self, service: &Text) -> Text {
        if self.accounts.contains_key(service) { owned(service) } else { Text::from_static(OTHER) }
    }
}

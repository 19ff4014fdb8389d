//! Where payments are kept: one trait in the words of the domain, each method one atomic unit.
//!
//! For [`crate::logic`]. The stores load what [`crate::domain`] needs to judge a request or an answer of the provider,
//! and carry the judgement out in the same unit. No unit waits for the provider. All stores pass the same tests
//! (`tests/it/store.rs`).

mod content;
mod postgres;
mod rows;
mod sqlite;

pub use self::{content::CONTENT, postgres::PostgresStore, sqlite::SqliteStore};

use crate::{
    Error,
    domain::{Charge, Finding, Generation, Intent, NewRefund, Payment, Refund, ReviewTimes, Totals},
};
use std::{fmt::Debug, sync::Arc, time::Duration};
use waypost_api::{Currency, OrderId, Timestamp};
use waypost_durable::{BoxFuture, Epoch, Migrator, Storage};
use waypost_telemetry::Telemetry;

/// What a store answers.
pub type Answer<'a, T> = BoxFuture<'a, Result<T, Error>>;

/// A payment that was begun, now or before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Begun {
    /// The payment.
    pub payment: Payment,
    /// Whether it was begun now, so that the provider cannot know of it yet.
    pub is_new: bool,
}

/// A refund that was begun, now or before, with its payment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BegunRefund {
    /// The refund.
    pub refund: Refund,
    /// Its payment.
    pub payment: Payment,
    /// Whether it was begun now, for the first time or anew, so that the provider cannot know of it yet.
    pub is_new: bool,
    /// The store's time when this was read.
    pub as_of: Timestamp,
}

/// What became of a refund.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RefundOutcome {
    /// The money was given back; this is the charge since.
    Done(Charge),
    /// The provider said no.
    Rejected,
    /// The provider did not answer.
    NoAnswer,
}

/// What is to be looked into.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Due {
    /// Payments whose time of review has come.
    pub payments: Vec<Payment>,
    /// Refunds whose outcome is not known, with their payments.
    pub refunds: Vec<BegunRefund>,
}

impl Due {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.payments.is_empty() && self.refunds.is_empty()
    }
}

/// Opens the store that the storage is for, and migrates it. The one place where this service picks a dialect.
pub async fn open(
    storage: &Storage,
    telemetry: &Telemetry,
    times: ReviewTimes,
) -> Result<Arc<dyn Store>, Error> {
    match storage {
        Storage::Embedded(files) => Ok(Arc::new(
            files.open(telemetry, move |files, telemetry| SqliteStore::open(files, telemetry, times)).await?,
        )),
        Storage::Postgres(server) => Ok(Arc::new(PostgresStore::open(server, telemetry, times).await?)),
    }
}

/// What brings the database of that store to the schema of this program.
pub fn migrator(storage: &Storage) -> Box<dyn Migrator> {
    match storage {
        Storage::Embedded(files) => Box::new(SqliteStore::migrator(files)),
        Storage::Postgres(server) => Box::new(PostgresStore::migrator(server)),
    }
}

/// Payments, refunds and the ledger.
///
/// What is due when is judged by the clock of the store, which all its callers share; none of them tells it the time.
///
/// # Isolation
/// Callers are many, in several processes where the database allows it. Each method is one transaction that judges what it
/// has read, so what it has read must still hold when it commits:
/// - `begin` and `give_up` of one order each read what the other writes (write skew): an attempt would be begun and given
///   up, and charged. They take a lock per order before they read, or run serialisable.
/// - `record`, `begin_refund` and `end_refund` take the payment's row for themselves before they judge it; of refunds of one
///   payment the second sees the amount that the first has set aside.
/// - `due` may show what another process looks into at the same moment: every answer is recorded in a unit of its own.
/// - `totals` is one state of all tables.
///
/// A transaction that loses is [`waypost_durable::Error::Conflict`]; the order service repeats the request under its key.
///
/// Cancel safety of every method: once it has been polled, its unit may be carried out whole although the future is
/// dropped; it is never carried out in part.
pub trait Store: Debug + Send + Sync + 'static {
    // What an order's saga asks for is refused to a runner that was replaced ([`crate::domain::admit`]); the epoch of the one
    // that asks is remembered in the unit of the effect: what is refused leaves no trace.

    /// Writes an intent down, or finds the payment it became before (see [`crate::domain::authorize`]).
    fn begin(&self, intent: Intent) -> Answer<'_, Begun>;

    /// The newest payment of an order.
    fn newest(&self, order: OrderId) -> Answer<'_, Option<Payment>>;

    /// Admits a request that changes nothing here before the provider is asked. Gives the newest payment, if there is one.
    fn admit(&self, order: OrderId, epoch: Epoch) -> Answer<'_, Option<Payment>>;

    /// Marks an order's payment as unwanted and forbids that one of this generation or an older one begins (see
    /// [`crate::domain::void`]). Gives the newest payment that this is about, if there is one.
    fn give_up(&self, order: OrderId, generation: Generation, epoch: Epoch) -> Answer<'_, Option<Payment>>;

    /// Moves a payment to where a finding says it is, and books the money that moved (see [`Payment::after`]). An answer of
    /// the provider that contradicts our books changes nothing but the mark that it does, which its next answer that fits
    /// takes away.
    fn record(&self, order: OrderId, generation: Generation, finding: Finding) -> Answer<'_, Payment>;

    /// As [`Store::record`], for who has just read the payment: it need not be read once more, unless it was changed since.
    fn record_of(&self, known: Payment, finding: Finding) -> Answer<'_, Payment> {
        self.record(known.order, known.generation, finding)
    }

    /// Writes a refund down, or finds the one that this key began before (see [`crate::domain::refund`]). One that was
    /// rejected is begun anew when it has rested (see [`Refund::anew`]). Without an epoch whoever asks was admitted before.
    fn begin_refund(&self, request: NewRefund, epoch: Option<Epoch>) -> Answer<'_, BegunRefund>;

    /// Ends the refund of this key and number, or puts it off; gives its payment. What was done stays done. The charge that it
    /// led to is marked as by [`Store::record`] when it contradicts our books.
    fn end_refund(&self, key: String, number: u32, outcome: RefundOutcome) -> Answer<'_, Payment>;

    /// How many payments are marked because the provider's last answer contradicts our books.
    fn contradictions(&self) -> Answer<'_, u64>;

    /// What is to be looked into, the longest due first, at most `max` of each kind.
    fn due(&self, max: u32) -> Answer<'_, Due>;

    /// Deletes some payments that ended longer ago than `age`, with their refunds and ledger entries, and tells how many; what
    /// they add up to is kept. Nothing that may still move goes. Repeated until it is none, all of it is gone.
    fn delete_ended(&self, age: Duration) -> Answer<'_, usize>;

    /// Sums over everything (I9), also over what was deleted. Reads everything: for checks, not for requests.
    fn totals(&self, currency: Currency) -> Answer<'_, Totals>;

    /// Fails when the store cannot be read.
    fn ping(&self) -> Answer<'_, ()>;

    /// Finishes what waits and lets go of the database.
    fn close(&self) -> BoxFuture<'_, ()>;
}

//! Where orders are kept: one trait in the words of the domain, each method one atomic unit.
//!
//! For [`crate::logic`] and [`crate::running`]. Invariants: an order, its history, the journal of its saga, the
//! client's key and the event commit together or not at all; what is written to an order's journal was decided on the
//! rows that are there (the number of rows is the fence). All implementations pass the same tests
//! (`tests/it/store.rs`).

mod content;
pub mod operator;
mod postgres;
mod sqlite;

pub use self::{content::CONTENT, postgres::PostgresStore, sqlite::SqliteStore};
pub use waypost_durable::saga::host::Lease;

use crate::{
    Error,
    domain::{Cursor, Fact, Move, Order, Origin, Output, Refusal, TokenKey, Viewer},
};
use std::{fmt::Debug, sync::Arc, time::Duration};
use uuid::Uuid;
use waypost_api::{OrderId, UserId};
use waypost_durable::{
    BoxFuture, Epoch, Migrator, Storage,
    idempotency::Key,
    outbox,
    saga::{Log, Phase},
};
use waypost_telemetry::Telemetry;

/// What a store answers.
pub type Answer<'a, T> = BoxFuture<'a, Result<T, Error>>;

/// The name of a runner in leases: that of its node, which outlives a restart, and what tells one run of the process
/// from the next.
pub fn runner_name(node: &str, run: Uuid) -> String {
    format!("{node}{RUNNER_SEPARATOR}{run}")
}

/// Between node and run; no node has it in its name.
const RUNNER_SEPARATOR: char = '/';

/// A new order.
#[derive(Debug, Clone)]
pub struct Placement {
    /// The order.
    pub order: Order,
    /// The first facts of its saga.
    pub facts: Vec<Fact>,
    /// Who runs it.
    pub lease: Lease,
    /// The client's key, if it sent one.
    pub key: Option<Key>,
}

/// What became of a [`Placement`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Placed {
    /// It is stored.
    New,
    /// The key was used for this order before, by the same request.
    Before(Box<Order>),
    /// The key was used before, by another request.
    KeyReused,
}

/// What became of a wish to cancel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cancelling {
    /// It is noted; the saga turns back.
    Noted(Order),
    /// It was noted before, or the saga has turned back for another reason.
    TurnedBack(Order),
    /// The money is being taken, or the order is settled.
    TooLate(Order),
}

/// One unit of an order's saga.
#[derive(Debug, Clone)]
pub struct Progress {
    /// The order after it.
    pub order: Order,
    /// How many rows the journal has if nobody else has written.
    pub rows_before: u64,
    /// The new row.
    pub facts: Vec<Fact>,
    /// Where the saga stands after it.
    pub phase: Phase,
    /// Who runs it from here.
    pub lease: Lease,
    /// What is added to the order's history.
    pub moved: Option<Move>,
    /// What the others are told.
    pub event: Option<outbox::Event>,
}

/// An order's end has the time of its process, taken before its unit commits: so much later its journal is still found by
/// those that delete.
const LATE_COMMIT: Duration = Duration::from_secs(10);

/// How long things are kept of orders that have ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    /// Their journals.
    pub journals: Duration,
    /// The orders, with their history. Must be longer than any idempotency key lives.
    pub orders: Duration,
}

/// An order with the journal of its saga, as its runner has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// The order.
    pub order: Order,
    /// In which epoch the runner has it.
    pub epoch: Epoch,
    /// The journal.
    pub log: Log<Output, Refusal>,
}

/// An order whose saga nobody runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfinished {
    /// The order's id.
    pub id: OrderId,
    /// The trace it belongs to.
    pub origin: Origin,
}

/// Opens the store that the storage is for, and migrates it. The one place where this service picks a dialect.
pub async fn open(storage: &Storage, telemetry: &Telemetry) -> Result<Arc<dyn Store>, Error> {
    match storage {
        Storage::Embedded(files) => Ok(Arc::new(files.open(telemetry, SqliteStore::open).await?)),
        Storage::Postgres(server) => Ok(Arc::new(PostgresStore::open(server, telemetry).await?)),
    }
}

/// What brings the database of that store to the schema of this program.
pub fn migrator(storage: &Storage) -> Box<dyn Migrator> {
    match storage {
        Storage::Embedded(files) => Box::new(SqliteStore::migrator(files)),
        Storage::Postgres(server) => Box::new(PostgresStore::migrator(server)),
    }
}

/// Orders.
///
/// Leases, keys and ages are judged by the clock of the store, which all its callers share; none of them tells it the time.
///
/// # Isolation
/// Callers are many, in several processes where the database allows it. Each method is one transaction and needs of it:
/// - `place`: of those with one key exactly one is new, and the others see its order: the key's row is inserted before
///   the order is ([`waypost_durable::idempotency::claim`]).
/// - `advance`, `cancel`, `take_over`, `renew`, `end_leases` and what operators do: the condition on journal rows, phase and
///   runner is part of the statement that writes, and the row stays locked until the commit. Read committed is enough; a
///   condition that was only read before is not.
/// - `page`: a cursor is a place in (`created_at`, `order_id`), which never changes. An order that commits late with an
///   earlier time is missing from pages that were read before, and there when the list is read again.
/// - `outbox`: positions need not be those of the commits, as rows are marked one by one; within one order they rise,
///   because its units follow each other.
/// - `token_key`: of those that make it at the same time all get the same one.
/// - `purge_keys` and `delete_ended` look at rows that have ended, which nobody changes any more.
///
/// Cancel safety of every method: once it has been polled, its unit may be carried out whole although the future is
/// dropped; it is never carried out in part.
pub trait Store: Debug + Send + Sync + 'static {
    /// Stores a new order, unless its key was used before.
    fn place(&self, placement: Placement) -> Answer<'_, Placed>;

    /// What [`Store::place`] would say of a key, without storing anything; `None` when the key is new.
    fn placed_before(&self, key: Key) -> Answer<'_, Option<Placed>>;

    /// An order that the viewer may see.
    fn find(&self, id: OrderId, viewer: Viewer) -> Answer<'_, Option<Order>>;

    /// A user's orders as far as the viewer may see them, from the newest to the oldest, those after `after`, at most
    /// `max`.
    fn page(&self, user: UserId, viewer: Viewer, after: Option<Cursor>, max: u32) -> Answer<'_, Vec<Order>>;

    /// Notes the wish to cancel an order that the viewer may see, if its saga can still turn back; `None` when there
    /// is no such order.
    fn cancel(&self, id: OrderId, viewer: Viewer) -> Answer<'_, Option<Cancelling>>;

    /// Carries out one unit of a saga. False, with nothing changed, when the journal has other rows than expected, or the
    /// saga another runner than the lease's epoch says.
    fn advance(&self, progress: Progress) -> Answer<'_, bool>;

    /// Takes over a saga whose lease ran out, in the next epoch, for this time; `None` when somebody else was faster or it
    /// has ended.
    fn take_over(&self, id: OrderId, runner: String, lasts: Duration) -> Answer<'_, Option<Taken>>;

    /// An order with its journal, if the runner of this epoch still has it.
    fn reload(&self, id: OrderId, epoch: Epoch) -> Answer<'_, Option<Taken>>;

    /// Sagas that have not ended and whose lease ran out, those that wait longest first, at most `max`.
    fn unfinished(&self, max: u32) -> Answer<'_, Vec<Unfinished>>;

    /// Ends the leases of the runners of this node, so that its sagas need not wait for them to run out. To be called
    /// once, before the first runner of the process: whoever held one under this name is gone. Leases of other nodes
    /// stay as they are.
    fn end_leases(&self, node: String) -> Answer<'_, ()>;

    /// Prolongs, for this time from now, the leases of the sagas that the runners of these epochs still have, and gives the
    /// orders whose sagas they have no longer. A saga that is parked or has ended is neither prolonged nor lost.
    fn renew(&self, held: Vec<(OrderId, Epoch)>, lasts: Duration) -> Answer<'_, Vec<OrderId>>;

    /// Forgets keys whose order ended [`waypost_durable::idempotency::RETENTION`] ago, and tells how many. A key lives at
    /// least as long as its order runs.
    fn purge_keys(&self) -> Answer<'_, usize>;

    /// The key that signs page tokens: the same for every process that shares the store.
    fn token_key(&self) -> Answer<'_, TokenKey>;

    /// Deletes, of some orders that have ended, what is not kept any more, and tells of how many. Repeated until it is none,
    /// all of it is gone.
    fn delete_ended(&self, kept: Kept) -> Answer<'_, usize>;

    /// Every state that an order was in, the first one first.
    fn history(&self, id: OrderId) -> Answer<'_, Vec<Move>>;

    /// The events that wait to be published.
    fn outbox(&self) -> Arc<dyn outbox::Outbox>;

    /// What operators read and change.
    fn operator(&self) -> Arc<dyn operator::OperatorStore>;

    /// Fails when the store cannot be read.
    fn ping(&self) -> Answer<'_, ()>;

    /// Finishes what waits and lets go of the database.
    fn close(&self) -> BoxFuture<'_, ()>;
}

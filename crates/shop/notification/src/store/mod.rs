//! Where notifications are kept: one trait, each method one atomic unit.
//!
//! Invariants: I16, an event has its effect once for each consumer; I18, there is one notification an order, kind and
//! channel. What every store has to keep is in `tests/it/store.rs`.

mod content;
mod postgres;
mod sqlite;

pub use self::{content::CONTENT, postgres::PostgresStore, sqlite::SqliteStore};

use crate::{
    Error,
    domain::{Channel, Notification},
};
use std::{fmt::Debug, sync::Arc, time::Duration};
use waypost_api::{EventId, OrderId};
use waypost_durable::{BoxFuture, Companion, Migrator, Storage};
use waypost_telemetry::Telemetry;

/// What a store answers.
pub type Answer<'a, T> = BoxFuture<'a, Result<T, Error>>;

/// A notification that was not there before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// How the user is told.
    pub channel: Channel,
    /// What is said.
    pub subject: String,
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

/// Notifications.
///
/// # Isolation
/// Callers are many, in several processes where the database allows it. `record` rests on two unique keys, that of the event
/// and consumer and that of order, kind and channel: of those at the same time one inserts, the others wait for its commit
/// and find it there. Read committed is enough.
///
/// Cancel safety of every method: once it has been polled, its unit may be carried out whole although the future is
/// dropped; it is never carried out in part.
pub trait Store: Debug + Send + Sync + 'static {
    /// Records the notifications of an event, and that this consumer has had the event. Returns those that are new:
    /// none when the event had been recorded before. In both cases `then` is done in the same unit, if it is of the same file.
    fn record(
        &self,
        consumer: String,
        event: EventId,
        notifications: Vec<Notification>,
        then: Option<Companion<()>>,
    ) -> Answer<'_, Vec<Recorded>>;

    /// The notifications about an order, by kind and channel.
    fn of_order(&self, order: OrderId) -> Answer<'_, Vec<Notification>>;

    /// How many notifications there are.
    fn total(&self) -> Answer<'_, u64>;

    /// Forgets which events were seen longer than `age` ago, some at a time, and tells how many.
    fn purge_inbox(&self, age: Duration) -> Answer<'_, usize>;

    /// Deletes notifications that were sent longer ago than `age`, some at a time, and tells how many.
    fn delete_sent(&self, age: Duration) -> Answer<'_, usize>;

    /// Fails when the store cannot be read.
    fn ping(&self) -> Answer<'_, ()>;

    /// Finishes what waits and lets go of the database.
    fn close(&self) -> BoxFuture<'_, ()>;
}

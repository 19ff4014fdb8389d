//! The provider's ledger as a port: each method is one atomic unit.

mod content;
mod postgres;
mod sqlite;

pub use content::CONTENT;
pub use postgres::PostgresStore;
pub use sqlite::SqliteStore;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use waypost_api::Amount;
use waypost_durable::{BoxFuture, Migrator, Storage};
use waypost_telemetry::Telemetry;

use crate::Error;
use crate::domain::{Charge, Operation};

/// A request with its key.
#[derive(Clone, Debug)]
pub struct Command {
    /// The client's idempotency key.
    pub key: String,
    /// What makes the request different from others.
    pub fingerprint: Vec<u8>,
    /// What is asked for.
    pub operation: Operation,
}

/// The answer to a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The charge as it was after the first request with this key.
    pub charge: Charge,
    /// True when this is a repetition.
    pub is_replay: bool,
}

/// A request that was taken on and is carried out later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Late {
    /// Its key.
    pub key: String,
    /// The time until it is due; none when it is overdue.
    pub left: Duration,
}

/// A late request that was carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkedOff {
    /// What it asked for.
    pub operation: Operation,
    /// What it would have been answered.
    pub answer: Answer,
}

/// What the ledger adds up to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Charges that were not declined.
    pub charges: u64,
    /// Money taken.
    pub captured: Amount,
    /// Money given back.
    pub refunded: Amount,
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

/// Charges, ledger and answers, kept together.
///
/// Isolation: `execute` judges the key's answer and the charge, and takes both for itself before it does; of those with one
/// key at the same time one has the effect and the others get its answer.
pub trait Store: fmt::Debug + Send + Sync + 'static {
    /// Carries an operation out: the charge, the ledger and the key's answer change together or not at all.
    /// A key that was seen gets its first answer; with another fingerprint it is refused.
    fn execute(&self, command: Command) -> BoxFuture<'_, Result<Answer, Error>>;

    /// Takes a request on that is carried out later, by [`Store::work_off`]; a key that was put off stays as it is. False, and
    /// nothing is put off, when the key has its answer already.
    fn put_off(&self, command: Command, by: Duration) -> BoxFuture<'_, Result<bool, Error>>;

    /// Every request that is put off, the first due first.
    fn put_off_work(&self) -> BoxFuture<'_, Result<Vec<Late>, Error>>;

    /// Carries a request out that was put off, due or not, in the unit that makes it one no more. `None` when there is none,
    /// or a rule refuses it.
    fn work_off(&self, key: String) -> BoxFuture<'_, Result<Option<WorkedOff>, Error>>;

    /// A charge by its id.
    fn charge(&self, id: String) -> BoxFuture<'_, Result<Option<Charge>, Error>>;

    /// Charges by the merchant's reference, oldest first; at most 100.
    fn by_reference(&self, reference: String) -> BoxFuture<'_, Result<Vec<Charge>, Error>>;

    /// What the ledger adds up to.
    fn totals(&self) -> BoxFuture<'_, Result<Totals, Error>>;

    /// Forgets answers that were given longer ago than `age`, some at a time, and tells how many. Their keys are new from then
    /// on.
    fn forget_requests(&self, age: Duration) -> BoxFuture<'_, Result<usize, Error>>;

    /// Forgets charges older than `age` that nothing is reserved for any more, some at a time, and tells how many. What
    /// they moved stays in the totals.
    fn forget_charges(&self, age: Duration) -> BoxFuture<'_, Result<usize, Error>>;

    /// Fails when the ledger cannot be read.
    fn ping(&self) -> BoxFuture<'_, Result<(), Error>>;

    /// Finishes what waits and lets go of the database.
    fn close(&self) -> BoxFuture<'_, ()>;
}

/// The charge that an operation works on, if it names one.
fn subject(operation: &Operation) -> Option<&str> {
    match operation {
        Operation::Charge(_) => None,
        Operation::Capture { id } | Operation::Void { id } | Operation::Refund { id, .. } => Some(id),
    }
}

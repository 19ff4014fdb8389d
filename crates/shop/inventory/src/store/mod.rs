//! Where stock and holds are kept: one trait in the words of the domain, each method one atomic unit.
//!
//! For [`crate::logic`]. The stores load what [`crate::domain`] needs to judge a request, and carry the judgement out
//! in the same unit, so that no two requests judge by the same state. All of them pass the same tests
//! (`tests/it/store.rs`).

mod content;
mod postgres;
mod sqlite;

pub use self::{content::CONTENT, postgres::PostgresStore, sqlite::SqliteStore};

use crate::{
    Error,
    domain::{Generation, NewProduct, NewReservation, Product, Reservation, StockCount},
};
use std::{fmt::Debug, sync::Arc, time::Duration};
use waypost_api::{OrderId, ProductId};
use waypost_durable::{BoxFuture, Epoch, Migrator, Storage};
use waypost_telemetry::Telemetry;

/// What a store answers.
pub type Answer<'a, T> = BoxFuture<'a, Result<T, Error>>;

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

/// Stock and holds.
///
/// The store alone judges when a hold has run out, by a clock that all its callers share.
///
/// # Isolation
/// Callers are many, in several processes where the database allows it. Each method is one transaction:
/// - `reserve`, `commit` and `release` judge the newest hold of the order, so they take a lock per order before they read
///   it: the first hold has no row yet that could be locked.
/// - Rows of stock are taken in the order of their products, those of an older hold and of the new one together, or two
///   orders wait for each other. How much there is is a condition of the statement that takes it.
/// - A hold ends exactly once: its state is a condition of the statement that ends it (I12). `expire` leaves out what
///   another process ends at the same moment.
/// - `count` is one state of all tables.
///
/// A transaction that loses is [`waypost_durable::Error::Conflict`]; the order service repeats the request under its key.
///
/// Cancel safety of every method: once it has been polled, its unit may be carried out whole although the future is
/// dropped; it is never carried out in part.
pub trait Store: Debug + Send + Sync + 'static {
    /// Puts products with their first receipt of stock into the catalogue. Those that are there already are left as
    /// they are.
    fn add_products(&self, products: Vec<NewProduct>) -> Answer<'_, ()>;

    /// A product with what can be had of it.
    fn product(&self, id: ProductId) -> Answer<'_, Option<Product>>;

    // The next three refuse a runner of the order's saga that was replaced ([`crate::domain::admit`]), and remember the epoch
    // of the one that asks, in the unit of the effect: what is refused leaves no trace.

    /// Holds all lines of a wish, or none (see [`crate::domain::reserve`]).
    fn reserve(&self, request: NewReservation) -> Answer<'_, Reservation>;

    /// Takes the stock of an order's hold for good (see [`crate::domain::commit`]).
    fn commit(&self, order: OrderId, epoch: Epoch) -> Answer<'_, Reservation>;

    /// Gives the stock of an order's hold back (see [`crate::domain::release`]). False when there was nothing to give
    /// back.
    fn release(&self, order: OrderId, generation: Generation, epoch: Epoch) -> Answer<'_, bool>;

    /// Whether any hold has run out and still has its stock.
    fn has_run_out(&self) -> Answer<'_, bool>;

    /// Ends holds that have run out and gives their stock back, the oldest first, at most `max`. Tells how many.
    fn expire(&self, max: u32) -> Answer<'_, u32>;

    /// Deletes holds that ended longer ago than `age`, some at a time, and tells how many. An order's late request finds no
    /// trace of them any more, so it must be longer than any request can be late.
    fn delete_ended(&self, age: Duration) -> Answer<'_, usize>;

    /// Counts the stock of every product in every way (I11). Reads everything: for checks, not for requests.
    fn count(&self) -> Answer<'_, Vec<StockCount>>;

    /// Fails when the store cannot be read.
    fn ping(&self) -> Answer<'_, ()>;

    /// Finishes what waits and lets go of the database.
    fn close(&self) -> BoxFuture<'_, ()>;
}

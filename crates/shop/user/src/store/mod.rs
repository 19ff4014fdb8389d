//! Where users are kept: each method is one atomic unit. What every store has to keep is in `tests/it/store.rs`.

mod changes;
mod content;
mod postgres;
mod sqlite;

pub use changes::{Change, Changes};
pub use content::CONTENT;
pub use postgres::PostgresStore;
pub use sqlite::SqliteStore;

use std::fmt::Debug;
use std::sync::Arc;

use waypost_api::UserId;
use waypost_durable::{BoxFuture, Migrator, Storage};
use waypost_telemetry::Telemetry;

use crate::Error;
use crate::domain::{NewUser, User};

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

/// Users.
///
/// Isolation: read committed is enough. Processes may seed at the same time; the first one that inserts a user wins.
pub trait Store: Debug + Send + Sync + 'static {
    /// Adds users. Those that are there already are left as they are.
    fn add_users(&self, users: Vec<NewUser>) -> Answer<'_, ()>;

    /// A user.
    fn user(&self, id: UserId) -> Answer<'_, Option<User>>;

    /// A user with the hash of the password.
    fn account(&self, id: UserId) -> Answer<'_, Option<NewUser>>;

    /// Hears of changes of users from now on, whoever makes them. `None` where nobody beside this process can make any: it makes
    /// none.
    ///
    /// Must be called inside a tokio runtime.
    fn changes(&self) -> Option<Changes>;

    /// Fails when the store cannot be read.
    fn ping(&self) -> Answer<'_, ()>;

    /// Finishes what waits and lets go of the database.
    fn close(&self) -> BoxFuture<'_, ()>;
}

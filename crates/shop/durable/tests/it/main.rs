//! What the durable crate promises, each promise a test.

#![allow(clippy::unwrap_used, reason = "what tests call is a test too")]

mod broker;
mod consume;
mod crash;
mod database;
mod dead_letters;
mod files;
mod full_disk;
mod idempotency;
mod kinds;
mod migration;
mod offsets;
mod one_unit;
mod outbox;
mod postgres;
mod relay;
mod retries;
mod saga_host;
mod shared_file;
mod spans;
mod suite;
mod test_broker;
mod unkind;

use std::future::Future;
use std::time::Duration;

use waypost_durable::{Database, DatabaseOptions, Error, Location, Migration};
use waypost_telemetry::Telemetry;

/// One table with a unique name and a check.
const NOTES: Migration = Migration::new(
    "0001_notes",
    "CREATE TABLE notes (name TEXT NOT NULL UNIQUE, size INTEGER NOT NULL DEFAULT 0 CHECK (size >= 0), body BLOB)",
);

/// A database of its own, without telemetry.
fn ephemeral(migrations: &[Migration]) -> Database {
    let options = DatabaseOptions::new(Location::Ephemeral, "test", &Telemetry::disabled());
    Database::open(options, migrations).unwrap()
}

async fn insert(database: &Database, name: impl Into<String>) -> Result<(), Error> {
    let name = name.into();
    database
        .write("insert-note", move |unit| {
            unit.execute("INSERT INTO notes (name) VALUES (?1)", (name,))?;
            Ok(())
        })
        .await
}

async fn names(database: &Database) -> Vec<String> {
    database
        .read("names", |unit| unit.query_all("SELECT name FROM notes ORDER BY rowid", (), |row| row.get(0)))
        .await
        .map_err(|error: Error| error)
        .unwrap()
}

/// Waits until `probe` gives a value; panics after ten seconds.
async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, mut probe: impl FnMut() -> F) -> T {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    loop {
        if let Some(value) = probe().await {
            return value;
        }
        assert!(tokio::time::Instant::now() < deadline, "not within 10 s: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

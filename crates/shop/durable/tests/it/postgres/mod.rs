//! What is particular to PostgreSQL: units as tasks, what a broken connection means, the schema of processes that start at
//! the same time, spans.

mod faults;
mod groups;
mod leader;
mod migration;
mod pool;
mod units;

use std::sync::Arc;

use waypost_durable::postgres::testing;
use waypost_durable::postgres::{Database, Server, params};
use waypost_durable::{Error, Migration};
use waypost_telemetry::Telemetry;
use waypost_test_servers::postgres::Database as Own;

/// One table with a unique name and a check, and a function that writes with the locks of what it writes.
const NOTES: &[Migration] = &[Migration::new(
    "0001_notes",
    "CREATE TABLE notes (
         id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
         name text NOT NULL UNIQUE,
         size bigint NOT NULL DEFAULT 0 CONSTRAINT a_size_is_not_negative CHECK (size >= 0)
     );
     CREATE FUNCTION insert_notes(locks text[], names text[]) RETURNS SETOF text
     LANGUAGE plpgsql SET lock_timeout = '1min' AS $$
     BEGIN
         PERFORM pg_advisory_xact_lock(lock_key) FROM (
             SELECT hashtextextended(current_schema() || lock_name, 0) AS lock_key FROM unnest(locks) AS lock_name
             ORDER BY 1 OFFSET 0) AS lock_keys;
         RETURN QUERY INSERT INTO notes (name) SELECT new_name FROM unnest(names) AS new_name
             WHERE NOT EXISTS (SELECT 1 FROM notes WHERE name = new_name) RETURNING name;
     END $$",
)];

/// A database of its own, and what is open on it.
struct Notes {
    database: Database,
    server: Server,
    own: Arc<Own>,
}

async fn notes() -> Notes {
    notes_with(|_| {}).await
}

async fn notes_with(set: impl FnOnce(&mut Server)) -> Notes {
    let own = Arc::new(Own::create());
    let mut server = testing::server(&own.url());
    set(&mut server);
    let database = Database::open(&server, "test", &Telemetry::disabled(), NOTES).await.unwrap();
    Notes { database, server, own }
}

async fn insert(database: &Database, name: &str) -> Result<(), Error> {
    database
        .write("insert-note", name.to_owned(), |unit, name| {
            Box::pin(async move {
                unit.execute("INSERT INTO notes (name) VALUES ($1)", params![name]).await.map(drop)
            })
        })
        .await
}

async fn names(database: &Database) -> Vec<String> {
    let names: Result<_, Error> = database
        .read("names", (), |unit, ()| {
            Box::pin(unit.query_all("SELECT name FROM notes ORDER BY id", params![], |row| row.get(0)))
        })
        .await;
    names.unwrap()
}

//! The schema of a database as a list of steps, each applied once and in order.
//!
//! For services, which list their steps, and for `waypost migrate`, which shows what is still to do. A step's text is
//! part of the record: a step that was applied must not change, because databases in the field would differ from new
//! ones without anybody knowing.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, TransactionBehavior};
use sha2::{Digest, Sha256};

use crate::{Error, MigrationProblem, database};

/// One step of a schema.
#[derive(Clone, Copy, Debug)]
pub struct Migration {
    /// Its name in the record, such as `0001_orders`. Unique in a database.
    pub id: &'static str,
    /// Its statements. They run in one transaction.
    pub sql: &'static str,
}

impl Migration {
    /// A step.
    pub const fn new(id: &'static str, sql: &'static str) -> Migration {
        Migration { id, sql }
    }
}

/// What a database has and lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Applied steps, in the order of the list.
    pub applied: Vec<String>,
    /// Steps that the next [`crate::Database::open`] applies, in order.
    pub pending: Vec<&'static str>,
}

/// Tells what opening the database in this file would apply, without changing it. A missing file lacks everything.
pub fn plan(path: &Path, migrations: &[Migration]) -> Result<Plan, Error> {
    if !path.exists() {
        return compare(&[], migrations);
    }
    let connection = database::open_existing(path)?;
    let recorded = recorded(&connection).map_err(|error| database::explain(path, error))?;
    compare(&recorded, migrations)
}

/// Applies what is pending.
pub(crate) fn apply(connection: &mut Connection, migrations: &[Migration]) -> Result<(), Error> {
    let plan = compare(&recorded(connection)?, migrations)?;
    for migration in migrations.iter().skip(plan.applied.len()) {
        apply_one(connection, migration)
            .map_err(|source| problem(migration.id, MigrationProblem::Failed, Some(source)))?;
        tracing::debug!(migration = migration.id, "applied");
    }
    Ok(())
}

fn apply_one(connection: &mut Connection, migration: &Migration) -> Result<(), Error> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute_batch(
        "CREATE TABLE IF NOT EXISTS schema_migrations (
            position INTEGER PRIMARY KEY AUTOINCREMENT,
            id TEXT NOT NULL UNIQUE,
            checksum TEXT NOT NULL,
            applied_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
        )",
    )?;
    // Another process that shares the database may have been faster.
    let known: Option<String> = transaction
        .query_row("SELECT checksum FROM schema_migrations WHERE id = ?1", [migration.id], |row| row.get(0))
        .optional()?;
    if known.is_none() {
        transaction.execute_batch(migration.sql)?;
        transaction.execute(
            "INSERT INTO schema_migrations (id, checksum) VALUES (?1, ?2)",
            [migration.id, &checksum(migration.sql)],
        )?;
    }
    transaction.commit()?;
    Ok(())
}

struct Recorded {
    id: String,
    checksum: String,
}

fn recorded(connection: &Connection) -> Result<Vec<Recorded>, Error> {
    let has_record: bool = connection.query_row(
        "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'schema_migrations')",
        (),
        |row| row.get(0),
    )?;
    if !has_record {
        return Ok(Vec::new());
    }
    let mut statement = connection.prepare("SELECT id, checksum FROM schema_migrations ORDER BY position")?;
    let rows = statement.query_map((), |row| Ok(Recorded { id: row.get(0)?, checksum: row.get(1)? }))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// The rule: what is recorded must be the beginning of the list, text for text.
fn compare(recorded: &[Recorded], migrations: &[Migration]) -> Result<Plan, Error> {
    let mut ids = HashSet::new();
    if let Some(twice) = migrations.iter().find(|migration| !ids.insert(migration.id)) {
        return Err(problem(twice.id, MigrationProblem::Duplicate, None));
    }
    if let Some(unknown) = recorded.iter().find(|record| !ids.contains(record.id.as_str())) {
        return Err(problem(&unknown.id, MigrationProblem::Unknown, None));
    }
    for (record, migration) in recorded.iter().zip(migrations) {
        if record.id != migration.id {
            return Err(problem(migration.id, MigrationProblem::OutOfOrder, None));
        }
        if record.checksum != checksum(migration.sql) {
            return Err(problem(migration.id, MigrationProblem::Changed, None));
        }
    }
    Ok(Plan {
        applied: recorded.iter().map(|record| record.id.clone()).collect(),
        pending: migrations.iter().skip(recorded.len()).map(|migration| migration.id).collect(),
    })
}

fn problem(id: &str, problem: MigrationProblem, source: Option<Error>) -> Error {
    Error::Migration { id: id.to_owned(), problem, source: source.map(Arc::new) }
}

fn checksum(sql: &str) -> String {
    Sha256::digest(sql.as_bytes()).iter().fold(String::with_capacity(64), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

//! Migrations of a SQLite file: the record is a table beside the others.

use futures_util::future::BoxFuture;
use rusqlite::{Connection, OptionalExtension, TransactionBehavior};
use waypost_telemetry::Telemetry;

use super::{Migration, Migrator, Plan, Recorded, problem};
use crate::{Database, DatabaseOptions, Error, Location, MigrationProblem, Sharing, database};

/// Brings one SQLite file to the schema of a list of steps.
#[derive(Clone, Debug)]
pub struct SqliteMigrator {
    location: Location,
    name: &'static str,
    sharing: Sharing,
    migrations: &'static [Migration],
}

impl SqliteMigrator {
    /// Of the database with this name in this place. `sharing` is what a running process opens it with: one that is open
    /// exclusively is not migrated meanwhile.
    pub fn new(
        location: Location,
        name: &'static str,
        sharing: Sharing,
        migrations: &'static [Migration],
    ) -> SqliteMigrator {
        SqliteMigrator { location, name, sharing, migrations }
    }

    fn look(&self) -> Result<Plan, Error> {
        match &self.location {
            Location::File(path) if path.exists() => {
                let connection = database::open_existing(path)?;
                let recorded = recorded(&connection).map_err(|error| database::explain(path, error))?;
                Plan::of(&recorded, self.migrations)
            }
            Location::File(_) | Location::Ephemeral => Plan::of(&[], self.migrations),
        }
    }

    fn open(&self) -> Result<Database, Error> {
        let options = DatabaseOptions::new(self.location.clone(), self.name, &Telemetry::disabled());
        Database::open(DatabaseOptions { sharing: self.sharing, ..options }, self.migrations)
    }
}

impl Migrator for SqliteMigrator {
    fn target(&self) -> String {
        match &self.location {
            Location::File(path) => path.display().to_string(),
            Location::Ephemeral => format!("{}.db in a temporary folder", self.name),
        }
    }

    fn plan(&self) -> BoxFuture<'_, Result<Plan, Error>> {
        let migrator = self.clone();
        Box::pin(database::on_blocking_thread(move || migrator.look()))
    }

    fn apply(&self) -> BoxFuture<'_, Result<Vec<&'static str>, Error>> {
        let migrator = self.clone();
        Box::pin(async move {
            let pending = self.plan().await?.pending;
            if !pending.is_empty() {
                // Opening a database applies what is pending.
                database::on_blocking_thread(move || migrator.open()).await?.close().await;
            }
            Ok(pending)
        })
    }
}

/// Applies what is pending.
pub(crate) fn apply(connection: &mut Connection, migrations: &[Migration]) -> Result<(), Error> {
    let plan = Plan::of(&recorded(connection)?, migrations)?;
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
            [migration.id, &migration.checksum()],
        )?;
    }
    transaction.commit()?;
    Ok(())
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

//! Migrations of a SQLite file: the record is a table beside the others.

use futures_util::future::BoxFuture;
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior};
use waypost_telemetry::Telemetry;

use super::{Migration, Migrator, Plan, Recorded, problem};
use crate::layout::tables;
use crate::{Database, DatabaseOptions, Error, Location, MigrationProblem, Sharing, database};

/// Brings one store in a SQLite file to the schema of a list of steps.
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
        let Some(path) = self.location.path().filter(|path| path.exists()) else {
            return Plan::of(&[], self.migrations);
        };
        let connection = database::open_existing(path)?;
        let record = Record::at(&self.location, self.name);
        let recorded = record.read(&connection).map_err(|error| database::explain(path, error))?;
        Plan::of(&recorded, self.migrations)
    }

    fn open(&self) -> Result<Database, Error> {
        let options = DatabaseOptions::new(self.location.clone(), self.name, &Telemetry::disabled());
        Database::open(DatabaseOptions { sharing: self.sharing, ..options }, self.migrations)
    }
}

impl Migrator for SqliteMigrator {
    fn target(&self) -> String {
        match (&self.location, self.location.path()) {
            (Location::Within(_), Some(path)) => format!("{} in {}", self.name, path.display()),
            (_, Some(path)) => path.display().to_string(),
            (_, None) => format!("{}.db in a temporary folder", self.name),
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

/// Where a store's record of its steps is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    table: String,
    /// The store, in a file that it shares.
    store: Option<&'static str>,
}

impl Record {
    /// In a file that the store has for itself.
    pub(crate) fn own() -> Record {
        Record { table: "schema_migrations".to_owned(), store: None }
    }

    /// Of this store in a file with others.
    pub(crate) fn of(store: &'static str) -> Record {
        Record { table: format!("schema_migrations_{store}"), store: Some(store) }
    }

    /// The record of a store at this place.
    pub(crate) fn at(location: &Location, store: &'static str) -> Record {
        match location {
            Location::Within(_) => Record::of(store),
            Location::File(_) | Location::Ephemeral => Record::own(),
        }
    }

    /// The name of its table.
    pub(crate) fn table(&self) -> &str {
        &self.table
    }

    /// The statement that makes its table when it is missing.
    pub(crate) fn schema(&self) -> String {
        format!(
            "CREATE TABLE IF NOT EXISTS {} (
                position INTEGER PRIMARY KEY AUTOINCREMENT,
                id TEXT NOT NULL UNIQUE,
                checksum TEXT NOT NULL,
                applied_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
            )",
            self.table
        )
    }

    /// Whether the database has it, that is, whether the store is there.
    pub(crate) fn is_in(&self, connection: &Connection) -> Result<bool, Error> {
        Ok(connection.query_row(
            "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1)",
            [&self.table],
            |row| row.get(0),
        )?)
    }

    fn read(&self, connection: &Connection) -> Result<Vec<Recorded>, Error> {
        if !self.is_in(connection)? {
            return Ok(Vec::new());
        }
        let select = format!("SELECT id, checksum FROM {} ORDER BY position", self.table);
        let mut statement = connection.prepare(&select)?;
        let rows = statement.query_map((), |row| Ok(Recorded { id: row.get(0)?, checksum: row.get(1)? }))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }
}

/// Applies what is pending: in a file of the store's own each step by itself; in one that it shares all of them at once, as a
/// name that an early step gives and a later one changes may be another store's meanwhile.
pub(crate) fn apply(
    connection: &mut Connection,
    record: &Record,
    migrations: &[Migration],
) -> Result<(), Error> {
    let plan = Plan::of(&record.read(connection)?, migrations)?;
    let pending: Vec<&Migration> = migrations.iter().skip(plan.applied.len()).collect();
    let at_once = if record.store.is_some() { pending.len().max(1) } else { 1 };
    for steps in pending.chunks(at_once) {
        let Some(last) = steps.last() else { continue };
        let transaction = connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(|source| failed(last, Error::from(source)))?;
        for migration in steps {
            apply_one(&transaction, record, migration).map_err(|source| failed(migration, source))?;
        }
        if let Some(store) = record.store {
            tables::note(&transaction, store).map_err(|source| failed(last, source))?;
        }
        transaction.commit().map_err(|source| failed(last, Error::from(source)))?;
        for migration in steps {
            tracing::debug!(migration = migration.id, "applied");
        }
    }
    Ok(())
}

fn failed(migration: &Migration, source: Error) -> Error {
    problem(migration.id, MigrationProblem::Failed, Some(source))
}

fn apply_one(transaction: &Transaction<'_>, record: &Record, migration: &Migration) -> Result<(), Error> {
    transaction.execute_batch(&record.schema())?;
    let table = record.table();
    // Another process that shares the database may have been faster.
    let known: Option<String> = transaction
        .query_row(&format!("SELECT checksum FROM {table} WHERE id = ?1"), [migration.id], |row| row.get(0))
        .optional()?;
    if known.is_none() {
        transaction.execute_batch(migration.sql)?;
        transaction.execute(
            &format!("INSERT INTO {table} (id, checksum) VALUES (?1, ?2)"),
            [migration.id, &migration.checksum()],
        )?;
    }
    Ok(())
}

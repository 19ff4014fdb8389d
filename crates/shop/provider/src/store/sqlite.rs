//! The ledger in SQLite.

mod late_work;
mod retention;
mod schema;

use std::time::Duration;

use rusqlite::{Row, params};
use waypost_api::Amount;
use waypost_durable::{
    BoxFuture, Clock, Database, DatabaseOptions, Files, Sharing, SqliteMigrator, Unit, clock,
};
use waypost_telemetry::Telemetry;

use self::schema::MIGRATIONS;
use super::{Answer, Command, Late, Store, Totals, WorkedOff, subject};
use crate::Error;
use crate::domain::{Change, Charge, Operation, Refusal, Status, decide};

/// The name of the database: of its file and in spans.
const DATABASE: &str = "provider";

/// Answers or charges that are forgotten in one transaction.
const FORGOTTEN_AT_ONCE: u32 = 500;

/// A ledger in one SQLite file.
#[derive(Clone, Debug)]
pub struct SqliteStore {
    database: Database,
}

impl SqliteStore {
    /// Opens and migrates `provider.db` in the data folder.
    ///
    /// # Errors
    /// When it cannot be opened or migrated.
    pub fn open(files: &Files, telemetry: &Telemetry) -> Result<SqliteStore, Error> {
        SqliteStore::open_by(files, telemetry, Clock::system())
    }

    /// As [`SqliteStore::open`], with a clock for the database.
    ///
    /// # Errors
    /// As [`SqliteStore::open`].
    pub fn open_by(files: &Files, telemetry: &Telemetry, clock: Clock) -> Result<SqliteStore, Error> {
        let options =
            DatabaseOptions { clock, ..DatabaseOptions::new(files.database(DATABASE), DATABASE, telemetry) };
        Ok(SqliteStore { database: Database::open(options, MIGRATIONS)? })
    }

    /// What brings the database to its schema without opening the store.
    pub(super) fn migrator(files: &Files) -> SqliteMigrator {
        SqliteMigrator::new(files.database(DATABASE), DATABASE, Sharing::Exclusive, MIGRATIONS)
    }
}

impl Store for SqliteStore {
    fn execute(&self, command: Command) -> BoxFuture<'_, Result<Answer, Error>> {
        Box::pin(self.database.write("execute", move |unit| execute(unit, &command)))
    }

    fn put_off(&self, command: Command, by: Duration) -> BoxFuture<'_, Result<bool, Error>> {
        Box::pin(self.database.write("put-off", move |unit| late_work::put_off(unit, &command, by)))
    }

    fn put_off_work(&self) -> BoxFuture<'_, Result<Vec<Late>, Error>> {
        Box::pin(self.database.scan("put-off-work", late_work::put_off_work))
    }

    fn work_off(&self, key: String) -> BoxFuture<'_, Result<Option<WorkedOff>, Error>> {
        Box::pin(self.database.write("work-off", move |unit| late_work::work_off(unit, &key)))
    }

    fn charge(&self, id: String) -> BoxFuture<'_, Result<Option<Charge>, Error>> {
        Box::pin(self.database.read("charge", move |unit| find(unit, &id)))
    }

    fn by_reference(&self, reference: String) -> BoxFuture<'_, Result<Vec<Charge>, Error>> {
        Box::pin(self.database.read("charges-by-reference", move |unit| {
            Ok(unit.query_all(
                "SELECT id, reference, status, amount, captured, refunded, currency, decline_code
                 FROM charges WHERE reference = ?1 ORDER BY rowid LIMIT 100",
                params![reference],
                charge_of_row,
            )?)
        }))
    }

    fn totals(&self) -> BoxFuture<'_, Result<Totals, Error>> {
        Box::pin(self.database.scan("totals", |unit| {
            Ok(unit.query_row(
                "SELECT charges + (SELECT COUNT(*) FROM charges WHERE status <> 'declined'),
                        captured + COALESCE((SELECT SUM(amount) FROM ledger WHERE kind = 'capture'), 0),
                        refunded + COALESCE((SELECT SUM(amount) FROM ledger WHERE kind = 'refund'), 0)
                 FROM brought_forward",
                [],
                |row| {
                    Ok(Totals {
                        charges: u64::from(row.get::<_, u32>(0)?),
                        captured: Amount::from_ten_thousandths(row.get(1)?),
                        refunded: Amount::from_ten_thousandths(row.get(2)?),
                    })
                },
            )?)
        }))
    }

    fn forget_requests(&self, age: Duration) -> BoxFuture<'_, Result<usize, Error>> {
        let database = self.database.untraced();
        let forget = move |unit: &mut Unit<'_>| {
            let before = clock::millis(unit.ago(age));
            Ok(unit.execute(
                "DELETE FROM requests WHERE key IN (SELECT key FROM requests WHERE at < ?1 ORDER BY at LIMIT ?2)",
                params![before, FORGOTTEN_AT_ONCE],
            )?)
        };
        Box::pin(async move { database.write("forget-requests", forget).await })
    }

    fn forget_charges(&self, age: Duration) -> BoxFuture<'_, Result<usize, Error>> {
        let database = self.database.untraced();
        let forget = move |unit: &mut Unit<'_>| {
            let before = clock::millis(unit.ago(age));
            retention::delete_charges(unit, before, FORGOTTEN_AT_ONCE)
        };
        Box::pin(async move { database.write("forget-charges", forget).await })
    }

    fn ping(&self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(self.database.read("ping", |unit| Ok(unit.query_row("SELECT 1", [], |_| Ok(()))?)))
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.database.close())
    }
}

fn execute(unit: &mut Unit<'_>, command: &Command) -> Result<Answer, Error> {
    let seen = unit.query_optional(
        "SELECT fingerprint, answer FROM requests WHERE key = ?1",
        params![command.key],
        |row| Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, String>(1)?)),
    )?;
    if let Some((fingerprint, answer)) = seen {
        if fingerprint != command.fingerprint {
            return Err(Refusal::KeyReused.into());
        }
        let charge = serde_json::from_str(&answer).map_err(|_| Error::Malformed { what: "answer" })?;
        return Ok(Answer { charge, is_replay: true });
    }
    let existing = match subject(&command.operation) {
        Some(id) => find(unit, id)?,
        None => None,
    };
    let change = decide(existing, &command.operation)?;
    write(unit, command, &change)?;
    Ok(Answer { charge: change.charge, is_replay: false })
}

fn write(unit: &mut Unit<'_>, command: &Command, change: &Change) -> Result<(), Error> {
    let at = clock::millis(unit.now());
    let charge = &change.charge;
    if let Operation::Charge(new) = &command.operation {
        unit.execute(
            "INSERT INTO charges (id, reference, payment_method, currency, amount, status, decline_code, created_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            params![
                charge.id,
                charge.reference,
                new.payment_method,
                charge.currency.as_str(),
                charge.amount.ten_thousandths(),
                charge.status.as_str(),
                charge.decline_code,
                at,
            ],
        )?;
    } else {
        unit.execute(
            "UPDATE charges SET status = ?2, captured = ?3, refunded = ?4 WHERE id = ?1",
            params![
                charge.id,
                charge.status.as_str(),
                charge.captured.ten_thousandths(),
                charge.refunded.ten_thousandths(),
            ],
        )?;
    }
    if let Some((movement, amount)) = change.movement {
        unit.execute(
            "INSERT INTO ledger (charge_id, kind, amount, at) VALUES (?1, ?2, ?3, ?4)",
            params![charge.id, movement.as_str(), amount.ten_thousandths(), at],
        )?;
    }
    let answer = serde_json::to_string(charge).map_err(|_| Error::Malformed { what: "charge" })?;
    unit.execute(
        "INSERT INTO requests (key, fingerprint, charge_id, answer, at) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![command.key, command.fingerprint, charge.id, answer, at],
    )?;
    Ok(())
}

fn find(unit: &mut Unit<'_>, id: &str) -> Result<Option<Charge>, Error> {
    Ok(unit.query_optional(
        "SELECT id, reference, status, amount, captured, refunded, currency, decline_code FROM charges WHERE id = ?1",
        params![id],
        charge_of_row,
    )?)
}

fn charge_of_row(row: &Row<'_>) -> rusqlite::Result<Charge> {
    let status: String = row.get(2)?;
    let currency: String = row.get(6)?;
    Ok(Charge {
        id: row.get(0)?,
        reference: row.get(1)?,
        status: Status::parse(&status).ok_or(rusqlite::Error::InvalidQuery)?,
        amount: Amount::from_ten_thousandths(row.get(3)?),
        captured: Amount::from_ten_thousandths(row.get(4)?),
        refunded: Amount::from_ten_thousandths(row.get(5)?),
        currency: currency.parse().map_err(|_| rusqlite::Error::InvalidQuery)?,
        decline_code: row.get(7)?,
    })
}

//! The ledger in PostgreSQL.
//!
//! Locks are taken in one order: the key of the request (an advisory lock, because it has no row yet), then its charge. Commands
//! that are ready together share a transaction (`groups`).

mod late_work;
mod retention;

use std::time::Duration;

use waypost_api::Amount;
use waypost_durable::postgres::group::{Group, Kind, Name, Way};
use waypost_durable::postgres::{At, Database, PostgresMigrator, Row, Server, Unit, params};
use waypost_durable::{BoxFuture, Migration};
use waypost_telemetry::Telemetry;

use super::{Answer, Command, Late, Store, Totals, WorkedOff, subject};
use crate::Error;
use crate::domain::{Change, Charge, Operation, Refusal, Status, decide};

/// The name of the service: of its schema and in spans.
const DATABASE: &str = "provider";

/// The schema.
const MIGRATIONS: &[Migration] = &[
    Migration::new("0001_charges", include_str!("../../migrations/postgres/0001_charges.sql")),
    Migration::new("0002_one_message", include_str!("../../migrations/postgres/0002_one_message.sql")),
];

/// Answers or charges that are forgotten in one transaction.
const FORGOTTEN_AT_ONCE: u32 = 500;

/// A charge's columns, for [`charge_of_row`].
macro_rules! select_charge {
    ($rest:literal) => {
        concat!(
            "SELECT id, reference, status, amount, captured, refunded, currency, decline_code FROM charges ",
            $rest
        )
    };
}

mod groups;

/// A ledger in one schema of a PostgreSQL server.
#[derive(Clone, Debug)]
pub struct PostgresStore {
    database: Database,
    executing: Group<Command, Answer, Error>,
}

impl PostgresStore {
    /// Connects and brings the schema up to date.
    ///
    /// # Errors
    /// When the server cannot be used, or its schema does not fit.
    pub async fn open(server: &Server, telemetry: &Telemetry) -> Result<PostgresStore, Error> {
        let database = Database::open(server, DATABASE, telemetry, MIGRATIONS).await?;
        let executing = database.group(Kind {
            name: |_| Name {
                operation: "execute",
                summary: "INSERT requests; INSERT charges; UPDATE charges; INSERT ledger",
            },
            subject: |command: &Command| command.key.clone(),
            way: Way::LockedStatement(|command| lock(&command.key)),
            together: |unit, commands| Box::pin(groups::execute(unit, commands)),
            alone: |unit, command| Box::pin(execute(unit, command)),
        });
        Ok(PostgresStore { database, executing })
    }

    /// What brings the schema up to date without opening the store.
    pub(super) fn migrator(server: &Server) -> PostgresMigrator {
        PostgresMigrator::new(server, DATABASE, MIGRATIONS)
    }
}

impl Store for PostgresStore {
    fn execute(&self, command: Command) -> BoxFuture<'_, Result<Answer, Error>> {
        Box::pin(self.executing.run(command))
    }

    fn put_off(&self, command: Command, by: Duration) -> BoxFuture<'_, Result<bool, Error>> {
        Box::pin(self.database.write("put-off", (command, by), |unit, (command, by)| {
            Box::pin(late_work::put_off(unit, command, *by))
        }))
    }

    fn put_off_work(&self) -> BoxFuture<'_, Result<Vec<Late>, Error>> {
        Box::pin(self.database.read("put-off-work", (), |unit, ()| Box::pin(late_work::put_off_work(unit))))
    }

    fn work_off(&self, key: String) -> BoxFuture<'_, Result<Option<WorkedOff>, Error>> {
        Box::pin(
            self.database.write_locked("work-off", lock(&key), key, |unit, key| {
                Box::pin(late_work::work_off(unit, key))
            }),
        )
    }

    fn charge(&self, id: String) -> BoxFuture<'_, Result<Option<Charge>, Error>> {
        Box::pin(self.database.read("charge", id, |unit, id| {
            Box::pin(async move {
                let found =
                    unit.query_optional(select_charge!("WHERE id = $1"), params![id], charge_of_row).await;
                Ok(found?)
            })
        }))
    }

    fn by_reference(&self, reference: String) -> BoxFuture<'_, Result<Vec<Charge>, Error>> {
        Box::pin(self.database.read("charges-by-reference", reference, |unit, reference| {
            Box::pin(async move {
                let sql = select_charge!("WHERE reference = $1 ORDER BY position LIMIT 100");
                Ok(unit.query_all(sql, params![reference], charge_of_row).await?)
            })
        }))
    }

    fn totals(&self) -> BoxFuture<'_, Result<Totals, Error>> {
        Box::pin(self.database.read("totals", (), |unit, ()| {
            Box::pin(async move {
                let totals = unit.query_row(
                    "SELECT charges + (SELECT count(*) FROM charges WHERE status <> 'declined'),
                            captured + coalesce((SELECT sum(amount) FROM ledger WHERE kind = 'capture'), 0)::bigint,
                            refunded + coalesce((SELECT sum(amount) FROM ledger WHERE kind = 'refund'), 0)::bigint
                     FROM brought_forward",
                    params![],
                    |row| {
                        Ok(Totals {
                            charges: row.number(0)?,
                            captured: Amount::from_ten_thousandths(row.get(1)?),
                            refunded: Amount::from_ten_thousandths(row.get(2)?),
                        })
                    },
                );
                Ok(totals.await?)
            })
        }))
    }

    fn forget_requests(&self, age: Duration) -> BoxFuture<'_, Result<usize, Error>> {
        let database = self.database.untraced();
        Box::pin(async move {
            let forget = database.write("forget-requests", age, |unit, age| {
                Box::pin(async move {
                    let before = unit.ago(*age).await?;
                    let deleted = unit.execute(
                        // By their places, as they are locked: however many there are, no others are read.
                        "DELETE FROM requests WHERE ctid = ANY(ARRAY(
                             SELECT ctid FROM requests WHERE at < $1 ORDER BY at LIMIT $2
                             FOR UPDATE SKIP LOCKED))",
                        params![At(before), i64::from(FORGOTTEN_AT_ONCE)],
                    );
                    Ok(usize::try_from(deleted.await?).unwrap_or(usize::MAX))
                })
            });
            forget.await
        })
    }

    fn forget_charges(&self, age: Duration) -> BoxFuture<'_, Result<usize, Error>> {
        let database = self.database.untraced();
        Box::pin(async move {
            let forget = database.write("forget-charges", age, |unit, age| {
                Box::pin(async move {
                    let before = unit.ago(*age).await?;
                    retention::delete_charges(unit, before, FORGOTTEN_AT_ONCE).await
                })
            });
            forget.await
        })
    }

    fn ping(&self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move { Ok(self.database.ping().await?) })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.database.close())
    }
}

/// The lock that keeps requests with the same key apart.
fn lock(key: &str) -> String {
    format!(" key {key}")
}

async fn execute(unit: &mut Unit, command: &Command) -> Result<Answer, Error> {
    let seen = unit.query_optional(
        "SELECT fingerprint, answer::text FROM requests WHERE key = $1",
        params![&command.key],
        |row| Ok((row.get::<Vec<u8>>(0)?, row.get::<String>(1)?)),
    );
    if let Some((fingerprint, answer)) = seen.await? {
        if fingerprint != command.fingerprint {
            return Err(Refusal::KeyReused.into());
        }
        let charge = serde_json::from_str(&answer).map_err(|_| Error::Malformed { what: "answer" })?;
        return Ok(Answer { charge, is_replay: true });
    }
    let existing = match subject(&command.operation) {
        Some(id) => {
            unit.query_optional(select_charge!("WHERE id = $1 FOR UPDATE"), params![id], charge_of_row)
                .await?
        }
        None => None,
    };
    let change = decide(existing, &command.operation)?;
    write(unit, command, &change).await?;
    Ok(Answer { charge: change.charge, is_replay: false })
}

async fn write(unit: &mut Unit, command: &Command, change: &Change) -> Result<(), Error> {
    let at = At(unit.now().await?);
    let charge = &change.charge;
    if let Operation::Charge(new) = &command.operation {
        unit.execute(
            "INSERT INTO charges (id, reference, payment_method, currency, amount, status, decline_code, created_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
            params![
                &charge.id,
                &charge.reference,
                &new.payment_method,
                charge.currency.as_str(),
                charge.amount.ten_thousandths(),
                charge.status.as_str(),
                &charge.decline_code,
                at,
            ],
        )
        .await?;
    } else {
        unit.execute(
            "UPDATE charges SET status = $2, captured = $3, refunded = $4 WHERE id = $1",
            params![
                &charge.id,
                charge.status.as_str(),
                charge.captured.ten_thousandths(),
                charge.refunded.ten_thousandths(),
            ],
        )
        .await?;
    }
    if let Some((movement, amount)) = change.movement {
        unit.execute(
            "INSERT INTO ledger (charge_id, kind, amount, at) VALUES ($1, $2, $3, $4)",
            params![&charge.id, movement.as_str(), amount.ten_thousandths(), at],
        )
        .await?;
    }
    let answer = serde_json::to_string(charge).map_err(|_| Error::Malformed { what: "charge" })?;
    unit.execute(
        "INSERT INTO requests (key, fingerprint, charge_id, answer, at) VALUES ($1, $2, $3, $4::text::jsonb, $5)",
        params![&command.key, &command.fingerprint, &charge.id, answer, at],
    )
    .await?;
    Ok(())
}

fn charge_of_row(row: &Row) -> Result<Charge, waypost_durable::Error> {
    let malformed = |what| waypost_durable::Error::Malformed { what };
    Ok(Charge {
        id: row.get(0)?,
        reference: row.get(1)?,
        status: Status::parse(row.get(2)?).ok_or_else(|| malformed("charges.status"))?,
        amount: Amount::from_ten_thousandths(row.get(3)?),
        captured: Amount::from_ten_thousandths(row.get(4)?),
        refunded: Amount::from_ten_thousandths(row.get(5)?),
        currency: row.get::<&str>(6)?.parse().map_err(|_| malformed("charges.currency"))?,
        decline_code: row.get(7)?,
    })
}

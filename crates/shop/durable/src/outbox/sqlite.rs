//! The outbox in a SQLite database.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use rusqlite::params;
use tokio::time::Instant;

use super::{Event, Leadership, Outbox, Parked, Pending, deleted_with, readable};
use crate::clock::{from_millis, millis, saturating_millis};
use crate::dead_letters::DeadLetters;
use crate::{Companion, Database, Error, Unit, headers};

/// Appends an event in a unit. An event whose id is in the outbox already is not appended again.
pub fn append(unit: &mut Unit<'_>, event: &Event) -> Result<(), Error> {
    let now = millis(unit.now());
    unit.execute(
        "INSERT INTO outbox (event_id, topic, key, kind, payload, headers, traceparent, tracestate, appended_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
         ON CONFLICT (event_id) DO NOTHING",
        params![
            event.id,
            event.topic,
            event.key,
            event.kind,
            event.payload,
            headers::encode(&event.headers),
            event.traceparent,
            event.tracestate,
            now,
        ],
    )?;
    wake_relay(unit);
    Ok(())
}

/// Tells the relay, once the unit is committed, that an event waits.
pub(super) fn wake_relay(unit: &mut Unit<'_>) {
    let appended = unit.appended();
    unit.after_commit(move || appended.send_modify(|version| *version = version.wrapping_add(1)));
}

/// The outbox of a SQLite database that has [`SCHEMA`](super::SCHEMA).
#[derive(Clone, Debug)]
pub struct SqliteOutbox {
    pub(super) database: Database,
}

impl SqliteOutbox {
    /// The outbox of this database.
    pub fn new(database: &Database) -> SqliteOutbox {
        SqliteOutbox { database: database.untraced() }
    }
}

impl Outbox for SqliteOutbox {
    fn pending(&self, limit: usize) -> BoxFuture<'_, Result<Vec<Pending>, Error>> {
        Box::pin(async move {
            let select = || self.database.read("pending-events", move |unit| select_pending(unit, limit));
            readable(self, select).await
        })
    }

    fn mark_published(&self, positions: Vec<i64>, keep: Duration) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(
            self.database.write("mark-events-published", move |unit| mark_published(unit, &positions, keep)),
        )
    }

    fn marking(&self, positions: Vec<i64>, keep: Duration) -> Option<Companion<Vec<usize>>> {
        Some(Companion::new(&self.database, move |unit, taken: Vec<usize>| {
            let taken = taken.into_iter().filter_map(|place| positions.get(place).copied());
            mark_published(unit, &taken.collect::<Vec<_>>(), keep)
        }))
    }

    fn delete_published(&self, age: Duration, limit: usize) -> BoxFuture<'_, Result<usize, Error>> {
        Box::pin(
            self.database.write("delete-published-events", move |unit| delete_published(unit, age, limit)),
        )
    }

    fn park(&self, position: i64, why: Parked) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            let Parked { reason, error_type, attempts } = why;
            tracing::error!(
                position,
                reason,
                error_type,
                attempts,
                "an event cannot be published and was parked in the outbox"
            );
            self.database
                .write("park-event", move |unit| {
                    let now = millis(unit.now());
                    unit.execute(
                        "UPDATE outbox SET parked_at = ?3, parked_reason = ?2, parked_error_type = ?4,
                                parked_attempts = ?5
                         WHERE position = ?1 AND published_at IS NULL",
                        params![position, reason, now, error_type, attempts],
                    )
                    .map(drop)
                })
                .await
        })
    }

    fn parked(&self) -> BoxFuture<'_, Result<u64, Error>> {
        Box::pin(self.database.read("parked-events", |unit| {
            let count = "SELECT count(*) FROM outbox WHERE parked_at IS NOT NULL";
            let count: i64 = unit.query_row(count, (), |row| row.get(0))?;
            Ok(u64::try_from(count).unwrap_or_default())
        }))
    }

    fn dead_letters(&self) -> Arc<dyn DeadLetters> {
        Arc::new(self.clone())
    }

    fn try_lead<'a>(
        &'a self,
        relay: &'a str,
        lease: Duration,
    ) -> BoxFuture<'a, Result<Option<Leadership>, Error>> {
        let (relay, asked_at) = (relay.to_owned(), Instant::now());
        Box::pin(async move {
            let leads =
                self.database.write("lead-relays", move |unit| take_lead(unit, &relay, lease)).await?;
            Ok(leads.then(|| Leadership::new(asked_at, lease)))
        })
    }

    fn step_down<'a>(&'a self, relay: &'a str) -> BoxFuture<'a, Result<(), Error>> {
        let relay = relay.to_owned();
        Box::pin(self.database.write("step-down", move |unit| {
            unit.execute(LEAD, ())?;
            unit.execute("DELETE FROM temp.outbox_lead WHERE relay = ?1", params![relay]).map(drop)
        }))
    }

    fn wake(&self) -> BoxStream<'static, ()> {
        stream::unfold(self.database.appended(), |mut appended| async {
            appended.changed().await.ok()?;
            Some(((), appended))
        })
        .boxed()
    }
}

/// Who leads. A table of the writer's connection alone: the database belongs to one process, so the lead needs to be known
/// nowhere else, costs no sync of the disk, and ends with the process.
const LEAD: &str = "\
CREATE TEMP TABLE IF NOT EXISTS outbox_lead (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    relay TEXT NOT NULL,
    until INTEGER NOT NULL
)";

fn take_lead(unit: &mut Unit<'_>, relay: &str, lease: Duration) -> Result<bool, Error> {
    unit.execute(LEAD, ())?;
    let now = millis(unit.now());
    // A lead that ends later than a new one would was given before the clock was set back.
    let taken = unit.execute(
        "INSERT INTO temp.outbox_lead (one, relay, until)
         VALUES (1, ?1, ?3 + ?2)
         ON CONFLICT (one) DO UPDATE SET relay = excluded.relay, until = excluded.until
         WHERE outbox_lead.relay = excluded.relay
            OR outbox_lead.until <= ?3
            OR outbox_lead.until > excluded.until",
        params![relay, saturating_millis(lease), now],
    )?;
    Ok(taken > 0)
}

/// A row that waits; an error is its position and why it cannot be read.
type Row = Result<Pending, (i64, String)>;

fn select_pending(unit: &mut Unit<'_>, limit: usize) -> Result<Vec<Row>, Error> {
    unit.query_all(
        "SELECT position, appended_at, event_id, topic, key, kind, payload, traceparent, tracestate, headers
         FROM outbox AS waiting
         WHERE published_at IS NULL AND parked_at IS NULL
           AND (key = '' OR NOT EXISTS (
               SELECT 1 FROM outbox AS parked
               WHERE parked.parked_at IS NOT NULL AND parked.topic = waiting.topic AND parked.key = waiting.key
                 AND parked.position < waiting.position))
         ORDER BY position LIMIT ?1",
        params![sql_limit(limit)],
        |row| {
            let position = row.get(0)?;
            Ok(read_pending(row, position).map_err(|reason| (position, reason)))
        },
    )
}

/// The event of a row, or why there is none.
fn read_pending(row: &rusqlite::Row<'_>, position: i64) -> Result<Pending, String> {
    let columns = || -> rusqlite::Result<(Pending, Vec<u8>)> {
        let event = Event {
            id: row.get(2)?,
            topic: row.get(3)?,
            key: row.get(4)?,
            kind: row.get(5)?,
            payload: row.get(6)?,
            traceparent: row.get(7)?,
            tracestate: row.get(8)?,
            headers: Vec::new(),
        };
        Ok((Pending { position, appended_at: from_millis(row.get(1)?), event }, row.get(9)?))
    };
    let (mut pending, headers) = columns().map_err(|error| error.to_string())?;
    pending.event.headers = headers::decode(&headers).map_err(|error| error.to_string())?;
    Ok(pending)
}

fn mark_published(unit: &mut Unit<'_>, positions: &[i64], keep: Duration) -> Result<(), Error> {
    let now = millis(unit.now());
    for position in positions {
        unit.execute("UPDATE outbox SET published_at = ?2 WHERE position = ?1", params![position, now])?;
    }
    delete_published(unit, keep, deleted_with(positions.len())).map(drop)
}

fn delete_published(unit: &mut Unit<'_>, age: Duration, limit: usize) -> Result<usize, Error> {
    let before = millis(unit.ago(age));
    unit.execute(
        "DELETE FROM outbox WHERE position IN (
             SELECT position FROM outbox
             WHERE published_at IS NOT NULL
               AND published_at <= ?1
             ORDER BY published_at LIMIT ?2)",
        params![before, sql_limit(limit)],
    )
}

pub(super) fn sql_limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

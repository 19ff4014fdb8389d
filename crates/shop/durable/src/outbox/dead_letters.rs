//! Parked events as an operator sees them: what the broker refuses for good, and rows that cannot be read.
//!
//! A replay puts an event back where it stood, before the later ones of its key; the relay publishes it from there. One that
//! is refused again is parked again.

use futures_util::future::BoxFuture;
use rusqlite::params;
use rusqlite::types::ValueRef;

use super::sqlite::{SqliteOutbox, sql_limit, wake_relay};
use super::{Outbox as _, letter_reference, position_of, select_letters};
use crate::broker::{KIND_HEADER, Record};
use crate::clock::{from_millis, millis};
use crate::dead_letters::{DeadLetter, DeadLetters, Replay, Replayed};
use crate::{Error, Unit, headers};

impl DeadLetters for SqliteOutbox {
    fn waiting<'a>(
        &'a self,
        after: Option<&'a str>,
        max: usize,
    ) -> BoxFuture<'a, Result<Vec<DeadLetter>, Error>> {
        let after = match after {
            Some(reference) => position_of(reference, self.database.name()).unwrap_or(i64::MAX),
            None => i64::MIN,
        };
        let name = self.database.name();
        Box::pin(self.database.scan("parked-events", move |unit| {
            unit.query_all(
                select_letters!("WHERE parked_at IS NOT NULL AND position > ?1 ORDER BY position LIMIT ?2"),
                params![after, sql_limit(max)],
                |row| read(row, name),
            )
        }))
    }

    fn count(&self) -> BoxFuture<'_, Result<u64, Error>> {
        self.parked()
    }

    fn find<'a>(&'a self, reference: &'a str) -> BoxFuture<'a, Result<Option<DeadLetter>, Error>> {
        Box::pin(async move {
            let Some(position) = position_of(reference, self.database.name()) else { return Ok(None) };
            let name = self.database.name();
            self.database.read("find-parked-event", move |unit| find(unit, position, name)).await
        })
    }

    fn replay<'a>(
        &'a self,
        reference: &'a str,
        by: &'a str,
        reason: &'a str,
    ) -> BoxFuture<'a, Result<Replayed, Error>> {
        let (by, reason) = (by.to_owned(), reason.to_owned());
        Box::pin(async move {
            let Some(position) = position_of(reference, self.database.name()) else {
                return Ok(Replayed::Unknown);
            };
            self.database.write("replay-parked-event", move |unit| replay(unit, position, &by, &reason)).await
        })
    }
}

fn find(unit: &mut Unit<'_>, position: i64, name: &str) -> Result<Option<DeadLetter>, Error> {
    unit.query_optional(
        select_letters!("WHERE position = ?1 AND (parked_at IS NOT NULL OR replayed_at IS NOT NULL)"),
        params![position],
        |row| read(row, name),
    )
}

fn replay(unit: &mut Unit<'_>, position: i64, by: &str, reason: &str) -> Result<Replayed, Error> {
    let now = millis(unit.now());
    let waits_again = unit.execute(
        "UPDATE outbox SET parked_at = NULL, replayed_at = ?4,
                replayed_by = ?2, replay_reason = ?3
         WHERE position = ?1 AND parked_at IS NOT NULL",
        params![position, by, reason, now],
    )?;
    if waits_again > 0 {
        wake_relay(unit);
        return Ok(Replayed::Now);
    }
    let replayed = "SELECT 1 FROM outbox WHERE position = ?1 AND replayed_at IS NOT NULL";
    let before = unit.query_optional(replayed, params![position], |_| Ok(()))?;
    Ok(if before.is_some() { Replayed::Before } else { Replayed::Unknown })
}

/// A damaged row is a letter like any other; what cannot be read of it is left out.
fn read(row: &rusqlite::Row<'_>, name: &str) -> rusqlite::Result<DeadLetter> {
    let position: i64 = row.get(0)?;
    let mut headers = headers::decode(&bytes(row, 6)?).unwrap_or_default();
    headers.push((KIND_HEADER.to_owned(), bytes(row, 4)?));
    let parked_at: Option<i64> = row.get(8)?;
    let replay = match row.get::<_, Option<i64>>(10)? {
        Some(at) if parked_at.is_none() => {
            Some(Replay { at: from_millis(at), by: text(row, 11)?, reason: text(row, 12)? })
        }
        _ => None,
    };
    let appended_at = row.get::<_, i64>(7)?;
    Ok(DeadLetter {
        reference: letter_reference(name, position),
        record: Record {
            topic: text(row, 2)?,
            key: text(row, 3)?,
            payload: bytes(row, 5)?,
            headers,
            id: text(row, 1)?,
            timestamp: Some(from_millis(appended_at)),
        },
        group: format!("outbox of {name}"),
        place: None,
        reason: text(row, 9)?,
        error_type: text(row, 13)?,
        attempts: row.get::<_, Option<u32>>(14)?.unwrap_or_default(),
        since: from_millis(parked_at.unwrap_or(appended_at)),
        replay,
    })
}

fn bytes(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<Vec<u8>> {
    Ok(match row.get_ref(column)? {
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => bytes.to_vec(),
        ValueRef::Null | ValueRef::Integer(_) | ValueRef::Real(_) => Vec::new(),
    })
}

fn text(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<String> {
    Ok(String::from_utf8_lossy(&bytes(row, column)?).into_owned())
}

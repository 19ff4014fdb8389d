//! Parked events as an operator sees them; see the embedded form for the rules.

use futures_util::future::BoxFuture;

use super::{PostgresOutbox, sql_limit};
use crate::broker::{KIND_HEADER, Record};
use crate::dead_letters::{DeadLetter, DeadLetters, Replay, Replayed};
use crate::outbox::{Outbox as _, letter_reference, position_of, select_letters};
use crate::postgres::{At, Row, Unit, params};
use crate::{Error, headers};

impl DeadLetters for PostgresOutbox {
    fn waiting<'a>(
        &'a self,
        after: Option<&'a str>,
        max: usize,
    ) -> BoxFuture<'a, Result<Vec<DeadLetter>, Error>> {
        let name = self.database.name();
        let after = match after {
            Some(reference) => position_of(reference, name).unwrap_or(i64::MAX),
            None => i64::MIN,
        };
        Box::pin(self.database.read(
            "parked-events",
            (name, after, sql_limit(max)),
            |unit, (name, after, max)| {
                Box::pin(unit.query_all(
                    select_letters!(
                        "WHERE parked_at IS NOT NULL AND position > $1 ORDER BY position LIMIT $2"
                    ),
                    params![after, max],
                    |row| read(row, name),
                ))
            },
        ))
    }

    fn count(&self) -> BoxFuture<'_, Result<u64, Error>> {
        self.parked()
    }

    fn find<'a>(&'a self, reference: &'a str) -> BoxFuture<'a, Result<Option<DeadLetter>, Error>> {
        Box::pin(async move {
            let name = self.database.name();
            let Some(position) = position_of(reference, name) else { return Ok(None) };
            self.database
                .read("find-parked-event", (name, position), |unit, (name, position)| {
                    Box::pin(unit.query_optional(
                        select_letters!(
                            "WHERE position = $1 AND (parked_at IS NOT NULL OR replayed_at IS NOT NULL)"
                        ),
                        params![position],
                        |row| read(row, name),
                    ))
                })
                .await
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
            self.database
                .write("replay-parked-event", (position, by, reason), |unit, (position, by, reason)| {
                    Box::pin(replay(unit, *position, by, reason))
                })
                .await
        })
    }
}

async fn replay(unit: &mut Unit, position: i64, by: &str, reason: &str) -> Result<Replayed, Error> {
    let now = unit.now().await?;
    let waits_again = unit
        .execute(
            "UPDATE outbox SET parked_at = NULL, replayed_at = $4, replayed_by = $2, replay_reason = $3
             WHERE position = $1 AND parked_at IS NOT NULL",
            params![position, by, reason, At(now)],
        )
        .await?;
    if waits_again > 0 {
        unit.wake_relay();
        return Ok(Replayed::Now);
    }
    let replayed = "SELECT 1 FROM outbox WHERE position = $1 AND replayed_at IS NOT NULL";
    let before = unit.query_optional(replayed, params![position], |_| Ok(())).await?;
    Ok(if before.is_some() { Replayed::Before } else { Replayed::Unknown })
}

/// A damaged row is a letter like any other; what cannot be read of it is left out.
fn read(row: &Row, name: &str) -> Result<DeadLetter, Error> {
    let position: i64 = row.get(0)?;
    let mut headers = headers::decode(&row.get::<Vec<u8>>(6)?).unwrap_or_default();
    headers.push((KIND_HEADER.to_owned(), row.get::<String>(4)?.into_bytes()));
    let (appended_at, parked_at) = (row.time(7)?, row.optional_time(8)?);
    let replay = match row.optional_time(10)? {
        Some(at) if parked_at.is_none() => Some(Replay { at, by: row.get(11)?, reason: row.get(12)? }),
        _ => None,
    };
    Ok(DeadLetter {
        reference: letter_reference(name, position),
        record: Record {
            topic: row.get(2)?,
            key: row.get(3)?,
            payload: row.get(5)?,
            headers,
            id: row.get(1)?,
            timestamp: Some(appended_at),
        },
        group: format!("outbox of {name}"),
        place: None,
        reason: row.get::<Option<String>>(9)?.unwrap_or_default(),
        error_type: row.get::<Option<String>>(13)?.unwrap_or_default(),
        attempts: u32::try_from(row.get::<Option<i64>>(14)?.unwrap_or_default()).unwrap_or(u32::MAX),
        since: parked_at.unwrap_or(appended_at),
        replay,
    })
}

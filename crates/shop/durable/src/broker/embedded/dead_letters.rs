//! The dead-letter topics of the embedded broker, as an operator sees them.
//!
//! A record of a dead-letter topic is never changed; what was published again is noted beside it.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use rusqlite::params;

use super::append::{insert, route};
use super::consumer::raise;
use super::{EmbeddedBroker, Inner, OFFSET_BITS, Record, Topic, offset, position};
use crate::clock::{from_millis, millis};
use crate::dead_letters::{DeadLetter, DeadLetters, Replay, Replayed, place_of};
use crate::{Error, Unit, headers};

/// A letter's columns, for [`Stored::read`].
macro_rules! select_letters {
    ($rest:literal) => {
        concat!(
            "SELECT records.position, partitions.topic, partitions.number, event_id, key, payload, headers,
                    appended_at, replays.at, replays.asked_by, replays.reason, coalesce(timestamp, appended_at)
             FROM broker_partitions AS partitions
             JOIN broker_records AS records
               ON records.position >= partitions.id << 40 AND records.position < (partitions.id + 1) << 40
             LEFT JOIN broker_replays AS replays ON replays.position = records.position ",
            $rest
        )
    };
}

impl DeadLetters for EmbeddedBroker {
    fn waiting<'a>(
        &'a self,
        after: Option<&'a str>,
        max: usize,
    ) -> BoxFuture<'a, Result<Vec<DeadLetter>, Error>> {
        Box::pin(async move {
            let after = match after {
                Some(reference) => self.inner.position_of(reference).await?.unwrap_or(i64::MAX),
                None => -1,
            };
            let max = i64::try_from(max).unwrap_or(i64::MAX);
            let rows = self.inner.database.read("waiting-dead-letters", move |unit| {
                unit.query_all(
                    select_letters!(
                        "WHERE partitions.topic LIKE '%.dead-letter' AND replays.at IS NULL AND records.position > ?1
                         ORDER BY records.position LIMIT ?2"
                    ),
                    params![after, max],
                    Stored::read,
                )
            });
            Ok(rows.await?.into_iter().map(Stored::letter).collect())
        })
    }

    fn count(&self) -> BoxFuture<'_, Result<u64, Error>> {
        Box::pin(self.inner.database.read("count-dead-letters", |unit| {
            let count: i64 = unit.query_row(
                "SELECT count(*) FROM broker_partitions AS partitions
                 JOIN broker_records AS records
                   ON records.position >= partitions.id << 40 AND records.position < (partitions.id + 1) << 40
                 WHERE partitions.topic LIKE '%.dead-letter'
                   AND NOT EXISTS (SELECT 1 FROM broker_replays WHERE position = records.position)",
                (),
                |row| row.get(0),
            )?;
            Ok(u64::try_from(count).unwrap_or(0))
        }))
    }

    fn find<'a>(&'a self, reference: &'a str) -> BoxFuture<'a, Result<Option<DeadLetter>, Error>> {
        Box::pin(async move {
            let Some(position) = self.inner.position_of(reference).await? else { return Ok(None) };
            let found = self.inner.database.read("find-dead-letter", move |unit| stored(unit, position));
            Ok(found.await?.map(Stored::letter))
        })
    }

    fn replay<'a>(
        &'a self,
        reference: &'a str,
        by: &'a str,
        reason: &'a str,
    ) -> BoxFuture<'a, Result<Replayed, Error>> {
        Box::pin(async move {
            let Some(letter) = self.find(reference).await? else { return Ok(Replayed::Unknown) };
            let Some(position) = self.inner.position_of(reference).await? else {
                return Ok(Replayed::Unknown);
            };
            let topic = self.inner.topic(&letter.record.topic).await?;
            let replay = Replay { at: self.inner.clock.now(), by: by.to_owned(), reason: reason.to_owned() };
            let publishing =
                move |unit: &mut Unit<'_>| publish_again(unit, position, letter, &topic, &replay);
            self.inner.database.write("replay-dead-letter", publishing).await
        })
    }
}

fn publish_again(
    unit: &mut Unit<'_>,
    position: i64,
    letter: DeadLetter,
    topic: &Arc<Topic>,
    replay: &Replay,
) -> Result<Replayed, Error> {
    let now = millis(replay.at);
    let marked = unit.execute(
        "INSERT INTO broker_replays (position, asked_by, reason, at) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING",
        params![position, replay.by, replay.reason, now],
    )?;
    if marked == 0 {
        return Ok(Replayed::Before);
    }
    insert(unit, vec![route(letter.record, topic)], now)?;
    let topic = Arc::clone(topic);
    unit.after_commit(move || raise(&topic.signals.records));
    Ok(Replayed::Now)
}

impl Inner {
    /// Where the record of a reference stands: `topic/partition/offset` in the dead-letter topic of `topic`.
    async fn position_of(&self, reference: &str) -> Result<Option<i64>, Error> {
        let Some((topic, partition, offset)) = place_of(reference) else { return Ok(None) };
        if offset >> OFFSET_BITS != 0 {
            return Ok(None);
        }
        let id = self.database.read("find-partition", move |unit| {
            unit.query_optional(
                "SELECT id FROM broker_partitions WHERE topic = ?1 AND number = ?2",
                params![topic, partition],
                |row| row.get(0),
            )
        });
        Ok(id.await?.map(|id| position(id, offset)))
    }
}

fn stored(unit: &mut Unit<'_>, position: i64) -> Result<Option<Stored>, Error> {
    unit.query_optional(
        select_letters!("WHERE partitions.id = ?1 >> 40 AND records.position = ?1"),
        params![position],
        Stored::read,
    )
}

/// A letter as its rows have it.
struct Stored {
    position: i64,
    partition: u32,
    record: Record,
    headers: Vec<u8>,
    since: i64,
    replay: Option<Replay>,
}

impl Stored {
    fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Stored> {
        let replay = match row.get::<_, Option<i64>>(8)? {
            Some(at) => Some(Replay { at: from_millis(at), by: row.get(9)?, reason: row.get(10)? }),
            None => None,
        };
        let record = Record {
            topic: row.get(1)?,
            id: row.get(3)?,
            key: row.get(4)?,
            payload: row.get(5)?,
            headers: Vec::new(),
            timestamp: Some(from_millis(row.get(11)?)),
        };
        Ok(Stored {
            position: row.get(0)?,
            partition: row.get(2)?,
            record,
            headers: row.get(6)?,
            since: row.get(7)?,
            replay,
        })
    }

    /// A letter whose headers are damaged is shown and can be replayed all the same, without them.
    fn letter(self) -> DeadLetter {
        let Stored { position, partition, mut record, headers, since, replay } = self;
        let headers = headers::decode(&headers);
        let unreadable = headers.is_err();
        record.headers = headers.unwrap_or_default();
        let mut letter = DeadLetter::parked(record, partition, offset(position), from_millis(since), replay);
        if unreadable {
            "its headers are damaged".clone_into(&mut letter.reason);
        }
        letter
    }
}

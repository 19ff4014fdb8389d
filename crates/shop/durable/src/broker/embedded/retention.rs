//! Deleting what every group has consumed, and what was published again.
//!
//! A record that some group of its topic has still to read is not deleted, and neither is one of a topic that nobody ever
//! subscribed to: a dead letter is kept until somebody has read it or had it published again. A group of which no member
//! is seen any more ([`EmbeddedBrokerOptions::group_expiry`](super::EmbeddedBrokerOptions)) holds nothing back.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rusqlite::params;
use tokio::time::Instant;

use super::{EmbeddedBroker, Inner, OFFSET_BITS, position};
use crate::clock::{millis, saturating_millis};
use crate::{Error, Unit};

/// Max records deleted in one unit, so that publishers never wait long.
const BATCH: usize = 500;

/// How long an absence must also have been watched by this process before it counts. The time of day can jump, and after
/// a start the members need a while to come back.
const WATCHED: Duration = Duration::from_hours(1);

impl EmbeddedBroker {
    /// Deletes what may be deleted now and tells how many records that were. To be called in intervals by a process
    /// that owns the broker.
    pub async fn delete_consumed(&self) -> Result<usize, Error> {
        let mut deleted = 0;
        for partition_id in self.inner.subscribed_partitions().await? {
            let consumed = self.inner.consumed(partition_id).await?;
            deleted += self
                .inner
                .in_batches(move |unit, now| delete_consumed(unit, partition_id, consumed, now))
                .await?;
        }
        Ok(deleted + self.inner.in_batches(delete_replayed).await?)
    }
}

impl Inner {
    async fn subscribed_partitions(&self) -> Result<Vec<i64>, Error> {
        self.database
            .read("subscribed-partitions", |unit| {
                unit.query_all("SELECT DISTINCT partition_id FROM broker_progress", (), |row| row.get(0))
            })
            .await
    }

    /// The offset up to which every group that counts has read the partition.
    async fn consumed(&self, partition_id: i64) -> Result<i64, Error> {
        let read = self.database.read("consumed-offsets", move |unit| {
            let groups: Vec<(String, i64, i64)> = unit.query_all(
                "SELECT consumer_group, next_offset, seen_at FROM broker_progress WHERE partition_id = ?1",
                params![partition_id],
                |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
            )?;
            let end = "SELECT next_offset FROM broker_partitions WHERE id = ?1";
            let end: i64 = unit.query_row(end, params![partition_id], |row| row.get(0))?;
            Ok::<_, Error>((groups, end))
        });
        let (groups, end) = read.await?;
        let oldest = millis(self.clock.now()).saturating_sub(saturating_millis(self.group_expiry));
        let counts = |(group, _, seen_at): &&(String, i64, i64)| {
            !self.absences.is_over(group, partition_id, *seen_at, oldest, WATCHED.min(self.group_expiry))
        };
        Ok(groups.iter().filter(counts).map(|(_, next_offset, _)| *next_offset).min().unwrap_or(end))
    }

    /// Repeats a unit until it finds less than a whole batch to delete. It gets the time of day in milliseconds.
    async fn in_batches(
        &self,
        delete: impl Fn(&mut Unit<'_>, i64) -> Result<usize, Error> + Clone + Send + 'static,
    ) -> Result<usize, Error> {
        let mut deleted = 0;
        loop {
            let (delete, now) = (delete.clone(), millis(self.clock.now()));
            let batch = self.database.write("delete-records", move |unit| delete(unit, now)).await?;
            deleted += batch;
            if batch < BATCH {
                return Ok(deleted);
            }
        }
    }
}

/// Groups that seem to have gone, and since when this process has seen them so.
#[derive(Debug, Default)]
pub(super) struct Absences {
    since: Mutex<HashMap<(String, i64), (i64, Instant)>>,
}

impl Absences {
    /// Whether a group that was last seen at `seen_at` is not waited for any more: that is before `oldest`, and has not
    /// changed for as long as `watched`.
    fn is_over(&self, group: &str, partition_id: i64, seen_at: i64, oldest: i64, watched: Duration) -> bool {
        let mut since = self.since.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (group.to_owned(), partition_id);
        if seen_at > oldest {
            since.remove(&key);
            return false;
        }
        let now = Instant::now();
        let (noted, begun) = since.entry(key).or_insert((seen_at, now));
        if *noted != seen_at {
            (*noted, *begun) = (seen_at, now);
        }
        let is_over = begun.elapsed() >= watched;
        if is_over {
            tracing::warn!(group, "a consumer group is not seen any more; records are deleted without it");
        }
        is_over
    }
}

/// A partition's size, and when its records may be deleted: milliseconds and bytes.
struct Partition {
    bytes: i64,
    max_age: Option<i64>,
    max_bytes: Option<i64>,
}

fn partition(unit: &mut Unit<'_>, id: i64) -> Result<Partition, Error> {
    unit.query_row(
        "SELECT bytes, retention_age, retention_bytes
         FROM broker_partitions JOIN broker_topics ON broker_topics.name = broker_partitions.topic
         WHERE broker_partitions.id = ?1",
        params![id],
        |row| Ok(Partition { bytes: row.get(0)?, max_age: row.get(1)?, max_bytes: row.get(2)? }),
    )
}

fn delete_consumed(unit: &mut Unit<'_>, partition_id: i64, consumed: i64, now: i64) -> Result<usize, Error> {
    let Partition { bytes, max_age, max_bytes } = partition(unit, partition_id)?;
    let oldest_kept = max_age.map(|age| now.saturating_sub(age));
    let candidates = unit.query_all(
        "SELECT position, appended_at, length(payload) + length(headers) FROM broker_records
         WHERE position >= ?1 AND position < ?2 ORDER BY position LIMIT ?3",
        params![
            position(partition_id, 0),
            (partition_id << OFFSET_BITS) + consumed,
            i64::try_from(BATCH).unwrap_or(i64::MAX)
        ],
        |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?)),
    )?;
    let mut freed = 0;
    let mut last = None;
    let mut count = 0;
    for (position, appended_at, size) in candidates {
        let is_old = oldest_kept.is_some_and(|oldest| appended_at <= oldest);
        let is_too_much = max_bytes.is_some_and(|max| bytes - freed > max);
        if !is_old && !is_too_much {
            break;
        }
        freed += size;
        last = Some(position);
        count += 1;
    }
    if let Some(last) = last {
        let range = params![position(partition_id, 0), last];
        unit.execute("DELETE FROM broker_replays WHERE position >= ?1 AND position <= ?2", range)?;
        let range = params![position(partition_id, 0), last];
        unit.execute("DELETE FROM broker_records WHERE position >= ?1 AND position <= ?2", range)?;
        free(unit, partition_id, freed)?;
    }
    Ok(count)
}

/// Deletes dead letters that were published again, with the mark of it, when that is as long ago as their topic keeps
/// records.
fn delete_replayed(unit: &mut Unit<'_>, now: i64) -> Result<usize, Error> {
    let replayed = unit.query_all(
        "SELECT replays.position, partitions.id, coalesce(length(payload) + length(headers), 0)
         FROM broker_replays AS replays
         JOIN broker_partitions AS partitions ON partitions.id = replays.position >> 40
         JOIN broker_topics AS topics ON topics.name = partitions.topic
         LEFT JOIN broker_records AS records ON records.position = replays.position
         WHERE replays.at <= ?1 - topics.retention_age LIMIT ?2",
        params![now, i64::try_from(BATCH).unwrap_or(i64::MAX)],
        |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?)),
    )?;
    for (position, partition_id, size) in &replayed {
        unit.execute("DELETE FROM broker_records WHERE position = ?1", params![position])?;
        unit.execute("DELETE FROM broker_replays WHERE position = ?1", params![position])?;
        free(unit, *partition_id, *size)?;
    }
    Ok(replayed.len())
}

fn free(unit: &mut Unit<'_>, partition_id: i64, bytes: i64) -> Result<(), Error> {
    let update = "UPDATE broker_partitions SET bytes = bytes - ?2 WHERE id = ?1";
    unit.execute(update, params![partition_id, bytes]).map(drop)
}

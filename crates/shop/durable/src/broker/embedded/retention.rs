//! Deleting what every group has consumed.
//!
//! A record that some group of its topic has still to read is never deleted, and neither is one of a topic that nobody
//! ever subscribed to: a dead-letter topic keeps its records until somebody has read them.

use rusqlite::params;

use super::{EmbeddedBroker, Inner, OFFSET_BITS, position};
use crate::clock::millis;
use crate::{Error, Unit};

/// Most records deleted in one unit, so that publishers never wait long.
const BATCH: usize = 500;

impl EmbeddedBroker {
    /// Deletes what may be deleted now and tells how many records that were. To be called in intervals by a process
    /// that owns the broker.
    pub async fn delete_consumed(&self) -> Result<usize, Error> {
        let partitions = self.inner.consumed_partitions().await?;
        let mut deleted = 0;
        for partition_id in partitions {
            loop {
                let batch = self.inner.delete_batch(partition_id).await?;
                deleted += batch;
                if batch < BATCH {
                    break;
                }
            }
        }
        Ok(deleted)
    }
}

impl Inner {
    async fn consumed_partitions(&self) -> Result<Vec<i64>, Error> {
        self.database
            .read("consumed-partitions", |unit| {
                let select = "SELECT DISTINCT partition_id FROM broker_progress WHERE next_offset > 0";
                unit.query_all(select, (), |row| row.get(0))
            })
            .await
    }

    async fn delete_batch(&self, partition_id: i64) -> Result<usize, Error> {
        let now = millis(self.clock.now());
        self.database
            .write("delete-consumed-records", move |unit| delete_batch(unit, partition_id, now))
            .await
    }
}

/// A partition that has consumed records.
struct Partition {
    /// The offset up to which every group has read.
    consumed: i64,
    bytes: i64,
    /// Milliseconds and bytes.
    retention: (Option<i64>, Option<i64>),
}

fn partition(unit: &mut Unit<'_>, id: i64) -> Result<Partition, Error> {
    unit.query_row(
        "SELECT (SELECT min(next_offset) FROM broker_progress WHERE partition_id = ?1), bytes, retention_age, retention_bytes
         FROM broker_partitions JOIN broker_topics ON broker_topics.name = broker_partitions.topic
         WHERE broker_partitions.id = ?1",
        params![id],
        |row| {
            Ok(Partition {
                consumed: row.get::<_, Option<i64>>(0)?.unwrap_or(0),
                bytes: row.get(1)?,
                retention: (row.get(2)?, row.get(3)?),
            })
        },
    )
}

fn delete_batch(unit: &mut Unit<'_>, partition_id: i64, now: i64) -> Result<usize, Error> {
    let Partition { consumed, bytes, retention: (age, max_bytes) } = partition(unit, partition_id)?;
    let oldest_kept = age.map(|age| now.saturating_sub(age));
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
        unit.execute(
            "DELETE FROM broker_records WHERE position >= ?1 AND position <= ?2",
            params![position(partition_id, 0), last],
        )?;
        unit.execute(
            "UPDATE broker_partitions SET bytes = bytes - ?2 WHERE id = ?1",
            params![partition_id, freed],
        )?;
    }
    Ok(count)
}

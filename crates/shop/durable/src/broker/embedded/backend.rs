//! Reading and committing on the broker's database; heartbeats are carried out by `heartbeat`.

use std::sync::Arc;

use rusqlite::params;

use super::consumer::{Checkpoint, Holdings, Member, Standing, raise};
use super::heartbeat::Heartbeat;
use super::{Inner, OFFSET_BITS, Record, Topic, offset, position};
use crate::broker::{Delivery, OffsetCommit};
use crate::clock::{from_millis, millis};
use crate::{Error, Unit, headers};

impl Inner {
    /// Renews the member's leases, gives away what it has given up and moves it towards its fair share.
    pub(super) async fn heartbeat(&self, member: &Member, standing: Standing) -> Result<Holdings, Error> {
        let topic = self.topic(&member.topic).await?;
        let now = millis(self.clock.now());
        let beat = Heartbeat {
            member: member.clone(),
            now,
            lease: self.lease,
            sightings: Arc::clone(&self.sightings),
            standing,
            topic,
        };
        self.database.write("consumer-heartbeat", move |unit| beat.run(unit)).await
    }

    /// Reads up to `max` records, of the first partitions before those of later ones, from the offset beside each.
    pub(super) async fn fetch(
        &self,
        member: &Member,
        from: Vec<(u32, u64)>,
        max: usize,
    ) -> Result<Vec<Delivery>, Error> {
        let topic = self.topic(&member.topic).await?;
        self.database
            .read("fetch-records", move |unit| {
                let mut deliveries: Vec<Delivery> = Vec::new();
                for (partition, next_offset) in from {
                    let Some(&partition_id) = topic.partitions.get(partition as usize) else { continue };
                    let left = i64::try_from(max - deliveries.len()).unwrap_or(i64::MAX);
                    deliveries.extend(records(unit, &topic, (partition, partition_id), next_offset, left)?);
                    if deliveries.len() >= max {
                        break;
                    }
                }
                Ok(deliveries)
            })
            .await
    }

    /// Commits all of it, or nothing when the member does not hold all of it any more under these leases: false.
    pub(super) async fn commit(&self, member: &Member, checkpoints: Vec<Checkpoint>) -> Result<bool, Error> {
        let topic = Arc::clone(&member.topic);
        let committed = self.database.write("commit-offsets", move |unit| {
            for Checkpoint { partition, lease, next_offset } in checkpoints {
                if !lease.commit(unit, next_offset)? {
                    return Err(Error::Fenced { what: format!("partition {partition} of {topic}") });
                }
            }
            Ok(())
        });
        match committed.await {
            Ok(()) => Ok(true),
            Err(Error::Fenced { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Gives everything away and leaves the group.
    pub(super) async fn leave(&self, member: &Member) -> Result<(), Error> {
        let topic = self.topic(&member.topic).await?;
        let member = member.clone();
        self.database
            .write("leave-group", move |unit| {
                for partition_id in &topic.partitions {
                    unit.execute(
                        "UPDATE broker_progress SET owner = NULL, lease_until = 0
                         WHERE consumer_group = ?1 AND partition_id = ?2 AND owner = ?3",
                        params![member.group, partition_id, member.id],
                    )?;
                }
                unit.execute(
                    "DELETE FROM broker_members WHERE consumer_group = ?1 AND topic = ?2 AND member = ?3",
                    params![member.group, member.topic, member.id],
                )?;
                unit.after_commit(move || raise(&topic.signals.members));
                Ok(())
            })
            .await
    }
}

fn records(
    unit: &mut Unit<'_>,
    topic: &Topic,
    (partition, partition_id): (u32, i64),
    next_offset: u64,
    max: i64,
) -> Result<Vec<Delivery>, Error> {
    let rows = unit.query_all(
        "SELECT position, event_id, key, payload, headers, coalesce(timestamp, appended_at) FROM broker_records
         WHERE position >= ?1 AND position < ?2 ORDER BY position LIMIT ?3",
        params![position(partition_id, next_offset), (partition_id + 1) << OFFSET_BITS, max],
        |row| {
            let position = row.get(0)?;
            Ok((position, record(row, &topic.name)))
        },
    )?;
    let deliveries = rows.into_iter().map(|(position, record)| {
        let offset = offset(position);
        // A damaged record holds up nobody: its reader cannot make anything of an empty one and parks it.
        let record = record.unwrap_or_else(|reason| {
            tracing::error!(reason, partition, offset, "a record cannot be read and is handed out empty");
            let headers = vec![("damaged".to_owned(), reason.into_bytes())];
            Record {
                topic: topic.name.to_string(),
                headers,
                id: format!("{partition}-{offset}"),
                ..Record::default()
            }
        });
        let offsets = OffsetCommit::default();
        Delivery { topic: Arc::clone(&topic.name), partition, offset, record, attempt: 1, offsets }
    });
    Ok(deliveries.collect())
}

/// The record of a row, or why there is none.
fn record(row: &rusqlite::Row<'_>, topic: &str) -> Result<Record, String> {
    let columns = || -> rusqlite::Result<(Record, Vec<u8>)> {
        let record = Record {
            topic: topic.to_owned(),
            id: row.get(1)?,
            key: row.get(2)?,
            payload: row.get(3)?,
            headers: Vec::new(),
            timestamp: Some(from_millis(row.get(5)?)),
        };
        Ok((record, row.get(4)?))
    };
    let (record, encoded) = columns().map_err(|error| error.to_string())?;
    let headers = headers::decode(&encoded).map_err(|error| error.to_string())?;
    Ok(Record { headers, ..record })
}

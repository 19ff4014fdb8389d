//! Leases, reading and committing on the broker's database.

use std::sync::Arc;
use std::time::Duration;

use rusqlite::params;

use super::super::assignment::{self, Owned};
use super::super::membership::{Backend, Checkpoint, Holding, Holdings, Member, raise};
use super::{Inner, OFFSET_BITS, Record, Topic, offset, position};
use crate::broker::Delivery;
use crate::clock::{millis, saturating_millis};
use crate::{Error, Unit, headers};

/// A group's row of a partition.
struct Row {
    partition: u32,
    partition_id: i64,
    committed: u64,
    owner: Option<String>,
    epoch: i64,
    lease_until: i64,
}

impl Backend for Inner {
    fn lease(&self) -> Duration {
        self.lease
    }

    fn poll_interval(&self) -> Option<Duration> {
        self.poll_interval
    }

    async fn heartbeat(&self, member: &Member, busy: Vec<u32>) -> Result<Holdings, Error> {
        let topic = self.topic(&member.topic).await?;
        let now = millis(self.clock.now());
        let beat = Heartbeat {
            member: member.clone(),
            now,
            lease_until: now + saturating_millis(self.lease),
            busy,
            topic,
        };
        self.database.write("consumer-heartbeat", move |unit| beat.run(unit)).await
    }

    async fn fetch(
        &self,
        member: &Member,
        from: Vec<(u32, u64)>,
        max: usize,
    ) -> Result<Vec<Delivery>, Error> {
        let topic = self.topic(&member.topic).await?;
        let max = i64::try_from(max).unwrap_or(i64::MAX);
        self.database
            .read("fetch-records", move |unit| {
                let mut deliveries = Vec::new();
                for (partition, next_offset) in from {
                    let Some(&partition_id) = topic.partitions.get(partition as usize) else { continue };
                    deliveries.extend(records(unit, &topic, (partition, partition_id), next_offset, max)?);
                }
                Ok(deliveries)
            })
            .await
    }

    async fn commit(&self, member: &Member, checkpoints: Vec<Checkpoint>) -> Result<Vec<u32>, Error> {
        let topic = self.topic(&member.topic).await?;
        let member = member.clone();
        self.database
            .write("commit-offsets", move |unit| {
                let mut refused = Vec::new();
                for Checkpoint { partition, epoch, next_offset } in checkpoints {
                    let partition_id = topic.partitions.get(partition as usize).copied();
                    let next_offset = i64::try_from(next_offset).unwrap_or(i64::MAX);
                    let changed = unit.execute(
                        "UPDATE broker_progress SET next_offset = max(next_offset, ?5)
                         WHERE consumer_group = ?1 AND partition_id = ?2 AND owner = ?3 AND epoch = ?4",
                        params![member.group, partition_id, member.id, epoch, next_offset],
                    )?;
                    if changed == 0 {
                        refused.push(partition);
                    }
                }
                Ok(refused)
            })
            .await
    }

    async fn leave(&self, member: &Member) -> Result<(), Error> {
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

/// One heartbeat of a member.
struct Heartbeat {
    member: Member,
    topic: Arc<Topic>,
    now: i64,
    lease_until: i64,
    busy: Vec<u32>,
}

impl Heartbeat {
    fn run(self, unit: &mut Unit<'_>) -> Result<Holdings, Error> {
        let (rank, members, is_new) = self.enrol(unit)?;
        let mut rows = self.rows(unit)?;
        let is_mine = |row: &Row| row.owner.as_deref() == Some(&*self.member.id);
        let is_free = |row: &Row| row.owner.is_none() || row.lease_until <= self.now;
        let owned: Vec<Owned> = rows
            .iter()
            .filter(|row| is_mine(row))
            .map(|row| Owned { partition: row.partition, is_busy: self.busy.contains(&row.partition) })
            .collect();
        let free: Vec<u32> =
            rows.iter().filter(|row| !is_mine(row) && is_free(row)).map(|row| row.partition).collect();

        let share = assignment::fair_share(rows.len(), members, rank);
        let moves = assignment::moves(share, &owned, &free);
        for row in &mut rows {
            if moves.release.contains(&row.partition) {
                self.release(unit, row)?;
            } else if moves.acquire.contains(&row.partition) {
                row.epoch += 1;
                self.hold(unit, row)?;
            } else if is_mine(row) {
                self.hold(unit, row)?;
            }
        }
        if is_new || !moves.release.is_empty() {
            let topic = Arc::clone(&self.topic);
            unit.after_commit(move || raise(&topic.signals.members));
        }
        let held = rows
            .iter()
            .filter(|row| is_mine(row))
            .map(|row| Holding { partition: row.partition, epoch: row.epoch, committed: row.committed })
            .collect();
        Ok(Holdings { held, drain: moves.drain })
    }

    /// Notes that the member lives and forgets the dead; returns its rank, the number of members, and whether it is new.
    fn enrol(&self, unit: &mut Unit<'_>) -> Result<(usize, usize, bool), Error> {
        let Member { group, topic, id } = &self.member;
        unit.execute(
            "DELETE FROM broker_members WHERE consumer_group = ?1 AND topic = ?2 AND lease_until <= ?3",
            params![group, topic, self.now],
        )?;
        let renewed = unit.execute(
            "UPDATE broker_members SET lease_until = ?4 WHERE consumer_group = ?1 AND topic = ?2 AND member = ?3",
            params![group, topic, id, self.lease_until],
        )?;
        if renewed == 0 {
            unit.execute(
                "INSERT INTO broker_members (consumer_group, topic, member, lease_until) VALUES (?1, ?2, ?3, ?4)",
                params![group, topic, id, self.lease_until],
            )?;
        }
        let members: Vec<String> = unit.query_all(
            "SELECT member FROM broker_members WHERE consumer_group = ?1 AND topic = ?2 ORDER BY member",
            params![group, topic],
            |row| row.get(0),
        )?;
        let rank = members.iter().position(|member| **member == **id).unwrap_or_default();
        Ok((rank, members.len(), renewed == 0))
    }

    /// The group's rows, by partition.
    fn rows(&self, unit: &mut Unit<'_>) -> Result<Vec<Row>, Error> {
        let mut rows = Vec::with_capacity(self.topic.partitions.len());
        for (number, &partition_id) in self.topic.partitions.iter().enumerate() {
            let row = unit.query_optional(
                "SELECT next_offset, owner, epoch, lease_until FROM broker_progress
                 WHERE consumer_group = ?1 AND partition_id = ?2",
                params![self.member.group, partition_id],
                |row| {
                    Ok(Row {
                        partition: u32::try_from(number).unwrap_or(u32::MAX),
                        partition_id,
                        committed: u64::try_from(row.get::<_, i64>(0)?).unwrap_or(0),
                        owner: row.get(1)?,
                        epoch: row.get(2)?,
                        lease_until: row.get(3)?,
                    })
                },
            )?;
            rows.extend(row);
        }
        Ok(rows)
    }

    fn hold(&self, unit: &mut Unit<'_>, row: &mut Row) -> Result<(), Error> {
        row.owner = Some(self.member.id.to_string());
        unit.execute(
            "UPDATE broker_progress SET owner = ?3, epoch = ?4, lease_until = ?5
             WHERE consumer_group = ?1 AND partition_id = ?2",
            params![self.member.group, row.partition_id, self.member.id, row.epoch, self.lease_until],
        )?;
        Ok(())
    }

    fn release(&self, unit: &mut Unit<'_>, row: &mut Row) -> Result<(), Error> {
        row.owner = None;
        unit.execute(
            "UPDATE broker_progress SET owner = NULL, lease_until = 0 WHERE consumer_group = ?1 AND partition_id = ?2",
            params![self.member.group, row.partition_id],
        )?;
        Ok(())
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
        "SELECT position, event_id, key, payload, headers FROM broker_records
         WHERE position >= ?1 AND position < ?2 ORDER BY position LIMIT ?3",
        params![position(partition_id, next_offset), (partition_id + 1) << OFFSET_BITS, max],
        |row| {
            let record = Record {
                topic: topic.name.to_string(),
                id: row.get(1)?,
                key: row.get(2)?,
                payload: row.get(3)?,
                headers: Vec::new(),
            };
            Ok((row.get::<_, i64>(0)?, record, row.get::<_, Vec<u8>>(4)?))
        },
    )?;
    rows.into_iter()
        .map(|(position, mut record, encoded)| {
            record.headers = headers::decode(&encoded)?;
            let topic = Arc::clone(&topic.name);
            Ok(Delivery { topic, partition, offset: offset(position), record, attempt: 1 })
        })
        .collect()
}

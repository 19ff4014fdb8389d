//! Leases, reading and committing on the broker's database.
//!
//! A member is alive while its row changes. Each process notes when it saw a row change last, by a clock that only goes
//! forward; the time of day, which may be set back, decides nothing.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

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
}

/// A member's group, topic and id.
type MemberKey = (Arc<str>, Arc<str>, String);

/// When the row of each member changed last, as this process saw it.
#[derive(Debug, Default)]
pub(super) struct Sightings {
    last: Mutex<HashMap<MemberKey, (i64, Instant)>>,
}

impl Sightings {
    /// Takes in the rows of a group's members; returns those that have not changed for longer than `lease`.
    fn silent(&self, group: &Member, rows: &[(String, i64)], lease: Duration, now: Instant) -> Vec<String> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.retain(|(of_group, topic, id), _| {
            (of_group, topic) != (&group.group, &group.topic) || rows.iter().any(|(known, _)| known == id)
        });
        let is_silent = |(id, value): &&(String, i64)| {
            let key = (Arc::clone(&group.group), Arc::clone(&group.topic), id.clone());
            let (seen, since) = last.entry(key).or_insert((*value, now));
            if seen != value {
                (*seen, *since) = (*value, now);
            }
            now.saturating_duration_since(*since) > lease
        };
        rows.iter().filter(is_silent).map(|(id, _)| id.clone()).collect()
    }
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
            lease_until: now + saturating_millis(self.lease),
            lease: self.lease,
            sightings: Arc::clone(&self.sightings),
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
    lease_until: i64,
    lease: Duration,
    sightings: Arc<Sightings>,
    busy: Vec<u32>,
}

/// The members of a group that live, this one among them.
struct Enrolled {
    members: Vec<String>,
    /// This one's place among them.
    rank: usize,
    is_new: bool,
}

impl Heartbeat {
    fn run(self, unit: &mut Unit<'_>) -> Result<Holdings, Error> {
        let Enrolled { members, rank, is_new } = self.enrol(unit)?;
        let mut rows = self.rows(unit)?;
        let is_mine = |row: &Row| row.owner.as_deref() == Some(&*self.member.id);
        let is_free = |row: &Row| row.owner.as_ref().is_none_or(|owner| !members.contains(owner));
        let owned: Vec<Owned> = rows
            .iter()
            .filter(|row| is_mine(row))
            .map(|row| Owned { partition: row.partition, is_busy: self.busy.contains(&row.partition) })
            .collect();
        let free: Vec<u32> =
            rows.iter().filter(|row| !is_mine(row) && is_free(row)).map(|row| row.partition).collect();

        let share = assignment::fair_share(rows.len(), members.len(), rank);
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

    /// Notes that the member lives and forgets those that have been silent for too long.
    fn enrol(&self, unit: &mut Unit<'_>) -> Result<Enrolled, Error> {
        let Member { group, topic, id } = &self.member;
        // Another value each time, also when the time of day was set back.
        let renewed = unit.execute(
            "UPDATE broker_members SET lease_until = max(lease_until + 1, ?4)
             WHERE consumer_group = ?1 AND topic = ?2 AND member = ?3",
            params![group, topic, id, self.lease_until],
        )?;
        if renewed == 0 {
            unit.execute(
                "INSERT INTO broker_members (consumer_group, topic, member, lease_until) VALUES (?1, ?2, ?3, ?4)",
                params![group, topic, id, self.lease_until],
            )?;
        }
        let rows: Vec<(String, i64)> = unit.query_all(
            "SELECT member, lease_until FROM broker_members WHERE consumer_group = ?1 AND topic = ?2 ORDER BY member",
            params![group, topic],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        let mut silent = self.sightings.silent(&self.member, &rows, self.lease, Instant::now());
        silent.retain(|member| **member != **id);
        for member in &silent {
            unit.execute(
                "DELETE FROM broker_members WHERE consumer_group = ?1 AND topic = ?2 AND member = ?3",
                params![group, topic, member],
            )?;
        }
        let alive = rows.into_iter().map(|(member, _)| member).filter(|member| !silent.contains(member));
        let members: Vec<String> = alive.collect();
        let rank = members.iter().position(|member| **member == **id).unwrap_or_default();
        Ok(Enrolled { members, rank, is_new: renewed == 0 })
    }

    /// The group's rows, by partition.
    fn rows(&self, unit: &mut Unit<'_>) -> Result<Vec<Row>, Error> {
        let mut rows = Vec::with_capacity(self.topic.partitions.len());
        for (number, &partition_id) in self.topic.partitions.iter().enumerate() {
            let row = unit.query_optional(
                "SELECT next_offset, owner, epoch FROM broker_progress
                 WHERE consumer_group = ?1 AND partition_id = ?2",
                params![self.member.group, partition_id],
                |row| {
                    Ok(Row {
                        partition: u32::try_from(number).unwrap_or(u32::MAX),
                        partition_id,
                        committed: u64::try_from(row.get::<_, i64>(0)?).unwrap_or(0),
                        owner: row.get(1)?,
                        epoch: row.get(2)?,
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
        Delivery { topic: Arc::clone(&topic.name), partition, offset, record, attempt: 1 }
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
        };
        Ok((record, row.get(4)?))
    };
    let (record, encoded) = columns().map_err(|error| error.to_string())?;
    let headers = headers::decode(&encoded).map_err(|error| error.to_string())?;
    Ok(Record { headers, ..record })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_is_silent_when_its_row_did_not_change() {
        let (sightings, lease) = (Sightings::default(), Duration::from_secs(10));
        let group = Member { group: "g".into(), topic: "t".into(), id: "me".into() };
        let begun = Instant::now();
        let silent = |value: i64, seconds: u64| {
            let rows = [("other".to_owned(), value)];
            sightings.silent(&group, &rows, lease, begun + Duration::from_secs(seconds)).len()
        };
        assert_eq!(
            [silent(7, 0), silent(7, 9), silent(8, 15), silent(8, 24), silent(8, 26)],
            [0, 0, 0, 0, 1]
        );
        // A value that goes back, as the time of day can, is a change like any other.
        assert_eq!([silent(1, 27), silent(1, 36), silent(1, 38)], [0, 0, 1]);
    }
}

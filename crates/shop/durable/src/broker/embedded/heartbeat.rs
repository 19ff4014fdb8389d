//! Members and the partitions they hold.
//!
//! A member is alive while its row changes. Each process notes when it saw a row change last, by a clock that only goes
//! forward; the time of day, which may be set back, decides nothing.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::params;

use super::Topic;
use super::assignment::{self, Owned};
use super::consumer::{Holding, Holdings, Member, Standing, raise};
use crate::clock::saturating_millis;
use crate::{Error, Unit};

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

/// One heartbeat of a member.
pub(super) struct Heartbeat {
    pub(super) member: Member,
    pub(super) topic: Arc<Topic>,
    /// Milliseconds since 1970.
    pub(super) now: i64,
    pub(super) lease: Duration,
    pub(super) sightings: Arc<Sightings>,
    pub(super) standing: Standing,
}

/// The members of a group that live, this one among them.
struct Enrolled {
    members: Vec<String>,
    /// This one's place among them.
    rank: usize,
    is_new: bool,
}

impl Heartbeat {
    pub(super) fn run(self, unit: &mut Unit<'_>) -> Result<Holdings, Error> {
        let Enrolled { members, rank, is_new } = self.enrol(unit)?;
        let mut rows = self.rows(unit)?;
        let is_mine = |row: &Row| row.owner.as_deref() == Some(&*self.member.id);
        let is_given_up = |row: &Row| self.standing.given_up.contains(&row.partition);
        let mut has_released = false;
        for row in rows.iter_mut().filter(|row| is_mine(row) && is_given_up(row)) {
            self.release(unit, row)?;
            has_released = true;
        }
        let is_free = |row: &Row| row.owner.as_ref().is_none_or(|owner| !members.contains(owner));
        let is_busy = |row: &Row| self.standing.busy.contains(&row.partition);
        let owned: Vec<Owned> = rows
            .iter()
            .filter(|row| is_mine(row))
            .map(|row| Owned { partition: row.partition, is_busy: is_busy(row) })
            .collect();
        // What it gives away is for the others.
        let can_be_taken = |row: &&Row| !is_mine(row) && !is_given_up(row) && is_free(row);
        let free: Vec<u32> = rows.iter().filter(can_be_taken).map(|row| row.partition).collect();

        let share = assignment::fair_share(rows.len(), members.len(), rank);
        let moves = assignment::moves(share, &owned, &free);
        for row in &mut rows {
            if moves.acquire.contains(&row.partition) {
                row.epoch += 1;
                self.hold(unit, row)?;
            } else if is_mine(row) {
                self.hold(unit, row)?;
            }
        }
        if is_new || has_released {
            let topic = Arc::clone(&self.topic);
            unit.after_commit(move || raise(&topic.signals.members));
        }
        let held = rows
            .iter()
            .filter(|row| is_mine(row))
            .map(|row| Holding {
                partition: row.partition,
                partition_id: row.partition_id,
                epoch: row.epoch,
                committed: row.committed,
            })
            .collect();
        Ok(Holdings { held, surrender: moves.surrender })
    }

    /// Notes that the member lives and forgets those that have been silent for too long.
    fn enrol(&self, unit: &mut Unit<'_>) -> Result<Enrolled, Error> {
        let Member { group, topic, id } = &self.member;
        // Another value each time, also when the time of day was set back.
        let renewed = unit.execute(
            "UPDATE broker_members SET lease_until = max(lease_until + 1, ?4)
             WHERE consumer_group = ?1 AND topic = ?2 AND member = ?3",
            params![group, topic, id, self.lease_until()],
        )?;
        if renewed == 0 {
            unit.execute(
                "INSERT INTO broker_members (consumer_group, topic, member, lease_until) VALUES (?1, ?2, ?3, ?4)",
                params![group, topic, id, self.lease_until()],
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

    fn lease_until(&self) -> i64 {
        self.now + saturating_millis(self.lease)
    }

    fn hold(&self, unit: &mut Unit<'_>, row: &mut Row) -> Result<(), Error> {
        row.owner = Some(self.member.id.to_string());
        unit.execute(
            "UPDATE broker_progress SET owner = ?3, epoch = ?4, lease_until = ?5, seen_at = ?6
             WHERE consumer_group = ?1 AND partition_id = ?2",
            params![
                self.member.group,
                row.partition_id,
                self.member.id,
                row.epoch,
                self.lease_until(),
                self.now
            ],
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

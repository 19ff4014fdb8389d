//! A partition in the hands of one member, and its offset: committed by the member, or by units that make the effects of records.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rusqlite::params;

use super::consumer::Member;
use crate::broker::OffsetCommit;
use crate::{Companion, Database, Error, Unit};

/// A partition under one epoch of one member: nobody else's commits count while it lasts.
pub(super) struct Lease {
    pub(super) epoch: i64,
    group: Arc<str>,
    member: Arc<str>,
    partition_id: i64,
    /// The highest offset that a unit of a record has written, whether or not that unit came to its commit. Changed by the
    /// writer's thread only.
    written: AtomicU64,
    /// The highest offset that a unit of a record has committed.
    committed: AtomicU64,
}

impl Lease {
    pub(super) fn new(member: &Member, partition_id: i64, epoch: i64) -> Arc<Lease> {
        Arc::new(Lease {
            epoch,
            group: Arc::clone(&member.group),
            member: Arc::clone(&member.id),
            partition_id,
            written: AtomicU64::new(0),
            committed: AtomicU64::new(0),
        })
    }

    /// The highest offset that a unit of a record has committed; 0 when none has.
    pub(super) fn committed(&self) -> u64 {
        self.committed.load(Ordering::Acquire)
    }

    /// Commits this offset and tells whether it did: not when the member has lost the partition. It may be lower than what was
    /// committed, but takes back nothing that a unit of a record has written.
    pub(super) fn commit(&self, unit: &mut Unit<'_>, next_offset: u64) -> Result<bool, Error> {
        let changed = unit.execute(
            "UPDATE broker_progress SET next_offset = max(?5, min(next_offset, ?6))
             WHERE consumer_group = ?1 AND partition_id = ?2 AND owner = ?3 AND epoch = ?4",
            params![
                self.group,
                self.partition_id,
                self.member,
                self.epoch,
                sql_offset(next_offset),
                sql_offset(self.written.load(Ordering::Acquire)),
            ],
        )?;
        Ok(changed > 0)
    }

    /// The way for units of records to commit their offsets.
    pub(super) fn offsets(self: &Arc<Lease>, database: &Database) -> OffsetCommit {
        let (lease, database) = (Arc::clone(self), database.clone());
        OffsetCommit::new(move |next_offset| {
            let lease = Arc::clone(&lease);
            Companion::new(&database, move |unit, ()| lease.commit_with_effect(unit, next_offset))
        })
    }

    /// As a part of the unit that makes a record's effect. A member that has lost the partition commits no offset; the effect is
    /// none of this one's business.
    fn commit_with_effect(self: Arc<Lease>, unit: &mut Unit<'_>, next_offset: u64) -> Result<(), Error> {
        // Before it is known that the unit commits: a commit of the member that runs in between must not undo it.
        self.written.fetch_max(next_offset, Ordering::AcqRel);
        if self.commit(unit, next_offset)? {
            unit.after_commit(move || {
                self.committed.fetch_max(next_offset, Ordering::AcqRel);
            });
        }
        Ok(())
    }
}

fn sql_offset(offset: u64) -> i64 {
    i64::try_from(offset).unwrap_or(i64::MAX)
}

impl std::fmt::Debug for Lease {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lease")
            .field("partition_id", &self.partition_id)
            .field("epoch", &self.epoch)
            .finish_non_exhaustive()
    }
}

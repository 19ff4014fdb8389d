//! A member of a consumer group: heartbeat, fetch, commit, hand over.
//!
//! The database holds the truth about leases ([`super::backend`]); what is kept here is where this member reads on, and
//! everything here is replaced by what the next heartbeat returns.
//!
//! A partition is given away in two steps: a poll names it as revoked, the heartbeat of the next poll gives it away. So
//! whoever handles its records has stopped by then.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::Inner;
use super::lease::Lease;
use crate::Error;
use crate::broker::{Consumer, Delivery, Polled, Progress};

/// Who is a member of what.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) group: Arc<str>,
    pub(super) topic: Arc<str>,
    pub(super) id: Arc<str>,
}

/// What a member tells with a heartbeat.
#[derive(Clone, Debug, Default)]
pub(super) struct Standing {
    /// Partitions with records that were handed out and are not committed.
    pub(super) busy: Vec<u32>,
    /// Partitions that it gives away.
    pub(super) given_up: Vec<u32>,
}

/// What a heartbeat returns.
#[derive(Clone, Debug, Default)]
pub(super) struct Holdings {
    /// Every partition that the member holds now.
    pub(super) held: Vec<Holding>,
    /// Those of them that it is to give away.
    pub(super) surrender: Vec<u32>,
}

/// A partition that a member holds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Holding {
    pub(super) partition: u32,
    pub(super) partition_id: i64,
    /// Rises each time the partition changes hands.
    pub(super) epoch: i64,
    pub(super) committed: u64,
}

/// Progress in a partition under a lease.
#[derive(Clone, Debug)]
pub(super) struct Checkpoint {
    pub(super) partition: u32,
    pub(super) lease: Arc<Lease>,
    pub(super) next_offset: u64,
}

/// Signals of one topic inside this process.
#[derive(Debug)]
pub(super) struct Signals {
    /// Records were appended.
    pub(super) records: watch::Sender<u64>,
    /// A member joined, left or gave a partition away.
    pub(super) members: watch::Sender<u64>,
}

impl Signals {
    pub(super) fn new() -> Signals {
        Signals { records: watch::Sender::new(0), members: watch::Sender::new(0) }
    }
}

pub(super) fn raise(signal: &watch::Sender<u64>) {
    signal.send_modify(|version| *version = version.wrapping_add(1));
}

/// The consumer of the embedded broker.
pub(super) struct GroupConsumer {
    broker: Arc<Inner>,
    member: Member,
    held: BTreeMap<u32, Held>,
    /// To be named by the next poll that returns, because they were lost or are to be given away.
    unnamed: BTreeSet<u32>,
    /// Named, and given away by the next heartbeat.
    given_up: BTreeSet<u32>,
    /// The partition that records were read from last; the next read begins behind it.
    last_read: u32,
    next_heartbeat: Instant,
    records: watch::Receiver<u64>,
    members: watch::Receiver<u64>,
}

/// What this member knows of a partition it holds.
#[derive(Debug)]
struct Held {
    lease: Arc<Lease>,
    /// The next offset to hand out.
    position: u64,
    /// What this member has committed itself.
    committed: u64,
    is_paused: bool,
    /// It is to be given away and hands out no more.
    is_leaving: bool,
}

impl Held {
    fn committed(&self) -> u64 {
        self.committed.max(self.lease.committed())
    }
}

impl GroupConsumer {
    pub(super) fn new(broker: Arc<Inner>, member: Member, signals: &Signals) -> GroupConsumer {
        GroupConsumer {
            broker,
            member,
            held: BTreeMap::new(),
            unnamed: BTreeSet::new(),
            given_up: BTreeSet::new(),
            last_read: 0,
            next_heartbeat: Instant::now(),
            records: signals.records.subscribe(),
            members: signals.members.subscribe(),
        }
    }

    /// Tells whether the partitions changed.
    async fn heartbeat(&mut self) -> Result<bool, Error> {
        let is_busy = |(_, held): &(&u32, &Held)| held.position > held.committed();
        let busy = self.held.iter().filter(is_busy).map(|(&partition, _)| partition).collect();
        let standing = Standing { busy, given_up: self.given_up.iter().copied().collect() };
        let started = Instant::now();
        let holdings = self.broker.heartbeat(&self.member, standing).await?;
        self.next_heartbeat = started + self.broker.lease / 3;

        let mut before = std::mem::take(&mut self.held);
        for partition in std::mem::take(&mut self.given_up) {
            before.remove(&partition);
        }
        let mut changed = false;
        for Holding { partition, partition_id, epoch, committed } in holdings.held {
            let kept = match before.remove(&partition) {
                Some(held) if held.lease.epoch == epoch => Some(held),
                // Lost and taken again: whoever handles its records must begin anew.
                Some(_) => {
                    self.unnamed.insert(partition);
                    None
                }
                None => None,
            };
            changed |= kept.is_none();
            let fresh = || {
                let lease = Lease::new(&self.member, partition_id, epoch);
                Held { lease, position: committed, committed, is_paused: false, is_leaving: false }
            };
            let mut held = kept.unwrap_or_else(fresh);
            held.is_leaving |= holdings.surrender.contains(&partition);
            if held.is_leaving {
                self.unnamed.insert(partition);
            }
            self.held.insert(partition, held);
        }
        // What is left was lost.
        self.unnamed.extend(before.into_keys());
        Ok(changed || !self.unnamed.is_empty())
    }

    async fn fetch(&mut self, max: usize) -> Result<Vec<Delivery>, Error> {
        let can_be_read = |(_, held): &(&u32, &Held)| !held.is_paused && !held.is_leaving;
        let mut from: Vec<(u32, u64)> = self
            .held
            .iter()
            .filter(can_be_read)
            .map(|(&partition, held)| (partition, held.position))
            .collect();
        if from.is_empty() || max == 0 {
            return Ok(Vec::new());
        }
        let next = from.iter().position(|(partition, _)| *partition > self.last_read).unwrap_or(0);
        from.rotate_left(next);
        let mut deliveries = self.broker.fetch(&self.member, from, max).await?;
        // From here to the return nothing is awaited: what counts as handed out is handed out.
        for of_partition in deliveries.chunk_by_mut(|one, next| one.partition == next.partition) {
            let Some(Delivery { partition, .. }) = of_partition.first() else { continue };
            self.last_read = *partition;
            let Some(held) = self.held.get_mut(partition) else { continue };
            let offsets = held.lease.offsets(&self.broker.database);
            for delivery in of_partition {
                held.position = delivery.offset + 1;
                delivery.offsets = offsets.clone();
            }
        }
        Ok(deliveries)
    }

    async fn next(&mut self, max: usize, wait: Duration) -> Result<Polled, Error> {
        let give_up = Instant::now() + wait;
        loop {
            let members_changed = self.members.has_changed().unwrap_or(false);
            self.members.mark_unchanged();
            self.records.mark_unchanged();
            let is_due =
                members_changed || !self.given_up.is_empty() || Instant::now() >= self.next_heartbeat;
            let changed = is_due && self.heartbeat_again_if_lost().await?;
            if changed || !self.unnamed.is_empty() {
                return Ok(Polled { records: Vec::new(), revoked: self.name_revoked() });
            }
            let records = self.fetch(max).await?;
            let now = Instant::now();
            if !records.is_empty() || now >= give_up {
                return Ok(Polled { records, revoked: Vec::new() });
            }
            let mut wake = give_up.min(self.next_heartbeat);
            if let Some(interval) = self.broker.poll_interval {
                wake = wake.min(now + interval);
            }
            tokio::select! {
                _ = self.records.changed() => {}
                _ = self.members.changed() => self.members.mark_changed(),
                () = sleep_until(wake) => {}
            }
        }
    }

    /// As [`Self::heartbeat`]; a heartbeat that was lost (an error, a dropped future) is due again at once.
    async fn heartbeat_again_if_lost(&mut self) -> Result<bool, Error> {
        self.next_heartbeat = Instant::now();
        self.heartbeat().await
    }

    /// The revoked partitions, to be returned at once: those that are still held are given away by the next heartbeat.
    fn name_revoked(&mut self) -> Vec<u32> {
        let revoked = std::mem::take(&mut self.unnamed);
        let is_leaving = |partition: &&u32| self.held.get(partition).is_some_and(|held| held.is_leaving);
        self.given_up = revoked.iter().filter(is_leaving).copied().collect();
        revoked.into_iter().collect()
    }

    async fn commit_all(&mut self, progress: Vec<Progress>) -> Result<(), Error> {
        let mut checkpoints = Vec::with_capacity(progress.len());
        for Progress { partition, next_offset } in progress {
            let Some(held) = self.held.get(&partition) else { return Err(self.fenced()) };
            // Never beyond what was handed out.
            let next_offset = next_offset.min(held.position);
            // What the units of records have committed is committed.
            let by_records = held.lease.committed();
            if by_records == 0 || next_offset > by_records {
                let lease = Arc::clone(&held.lease);
                checkpoints.push(Checkpoint { partition, lease, next_offset });
            }
        }
        if checkpoints.is_empty() {
            return Ok(());
        }
        if !self.broker.commit(&self.member, checkpoints.clone()).await? {
            return Err(self.fenced());
        }
        for Checkpoint { partition, next_offset, .. } in checkpoints {
            if let Some(held) = self.held.get_mut(&partition) {
                held.committed = next_offset;
            }
        }
        Ok(())
    }

    /// Something was lost; the next poll finds out what.
    fn fenced(&mut self) -> Error {
        self.next_heartbeat = Instant::now();
        Error::Fenced { what: format!("a partition of {} in group {}", self.member.topic, self.member.group) }
    }

    fn set_paused(&mut self, partition: u32, is_paused: bool) {
        if let Some(held) = self.held.get_mut(&partition) {
            held.is_paused = is_paused;
        }
    }
}

impl Consumer for GroupConsumer {
    fn poll(&mut self, max: usize, wait: Duration) -> BoxFuture<'_, Result<Polled, Error>> {
        Box::pin(self.next(max, wait))
    }

    fn commit(&mut self, progress: Vec<Progress>) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(self.commit_all(progress))
    }

    fn pause(&mut self, partition: u32) {
        self.set_paused(partition, true);
    }

    fn resume(&mut self, partition: u32) {
        self.set_paused(partition, false);
    }

    fn assigned(&self) -> Vec<u32> {
        self.held.keys().copied().collect()
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, Result<(), Error>> {
        Box::pin(async move { self.broker.leave(&self.member).await })
    }
}

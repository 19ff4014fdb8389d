//! A member of a consumer group: heartbeat, fetch, commit, hand over.
//!
//! The database holds the truth about leases ([`super::backend`]); what is kept here is where this member reads on, and
//! everything here is replaced by what the next heartbeat returns.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::Inner;
use crate::Error;
use crate::broker::{Consumer, Delivery, Progress};

/// Who is a member of what.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) group: Arc<str>,
    pub(super) topic: Arc<str>,
    pub(super) id: Arc<str>,
}

/// What a heartbeat returns.
#[derive(Clone, Debug, Default)]
pub(super) struct Holdings {
    /// Every partition that the member holds now.
    pub(super) held: Vec<Holding>,
    /// Those of them that it should give away when their records are committed.
    pub(super) drain: Vec<u32>,
}

/// A partition that a member holds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Holding {
    pub(super) partition: u32,
    /// Rises each time the partition changes hands.
    pub(super) epoch: i64,
    pub(super) committed: u64,
}

/// Progress in a partition under an epoch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Checkpoint {
    pub(super) partition: u32,
    pub(super) epoch: i64,
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
    next_heartbeat: Instant,
    records: watch::Receiver<u64>,
    members: watch::Receiver<u64>,
}

/// What this member knows of a partition it holds.
#[derive(Debug)]
struct Held {
    epoch: i64,
    /// The next offset to hand out.
    position: u64,
    committed: u64,
    is_paused: bool,
    /// Since when it is to be given away.
    draining_since: Option<Instant>,
}

impl Held {
    /// Whether records were handed out that may still be committed. A handler that outlasts a lease is not waited for.
    fn is_busy(&self, lease: Duration) -> bool {
        let is_overdue = self.draining_since.is_some_and(|since| since.elapsed() > lease);
        self.position > self.committed && !is_overdue
    }
}

impl GroupConsumer {
    pub(super) fn new(broker: Arc<Inner>, member: Member, signals: &Signals) -> GroupConsumer {
        GroupConsumer {
            broker,
            member,
            held: BTreeMap::new(),
            next_heartbeat: Instant::now(),
            records: signals.records.subscribe(),
            members: signals.members.subscribe(),
        }
    }

    /// Tells whether the partitions changed.
    async fn heartbeat(&mut self) -> Result<bool, Error> {
        let lease = self.broker.lease;
        let busy = self
            .held
            .iter()
            .filter(|(_, held)| held.is_busy(lease))
            .map(|(&partition, _)| partition)
            .collect();
        let started = Instant::now();
        let holdings = self.broker.heartbeat(&self.member, busy).await?;
        self.next_heartbeat = started + lease / 3;

        let mut before = std::mem::take(&mut self.held);
        let mut changed = before.len() != holdings.held.len();
        for holding in holdings.held {
            let kept = before.remove(&holding.partition).filter(|held| held.epoch == holding.epoch);
            changed |= kept.is_none();
            let mut held = kept.unwrap_or(Held {
                epoch: holding.epoch,
                position: holding.committed,
                committed: holding.committed,
                is_paused: false,
                draining_since: None,
            });
            let is_draining = holdings.drain.contains(&holding.partition);
            held.draining_since = is_draining.then(|| held.draining_since.unwrap_or(started));
            self.held.insert(holding.partition, held);
        }
        Ok(changed)
    }

    async fn fetch(&mut self, max: usize) -> Result<Vec<Delivery>, Error> {
        let from: Vec<(u32, u64)> = self
            .held
            .iter()
            .filter(|(_, held)| !held.is_paused && held.draining_since.is_none())
            .map(|(&partition, held)| (partition, held.position))
            .collect();
        if from.is_empty() || max == 0 {
            return Ok(Vec::new());
        }
        let deliveries = self.broker.fetch(&self.member, from, max).await?;
        // From here to the return nothing is awaited: what counts as handed out is handed out.
        for delivery in &deliveries {
            if let Some(held) = self.held.get_mut(&delivery.partition) {
                held.position = delivery.offset + 1;
            }
        }
        Ok(deliveries)
    }

    async fn next(&mut self, max: usize, wait: Duration) -> Result<Vec<Delivery>, Error> {
        let give_up = Instant::now() + wait;
        loop {
            let members_changed = self.members.has_changed().unwrap_or(false);
            self.members.mark_unchanged();
            self.records.mark_unchanged();
            if (members_changed || Instant::now() >= self.next_heartbeat)
                && self.heartbeat_again_if_lost().await?
            {
                return Ok(Vec::new());
            }
            let deliveries = self.fetch(max).await?;
            let now = Instant::now();
            if !deliveries.is_empty() || now >= give_up {
                return Ok(deliveries);
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

    async fn commit_all(&mut self, progress: Vec<Progress>) -> Result<(), Error> {
        let mut checkpoints = Vec::with_capacity(progress.len());
        let mut refused = Vec::new();
        for Progress { partition, next_offset } in progress {
            match self.held.get(&partition) {
                // Never beyond what was handed out.
                Some(held) => checkpoints.push(Checkpoint {
                    partition,
                    epoch: held.epoch,
                    next_offset: next_offset.min(held.position),
                }),
                None => refused.push(partition),
            }
        }
        if !checkpoints.is_empty() {
            let lost = self.broker.commit(&self.member, checkpoints.clone()).await?;
            for Checkpoint { partition, next_offset, .. } in checkpoints {
                if lost.contains(&partition) {
                    self.held.remove(&partition);
                    refused.push(partition);
                } else if let Some(held) = self.held.get_mut(&partition) {
                    held.committed = held.committed.max(next_offset);
                    if held.draining_since.is_some() && held.position <= held.committed {
                        self.next_heartbeat = Instant::now();
                    }
                }
            }
        }
        if refused.is_empty() {
            return Ok(());
        }
        let what = format!("a partition of {} in group {}", self.member.topic, self.member.group);
        Err(Error::Fenced { what, partitions: refused })
    }

    fn set_paused(&mut self, partition: u32, is_paused: bool) {
        if let Some(held) = self.held.get_mut(&partition) {
            held.is_paused = is_paused;
        }
    }
}

impl Consumer for GroupConsumer {
    fn poll(&mut self, max: usize, wait: Duration) -> BoxFuture<'_, Result<Vec<Delivery>, Error>> {
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

//! A broker in memory, with the semantics of the embedded one.
//!
//! For simulation and tests: its leases run on tokio's clock, which a test may pause, and it can be made unavailable.
//! Nothing survives the process.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::time::Instant;

use super::assignment::{self, Owned};
use super::membership::{Backend, Checkpoint, GroupConsumer, Holding, Holdings, Member, Signals, raise};
use super::{Ack, Broker, Consumer, Delivery, Record, partition_of};
use crate::Error;

/// How a memory broker behaves.
#[derive(Clone, Copy, Debug)]
pub struct MemoryBrokerOptions {
    /// Partitions of each topic. Default 4.
    pub partitions: u32,
    /// How long a consumer may be silent before others take its partitions. Default 10 s.
    pub lease: Duration,
}

impl Default for MemoryBrokerOptions {
    fn default() -> MemoryBrokerOptions {
        MemoryBrokerOptions { partitions: 4, lease: Duration::from_secs(10) }
    }
}

/// The broker. Cheap to clone; clones are one broker.
#[derive(Clone)]
pub struct MemoryBroker {
    inner: Arc<Inner>,
}

struct Inner {
    options: MemoryBrokerOptions,
    state: Mutex<State>,
}

struct State {
    is_available: bool,
    refused: u64,
    last_member: u64,
    topics: HashMap<String, Topic>,
}

struct Topic {
    name: Arc<str>,
    partitions: Vec<Vec<Record>>,
    groups: HashMap<Arc<str>, Group>,
    signals: Arc<Signals>,
}

#[derive(Default)]
struct Group {
    members: BTreeMap<Arc<str>, Instant>,
    partitions: Vec<Lease>,
}

#[derive(Clone, Default)]
struct Lease {
    next_offset: u64,
    owner: Option<(Arc<str>, Instant)>,
    epoch: i64,
}

impl MemoryBroker {
    /// An empty broker.
    pub fn new(options: MemoryBrokerOptions) -> MemoryBroker {
        let state = State { is_available: true, refused: 0, last_member: 0, topics: HashMap::new() };
        MemoryBroker { inner: Arc::new(Inner { options, state: Mutex::new(state) }) }
    }

    /// Makes every operation fail, or succeed again.
    pub fn set_available(&self, is_available: bool) {
        self.inner.lock().is_available = is_available;
    }

    /// How many operations failed because it was unavailable.
    pub fn refused(&self) -> u64 {
        self.inner.lock().refused
    }

    /// All records of a topic, partition by partition.
    pub fn records(&self, topic: &str) -> Vec<Vec<Record>> {
        self.inner.lock().topics.get(topic).map(|topic| topic.partitions.clone()).unwrap_or_default()
    }

    /// The committed offset of each partition, for one group.
    pub fn committed(&self, group: &str, topic: &str) -> Vec<u64> {
        let state = self.inner.lock();
        let group = state.topics.get(topic).and_then(|topic| topic.groups.get(group));
        group
            .map(|group| group.partitions.iter().map(|lease| lease.next_offset).collect())
            .unwrap_or_default()
    }
}

impl Default for MemoryBroker {
    fn default() -> MemoryBroker {
        MemoryBroker::new(MemoryBrokerOptions::default())
    }
}

impl Broker for MemoryBroker {
    fn system(&self) -> &'static str {
        "waypost"
    }

    fn publish(&self, records: Vec<Record>) -> BoxFuture<'_, Result<Vec<Ack>, Error>> {
        Box::pin(async move {
            let mut state = self.inner.available()?;
            Ok(records.into_iter().map(|record| state.append(record, self.inner.options)).collect())
        })
    }

    fn subscribe<'a>(
        &'a self,
        group: &'a str,
        topic: &'a str,
    ) -> BoxFuture<'a, Result<Box<dyn Consumer>, Error>> {
        Box::pin(async move {
            let mut state = self.inner.available()?;
            state.last_member += 1;
            let id: Arc<str> = format!("member-{:06}", state.last_member).into();
            let topic = state.topic(topic, self.inner.options);
            let group: Arc<str> = group.into();
            let partitions = topic.partitions.len();
            topic
                .groups
                .entry(Arc::clone(&group))
                .or_default()
                .partitions
                .resize(partitions, Lease::default());
            let member = Member { group, topic: Arc::clone(&topic.name), id };
            let consumer = GroupConsumer::new(Arc::clone(&self.inner), member, &topic.signals);
            Ok(Box::new(consumer) as Box<dyn Consumer>)
        })
    }
}

impl State {
    fn topic(&mut self, name: &str, options: MemoryBrokerOptions) -> &mut Topic {
        self.topics.entry(name.to_owned()).or_insert_with(|| Topic {
            name: name.into(),
            partitions: vec![Vec::new(); options.partitions.max(1) as usize],
            groups: HashMap::new(),
            signals: Arc::new(Signals::new()),
        })
    }

    fn append(&mut self, record: Record, options: MemoryBrokerOptions) -> Ack {
        let topic = self.topic(&record.topic, options);
        let key = if record.key.is_empty() { &record.id } else { &record.key };
        let partition = partition_of(key, u32::try_from(topic.partitions.len()).unwrap_or(u32::MAX));
        let mut offset = 0;
        if let Some(records) = topic.partitions.get_mut(partition as usize) {
            offset = records.len() as u64;
            records.push(record);
        }
        raise(&topic.signals.records);
        Ack { partition, offset }
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn available(&self) -> Result<MutexGuard<'_, State>, Error> {
        let mut state = self.lock();
        if state.is_available {
            return Ok(state);
        }
        state.refused += 1;
        Err(Error::Broker { reason: "the memory broker was made unavailable".to_owned(), retryable: true })
    }

    fn with_group<T>(
        &self,
        member: &Member,
        act: impl FnOnce(&mut Group, &Signals) -> T,
    ) -> Result<T, Error> {
        let mut state = self.available()?;
        let topic = state.topic(&member.topic, self.options);
        let signals = Arc::clone(&topic.signals);
        let group = topic.groups.entry(Arc::clone(&member.group)).or_default();
        Ok(act(group, &signals))
    }
}

impl Backend for Inner {
    fn lease(&self) -> Duration {
        self.options.lease
    }

    fn poll_interval(&self) -> Option<Duration> {
        None
    }

    async fn heartbeat(&self, member: &Member, busy: Vec<u32>) -> Result<Holdings, Error> {
        let now = Instant::now();
        let lease_until = now + self.options.lease;
        self.with_group(member, |group, signals| {
            group.heartbeat(&member.id, &busy, (now, lease_until), signals)
        })
    }

    async fn fetch(
        &self,
        member: &Member,
        from: Vec<(u32, u64)>,
        max: usize,
    ) -> Result<Vec<Delivery>, Error> {
        let state = self.available()?;
        let Some(topic) = state.topics.get(&*member.topic) else { return Ok(Vec::new()) };
        let deliveries = from.into_iter().flat_map(|(partition, next_offset)| {
            let records = topic.partitions.get(partition as usize).map(Vec::as_slice).unwrap_or_default();
            let skipped = usize::try_from(next_offset).unwrap_or(usize::MAX);
            (next_offset..).zip(records.iter().skip(skipped).take(max)).map(move |(offset, record)| {
                Delivery {
                    topic: Arc::clone(&topic.name),
                    partition,
                    offset,
                    record: record.clone(),
                    attempt: 1,
                }
            })
        });
        Ok(deliveries.collect())
    }

    async fn commit(&self, member: &Member, checkpoints: Vec<Checkpoint>) -> Result<Vec<u32>, Error> {
        self.with_group(member, |group, _| {
            let mut refused = Vec::new();
            for Checkpoint { partition, epoch, next_offset } in checkpoints {
                let lease = group.partitions.get_mut(partition as usize);
                match lease.filter(|lease| lease.epoch == epoch && lease.is_owned_by(&member.id)) {
                    Some(lease) => lease.next_offset = lease.next_offset.max(next_offset),
                    None => refused.push(partition),
                }
            }
            refused
        })
    }

    async fn leave(&self, member: &Member) -> Result<(), Error> {
        self.with_group(member, |group, signals| {
            group.members.remove(&member.id);
            for lease in group.partitions.iter_mut().filter(|lease| lease.is_owned_by(&member.id)) {
                lease.owner = None;
            }
            raise(&signals.members);
        })
    }
}

impl Lease {
    fn is_owned_by(&self, member: &str) -> bool {
        self.owner.as_ref().is_some_and(|(owner, _)| **owner == *member)
    }

    fn is_free(&self, now: Instant) -> bool {
        self.owner.as_ref().is_none_or(|(_, lease_until)| *lease_until <= now)
    }
}

impl Group {
    fn heartbeat(
        &mut self,
        me: &Arc<str>,
        busy: &[u32],
        (now, lease_until): (Instant, Instant),
        signals: &Signals,
    ) -> Holdings {
        self.members.retain(|_, lease_until| *lease_until > now);
        let is_new = self.members.insert(Arc::clone(me), lease_until).is_none();
        let rank = self.members.keys().position(|member| member == me).unwrap_or_default();

        let owned: Vec<Owned> = self
            .numbered()
            .filter(|(_, lease)| lease.is_owned_by(me))
            .map(|(partition, _)| Owned { partition, is_busy: busy.contains(&partition) })
            .collect();
        let free: Vec<u32> = self
            .numbered()
            .filter(|(_, lease)| !lease.is_owned_by(me) && lease.is_free(now))
            .map(|(partition, _)| partition)
            .collect();
        let share = assignment::fair_share(self.partitions.len(), self.members.len(), rank);
        let moves = assignment::moves(share, &owned, &free);

        for (partition, lease) in (0..).zip(&mut self.partitions) {
            if moves.release.contains(&partition) {
                lease.owner = None;
            } else if moves.acquire.contains(&partition) {
                lease.epoch += 1;
                lease.owner = Some((Arc::clone(me), lease_until));
            } else if lease.is_owned_by(me) {
                lease.owner = Some((Arc::clone(me), lease_until));
            }
        }
        if is_new || !moves.release.is_empty() {
            raise(&signals.members);
        }
        let held = self
            .numbered()
            .filter(|(_, lease)| lease.is_owned_by(me))
            .map(|(partition, lease)| Holding { partition, epoch: lease.epoch, committed: lease.next_offset })
            .collect();
        Holdings { held, drain: moves.drain }
    }

    fn numbered(&self) -> impl Iterator<Item = (u32, &Lease)> {
        (0..).zip(&self.partitions)
    }
}

impl std::fmt::Debug for MemoryBroker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemoryBroker").field("options", &self.inner.options).finish_non_exhaustive()
    }
}

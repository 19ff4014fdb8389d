//! A member of a consumer group.
//!
//! librdkafka fetches, beats its heart and takes part in rebalances in the background; nothing of it happens without this
//! member being asked: a partition is taken or given away only inside a poll. Each partition has a queue of its own, so
//! that a paused one keeps its records, all have their turn, and a rebalance is never behind records.
//!
//! A partition is given away in two steps: a poll names it as revoked, the next poll gives it away. Until then librdkafka
//! holds the rebalance, so that nobody else has it, and what is committed counts. One that was lost already, because this
//! member was silent, is named and forgotten at once.

mod rebalance;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use rdkafka::TopicPartitionList;
use rdkafka::config::FromClientConfigAndContext as _;
use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::topic_partition_list::Offset;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout};
use waypost_durable::Error;
use waypost_durable::broker::{Consumer, Delivery, Polled, Progress};

use crate::broker::Inner;
use crate::record;
use crate::trouble::{missing_topic, unavailable};
use rebalance::{Change, Member};

/// How long a poll sleeps at most while it waits, so that Kafka sees it alive.
const TICK: Duration = Duration::from_secs(1);

/// A member of a consumer group of one topic.
pub(crate) struct GroupConsumer {
    broker: Arc<Inner>,
    topic: Arc<str>,
    /// The topic's name in Kafka.
    name: String,
    /// The group's name in Kafka.
    group: String,
    /// Ended beside the runtime.
    native: Option<Arc<BaseConsumer<Member>>>,
    held: BTreeMap<u32, Held>,
    /// Named as revoked, and given away by the next poll.
    leaving: Option<Vec<i32>>,
    /// The group goes on without this member, which has to enter it anew.
    is_shut_out: bool,
    /// The partition that a record was taken from last; the next one is of another, if it can be.
    last_taken: u32,
    wake: Arc<Notify>,
    /// Set while Kafka may be away: asks whether it is.
    inquiry: Option<JoinHandle<Result<(), Error>>>,
}

/// A partition that this member holds.
struct Held {
    queue: PartitionQueue<Member>,
    /// Records that came before the queue did.
    early: VecDeque<Delivery>,
    is_paused: bool,
    /// It hands out no more records.
    is_leaving: bool,
}

impl GroupConsumer {
    /// Joins a group of a topic that exists.
    pub(crate) async fn join(broker: &Arc<Inner>, group: &str, topic: &str) -> Result<Self, Error> {
        let mut consumer = Self {
            broker: Arc::clone(broker),
            topic: Arc::from(topic),
            name: broker.name(topic),
            group: broker.name(group),
            native: None,
            held: BTreeMap::new(),
            leaving: None,
            is_shut_out: false,
            last_taken: 0,
            wake: Arc::new(Notify::new()),
            inquiry: None,
        };
        consumer.enter().await?;
        Ok(consumer)
    }

    /// Becomes a member, if it is none.
    async fn enter(&mut self) -> Result<(), Error> {
        if self.native.is_some() {
            return Ok(());
        }
        let (name, group, wake) = (self.name.clone(), self.group.clone(), Arc::clone(&self.wake));
        let entering = self.broker.blocking(move |broker| {
            if broker.partitions(&name)?.is_none() {
                return Err(unavailable(missing_topic(&name)));
            }
            let fails = |error: &KafkaError| broker.trouble.error("joining a consumer group", error);
            let member = Member::new(Arc::clone(&broker.trouble));
            let config = broker.options.consumer(&group);
            let mut native =
                BaseConsumer::from_config_and_context(&config, member).map_err(|error| fails(&error))?;
            native.set_nonempty_callback(move || wake.notify_one());
            native.subscribe(&[&name]).map_err(|error| fails(&error))?;
            Ok(native)
        });
        let native = entering.await??;
        native.context().begin();
        self.native = Some(Arc::new(native));
        Ok(())
    }

    fn native(&self) -> Result<&Arc<BaseConsumer<Member>>, Error> {
        self.native.as_ref().ok_or_else(|| self.fenced())
    }

    async fn next(&mut self, max: usize, wait: Duration) -> Result<Polled, Error> {
        let give_up = Instant::now() + wait;
        self.broker.open()?;
        self.enter().await?;
        self.give_away()?;
        let closing = self.broker.closed.clone();
        loop {
            self.broker.open()?;
            if let Some(polled) = self.serve()? {
                return Ok(polled);
            }
            self.ask_whether_it_is_away().await?;
            let records = self.take(max);
            let now = Instant::now();
            if !records.is_empty() || now >= give_up {
                return Ok(Polled { records, revoked: Vec::new() });
            }
            tokio::select! {
                () = self.wake.notified() => {}
                () = closing.cancelled() => {}
                () = sleep_until(give_up.min(now + TICK)) => {}
            }
        }
    }

    /// Serves what happened since the last poll; returns what the poll has to say of it.
    fn serve(&mut self) -> Result<Option<Polled>, Error> {
        let native = Arc::clone(self.native()?);
        loop {
            let served = native.context().served();
            match native.poll(Duration::ZERO) {
                Some(Err(error)) => self.failed(&error)?,
                // A partition has its queue before it is fetched from, so none is expected here; none is lost either.
                Some(Ok(message)) => {
                    let delivery = record::delivery(&message, &self.topic);
                    if let Some(held) = self.held.get_mut(&delivery.partition) {
                        held.early.push_back(delivery);
                    }
                }
                None if native.context().served() == served => break,
                None => {}
            }
        }
        if self.is_shut_out {
            return Ok(Some(self.begin_anew()));
        }
        while let Some(change) = native.context().next_change() {
            if let Some(polled) = self.change(change)? {
                return Ok(Some(polled));
            }
        }
        Ok(None)
    }

    /// Forgets everything and lets the next poll enter the group again. librdkafka would go on with partitions that others
    /// have by now, if it was about to give some away when it was shut out.
    fn begin_anew(&mut self) -> Polled {
        self.is_shut_out = false;
        let lost: Vec<u32> = self.held.keys().copied().collect();
        std::thread::spawn(self.leave());
        tracing::warn!(
            group = self.group,
            topic = self.name,
            partitions = ?lost,
            "this consumer was silent for so long that the group went on without it; it enters it again"
        );
        Polled { records: Vec::new(), revoked: lost }
    }

    /// Takes partitions over, or names those that are to go.
    fn change(&mut self, change: Change) -> Result<Option<Polled>, Error> {
        let native = Arc::clone(self.native()?);
        match change {
            Change::Assigned(partitions) => {
                for &partition in &partitions {
                    // Before it is fetched from, so that every record goes into the queue.
                    let Some(mut queue) = native.split_partition_queue(&self.name, partition) else {
                        continue;
                    };
                    let wake = Arc::clone(&self.wake);
                    queue.set_nonempty_callback(move || wake.notify_one());
                    let held = Held { queue, early: VecDeque::new(), is_paused: false, is_leaving: false };
                    self.held.insert(number(partition), held);
                }
                let taken = native.incremental_assign(&list(&self.name, &partitions));
                taken.map_err(|error| self.broker.trouble.error("taking partitions over", &error))?;
                tracing::debug!(
                    group = self.group,
                    topic = self.name,
                    ?partitions,
                    "partitions were taken over"
                );
                Ok((!partitions.is_empty()).then(Polled::default))
            }
            Change::Revoked(partitions) => {
                for partition in &partitions {
                    if let Some(held) = self.held.get_mut(&number(*partition)) {
                        held.is_leaving = true;
                    }
                }
                let revoked = partitions.iter().copied().map(number).collect();
                self.leaving = Some(partitions);
                Ok(Some(Polled { records: Vec::new(), revoked }))
            }
            Change::Lost(partitions) => {
                // librdkafka may tell it in two parts; all of it is lost by now.
                let lost: Vec<u32> = std::mem::take(&mut self.held).into_keys().collect();
                self.leaving = Some(partitions);
                self.give_away()?;
                if lost.is_empty() {
                    return Ok(None);
                }
                tracing::warn!(
                    group = self.group,
                    topic = self.name,
                    partitions = ?lost,
                    "partitions were lost, because this consumer was out of reach for too long"
                );
                Ok(Some(Polled { records: Vec::new(), revoked: lost }))
            }
        }
    }

    /// Gives away what was named.
    fn give_away(&mut self) -> Result<(), Error> {
        let Some(partitions) = self.leaving.take() else { return Ok(()) };
        for partition in &partitions {
            self.held.remove(&number(*partition));
        }
        let gone = self.native()?.incremental_unassign(&list(&self.name, &partitions));
        gone.map_err(|error| self.broker.trouble.error("giving partitions away", &error))
    }

    /// Records, one of each partition in turn.
    fn take(&mut self, max: usize) -> Vec<Delivery> {
        let can_be_read = |(_, held): &(&u32, &mut Held)| !held.is_paused && !held.is_leaving;
        let mut readable: VecDeque<(u32, &mut Held)> =
            self.held.iter_mut().filter(can_be_read).map(|(&partition, held)| (partition, held)).collect();
        let next = readable.iter().position(|(partition, _)| *partition > self.last_taken).unwrap_or(0);
        readable.rotate_left(next);
        let mut records = Vec::new();
        while records.len() < max
            && let Some((partition, held)) = readable.pop_front()
        {
            let polled = match held.early.pop_front() {
                Some(delivery) => Some(Ok(delivery)),
                None => held
                    .queue
                    .poll(Duration::ZERO)
                    .map(|polled| polled.map(|message| record::delivery(&message, &self.topic))),
            };
            match polled {
                Some(Ok(delivery)) => {
                    records.push(delivery);
                    self.last_taken = partition;
                }
                // It was told to the context, with its reason.
                Some(Err(_)) => {}
                None => continue,
            }
            readable.push_back((partition, held));
        }
        records
    }

    /// An event that is no answer: what concerns the connection is found out about, the rest is the poll's error.
    fn failed(&mut self, error: &KafkaError) -> Result<(), Error> {
        match error.rdkafka_error_code() {
            Some(Code::PollExceeded | Code::Fatal | Code::FencedInstanceId) => {
                self.is_shut_out = true;
                Ok(())
            }
            Some(
                Code::BrokerTransportFailure
                | Code::AllBrokersDown
                | Code::Resolve
                | Code::SSL
                | Code::Authentication
                | Code::SaslAuthenticationFailed
                | Code::OperationTimedOut,
            ) => {
                if self.inquiry.is_none() {
                    self.inquiry = Some(self.inquire());
                }
                Ok(())
            }
            _ => Err(self.broker.trouble.error(&format!("reading topic {}", self.name), error)),
        }
    }

    /// One of several brokers may be away without harm; so Kafka is asked before an error is made of it. Cancel safe.
    async fn ask_whether_it_is_away(&mut self) -> Result<(), Error> {
        let Some(inquiry) = &mut self.inquiry else { return Ok(()) };
        let answer = inquiry.await;
        self.inquiry = None;
        match answer {
            Ok(Err(error)) => {
                // Asked again by the next poll, until it answers.
                self.inquiry = Some(self.inquire());
                Err(error)
            }
            _ => Ok(()),
        }
    }

    fn inquire(&self) -> JoinHandle<Result<(), Error>> {
        let broker = Arc::clone(&self.broker);
        waypost_telemetry::spawn(async move { broker.answers(broker.options.request_timeout).await })
    }

    async fn commit_all(&mut self, progress: Vec<Progress>) -> Result<(), Error> {
        self.broker.open()?;
        let native = Arc::clone(self.native()?);
        if native.assignment_lost() || progress.iter().any(|at| !self.held.contains_key(&at.partition)) {
            return Err(self.fenced());
        }
        let mut list = TopicPartitionList::with_capacity(progress.len());
        for Progress { partition, next_offset } in progress {
            let (Ok(partition), Ok(offset)) = (i32::try_from(partition), i64::try_from(next_offset)) else {
                return Err(Error::Malformed { what: "offset" });
            };
            let added = list.add_partition_offset(&self.name, partition, Offset::Offset(offset));
            added.map_err(|error| self.broker.trouble.error("committing", &error))?;
        }
        let committing = self.broker.blocking(move |_| native.commit(&list, CommitMode::Sync));
        let committed = match timeout(self.broker.options.request_timeout, committing).await {
            Ok(committed) => committed?,
            Err(_) => {
                return Err(unavailable(format!(
                    "offsets were not committed in time: {}",
                    self.broker.trouble.unreachable()
                )));
            }
        };
        match committed {
            Ok(()) => {
                self.broker.trouble.is_over();
                Ok(())
            }
            Err(error) => match error.rdkafka_error_code() {
                Some(
                    Code::UnknownMemberId
                    | Code::IllegalGeneration
                    | Code::RebalanceInProgress
                    | Code::FencedInstanceId
                    | Code::FencedMemberEpoch
                    | Code::StaleMemberEpoch
                    | Code::AssignmentLost,
                ) => Err(self.fenced()),
                _ => Err(self.broker.trouble.error("committing offsets", &error)),
            },
        }
    }

    fn fenced(&self) -> Error {
        Error::Fenced { what: format!("a partition of {} in group {}", self.name, self.group) }
    }

    fn set_paused(&mut self, partition: u32, is_paused: bool) {
        if let Some(held) = self.held.get_mut(&partition) {
            held.is_paused = is_paused;
        }
    }

    /// What is left to do in order to leave the group. It blocks.
    fn leave(&mut self) -> impl FnOnce() + Send + 'static + use<> {
        let named = self.leaving.take().map(Change::Revoked);
        let held = std::mem::take(&mut self.held);
        let (native, name) = (self.native.take(), self.name.clone());
        move || {
            drop(held);
            let Some(native) = native else { return };
            native.context().end();
            // A rebalance that nobody answers would hold up the end.
            for change in named.into_iter().chain(std::iter::from_fn(|| native.context().next_change())) {
                change.answer(&native, &name);
            }
            drop(native);
        }
    }
}

/// Partitions of a topic as librdkafka lists them.
fn list(topic: &str, partitions: &[i32]) -> TopicPartitionList {
    let mut list = TopicPartitionList::with_capacity(partitions.len());
    for &partition in partitions {
        list.add_partition(topic, partition);
    }
    list
}

fn number(partition: i32) -> u32 {
    u32::try_from(partition).unwrap_or_default()
}

impl Drop for GroupConsumer {
    fn drop(&mut self) {
        if self.native.is_some() {
            std::thread::spawn(self.leave());
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

    fn close(mut self: Box<Self>) -> BoxFuture<'static, Result<(), Error>> {
        Box::pin(async move {
            let leaving = tokio::task::spawn_blocking(self.leave());
            match timeout(self.broker.options.request_timeout, leaving).await {
                Ok(_) => Ok(()),
                Err(_) => {
                    Err(unavailable("Kafka did not let the consumer leave its group in time".to_owned()))
                }
            }
        })
    }
}

//! The consume loop: records of a topic to a handler, at least once, each partition in order.
//!
//! For services that react to events. Different partitions are handled at the same time. A record that cannot be handled
//! is tried again a few times and then parked in the topic `{topic}.dead-letter`, so that the partition moves on and
//! nothing is dropped. A record is not at fault when something that its handler needs is away: a database that is locked
//! or full, a service that does not answer. Then its partition waits, with growing pauses, for as long as that takes, and
//! [`Standstill`] tells readiness so. An offset is committed only when everything below it is handled or parked.
//!
//! When a partition goes to another consumer, its handler comes to an end and what it did is committed before it goes. So
//! no two consumers of a group handle one partition at the same time, except after one of them was silent for so long that
//! it counts as dead.
//!
//! Each try is a CONSUMER span, related to the record's trace as parent or by link.
//!
//! ```
//! use std::sync::Arc;
//!
//! use waypost_durable::broker::{Broker, EmbeddedBroker, EmbeddedBrokerOptions, Record, TopicSpec};
//! use waypost_durable::consume::{self, Failure, Subscription};
//! use waypost_durable::{Error, Location};
//! use waypost_telemetry::Telemetry;
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! let broker = Arc::new(EmbeddedBroker::open(EmbeddedBrokerOptions::new(Location::Ephemeral))?);
//! broker.ensure_topics(vec![TopicSpec::new("order-events"), TopicSpec::new("order-events.dead-letter")]).await?;
//! let record = Record { topic: "order-events".to_owned(), id: "event-1".to_owned(), ..Record::default() };
//! assert!(broker.publish_one(record).await.is_ok());
//!
//! let (notified, mut notifications) = tokio::sync::mpsc::unbounded_channel();
//! let subscription = Subscription::new(broker, "notification", "order-events", &Telemetry::disabled());
//! let handler = move |delivery: Arc<consume::Delivery>| {
//!     let notified = notified.clone();
//!     async move { notified.send(delivery.record.id.clone()).map_err(|_| Failure::Retry(Error::Malformed { what: "receiver" })) }
//! };
//! let drain = async {
//!     assert_eq!(notifications.recv().await.as_deref(), Some("event-1"));
//! };
//! consume::run(subscription, handler, drain).await?;
//! # Ok::<(), Error>(())
//! # })?;
//! # Ok::<(), Error>(())
//! ```
//!
//! Left out: a second effect of a redelivered record is prevented by the handler, with [`crate::inbox`].

mod dead_letter;
mod lane;
mod progress;
mod standstill;

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use waypost_telemetry::error::ErrorClass;
use waypost_telemetry::messaging::Correlation;
use waypost_telemetry::{ErrorType, Telemetry, with_context};

pub use crate::broker::Delivery;
use crate::broker::{Broker, Consumer, Polled};
use crate::{Backoff, Error};
pub use dead_letter::dead_letter_topic;
use lane::{Done, Lane, Work};
use progress::Uncommitted;
pub use standstill::Standstill;

/// How long a poll waits for records when there are none.
const POLL_WAIT: Duration = Duration::from_secs(1);

/// How a consume loop works.
#[derive(Clone, Copy, Debug)]
pub struct ConsumeOptions {
    /// How its spans belong to the trace of a record. Default: as children.
    pub correlation: Correlation,
    /// How often a record that fails by itself is tried before it is parked: its handler panics, or fails with an error
    /// that is not of [`ErrorClass::Dependency`], `Timeout` or `Overload`. Default 5.
    pub attempts: u32,
    /// Waiting between the tries, and after failures of the broker. Default 50 ms to 5 s.
    pub backoff: Backoff,
    /// Records of one poll, and of a partition that wait in memory for their turn. Default 64.
    pub batch: usize,
    /// How long a finished record may wait for its commit. Default 20 ms.
    pub commit_delay: Duration,
    /// How long a handler may go on with a record whose partition goes to another consumer. Then it is stopped at its next
    /// await, and the other one gets the record. Must be shorter than the broker's lease. Default 3 s.
    pub revoke_timeout: Duration,
}

impl Default for ConsumeOptions {
    fn default() -> ConsumeOptions {
        ConsumeOptions {
            correlation: Correlation::Parent,
            attempts: 5,
            backoff: Backoff::default(),
            batch: 64,
            commit_delay: Duration::from_millis(20),
            revoke_timeout: Duration::from_secs(3),
        }
    }
}

/// What is consumed, by whom.
#[derive(Clone)]
pub struct Subscription {
    /// Where the records come from and the parked ones go to.
    pub broker: Arc<dyn Broker>,
    /// The consumer group.
    pub group: String,
    /// The topic.
    pub topic: String,
    /// Whose spans and metrics it becomes.
    pub telemetry: Telemetry,
    /// How.
    pub options: ConsumeOptions,
    /// Tells what it waits for.
    pub standstill: Standstill,
}

impl Subscription {
    /// A subscription with the default options.
    pub fn new(
        broker: Arc<dyn Broker>,
        group: impl Into<String>,
        topic: impl Into<String>,
        telemetry: &Telemetry,
    ) -> Subscription {
        let options = ConsumeOptions::default();
        Subscription {
            broker,
            group: group.into(),
            topic: topic.into(),
            telemetry: telemetry.clone(),
            options,
            standstill: Standstill::default(),
        }
    }
}

impl std::fmt::Debug for Subscription {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Subscription")
            .field("group", &self.group)
            .field("topic", &self.topic)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// Why a handler did not handle a record. `?` makes an error a [`Failure::Retry`].
///
/// The class of the error decides how long it is tried: see [`ConsumeOptions::attempts`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure<E: std::error::Error + 'static> {
    /// It may go better the next time.
    #[error(transparent)]
    Retry(#[from] E),
    /// It never will: the record is parked at once.
    #[error(transparent)]
    Reject(E),
}

impl<E: ErrorType + 'static> Failure<E> {
    /// Whether something that the handler needs is away, and the record as good as before.
    fn is_of_the_surroundings(&self) -> bool {
        let is_elsewhere =
            |class| matches!(class, ErrorClass::Dependency | ErrorClass::Timeout | ErrorClass::Overload);
        matches!(self, Failure::Retry(error) if is_elsewhere(error.class()))
    }
}

impl<E: ErrorType + 'static> ErrorType for Failure<E> {
    fn inner(&self) -> Option<&dyn ErrorType> {
        match self {
            Failure::Retry(error) | Failure::Reject(error) => Some(error),
        }
    }
}

/// Consumes until the drain begins; then finishes the records whose handlers run, commits, leaves the group and
/// returns. An error of the broker is waited out, except that it was closed.
///
/// The handler gets a record again after a failure, with [`Delivery::attempt`] counted up.
///
/// Cancel safety: dropping the future stops the handlers at their next await; what was not committed comes again.
pub async fn run<H, F, E>(
    subscription: Subscription,
    handler: H,
    drain: impl Future<Output = ()> + Send,
) -> Result<(), Error>
where
    H: Fn(Arc<Delivery>) -> F + Send + Sync + 'static,
    F: Future<Output = Result<(), Failure<E>>> + Send + 'static,
    E: ErrorType + Send + Sync + 'static,
{
    let context = subscription.telemetry.context();
    let draining = CancellationToken::new();
    let _stops_lanes = draining.clone().drop_guard();
    let work = Arc::new(Work::new(subscription, handler, draining.clone()));
    let mut consuming = std::pin::pin!(with_context(context, consume(work)));
    tokio::select! {
        result = &mut consuming => return result,
        () = drain => draining.cancel(),
    }
    consuming.await
}

async fn consume<H, F, E>(work: Arc<Work<H>>) -> Result<(), Error>
where
    H: Fn(Arc<Delivery>) -> F + Send + Sync + 'static,
    F: Future<Output = Result<(), Failure<E>>> + Send + 'static,
    E: ErrorType + Send + Sync + 'static,
{
    let Some(consumer) = join_group(&work).await? else { return Ok(()) };
    let (done_sender, done) = mpsc::unbounded_channel();
    let uncommitted = Uncommitted::default();
    let mut consumption = Consumption { work, consumer, lanes: HashMap::new(), done, uncommitted };
    let result = consumption.consume(done_sender).await;
    consumption.finish().await;
    result
}

/// Joins the group as soon as the broker lets it. `None`: the drain began first.
async fn join_group<H>(work: &Work<H>) -> Result<Option<Box<dyn Consumer>>, Error> {
    let mut failures = 0;
    while !work.draining.is_cancelled() {
        let Subscription { broker, group, topic, .. } = &work.subscription;
        match broker.subscribe(group, topic).await {
            Ok(consumer) => {
                work.goes_on();
                return Ok(Some(consumer));
            }
            Err(error) => work.wait_out(error, &mut failures).await?,
        }
    }
    Ok(None)
}

/// A running consume loop.
struct Consumption<H> {
    work: Arc<Work<H>>,
    consumer: Box<dyn Consumer>,
    lanes: HashMap<u32, Lane>,
    done: mpsc::UnboundedReceiver<Done>,
    uncommitted: Uncommitted,
}

/// Why the loop stopped waiting for records.
enum Woken {
    Polled(Result<Polled, Error>),
    /// Something is to be committed, or a paused partition has room again.
    Due,
    Draining,
}

impl<H, F, E> Consumption<H>
where
    H: Fn(Arc<Delivery>) -> F + Send + Sync + 'static,
    F: Future<Output = Result<(), Failure<E>>> + Send + 'static,
    E: ErrorType + Send + Sync + 'static,
{
    /// Works until the drain begins. The lanes hold clones of `done`, so that the channel ends with the last of them.
    async fn consume(&mut self, done: mpsc::UnboundedSender<Done>) -> Result<(), Error> {
        let mut failures = 0;
        loop {
            let polled = match self.wait().await {
                Woken::Draining => return Ok(()),
                Woken::Due => Ok(Polled::default()),
                Woken::Polled(polled) => polled,
            };
            let handed_out = match polled {
                Ok(Polled { records, revoked }) => {
                    self.give_up(&revoked).await;
                    // What was polled counts as handed out, so it is, whatever becomes of the commit.
                    self.hand_out(records, &done);
                    Ok(())
                }
                Err(error) => Err(error),
            };
            match handed_out.and(self.commit().await) {
                Ok(()) => {
                    failures = 0;
                    self.work.goes_on();
                }
                Err(error) => self.work.wait_out(error, &mut failures).await?,
            }
        }
    }

    /// Waits for records, noting what is done meanwhile.
    async fn wait(&mut self) -> Woken {
        let Consumption { work, consumer, lanes, done, uncommitted, .. } = self;
        let batch = work.subscription.options.batch;
        let mut polling = consumer.poll(batch, POLL_WAIT);
        loop {
            let commit_due = uncommitted.since().map(|since| since + work.subscription.options.commit_delay);
            tokio::select! {
                biased;
                () = work.draining.cancelled() => return Woken::Draining,
                polled = &mut polling => return Woken::Polled(polled),
                Some(finished) = done.recv() => {
                    if note(lanes, uncommitted, &finished, batch) {
                        return Woken::Due;
                    }
                }
                () = sleep_until(commit_due.unwrap_or_else(Instant::now)), if commit_due.is_some() => return Woken::Due,
            }
        }
    }

    /// Ends the lanes of partitions that go to another consumer and commits what they did. The next poll lets the
    /// partitions go.
    async fn give_up(&mut self, revoked: &[u32]) {
        if revoked.is_empty() {
            return;
        }
        tracing::info!(topic = self.work.subscription.topic, ?revoked, "partitions go to another consumer");
        let is_revoked = |(partition, _): &(&u32, &mut Lane)| revoked.contains(*partition);
        let ending = self.lanes.iter_mut().filter(is_revoked).map(|(_, lane)| {
            lane.stop();
            lane.ended()
        });
        // Those that take longer are stopped where they are, by being dropped.
        timeout(self.work.subscription.options.revoke_timeout, join_all(ending)).await.ok();
        if let Err(error) = self.commit().await {
            tracing::warn!(%error, "offsets of revoked partitions could not be committed; their records will come again");
        }
        for partition in revoked {
            self.lanes.remove(partition);
            self.uncommitted.forget(*partition);
        }
    }

    /// Gives each record to the lane of its partition.
    fn hand_out(&mut self, deliveries: Vec<Delivery>, done: &mpsc::UnboundedSender<Done>) {
        for delivery in deliveries {
            let partition = delivery.partition;
            let lane =
                self.lanes.entry(partition).or_insert_with(|| Lane::start(&self.work, partition, done));
            lane.push(delivery);
        }
        let batch = self.work.subscription.options.batch;
        for (partition, lane) in &mut self.lanes {
            if lane.has_too_much(batch) {
                lane.is_paused = true;
                self.consumer.pause(*partition);
            } else if lane.is_paused && lane.has_room(batch) {
                lane.is_paused = false;
                self.consumer.resume(*partition);
            }
        }
    }

    async fn commit(&mut self) -> Result<(), Error> {
        let batch = self.work.subscription.options.batch;
        while let Ok(finished) = self.done.try_recv() {
            note(&mut self.lanes, &mut self.uncommitted, &finished, batch);
        }
        if self.uncommitted.is_empty() {
            return Ok(());
        }
        match self.consumer.commit(self.uncommitted.progress()).await {
            Ok(()) => {
                self.uncommitted.clear();
                Ok(())
            }
            Err(Error::Fenced { .. }) => {
                // The next poll tells what was lost; what is still ours is committed after it.
                self.uncommitted.postpone();
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Lets the running handlers finish, commits and leaves.
    async fn finish(mut self) {
        self.work.draining.cancel();
        self.lanes.values_mut().for_each(Lane::end);
        for partition in self.consumer.assigned() {
            self.consumer.pause(partition);
        }
        let batch = self.work.subscription.options.batch;
        loop {
            let polled = tokio::select! {
                biased;
                finished = self.done.recv() => {
                    // The last lane has ended.
                    let Some(finished) = finished else { break };
                    note(&mut self.lanes, &mut self.uncommitted, &finished, batch);
                    continue;
                }
                // Keeps the leases while handlers run.
                polled = self.consumer.poll(0, POLL_WAIT) => polled,
            };
            match polled {
                Ok(polled) => self.give_up(&polled.revoked).await,
                // A broken broker is not asked in a tight loop.
                Err(_) => self.work.pause_after_drain().await,
            }
        }
        if let Err(error) = self.commit().await {
            tracing::warn!(%error, "the last offsets could not be committed; their records will come again");
        }
        if let Err(error) = self.consumer.close().await {
            tracing::debug!(%error, "the consumer group could not be left; its lease will run out");
        }
    }
}

/// Notes a finished record; tells whether a paused partition has room again.
fn note(
    lanes: &mut HashMap<u32, Lane>,
    uncommitted: &mut Uncommitted,
    finished: &Done,
    batch: usize,
) -> bool {
    // A lane that was ended because its partition was lost may have finished a record all the same.
    let Some(lane) = lanes.get_mut(&finished.partition).filter(|lane| lane.id == finished.lane) else {
        return false;
    };
    lane.finished_one();
    uncommitted.note(finished);
    lane.is_paused && lane.has_room(batch)
}

//! The relay: carries events from an outbox to a broker, in order, and loses none.
//!
//! A worker of each service that has an outbox. It is woken by every append of this process and looks by itself
//! otherwise. Events are marked only after the broker's acknowledgement: a crash between the two repeats them, which
//! consumers tell by the event's id. A broker in the file of the outbox takes events and marks them in one unit, so that
//! nothing is between the two.
//!
//! Brokers fail record by record, and need not keep the order of a key when they do. So an event is sent when the one
//! before it of its key was taken, and not earlier: one that fails holds back the later ones of its key and nobody else's.
//! What was taken is marked, only what failed is tried again, and what the broker refuses for good is parked alone.
//!
//! Of several relays on one outbox, one in each replica of a service, only the one that leads publishes; another takes over
//! when it steps down, or is silent for the length of the lease. Events may be repeated then, and keep their order.
//!
//! Each event gets one PRODUCER span, child of the context that was stored with it, however often it is tried; its
//! record carries that span's context on.

mod failures;
mod measures;
mod sending;

use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{FutureExt as _, StreamExt as _};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use waypost_telemetry::{Telemetry, with_context};

use crate::broker::{Ack, Broker, IsDone, PublishError, Record};
use crate::outbox::{Leadership, Outbox, Parked, Pending};
use crate::{Backoff, Error};
use failures::Failures;
use measures::Measures;
use sending::{Sending, rounds};

/// How a relay works.
#[derive(Clone, Copy, Debug)]
pub struct RelayOptions {
    /// Most events of one look into the outbox. Default 128.
    pub batch: usize,
    /// How often it looks without being woken. Default 1 s.
    pub interval: Duration,
    /// How long the lead lasts without being renewed, and so how long events wait when a relay dies among several. The same
    /// for all relays of an outbox. Default 10 s.
    pub lease: Duration,
    /// Waiting after failures. Default 50 ms to 5 s.
    pub backoff: Backoff,
    /// How long published events are kept, to look at. They are deleted while later ones are marked, and when there is
    /// nothing to publish. Default 10 min.
    pub keep_published: Duration,
}

impl Default for RelayOptions {
    fn default() -> RelayOptions {
        RelayOptions {
            batch: 128,
            interval: Duration::from_secs(1),
            lease: Duration::from_secs(10),
            backoff: Backoff::default(),
            keep_published: Duration::from_mins(10),
        }
    }
}

/// Events deleted in one unit.
const DELETED_AT_ONCE: usize = 500;

/// How often published events are deleted.
const DELETE_INTERVAL: Duration = Duration::from_secs(30);

/// Carries events from an outbox to a broker.
pub struct Relay {
    /// What it is called among the relays of the outbox.
    id: String,
    leadership: Option<Leadership>,
    outbox: Arc<dyn Outbox>,
    broker: Arc<dyn Broker>,
    telemetry: Telemetry,
    options: RelayOptions,
    measures: Measures,
    /// Published, but not marked yet, because marking failed.
    unmarked: Vec<i64>,
    /// Tried and to be tried again, by position.
    failed: HashMap<i64, Sending>,
    next_delete: Instant,
}

impl Relay {
    /// A relay with the default options. Its spans and metrics are the handle's.
    pub fn new(outbox: Arc<dyn Outbox>, broker: Arc<dyn Broker>, telemetry: &Telemetry) -> Relay {
        let measures = Measures::new(telemetry, broker.system());
        Relay {
            id: uuid::Uuid::now_v7().to_string(),
            leadership: None,
            outbox,
            broker,
            telemetry: telemetry.clone(),
            options: RelayOptions::default(),
            measures,
            unmarked: Vec::new(),
            failed: HashMap::new(),
            next_delete: Instant::now(),
        }
    }

    /// The same relay with other options.
    #[must_use]
    pub fn with_options(self, options: RelayOptions) -> Relay {
        Relay { options, ..self }
    }

    /// Works until the drain begins, publishes once more what is pending, and returns.
    ///
    /// Cancel safety: dropping the future loses nothing; what was not marked is published again by the next relay.
    pub async fn run(self, drain: impl Future<Output = ()> + Send) {
        let context = self.telemetry.context();
        let draining = CancellationToken::new();
        let mut work = std::pin::pin!(with_context(context, self.work(&draining)));
        tokio::select! {
            () = &mut work => return,
            () = drain => draining.cancel(),
        }
        work.await;
    }

    async fn work(mut self, draining: &CancellationToken) {
        let mut wake = self.outbox.wake().fuse();
        loop {
            // What was appended until here is seen below.
            let _ = wake.next().now_or_never();
            let is_last = draining.is_cancelled();
            self.publish_pending(draining).await;
            if is_last {
                break;
            }
            tokio::select! {
                Some(()) = wake.next() => {}
                () = tokio::time::sleep(self.options.interval) => {}
                () = draining.cancelled() => {}
            }
        }
        if let Err(error) = self.broker.flush().await {
            tracing::debug!(%error, "the broker could not be waited for; what it has not confirmed is published again");
        }
        // Not earlier: what is still on its way would come after the next leader's events.
        if let Err(error) = self.outbox.step_down(&self.id).await {
            tracing::debug!(%error, "the lead could not be given up; it runs out");
        }
    }

    /// Publishes until nothing is pending. While draining it gives up at the first failure.
    async fn publish_pending(&mut self, draining: &CancellationToken) {
        let mut failures = Failures::new(self.options.backoff);
        loop {
            match self.publish_batch().await {
                Ok(step) => {
                    failures.end();
                    if step == Step::Idle {
                        return;
                    }
                }
                Err(error) => {
                    if !failures.wait(&error, draining).await {
                        self.failed.drain().for_each(|(_, sending)| sending.failed(&error));
                        return;
                    }
                }
            }
        }
    }

    /// Publishes what is pending, once. An error is that of an event that is to be tried again, or of the outbox.
    async fn publish_batch(&mut self) -> Result<Step, Error> {
        self.mark().await?;
        if !self.leads().await? {
            self.failed.clear();
            self.measures.oldest(None);
            return Ok(Step::Idle);
        }
        let pending = self.outbox.pending(self.options.batch).await?;
        self.measures.oldest(pending.first().map(|event| event.appended_at));
        // Somebody else has seen to the others.
        self.failed.retain(|position, _| pending.iter().any(|event| event.position == *position));
        if pending.is_empty() {
            self.look_after_the_rest().await?;
            return Ok(Step::Idle);
        }
        let is_full = pending.len() >= self.options.batch;
        let mut held_back = HeldBack::default();
        let mut failure = None;
        for round in rounds(pending) {
            if !self.leads().await? {
                break;
            }
            let round = round.into_iter().filter(|event| !held_back.contains(event)).collect();
            failure = self.publish_round(round, &mut held_back).await?.or(failure);
        }
        self.mark().await?;
        match failure {
            Some(error) => Err(error),
            None => Ok(if is_full { Step::More } else { Step::Idle }),
        }
    }

    /// Whether this relay leads, for a while yet. Takes the lead when nobody has it.
    async fn leads(&mut self) -> Result<bool, Error> {
        let lease = self.options.lease;
        if self.leadership.is_some_and(|lead| lead.remaining() > lease / 2) {
            return Ok(true);
        }
        self.leadership = self.outbox.try_lead(&self.id, lease).await?;
        Ok(self.leadership.is_some())
    }

    /// Publishes events of different keys. Returns an error of one that is to be tried again.
    async fn publish_round(
        &mut self,
        round: Vec<Pending>,
        held_back: &mut HeldBack,
    ) -> Result<Option<Error>, Error> {
        if round.is_empty() {
            return Ok(None);
        }
        let system = self.broker.system();
        let begin = |event: Pending| {
            let before = self.failed.remove(&event.position);
            let mut sending = before.unwrap_or_else(|| Sending::begin(event, system));
            sending.attempts += 1;
            sending
        };
        let sending: Vec<Sending> = round.into_iter().map(begin).collect();
        let (results, IsDone(is_marked)) = self.publish(&sending).await;
        let (mut refused, mut failure) = (Vec::new(), None);
        for (sending, result) in sending.into_iter().zip(results) {
            match result {
                Ok(ack) => {
                    if !is_marked {
                        self.unmarked.push(sending.position);
                    }
                    sending.taken(ack);
                }
                Err(PublishError::Retryable(error)) => {
                    held_back.add(&sending.record);
                    failure = Some(error);
                    self.failed.insert(sending.position, sending);
                }
                Err(PublishError::Refused(error)) => {
                    held_back.add(&sending.record);
                    refused.push((sending.position, Parked::refused(&error, sending.attempts)));
                    sending.failed(&error);
                }
            }
        }
        self.park(refused).await?;
        Ok(failure)
    }

    /// One call of the broker, which marks what it takes where it can. One result per event, whatever the broker answers.
    async fn publish(&self, sending: &[Sending]) -> (Vec<Result<Ack, PublishError>>, IsDone) {
        let records: Vec<Record> = sending.iter().map(|sending| sending.record.clone()).collect();
        let positions = sending.iter().map(|sending| sending.position).collect();
        let started = Instant::now();
        let (mut results, is_marked) = match self.outbox.marking(positions, self.options.keep_published) {
            Some(marking) => self.broker.publish_with(records, marking).await,
            None => (self.broker.publish(records).await, IsDone(false)),
        };
        results.resize_with(sending.len(), || Err(PublishError::unanswered()));
        let topics = sending.iter().map(|sending| sending.record.topic.as_str());
        self.measures.published(topics.zip(&results), started.elapsed());
        (results, is_marked)
    }

    /// Parks what the broker refused.
    async fn park(&self, refused: Vec<(i64, Parked)>) -> Result<(), Error> {
        if refused.is_empty() {
            return Ok(());
        }
        for (position, why) in refused {
            self.outbox.park(position, why).await?;
        }
        self.count_parked().await
    }

    async fn count_parked(&self) -> Result<(), Error> {
        self.measures.parked(self.outbox.parked().await?);
        Ok(())
    }

    async fn mark(&mut self) -> Result<(), Error> {
        if !self.unmarked.is_empty() {
            self.outbox.mark_published(self.unmarked.clone(), self.options.keep_published).await?;
            self.unmarked.clear();
        }
        Ok(())
    }

    /// Now and then, when nothing is pending: deletes what no later mark may come to delete, and counts what is parked.
    async fn look_after_the_rest(&mut self) -> Result<(), Error> {
        if Instant::now() < self.next_delete {
            return Ok(());
        }
        while self.outbox.delete_published(self.options.keep_published, DELETED_AT_ONCE).await?
            >= DELETED_AT_ONCE
        {}
        self.count_parked().await?;
        self.next_delete = Instant::now() + DELETE_INTERVAL.min(self.options.keep_published);
        Ok(())
    }
}

impl std::fmt::Debug for Relay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Relay").field("options", &self.options).finish_non_exhaustive()
    }
}

/// Keys whose later events wait, because an earlier one was not taken.
#[derive(Debug, Default)]
struct HeldBack(HashSet<(String, String)>);

impl HeldBack {
    fn add(&mut self, record: &Record) {
        if !record.key.is_empty() {
            self.0.insert((record.topic.clone(), record.key.clone()));
        }
    }

    fn contains(&self, Pending { event, .. }: &Pending) -> bool {
        // Nothing is looked up while everything goes well.
        !self.0.is_empty() && self.0.contains(&(event.topic.clone(), event.key.clone()))
    }
}

/// How far one look into the outbox came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// There may be more.
    More,
    /// Nothing else is pending.
    Idle,
}

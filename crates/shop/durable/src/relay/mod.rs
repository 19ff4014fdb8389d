//! The relay: carries events from an outbox to a broker, in order, and loses none.
//!
//! A worker of each service that has an outbox. It is woken by every append of this process and looks by itself
//! otherwise. Events are marked only after the broker's acknowledgement: a crash between the two repeats them, which
//! consumers tell by the event's id. A batch that fails because the broker is away is tried again whole and before
//! anything later, so the order of each key holds. One that the broker refuses is published event by event, and the event
//! that it refuses for good is parked alone.
//!
//! Each event gets one PRODUCER span, child of the context that was stored with it, however often it is tried; its
//! record carries that span's context on.

mod failures;
mod sending;

use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use waypost_telemetry::messaging;
use waypost_telemetry::opentelemetry::metrics::Gauge;
use waypost_telemetry::{ErrorType, Outcome, Telemetry, with_context};

use crate::broker::{Ack, Broker, Record};
use crate::outbox::Outbox;
use crate::{Backoff, Error};
use failures::Failures;
use sending::{Published, Sending, end_failed};

/// How a relay works.
#[derive(Clone, Copy, Debug)]
pub struct RelayOptions {
    /// Most events of one publish call. Default 128.
    pub batch: usize,
    /// How often it looks without being woken. Default 1 s.
    pub interval: Duration,
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
            backoff: Backoff::default(),
            keep_published: Duration::from_mins(10),
        }
    }
}

/// Events deleted in one unit.
const DELETED_AT_ONCE: usize = 500;

/// How often published events are deleted.
const DELETE_INTERVAL: Duration = Duration::from_secs(30);

/// Carries events from an outbox to a broker. There is one per outbox.
pub struct Relay {
    outbox: Arc<dyn Outbox>,
    broker: Arc<dyn Broker>,
    telemetry: Telemetry,
    options: RelayOptions,
    metrics: messaging::Metrics,
    oldest: Gauge<f64>,
    parked: Gauge<u64>,
    /// Published, but not marked yet, because marking failed.
    unmarked: Vec<i64>,
    next_delete: Instant,
}

impl Relay {
    /// A relay with the default options. Its spans and metrics are the handle's.
    pub fn new(outbox: Arc<dyn Outbox>, broker: Arc<dyn Broker>, telemetry: &Telemetry) -> Relay {
        let oldest = telemetry
            .meter()
            .f64_gauge("waypost.outbox.oldest_unpublished.age")
            .with_description("Age of the oldest event that the broker does not have yet.")
            .with_unit("s")
            .build();
        let parked = telemetry
            .meter()
            .u64_gauge("waypost.outbox.parked")
            .with_description("Events that can never be published and wait for somebody to see to them.")
            .with_unit("{event}")
            .build();
        let metrics = messaging::Metrics::new(telemetry, broker.system());
        let options = RelayOptions::default();
        let telemetry = telemetry.clone();
        Relay {
            outbox,
            broker,
            telemetry,
            options,
            metrics,
            oldest,
            parked,
            unmarked: Vec::new(),
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
        let mut appended = self.outbox.appended();
        loop {
            appended.mark_unchanged();
            let is_last = draining.is_cancelled();
            self.publish_pending(draining).await;
            if is_last {
                return;
            }
            tokio::select! {
                _ = appended.changed() => {}
                () = tokio::time::sleep(self.options.interval) => {}
                () = draining.cancelled() => {}
            }
        }
    }

    /// Publishes until nothing is pending. While draining it gives up at the first failure.
    async fn publish_pending(&mut self, draining: &CancellationToken) {
        let mut failures = Failures::new(self.options.backoff);
        loop {
            match self.publish_batch(draining, &mut failures).await {
                Ok(Step::More) => {}
                Ok(Step::Idle | Step::GaveUp) => return,
                Err(error) => {
                    if !failures.wait(&error, draining).await {
                        return;
                    }
                }
            }
        }
    }

    async fn publish_batch(
        &mut self,
        draining: &CancellationToken,
        failures: &mut Failures,
    ) -> Result<Step, Error> {
        self.mark().await?;
        let pending = self.outbox.pending(self.options.batch).await?;
        let Some(oldest) = pending.first().map(|event| event.appended_at) else {
            self.oldest.record(0.0, &[]);
            self.look_after_the_rest().await?;
            failures.end();
            return Ok(Step::Idle);
        };
        let is_full = pending.len() >= self.options.batch;
        let sending: Vec<Sending> =
            pending.into_iter().map(|pending| Sending::begin(pending, self.broker.system())).collect();
        let is_sent = match self.publish(&sending, oldest, draining, failures).await {
            Published::Acknowledged(acks) => {
                self.end_sent(sending, &acks);
                true
            }
            Published::Refused(_) if sending.len() > 1 => {
                self.publish_singly(sending, oldest, draining, failures).await?
            }
            Published::Refused(error) => self.park_all(sending, &error).await?,
            Published::GaveUp(error) => {
                end_failed(sending, &error);
                false
            }
        };
        if !is_sent {
            return Ok(Step::GaveUp);
        }
        self.mark().await?;
        Ok(if is_full { Step::More } else { Step::Idle })
    }

    /// Publishes one event after the other, because the broker refused some of them. What stands behind a refused one in
    /// the order of its key is left where it is. False: a try failed while draining.
    async fn publish_singly(
        &mut self,
        all: Vec<Sending>,
        oldest: SystemTime,
        draining: &CancellationToken,
        failures: &mut Failures,
    ) -> Result<bool, Error> {
        let mut held_back: HashSet<(String, String)> = HashSet::new();
        for sending in all {
            let order = (sending.record.topic.clone(), sending.record.key.clone());
            if held_back.contains(&order) {
                continue;
            }
            let sending = vec![sending];
            match self.publish(&sending, oldest, draining, failures).await {
                Published::Acknowledged(acks) => self.end_sent(sending, &acks),
                Published::Refused(error) => {
                    self.park_all(sending, &error).await?;
                    if !order.1.is_empty() {
                        held_back.insert(order);
                    }
                }
                Published::GaveUp(error) => {
                    end_failed(sending, &error);
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// Parks what the broker refused. Always true: there is nothing left to send.
    async fn park_all(&mut self, refused: Vec<Sending>, error: &Error) -> Result<bool, Error> {
        let positions: Vec<i64> = refused.iter().map(|sending| sending.position).collect();
        end_failed(refused, error);
        for position in positions {
            self.outbox.park(position, error.to_string()).await?;
        }
        self.count_parked().await?;
        Ok(true)
    }

    /// Tries until the broker has the records or refuses them, or a try fails while draining.
    async fn publish(
        &self,
        sending: &[Sending],
        oldest: SystemTime,
        draining: &CancellationToken,
        failures: &mut Failures,
    ) -> Published {
        let records: Vec<Record> = sending.iter().map(|sending| sending.record.clone()).collect();
        loop {
            let age = SystemTime::now().duration_since(oldest).unwrap_or_default();
            self.oldest.record(age.as_secs_f64(), &[]);
            let started = Instant::now();
            let published = self.broker.publish(records.clone()).await;
            let failure = published.as_ref().err().map(|error| error as &dyn ErrorType);
            self.measure(&records, started.elapsed(), failure);
            match published {
                Ok(acks) => {
                    failures.end();
                    return Published::Acknowledged(acks);
                }
                Err(error) if error.is_refusal() => return Published::Refused(error),
                Err(error) if !failures.wait(&error, draining).await => return Published::GaveUp(error),
                Err(_) => {}
            }
        }
    }

    fn end_sent(&mut self, sent: Vec<Sending>, acks: &[Ack]) {
        let mut acks = acks.iter();
        for Sending { position, span, .. } in sent {
            if let Some(ack) = acks.next() {
                span.set("messaging.destination.partition.id", ack.partition.to_string());
            }
            span.end(Outcome::Ok);
            self.unmarked.push(position);
        }
    }

    async fn count_parked(&self) -> Result<(), Error> {
        self.parked.record(self.outbox.parked().await?, &[]);
        Ok(())
    }

    fn measure(&self, records: &[Record], elapsed: Duration, failure: Option<&dyn ErrorType>) {
        let mut counts: HashMap<&str, u64> = HashMap::new();
        for record in records {
            *counts.entry(&record.topic).or_default() += 1;
        }
        for (topic, count) in counts {
            self.metrics.sent(topic, count, elapsed, failure);
        }
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

/// How far one look into the outbox came.
enum Step {
    /// There may be more.
    More,
    /// Nothing is pending.
    Idle,
    /// The broker failed while draining.
    GaveUp,
}

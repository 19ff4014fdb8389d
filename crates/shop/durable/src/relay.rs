//! The relay: carries events from an outbox to a broker, in order, and loses none.
//!
//! A worker of each service that has an outbox. It is woken by every append of this process and looks by itself
//! otherwise. Events are marked only after the broker's acknowledgement: a crash between the two repeats them, which
//! consumers tell by the event's id. A batch that fails is tried again whole and before anything later, so the order
//! of each key holds.
//!
//! Each event gets one PRODUCER span, child of the context that was stored with it, however often it is tried; its
//! record carries that span's context on.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use waypost_telemetry::messaging::{self, HeaderCarrier, send_span};
use waypost_telemetry::opentelemetry::metrics::Gauge;
use waypost_telemetry::{ErrorType, Outcome, SpanGuard, Telemetry, propagation, with_context};

use crate::broker::{Ack, Broker, KIND_HEADER, Record};
use crate::outbox::{Event, Outbox};
use crate::{Backoff, Error};

/// How a relay works.
#[derive(Clone, Copy, Debug)]
pub struct RelayOptions {
    /// Most events of one publish call. Default 128.
    pub batch: usize,
    /// How often it looks without being woken. Default 1 s.
    pub interval: Duration,
    /// Waiting after failures. Default 50 ms to 5 s.
    pub backoff: Backoff,
    /// How long published events are kept, to look at. Default 10 min.
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

/// Carries events from an outbox to a broker. One an outbox.
pub struct Relay {
    outbox: Arc<dyn Outbox>,
    broker: Arc<dyn Broker>,
    telemetry: Telemetry,
    options: RelayOptions,
    metrics: messaging::Metrics,
    oldest: Gauge<f64>,
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
            self.delete_published().await?;
            failures.end();
            return Ok(Step::Idle);
        };
        let is_full = pending.len() >= self.options.batch;
        let positions: Vec<i64> = pending.iter().map(|event| event.position).collect();
        let (records, spans): (Vec<Record>, Vec<SpanGuard>) =
            pending.into_iter().map(|pending| self.record(pending.event)).unzip();
        if !self.publish(records, spans, oldest, draining, failures).await {
            return Ok(Step::GaveUp);
        }
        self.unmarked = positions;
        self.mark().await?;
        Ok(if is_full { Step::More } else { Step::Idle })
    }

    /// The record of an event, and the span of sending it.
    fn record(&self, event: Event) -> (Record, SpanGuard) {
        let span = send_span(self.broker.system(), &event.topic)
            .parent(&event.context())
            .message_id(event.id.clone())
            .key(event.key.clone())
            .body_size(event.payload.len())
            .start()
            .cancelled_on_drop();
        let mut headers = event.headers;
        headers.push((KIND_HEADER.to_owned(), event.kind.into_bytes()));
        propagation::inject(span.context(), &mut HeaderCarrier(&mut headers));
        (Record { topic: event.topic, key: event.key, payload: event.payload, headers, id: event.id }, span)
    }

    /// Tries until the broker has the records, or a try fails while draining.
    async fn publish(
        &self,
        records: Vec<Record>,
        spans: Vec<SpanGuard>,
        oldest: SystemTime,
        draining: &CancellationToken,
        failures: &mut Failures,
    ) -> bool {
        loop {
            let age = SystemTime::now().duration_since(oldest).unwrap_or_default();
            self.oldest.record(age.as_secs_f64(), &[]);
            let started = Instant::now();
            let published = self.broker.publish(records.clone()).await;
            let failure = published.as_ref().err().map(|error| error as &dyn ErrorType);
            self.measure(&records, started.elapsed(), failure);
            match published {
                Ok(acks) => {
                    end_sent(spans, &acks);
                    failures.end();
                    return true;
                }
                Err(error) if !failures.wait(&error, draining).await => {
                    for span in spans {
                        span.end(Outcome::Error(error.error_type()));
                    }
                    return false;
                }
                Err(_) => {}
            }
        }
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
            self.outbox.mark_published(self.unmarked.clone()).await?;
            self.unmarked.clear();
        }
        Ok(())
    }

    async fn delete_published(&mut self) -> Result<(), Error> {
        if Instant::now() < self.next_delete {
            return Ok(());
        }
        while self.outbox.delete_published(self.options.keep_published, DELETED_AT_ONCE).await?
            >= DELETED_AT_ONCE
        {}
        self.next_delete = Instant::now() + DELETE_INTERVAL;
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

/// Failures in a row.
struct Failures {
    backoff: Backoff,
    count: u32,
}

impl Failures {
    fn new(backoff: Backoff) -> Failures {
        Failures { backoff, count: 0 }
    }

    /// Waits before the next try. False: a drain began, so there is none.
    async fn wait(&mut self, error: &Error, draining: &CancellationToken) -> bool {
        self.count += 1;
        if self.count == 1 {
            tracing::warn!(%error, "events cannot be published; trying on until they are");
        }
        // A drain that began earlier ends the work here, one that begins during the wait ends the wait.
        if draining.is_cancelled() {
            return false;
        }
        tokio::select! {
            () = tokio::time::sleep(self.backoff.delay(self.count)) => {}
            () = draining.cancelled() => {}
        }
        true
    }

    fn end(&mut self) {
        if self.count > 0 {
            tracing::info!(failures = self.count, "events are published again");
            self.count = 0;
        }
    }
}

fn end_sent(spans: Vec<SpanGuard>, acks: &[Ack]) {
    let mut acks = acks.iter();
    for span in spans {
        if let Some(ack) = acks.next() {
            span.set("messaging.destination.partition.id", ack.partition.to_string());
        }
        span.end(Outcome::Ok);
    }
}

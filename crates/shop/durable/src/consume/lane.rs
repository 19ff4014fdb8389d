//! A lane: the records of one partition, one after the other, each tried until it is handled or parked.

use std::borrow::Cow;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::FutureExt;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use waypost_telemetry::messaging::{self, HeaderCarrier, process_span};
use waypost_telemetry::opentelemetry::Context;
use waypost_telemetry::{ErrorType, propagation};

use super::{Failure, Subscription, dead_letter};
use crate::Error;
use crate::broker::Delivery;

/// What all lanes of a consume loop share.
pub(super) struct Work<H> {
    pub(super) subscription: Subscription,
    pub(super) draining: CancellationToken,
    handler: H,
    metrics: messaging::Metrics,
    last_lane: AtomicU64,
}

impl<H> Work<H> {
    pub(super) fn new(subscription: Subscription, handler: H, draining: CancellationToken) -> Work<H> {
        let metrics = messaging::Metrics::new(&subscription.telemetry, subscription.broker.system());
        Work { subscription, draining, handler, metrics, last_lane: AtomicU64::new(0) }
    }

    /// Waits after a failure of the broker. Passes on the one that no waiting mends.
    pub(super) async fn wait_out(&self, error: Error, failures: &mut u32) -> Result<(), Error> {
        if matches!(error, Error::Closed(_)) {
            return Err(error);
        }
        *failures += 1;
        if *failures == 1 {
            tracing::warn!(%error, topic = self.subscription.topic, "the broker failed; trying on until it answers");
        }
        self.subscription.standstill.begin(None, error.to_string());
        self.pause(*failures, &self.draining).await;
        Ok(())
    }

    /// The broker answers.
    pub(super) fn goes_on(&self) {
        self.subscription.standstill.end(None);
    }

    /// A partition stands still, not for the sake of its record.
    fn stands_still(&self, delivery: &Delivery, reason: &dyn ErrorType, waits: u32) {
        if waits == 1 {
            tracing::warn!(
                error = reason.to_string(),
                topic = self.subscription.topic,
                partition = delivery.partition,
                "what the handler needs is away; the partition waits for it"
            );
        }
        self.subscription.standstill.begin(Some(delivery.partition), reason.to_string());
    }

    /// Waits after a failure of the broker while the last records are finished.
    pub(super) async fn pause_after_drain(&self) {
        tokio::time::sleep(self.subscription.options.backoff.first).await;
    }

    /// Waits after this many failures in a row, or until it is time to stop.
    async fn pause(&self, failures: u32, stopping: &CancellationToken) {
        tokio::select! {
            () = tokio::time::sleep(self.subscription.options.backoff.delay(failures)) => {}
            () = stopping.cancelled() => {}
        }
    }
}

/// A record is handled or parked.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) lane: u64,
    pub(super) partition: u32,
    pub(super) next_offset: u64,
}

/// The loop's end of a lane. Dropping it stops the lane where it is.
pub(super) struct Lane {
    pub(super) id: u64,
    pub(super) is_paused: bool,
    waiting: Option<mpsc::UnboundedSender<Delivery>>,
    outstanding: usize,
    /// Tells the lane to begin with no further record.
    stopping: CancellationToken,
    task: JoinHandle<()>,
}

impl Lane {
    pub(super) fn start<H, F, E>(
        work: &Arc<Work<H>>,
        partition: u32,
        done: &mpsc::UnboundedSender<Done>,
    ) -> Lane
    where
        H: Fn(Arc<Delivery>) -> F + Send + Sync + 'static,
        F: Future<Output = Result<(), Failure<E>>> + Send + 'static,
        E: ErrorType + Send + Sync + 'static,
    {
        let id = work.last_lane.fetch_add(1, Ordering::Relaxed);
        let (sender, waiting) = mpsc::unbounded_channel();
        let stopping = work.draining.child_token();
        let course = Course { lane: id, partition, done: done.clone(), stopping: stopping.clone() };
        let task = waypost_telemetry::spawn(process_all(Arc::clone(work), course, waiting));
        Lane { id, is_paused: false, waiting: Some(sender), outstanding: 0, stopping, task }
    }

    pub(super) fn push(&mut self, delivery: Delivery) {
        if let Some(waiting) = &self.waiting
            && waiting.send(delivery).is_ok()
        {
            self.outstanding += 1;
        }
    }

    pub(super) fn finished_one(&mut self) {
        self.outstanding = self.outstanding.saturating_sub(1);
    }

    pub(super) fn has_too_much(&self, batch: usize) -> bool {
        self.outstanding >= batch
    }

    pub(super) fn has_room(&self, batch: usize) -> bool {
        self.outstanding <= batch / 2
    }

    /// No more records will come.
    pub(super) fn end(&mut self) {
        self.waiting = None;
    }

    /// Lets the running record come to its end and begins with no further one.
    pub(super) fn stop(&self) {
        self.stopping.cancel();
    }

    /// Waits until the lane has ended, after [`Lane::stop`] or [`Lane::end`]. Cancel safe.
    pub(super) async fn ended(&mut self) {
        if !self.task.is_finished() {
            // A handler that panics has failed; a lane does not panic.
            (&mut self.task).await.ok();
        }
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Where a lane is and whom it tells.
struct Course {
    lane: u64,
    partition: u32,
    done: mpsc::UnboundedSender<Done>,
    stopping: CancellationToken,
}

async fn process_all<H, F, E>(
    work: Arc<Work<H>>,
    course: Course,
    mut waiting: mpsc::UnboundedReceiver<Delivery>,
) where
    H: Fn(Arc<Delivery>) -> F + Send + Sync + 'static,
    F: Future<Output = Result<(), Failure<E>>> + Send + 'static,
    E: ErrorType + Send + Sync + 'static,
{
    let Course { lane, partition, done, stopping } = course;
    let _standstill = work.subscription.standstill.ended_on_drop(partition);
    loop {
        let delivery = tokio::select! {
            biased;
            () = stopping.cancelled() => return,
            delivery = waiting.recv() => delivery,
        };
        let Some(delivery) = delivery else { return };
        let next_offset = delivery.offset + 1;
        if !process(&work, delivery, &stopping).await {
            return;
        }
        if done.send(Done { lane, partition, next_offset }).is_err() {
            return;
        }
    }
}

/// Tries a record until it is handled or parked. False: it is time to stop.
async fn process<H, F, E>(work: &Work<H>, mut delivery: Delivery, stopping: &CancellationToken) -> bool
where
    H: Fn(Arc<Delivery>) -> F + Send + Sync + 'static,
    F: Future<Output = Result<(), Failure<E>>> + Send + 'static,
    E: ErrorType + Send + Sync + 'static,
{
    // Tries in a row that failed for the sake of the surroundings; they are not counted as attempts.
    let mut waits = 0;
    let standstill = &work.subscription.standstill;
    loop {
        let current = Arc::new(delivery);
        let is_at_fault = match attempt(work, &current, &mut waits).await {
            Ok(()) | Err(Unhandled::Parked) => {
                standstill.end(Some(current.partition));
                return true;
            }
            Err(Unhandled::Park(reason, context)) => {
                return park(work, &current, reason, context, stopping).await;
            }
            Err(Unhandled::Retry) => {
                standstill.end(Some(current.partition));
                true
            }
            Err(Unhandled::Wait) => false,
        };
        work.pause(if is_at_fault { current.attempt } else { waits }, stopping).await;
        if stopping.is_cancelled() {
            return false;
        }
        delivery = Arc::unwrap_or_clone(current);
        delivery.attempt += u32::from(is_at_fault);
    }
}

/// What is left to do with a record whose handler failed.
enum Unhandled {
    Retry,
    /// What its handler needs is away.
    Wait,
    Parked,
    /// Parking failed once; to be tried on within the context of the last try.
    Park(dead_letter::Reason, Context),
}

/// One try, in its CONSUMER span. The last one parks the record inside it.
async fn attempt<H, F, E>(work: &Work<H>, delivery: &Arc<Delivery>, waits: &mut u32) -> Result<(), Unhandled>
where
    H: Fn(Arc<Delivery>) -> F + Send + Sync + 'static,
    F: Future<Output = Result<(), Failure<E>>> + Send + 'static,
    E: ErrorType + Send + Sync + 'static,
{
    let Subscription { broker, group, topic, options, .. } = &work.subscription;
    let stored = propagation::extract(&HeaderCarrier(&delivery.record.headers));
    let mut span = process_span(broker.system(), topic, &stored, options.correlation)
        .partition(delivery.partition)
        .offset(i64::try_from(delivery.offset).unwrap_or(i64::MAX))
        .key(delivery.record.key.clone())
        .group(group.clone())
        .message_id(delivery.record.id.clone());
    if delivery.attempt > 1 {
        span = span.attr("waypost.messaging.attempt", i64::from(delivery.attempt));
    }

    let started = Instant::now();
    let mut left_to_do = Unhandled::Retry;
    let handled = span.run(async {
        let Err(failed) = handle(work, delivery).await else { return Ok(()) };
        if failed.is_of_the_surroundings() {
            *waits += 1;
            work.stands_still(delivery, &failed, *waits);
            left_to_do = Unhandled::Wait;
            return Err(failed);
        }
        *waits = 0;
        if failed.is_final() || delivery.attempt >= options.attempts {
            let reason = dead_letter::Reason::new(&failed);
            left_to_do = match dead_letter::publish(&work.subscription, delivery, &reason).await {
                Ok(()) => Unhandled::Parked,
                Err(_) => Unhandled::Park(reason, Context::current()),
            };
        }
        Err(failed)
    });
    let handled = handled.await;
    let failure = handled.as_ref().err().map(|failed| failed as &dyn ErrorType);
    work.metrics.processed(topic, group, started.elapsed(), failure);
    handled.map_err(|_| left_to_do)
}

/// Parks a record, trying on until the broker has it. False: it is time to stop.
async fn park<H>(
    work: &Work<H>,
    delivery: &Delivery,
    reason: dead_letter::Reason,
    context: Context,
    stopping: &CancellationToken,
) -> bool {
    let mut failures = 1;
    loop {
        work.pause(failures, stopping).await;
        if stopping.is_cancelled() {
            return false;
        }
        let publishing = dead_letter::publish(&work.subscription, delivery, &reason);
        match waypost_telemetry::with_context(context.clone(), publishing).await {
            Ok(()) => {
                work.subscription.standstill.end(Some(delivery.partition));
                return true;
            }
            Err(error) => work.subscription.standstill.begin(Some(delivery.partition), error.to_string()),
        }
        failures += 1;
    }
}

async fn handle<H, F, E>(work: &Work<H>, delivery: &Arc<Delivery>) -> Result<(), Failed<E>>
where
    H: Fn(Arc<Delivery>) -> F,
    F: Future<Output = Result<(), Failure<E>>>,
    E: ErrorType + 'static,
{
    // A handler that panics has failed like any other; the lane goes on.
    let handling = AssertUnwindSafe(async { (work.handler)(Arc::clone(delivery)).await });
    match handling.catch_unwind().await {
        Ok(result) => result.map_err(Failed::Failure),
        Err(_) => Err(Failed::Panicked),
    }
}

/// How a handler failed.
#[derive(Debug, thiserror::Error)]
enum Failed<E: std::error::Error + 'static> {
    #[error(transparent)]
    Failure(Failure<E>),
    #[error("the handler panicked")]
    Panicked,
}

impl<E: ErrorType + 'static> Failed<E> {
    fn is_final(&self) -> bool {
        matches!(self, Failed::Failure(Failure::Reject(_)))
    }

    fn is_of_the_surroundings(&self) -> bool {
        matches!(self, Failed::Failure(failure) if failure.is_of_the_surroundings())
    }
}

impl<E: ErrorType + 'static> ErrorType for Failed<E> {
    fn inner(&self) -> Option<&dyn ErrorType> {
        match self {
            Failed::Failure(failure) => Some(failure),
            Failed::Panicked => None,
        }
    }

    fn error_type(&self) -> Cow<'static, str> {
        self.inner().map_or("panic".into(), ErrorType::error_type)
    }
}

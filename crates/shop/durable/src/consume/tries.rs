//! The tries of one record, until it is handled or parked.

use std::borrow::Cow;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use waypost_telemetry::messaging::{HeaderCarrier, process_span};
use waypost_telemetry::opentelemetry::Context;
use waypost_telemetry::{ErrorType, propagation};

use super::work::Work;
use super::{Failure, Subscription, dead_letter};
use crate::broker::Delivery;

/// Tries a record until it is handled or parked. False: it is time to stop.
pub(super) async fn process<H, F, E>(work: &Work<H>, mut delivery: Delivery, stopping: &CancellationToken) -> bool
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

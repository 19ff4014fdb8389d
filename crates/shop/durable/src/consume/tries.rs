//! The tries of one record where it stands, until it is handled or set aside.

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

use super::aside::{self, Destination, Reason};
use super::retry::{Origin, Returned};
use super::work::Work;
use super::{Failure, Subscription};
use crate::broker::Delivery;

/// Tries a record until it is handled or set aside. False: it is time to stop.
pub(super) async fn process<H, F, E>(work: &Work<H>, taken: Returned, stopping: &CancellationToken) -> bool
where
    H: Fn(Arc<Delivery>) -> F + Send + Sync + 'static,
    F: Future<Output = Result<(), Failure<E>>> + Send + 'static,
    E: ErrorType + Send + Sync + 'static,
{
    // Tries in a row that failed for the sake of the surroundings; they are not counted as attempts.
    let mut waits = 0;
    let Returned { mut delivery, origin, due } = taken;
    if !work.until_due(due, stopping).await {
        return false;
    }
    loop {
        let current = Arc::new(delivery);
        let is_at_fault = match attempt(work, &current, &origin, &mut waits).await {
            Ok(()) | Err(Unhandled::SetAside) => {
                work.partition_goes_on(current.partition);
                return true;
            }
            Err(Unhandled::SetAsideLater(later)) => {
                return set_aside(work, &current, &origin, *later, stopping).await;
            }
            Err(Unhandled::Retry) => {
                work.partition_goes_on(current.partition);
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
    SetAside,
    /// Setting it aside failed once; to be tried on.
    SetAsideLater(Box<Later>),
}

/// A record that is to be set aside, within the context of its last try.
struct Later {
    destination: Destination,
    reason: Reason,
    context: Context,
}

/// One try, in its CONSUMER span. The last one sets the record aside inside it.
async fn attempt<H, F, E>(
    work: &Work<H>,
    delivery: &Arc<Delivery>,
    origin: &Origin,
    waits: &mut u32,
) -> Result<(), Unhandled>
where
    H: Fn(Arc<Delivery>) -> F + Send + Sync + 'static,
    F: Future<Output = Result<(), Failure<E>>> + Send + 'static,
    E: ErrorType + Send + Sync + 'static,
{
    let Work { subscription: Subscription { broker, options, .. }, topic, group, .. } = work;
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
            work.stands_still(delivery.partition, &failed, *waits);
            left_to_do = Unhandled::Wait;
            return Err(failed);
        }
        *waits = 0;
        if failed.is_final() || work.is_last_try(delivery.attempt) {
            let (destination, reason) = (work.destination(failed.is_final()), Reason::new(&failed));
            let publishing = aside::publish(&work.subscription, delivery, origin, destination, &reason);
            left_to_do = if publishing.await.is_ok() {
                Unhandled::SetAside
            } else {
                let context = Context::current();
                Unhandled::SetAsideLater(Box::new(Later { destination, reason, context }))
            };
        }
        Err(failed)
    });
    let handled = handled.await;
    let failure = handled.as_ref().err().map(|failed| failed as &dyn ErrorType);
    work.metrics.processed(topic, group, started.elapsed(), failure);
    handled.map_err(|_| left_to_do)
}

/// Sets a record aside, trying on until the broker has it. False: it is time to stop.
async fn set_aside<H>(
    work: &Work<H>,
    delivery: &Delivery,
    origin: &Origin,
    later: Later,
    stopping: &CancellationToken,
) -> bool {
    let Later { destination, reason, context } = later;
    let mut failures = 1;
    loop {
        work.pause(failures, stopping).await;
        if stopping.is_cancelled() {
            return false;
        }
        let publishing = aside::publish(&work.subscription, delivery, origin, destination, &reason);
        match waypost_telemetry::with_context(context.clone(), publishing).await {
            Ok(()) => {
                work.partition_goes_on(delivery.partition);
                return true;
            }
            Err(error) => work.partition_waits(delivery.partition, error.to_string()),
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

//! The consume loop: records of a topic to a handler, at least once, each partition in order.
//!
//! For services that react to events. Different partitions are handled at the same time. A record that cannot be handled
//! is tried again a few times and then parked in the topic `{topic}.dead-letter`, so that the partition moves on and
//! nothing is dropped. A record is not at fault when something that its handler needs is away: a database that is locked
//! or full, a service that does not answer. Then its partition waits, with growing pauses, for as long as that takes, and
//! [`Standstill`] tells readiness so. An offset is committed only when everything below it is handled or parked.
//!
//! With [`RetryTopics`] a record that fails by itself goes to topics of growing pauses before it is parked: its partition goes on
//! after the tries in place, and the records behind it, those of its own key as well, are handled before it. Without them
//! (the default) the records of a key are handled in their order.
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
//! Left out: a second effect of a redelivered record is prevented by the handler, with [`crate::inbox`]. Where the broker is in the file
//! of the effect, the handler can commit the record's offset in the same unit ([`Delivery::committing`]); the loop then has nothing
//! left to commit.

mod aside;
mod consumption;
mod dead_letter;
mod lane;
mod progress;
mod retry;
mod standstill;
mod tries;
mod work;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::try_join_all;
use tokio_util::sync::CancellationToken;
use waypost_telemetry::error::ErrorClass;
use waypost_telemetry::messaging::Correlation;
use waypost_telemetry::{ErrorType, Telemetry, with_context};

use crate::broker::Broker;
pub use crate::broker::Delivery;
use crate::{Backoff, Error};
use consumption::consume;
pub use dead_letter::dead_letter_topic;
pub use retry::{HEADERS as RETRY_HEADERS, RetryTopics, retry_group, retry_topic};
pub use standstill::Standstill;
use work::Work;

/// How a consume loop works.
#[derive(Clone, Copy, Debug)]
pub struct ConsumeOptions {
    /// How its spans belong to the trace of a record. Default: as children.
    pub correlation: Correlation,
    /// How often a record that fails by itself is tried where it stands before it is parked, or goes to the first of
    /// [`Subscription::retries`], each of which is one more try: its handler panics, or fails with an error
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
    /// Where a record goes that fails by itself. Default: nowhere, it is parked. The topics have to be there, as that of the
    /// dead letters has.
    pub retries: RetryTopics,
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
            retries: RetryTopics::default(),
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
            .field("retries", &self.retries)
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
    let handler = Arc::new(handler);
    // The topic, and each of its retry topics.
    let loops = (0..=subscription.retries.count()).map(|number| {
        let work = Work::new(subscription.clone(), number, Arc::clone(&handler), draining.clone());
        consume(Arc::new(work))
    });
    let mut consuming = std::pin::pin!(with_context(context, try_join_all(loops)));
    tokio::select! {
        result = &mut consuming => return result.map(drop),
        () = drain => draining.cancel(),
    }
    consuming.await.map(drop)
}

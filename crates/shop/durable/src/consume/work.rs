//! What all lanes of one loop share: which topic it reads, for whom, and how they wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use tokio_util::sync::CancellationToken;
use waypost_telemetry::ErrorType;
use waypost_telemetry::messaging;

use super::Subscription;
use super::aside::Destination;
use super::retry::{Origin, Returned, retry_group, retry_topic, returned};
use crate::Error;
use crate::broker::Delivery;

/// What all lanes of one loop share.
pub(super) struct Work<H> {
    pub(super) subscription: Subscription,
    /// The topic that this loop reads: the subscription's, or one of its retry topics.
    pub(super) topic: String,
    /// The group that it is a member of.
    pub(super) group: String,
    /// 0 for the subscription's own topic, else the number of the retry topic.
    number: usize,
    pub(super) draining: CancellationToken,
    pub(super) handler: Arc<H>,
    pub(super) metrics: messaging::Metrics,
    last_lane: AtomicU64,
}

impl<H> Work<H> {
    /// For the subscription's own topic (0), or for one of its retry topics.
    pub(super) fn new(
        subscription: Subscription,
        number: usize,
        handler: Arc<H>,
        draining: CancellationToken,
    ) -> Work<H> {
        let metrics = messaging::Metrics::new(&subscription.telemetry, subscription.broker.system());
        let Subscription { topic, group, .. } = &subscription;
        let (topic, group) = match number {
            0 => (topic.clone(), group.clone()),
            _ => (retry_topic(topic, number), retry_group(group, number)),
        };
        let last_lane = AtomicU64::new(0);
        Work { subscription, topic, group, number, draining, handler, metrics, last_lane }
    }

    /// The number of a new lane.
    pub(super) fn next_lane(&self) -> u64 {
        self.last_lane.fetch_add(1, Ordering::Relaxed)
    }

    /// What came from the broker, as it is handled. `None`: it concerns another group.
    pub(super) fn taken(&self, delivery: Delivery) -> Option<Returned> {
        match self.number {
            0 => Some(Returned { origin: Origin::of(&delivery), due: SystemTime::UNIX_EPOCH, delivery }),
            _ => returned(delivery, &self.subscription.group),
        }
    }

    /// Waits until a record is due, never longer than the pause of its topic, whatever the clock of the process says that put
    /// it there. False: it is time to stop.
    pub(super) async fn until_due(&self, due: SystemTime, stopping: &CancellationToken) -> bool {
        let pause = self.subscription.retries.pause(self.number).unwrap_or_default();
        let left = due.duration_since(SystemTime::now()).unwrap_or_default().min(pause);
        if left.is_zero() {
            return true;
        }
        tokio::select! {
            () = tokio::time::sleep(left) => true,
            () = stopping.cancelled() => false,
        }
    }

    /// Whether a record that has failed this often is not tried again where it stands.
    pub(super) fn is_last_try(&self, attempt: u32) -> bool {
        self.number > 0 || attempt >= self.subscription.options.attempts
    }

    /// Where a record goes that failed.
    pub(super) fn destination(&self, is_final: bool) -> Destination {
        let next = self.number + 1;
        match self.subscription.retries.pause(next) {
            Some(pause) if !is_final => Destination::Retry(next, pause),
            _ => Destination::DeadLetters,
        }
    }

    /// Waits after a failure of the broker. Passes on the one that no waiting mends.
    pub(super) async fn wait_out(&self, error: Error, failures: &mut u32) -> Result<(), Error> {
        if matches!(error, Error::Closed(_)) {
            return Err(error);
        }
        *failures += 1;
        if *failures == 1 {
            tracing::warn!(%error, topic = self.topic, "the broker failed; trying on until it answers");
        }
        self.subscription.standstill.begin(&self.topic, None, error.to_string());
        self.pause(*failures, &self.draining).await;
        Ok(())
    }

    /// The broker answers.
    pub(super) fn goes_on(&self) {
        self.subscription.standstill.end(&self.topic, None);
    }

    /// A partition stands still, not for the sake of its record.
    pub(super) fn stands_still(&self, partition: u32, reason: &dyn ErrorType, waits: u32) {
        if waits == 1 {
            tracing::warn!(
                error = reason.to_string(),
                topic = self.topic,
                partition,
                "what the handler needs is away; the partition waits for it"
            );
        }
        self.partition_waits(partition, reason.to_string());
    }

    /// A partition waits for this reason.
    pub(super) fn partition_waits(&self, partition: u32, reason: String) {
        self.subscription.standstill.begin(&self.topic, Some(partition), reason);
    }

    /// A partition goes on.
    pub(super) fn partition_goes_on(&self, partition: u32) {
        self.subscription.standstill.end(&self.topic, Some(partition));
    }

    /// Waits after a failure of the broker while the last records are finished.
    pub(super) async fn pause_after_drain(&self) {
        tokio::time::sleep(self.subscription.options.backoff.first).await;
    }

    /// Waits after this many failures in a row, or until it is time to stop.
    pub(super) async fn pause(&self, failures: u32, stopping: &CancellationToken) {
        tokio::select! {
            () = tokio::time::sleep(self.subscription.options.backoff.delay(failures)) => {}
            () = stopping.cancelled() => {}
        }
    }
}

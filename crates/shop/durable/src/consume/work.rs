//! What all lanes of a consume loop share, and how they wait.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio_util::sync::CancellationToken;
use waypost_telemetry::ErrorType;
use waypost_telemetry::messaging;

use super::Subscription;
use crate::Error;
use crate::broker::Delivery;

/// What all lanes of a consume loop share.
pub(super) struct Work<H> {
    pub(super) subscription: Subscription,
    pub(super) draining: CancellationToken,
    pub(super) handler: H,
    pub(super) metrics: messaging::Metrics,
    last_lane: AtomicU64,
}

impl<H> Work<H> {
    pub(super) fn new(subscription: Subscription, handler: H, draining: CancellationToken) -> Work<H> {
        let metrics = messaging::Metrics::new(&subscription.telemetry, subscription.broker.system());
        Work { subscription, draining, handler, metrics, last_lane: AtomicU64::new(0) }
    }

    /// The number of a new lane.
    pub(super) fn next_lane(&self) -> u64 {
        self.last_lane.fetch_add(1, Ordering::Relaxed)
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
    pub(super) fn stands_still(&self, delivery: &Delivery, reason: &dyn ErrorType, waits: u32) {
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
    pub(super) async fn pause(&self, failures: u32, stopping: &CancellationToken) {
        tokio::select! {
            () = tokio::time::sleep(self.subscription.options.backoff.delay(failures)) => {}
            () = stopping.cancelled() => {}
        }
    }
}

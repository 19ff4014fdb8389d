//! The loop itself: polls, gives records to lanes, commits what they finished, and lets go of what is revoked.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};
use waypost_telemetry::ErrorType;

use super::Failure;
use super::lane::{Done, Lane};
use super::progress::Uncommitted;
use super::work::Work;
use crate::Error;
use crate::broker::{Consumer, Delivery, Polled};

/// How long a poll waits for records when there are none.
const POLL_WAIT: Duration = Duration::from_secs(1);

/// Consumes until the drain begins.
pub(super) async fn consume<H, F, E>(work: Arc<Work<H>>) -> Result<(), Error>
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
        match work.subscription.broker.subscribe(&work.group, &work.topic).await {
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
        tracing::info!(topic = self.work.topic, ?revoked, "partitions go to another consumer");
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

//! A lane: the records of one partition, one after the other, each tried until it is handled or set aside.

use std::future::Future;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use waypost_telemetry::ErrorType;

use super::Failure;
use super::tries::process;
use super::work::Work;
use crate::broker::Delivery;

/// A record is handled or set aside.
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
        let id = work.next_lane();
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
    let _standstill = work.subscription.standstill.ended_on_drop(&work.topic, partition);
    loop {
        let delivery = tokio::select! {
            biased;
            () = stopping.cancelled() => return,
            delivery = waiting.recv() => delivery,
        };
        let Some(delivery) = delivery else { return };
        let next_offset = delivery.offset + 1;
        if let Some(taken) = work.taken(delivery)
            && !process(&work, taken, &stopping).await
        {
            return;
        }
        if done.send(Done { lane, partition, next_offset }).is_err() {
            return;
        }
    }
}

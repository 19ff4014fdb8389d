//! Empties a lane: several requests in flight while the receiver is well, one that probes while it is not.
//!
//! Sends when a batch is full, when the oldest item has waited for the delay, when room grows scarce, and when a
//! flush or the stop asks for it. What is being sent when the shutdown's deadline comes is abandoned and counted,
//! its requests cancelled. A receiver that is not reached after the stop was ordered is given up, and so is one that
//! does not want to be asked before the deadline, so that a stop with a dead receiver ends soon.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::control::{Command, ControlReceiver};
use super::filter::Filter;
use super::frames::Frames;
use super::lane::{Batch, Lane};
use super::outlet::{Outlet, Sent};
use super::split;
use crate::base::config::limited;
use crate::base::ledger::DropReason;
use crate::core::readings::Operations;

/// Requests to one receiver at one moment.
const MAX_IN_FLIGHT: usize = 8;

/// Longer than any process waits for something.
const FAR: Duration = Duration::from_hours(24);

type Sending = Pin<Box<dyn Future<Output = Done> + Send>>;

/// How a batch ended.
struct Done {
    batch: Batch,
    sent: Sent,
}

pub(crate) struct LaneLoop {
    lane: Arc<Lane>,
    frames: Arc<Frames>,
    outlet: Arc<Outlet>,
    filter: Option<Filter>,
    operations: Operations,
    control: ControlReceiver,
    in_flight: FuturesUnordered<Sending>,
    /// The first frame of each batch in flight.
    firsts: Vec<u64>,
    /// Parts of batches that were too large for a request, to be sent next.
    parts: Vec<Batch>,
    /// Time or room was up, and not all of what waited then has been sent.
    is_emptying: bool,
    /// Flushes with the frame number below which everything must have been sent or dropped.
    flushes: Vec<(u64, Vec<Command>)>,
}

impl LaneLoop {
    pub(crate) fn new(
        lane: Arc<Lane>,
        frames: Arc<Frames>,
        outlet: Outlet,
        filter: Option<Filter>,
        operations: Operations,
        control: ControlReceiver,
    ) -> Self {
        Self {
            lane,
            frames,
            outlet: Arc::new(outlet),
            filter,
            operations,
            control,
            in_flight: FuturesUnordered::new(),
            firsts: Vec::new(),
            parts: Vec::new(),
            is_emptying: false,
            flushes: Vec::new(),
        }
    }

    /// Runs until the shutdown is ordered or the handle is gone.
    pub(crate) async fn run(mut self) {
        let mut due = self.next_due();
        while !self.control.must_stop() {
            let is_due = Instant::now() >= due;
            if is_due {
                due = self.next_due();
            }
            self.take_flushes();
            let pause = self.outlet.pause();
            let may_send = pause.is_none() && self.in_flight.len() < self.max_in_flight();
            // While nothing can be sent, a call for room stays open: answering each would keep this thread busy.
            if is_due || (may_send && self.lane.take_short()) {
                self.frames.sweep();
                self.is_emptying = true;
            }
            // What a flush found queued goes out at once, and so does everything if nothing may wait.
            self.is_emptying |= !self.flushes.is_empty() || self.lane.is_immediate();
            if may_send {
                self.start_sending();
            }
            self.answer_flushes();
            if self.control.must_flush() {
                continue;
            }
            tokio::select! {
                () = self.lane.wake.notified() => {}
                () = sleep_until(pause.map_or(due, |pause| pause.min(due))) => {}
                () = self.control.recv() => {}
                Some(done) = self.in_flight.next(), if !self.in_flight.is_empty() => self.settle(done),
            }
        }
        self.stop().await;
    }

    /// When what is held back has waited long enough. Without a delay nothing is held back, and the time says nothing.
    fn next_due(&self) -> Instant {
        let delay = if self.lane.is_immediate() { FAR } else { self.lane.settings.delay };
        Instant::now() + delay
    }

    fn max_in_flight(&self) -> usize {
        if self.outlet.is_well() { MAX_IN_FLIGHT } else { 1 }
    }

    /// Starts requests as far as there is something to send. Not during a pause: the time of a batch would run out
    /// while it waits, and in the queue it is safe.
    fn start_sending(&mut self) {
        while self.in_flight.len() < self.max_in_flight() {
            let part = self.parts.pop();
            let pull = || {
                let pulled = self.lane.pull(self.is_emptying, self.outlet.max_batch_bytes());
                pulled.map(|batch| self.filtered(batch))
            };
            let Some(batch) = part.or_else(pull) else {
                self.is_emptying = false;
                return;
            };
            if batch.items > 0 {
                self.send(batch);
            }
        }
    }

    /// What of a batch this exporter gets. The rest has come to its end.
    fn filtered(&self, mut batch: Batch) -> Batch {
        let Some(filter) = &self.filter else { return batch };
        batch.frames = batch.frames.iter().map(|frame| filter.apply(frame)).collect();
        batch.frames.retain(|frame| frame.items > 0);
        let left = batch.frames.iter().map(|frame| frame.items).sum();
        self.lane.settle(batch.items - left, 0, DropReason::Filtered);
        batch.items = left;
        batch
    }

    fn send(&mut self, batch: Batch) {
        let give_up = Instant::now() + limited(self.lane.settings.export_timeout);
        let outlet = Arc::clone(&self.outlet);
        self.firsts.push(batch.first);
        let (operations, timer) = (self.operations.clone(), self.operations.timer());
        self.in_flight.push(Box::pin(async move {
            let sent = outlet.send(&batch.frames, batch.items, give_up).await;
            // What goes out in parts is not sent yet.
            if batch.items == 1 || sent != Sent::TooLarge {
                operations.ended(timer.elapsed(), sent.error());
            }
            Done { batch, sent }
        }));
    }

    fn settle(&mut self, Done { batch, sent }: Done) {
        if let Some(place) = self.firsts.iter().position(|first| *first == batch.first) {
            self.firsts.swap_remove(place);
        }
        match sent {
            Sent::Accepted { rejected } => {
                let rejected = usize::try_from(rejected).unwrap_or(usize::MAX).min(batch.items);
                self.lane.settle(batch.items, batch.items - rejected, DropReason::Rejected);
            }
            Sent::Failed | Sent::Refused => self.lane.settle(batch.items, 0, DropReason::ExportFailed),
            Sent::TooLarge => self.split(&batch),
        }
    }

    /// Sends a batch in parts, or gives up an item that is too large by itself.
    fn split(&mut self, batch: &Batch) {
        let Some(halves) = split::items(&batch.frames) else {
            self.lane.settle(batch.items, 0, DropReason::TooLarge);
            return;
        };
        // The older half is sent first.
        self.parts.extend(halves.into_iter().rev().map(|frames| {
            let items = frames.iter().map(|frame| frame.items).sum();
            Batch { frames, items, first: batch.first }
        }));
    }

    /// Notes for each new flush what has to be gone before it is answered.
    fn take_flushes(&mut self) {
        let asked = self.control.take_flushes();
        if !asked.is_empty() {
            self.frames.sweep();
            self.flushes.push((self.lane.numbers().0, asked));
        }
    }

    /// Answers the flushes whose frames are all sent or dropped; dropping the command is the answer.
    fn answer_flushes(&mut self) {
        if self.flushes.is_empty() {
            return;
        }
        let oldest_waiting = self.lane.numbers().1;
        let firsts = self.firsts.iter().copied().chain(self.parts.iter().map(|part| part.first));
        let oldest = firsts.min().unwrap_or(u64::MAX).min(oldest_waiting);
        self.flushes.retain(|(until, _)| *until > oldest);
    }

    /// Sends what is left until the deadline.
    async fn stop(mut self) {
        self.frames.close();
        self.outlet.hurry();
        let deadline = self.control.stop_by().unwrap_or_else(Instant::now);
        while Instant::now() < deadline {
            let pause = self.outlet.pause();
            if pause.is_some_and(|until| until >= deadline) {
                break;
            }
            if pause.is_none() {
                self.is_emptying = true;
                self.start_sending();
            }
            if let (true, Some(until)) = (self.in_flight.is_empty(), pause) {
                sleep_until(until).await;
                continue;
            }
            match timeout_at(deadline, self.in_flight.next()).await {
                Ok(Some(done)) => self.settle(done),
                Ok(None) => return,
                Err(_) => break,
            }
            if self.outlet.is_given_up() {
                self.lane.abandon(DropReason::ExportFailed);
                for part in self.parts.drain(..) {
                    self.lane.settle(part.items, 0, DropReason::ExportFailed);
                }
                if self.in_flight.is_empty() {
                    return;
                }
            }
        }
        self.lane.settle(self.lane.in_flight(), 0, DropReason::ShutdownDeadline);
        self.lane.abandon(DropReason::ShutdownDeadline);
    }
}

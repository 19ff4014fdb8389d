//! The way of metrics to one receiver: a reading at every interval, at a flush and at the end.
//!
//! A cumulative reading that is not taken loses nothing but its moment; the next one says the same and more. A reading
//! of differences is all there is of its interval, so one that is not taken is kept, as the bytes it is sent as, and
//! sent before anything else is read: what is recorded meanwhile adds up in its reader, so nothing is lost however
//! long the receiver is away, and one reading is all that is kept. Only what the receiver will never take is given up.
//! A receiver that took a reading and whose answer was lost gets it twice: OTLP has no way to tell it that it was there
//! before but the times of its points, which are the same. Whoever cannot have that pushes cumulative readings. A reading
//! that is too large for one request goes out in parts, and of those only what was not taken is sent again.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, sleep_until};

use super::account::Account;
use super::control::ControlReceiver;
use super::encode_metrics;
use super::frame::Frame;
use super::outlet::{Outlet, Sent};
use super::split;
use crate::base::config::{MetricSettings, limited};
use crate::base::ledger::DropReason;
use crate::core::prometheus::render_reading;
use crate::core::readings::{PushSource, data_points};

pub(crate) struct ReadingsLoop {
    source: PushSource,
    account: Arc<Account>,
    outlet: Outlet,
    control: ControlReceiver,
    interval: Duration,
    export_timeout: Duration,
    /// Differences that are not taken yet.
    kept: Option<Push>,
}

/// A reading as it is sent: in one request, or in several if it is too large for one.
struct Push {
    /// What is not sent yet.
    parts: VecDeque<Part>,
    /// Why something of it was given up.
    failed: Option<DropReason>,
}

struct Part {
    request: Frame,
    points: u64,
}

impl ReadingsLoop {
    pub(crate) fn new(
        source: PushSource,
        account: Arc<Account>,
        outlet: Outlet,
        control: ControlReceiver,
        settings: &MetricSettings,
    ) -> Self {
        let (interval, export_timeout) = (settings.interval, settings.export_timeout);
        Self { source, account, outlet, control, interval, export_timeout, kept: None }
    }

    /// Runs until the shutdown is ordered or the handle is gone.
    pub(crate) async fn run(mut self) {
        let mut due = Instant::now() + self.interval;
        while !self.control.must_stop() {
            if !self.control.must_flush() {
                tokio::select! {
                    () = sleep_until(due) => {}
                    () = self.control.recv() => {}
                }
            }
            let asked = self.control.take_flushes();
            if !asked.is_empty() || Instant::now() >= due {
                self.push().await;
                due = Instant::now() + self.interval;
            }
        }
        self.outlet.hurry();
        if !self.control.deadline_passed() {
            self.push().await;
        }
        if let Some(push) = self.kept.take() {
            self.account.dropped(DropReason::ShutdownDeadline, 1);
            push.parts.iter().for_each(|part| self.source.counts.failed(part.points));
        }
    }

    async fn push(&mut self) {
        if let Some(kept) = self.kept.take() {
            self.send(kept).await;
        }
        if self.kept.is_none()
            && let Some(push) = self.read()
        {
            self.send(push).await;
        }
    }

    /// Sends what is left of a push, or keeps it.
    async fn send(&mut self, mut push: Push) {
        while let Some(part) = push.parts.pop_front() {
            match self.send_part(&part).await {
                // Refused data points were complained about; the push as such arrived.
                Some(Sent::Accepted { rejected }) => self.source.counts.accepted(part.points, rejected),
                Some(Sent::Failed) if self.source.is_difference => {
                    // What was taken before is not sent again.
                    push.parts.push_front(part);
                    self.kept = Some(push);
                    return;
                }
                Some(Sent::TooLarge) => match split::points(&part.request) {
                    Some(halves) => {
                        for request in halves.into_iter().rev() {
                            let points = request.items as u64;
                            push.parts.push_front(Part { request, points });
                        }
                    }
                    None => self.give_up(&mut push, &part, DropReason::TooLarge),
                },
                Some(Sent::Failed | Sent::Refused) => {
                    self.give_up(&mut push, &part, DropReason::ExportFailed);
                }
                None => self.give_up(&mut push, &part, DropReason::ShutdownDeadline),
            }
        }
        match push.failed {
            None => self.account.exported(1),
            Some(reason) => self.account.dropped(reason, 1),
        }
    }

    /// `None` if the deadline of the shutdown came first.
    async fn send_part(&mut self, part: &Part) -> Option<Sent> {
        let (timer, give_up) =
            (self.source.operations.timer(), Instant::now() + limited(self.export_timeout));
        let counts = Arc::clone(&self.source.counts);
        let items = usize::try_from(part.points).unwrap_or(usize::MAX);
        counts.begun(part.points);
        let sent = self.outlet.send(std::slice::from_ref(&part.request), items, give_up);
        let sent = self.control.until_deadline(sent, || self.outlet.hurry()).await;
        counts.ended(part.points);
        let error = sent.as_ref().map_or(Some(DropReason::ShutdownDeadline.as_str()), Sent::error);
        // What goes out in parts is not sent yet.
        if items == 1 || sent != Some(Sent::TooLarge) {
            self.source.operations.ended(timer.elapsed(), error);
        }
        sent
    }

    fn give_up(&self, push: &mut Push, part: &Part, reason: DropReason) {
        self.source.counts.failed(part.points);
        push.failed.get_or_insert(reason);
    }

    /// What there is to send now; no differences are nothing to send.
    fn read(&self) -> Option<Push> {
        let reading = self.source.read()?;
        let points = data_points(&reading);
        if points == 0 && self.source.is_difference {
            return None;
        }
        let request = match &self.outlet {
            Outlet::Otlp(_) | Outlet::File(_) => {
                encode_metrics::request(&reading, &self.source.exemplars, self.source.times())
            }
            Outlet::Console(_) => render_reading(&reading).into_bytes(),
        };
        let request = Frame::whole(Bytes::from(request));
        Some(Push { parts: [Part { request, points }].into(), failed: None })
    }
}

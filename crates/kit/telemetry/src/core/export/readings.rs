//! The way of metrics to one receiver: a reading at every interval, at a flush and at the end.
//!
//! A cumulative reading that is not taken loses nothing but its moment; the next one says the same and more. A reading
//! of differences is all there is of its interval, so one that is not taken is kept, as the bytes it is sent as, and
//! sent before anything else is read: what is recorded meanwhile adds up in its reader, so nothing is lost however
//! long the receiver is away, and one reading is all that is kept. Only what the receiver will never take is given up.
//! A receiver that took a reading and whose answer was lost gets it twice, as with every signal of OTLP.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, sleep_until};

use super::account::Account;
use super::control::ControlReceiver;
use super::encode_metrics;
use super::frame::Frame;
use super::outlet::{Outlet, Sent};
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

/// A reading as it is sent.
struct Push {
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
            self.drop_push(&push, DropReason::ShutdownDeadline);
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

    async fn send(&mut self, push: Push) {
        let (frames, points) = (vec![push.request.clone()], push.points);
        let (started, give_up) = (Instant::now(), Instant::now() + limited(self.export_timeout));
        let counts = Arc::clone(&self.source.counts);
        counts.begun(points);
        let sent = self.outlet.send(frames, 1, give_up);
        let sent = self.control.until_deadline(sent, || self.outlet.hurry()).await;
        counts.ended(points);
        let error = sent.as_ref().map_or(Some(DropReason::ShutdownDeadline.as_str()), Sent::error);
        self.source.operations.ended(started.elapsed(), error);
        match sent {
            // Refused data points were complained about; the push as such arrived.
            Some(Sent::Accepted { rejected }) => {
                self.account.exported(1);
                counts.accepted(points, rejected);
            }
            Some(Sent::Failed) if self.source.is_difference => self.kept = Some(push),
            Some(Sent::Failed | Sent::Refused) => self.drop_push(&push, DropReason::ExportFailed),
            None => self.drop_push(&push, DropReason::ShutdownDeadline),
        }
    }

    /// What there is to send now; no differences are nothing to send.
    fn read(&self) -> Option<Push> {
        let reading = self.source.read()?;
        let points = data_points(&reading);
        if points == 0 && self.source.is_difference {
            return None;
        }
        let request = match &self.outlet {
            Outlet::Otlp(_) => encode_metrics::request(&reading),
            Outlet::Console(_) => render_reading(&reading).into_bytes(),
        };
        Some(Push { request: Frame::whole(Bytes::from(request)), points })
    }

    fn drop_push(&self, push: &Push, reason: DropReason) {
        self.account.dropped(reason, 1);
        self.source.counts.failed(push.points);
    }
}

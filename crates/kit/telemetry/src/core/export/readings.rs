//! The way of metrics to one receiver: a reading at every interval, at a flush and at the end.
//!
//! Readings are cumulative, so a push that fails loses nothing but its moment.

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
use crate::core::readings::MetricSource;

pub(crate) struct ReadingsLoop {
    pub(crate) source: MetricSource,
    pub(crate) account: Arc<Account>,
    pub(crate) outlet: Outlet,
    pub(crate) control: ControlReceiver,
    pub(crate) interval: Duration,
    pub(crate) export_timeout: Duration,
}

impl ReadingsLoop {
    pub(crate) fn new(
        source: MetricSource,
        account: Arc<Account>,
        outlet: Outlet,
        control: ControlReceiver,
        settings: &MetricSettings,
    ) -> Self {
        let (interval, export_timeout) = (settings.interval, settings.export_timeout);
        Self { source, account, outlet, control, interval, export_timeout }
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
    }

    async fn push(&mut self) {
        let Some(reading) = self.source.read() else { return };
        let give_up = Instant::now() + limited(self.export_timeout);
        let request = match &self.outlet {
            Outlet::Otlp(_) => encode_metrics::request(&reading),
            Outlet::Console(_) => render_reading(&reading).into_bytes(),
        };
        let request = Frame::whole(Bytes::from(request));
        let sent = self.outlet.send(vec![request], 1, give_up);
        match self.control.until_deadline(sent, || self.outlet.hurry()).await {
            // Refused data points were complained about; the push as such arrived.
            Some(Sent::Accepted { .. }) => self.account.exported(1),
            Some(Sent::Failed) => self.account.dropped(DropReason::ExportFailed, 1),
            None => self.account.dropped(DropReason::ShutdownDeadline, 1),
        }
    }
}

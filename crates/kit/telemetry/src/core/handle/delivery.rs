//! What becomes of what a handle records: counted, kept in memory for tests, sent, and at the end stopped.

use std::time::Duration;

use super::Telemetry;
use crate::base::config::SamplerKind;
use crate::base::finished::{FinishedLog, FinishedSpan};
use crate::base::ledger::{FlushReport, Ledger, ShutdownReport};

impl Telemetry {
    /// What became of the spans.
    ///
    /// ```
    /// use waypost_telemetry::testing::TestTelemetry;
    ///
    /// let telemetry = TestTelemetry::new("order-service");
    /// telemetry.span("done").in_scope(|| ());
    /// let open = telemetry.span("open").start();
    ///
    /// let ledger = telemetry.ledger();
    /// assert_eq!((ledger.started, ledger.ended, ledger.open()), (2, 1, 1));
    /// assert_eq!((ledger.exported(), ledger.dropped()), (1, 0));
    /// assert!(ledger.is_balanced());
    /// # drop(open);
    /// ```
    pub fn ledger(&self) -> Ledger {
        self.shared.exports.traces()
    }

    /// Finished spans, oldest first; empty unless [`crate::config::Exporter::Memory`] is set for traces.
    pub fn finished_spans(&self) -> Vec<FinishedSpan> {
        self.shared.exports.finished_spans()
    }

    /// Log records, oldest first; empty unless [`crate::config::Exporter::Memory`] is set for logs.
    pub fn finished_logs(&self) -> Vec<FinishedLog> {
        self.shared.exports.finished_logs()
    }

    /// Sends what waits now. Gives up waiting at the deadline; nothing is dropped by that.
    ///
    /// Never blocks the caller's runtime. Dropping the future stops the waiting, not the sending.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// use std::time::Duration;
    ///
    /// let telemetry = waypost_telemetry::testing::TestTelemetry::new("order-service");
    /// telemetry.span("show").in_scope(|| ());
    /// assert!(telemetry.flush(Duration::from_secs(5)).await.complete);
    /// # });
    /// ```
    pub async fn flush(&self, deadline: Duration) -> FlushReport {
        let telemetry = self.clone();
        on_own_thread(move || telemetry.flush_blocking(deadline)).await.unwrap_or_default()
    }

    /// As [`Self::flush`], for code without a runtime. Blocks the thread up to the deadline.
    pub fn flush_blocking(&self, deadline: Duration) -> FlushReport {
        #[cfg(feature = "sdk")]
        let begun = std::time::Instant::now();
        let report = self.shared.exports.flush(deadline);
        #[cfg(feature = "sdk")]
        let report = {
            let left = deadline.saturating_sub(begun.elapsed());
            FlushReport { complete: report.complete & self.shared.globals.flush_foreign(left), ..report }
        };
        report
    }

    /// Sends what waits, stops the exporters and says what was sent and what was dropped, and why. Spans that end
    /// later are counted as dropped; only the memory exporter still keeps them. A second call reports again.
    ///
    /// Never blocks the caller's runtime and returns at the deadline at the latest.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// use std::time::Duration;
    /// use waypost_telemetry::testing::TestTelemetry;
    ///
    /// let telemetry = TestTelemetry::new("order-service");
    /// telemetry.span("work").in_scope(|| ());
    /// let report = telemetry.shutdown(Duration::from_secs(5)).await;
    /// assert!(report.complete);
    /// assert_eq!(report.to_string(), "spans: 1 sent");
    /// # });
    /// ```
    pub async fn shutdown(&self, deadline: Duration) -> ShutdownReport {
        let telemetry = self.clone();
        on_own_thread(move || telemetry.shutdown_blocking(deadline)).await.unwrap_or_default()
    }

    /// As [`Self::shutdown`], for code without a runtime. Blocks the thread up to the deadline.
    pub fn shutdown_blocking(&self, deadline: Duration) -> ShutdownReport {
        let report = self.shared.exports.shutdown(deadline);
        #[cfg(feature = "sdk")]
        let report = {
            let left = deadline.saturating_sub(report.elapsed);
            ShutdownReport {
                complete: report.complete & self.shared.globals.shutdown_foreign(left),
                ..report
            }
        };
        report
    }

    /// Forgets finished spans and log records in memory, for tests that look at one step after another.
    pub(crate) fn forget_finished(&self) {
        self.shared.exports.forget_finished();
    }

    /// Ends the memory exporter: what it holds is forgotten, and nothing is kept from now on. For programs that looked
    /// at their first spans and go on without looking. Without a memory exporter it does nothing.
    ///
    /// ```
    /// let telemetry = waypost_telemetry::testing::TestTelemetry::new("order-service");
    /// telemetry.span("first").in_scope(|| ());
    /// telemetry.stop_remembering();
    /// telemetry.span("second").in_scope(|| ());
    /// assert!(telemetry.finished_spans().is_empty());
    /// ```
    pub fn stop_remembering(&self) {
        self.shared.exports.stop_remembering();
    }

    /// Has the traces that begin from now on recorded as this sampler says, without a restart; traces under way stay as they were
    /// decided. `ratio` is that of the kinds that have one. `false` when nothing changed: the handle is disabled, or the
    /// program brought a sampler of its own.
    ///
    /// ```
    /// use waypost_telemetry::config::SamplerKind;
    /// use waypost_telemetry::testing::TestTelemetry;
    ///
    /// let telemetry = TestTelemetry::new("order-service");
    /// assert!(telemetry.handle().change_sampling(SamplerKind::ParentBasedAlwaysOff, 1.0));
    /// telemetry.span("left-out").in_scope(|| ());
    /// assert!(telemetry.handle().change_sampling(SamplerKind::ParentBasedAlwaysOn, 1.0));
    /// telemetry.span("recorded").in_scope(|| ());
    /// assert_eq!(telemetry.only_span("recorded").name(), telemetry.finished_spans()[0].name());
    /// ```
    pub fn change_sampling(&self, kind: SamplerKind, ratio: f64) -> bool {
        self.shared.globals.tracers().is_some_and(|tracers| tracers.change_sampling(kind, ratio))
    }
}

/// Runs blocking work on a thread of its own, so that neither a runtime's workers nor its pool can hold it up.
/// `None` if no thread could be started.
async fn on_own_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    std::thread::Builder::new()
        .name("waypost-flush".to_owned())
        .spawn(move || {
            // Nobody waits any more if this fails.
            let _ = sender.send(work());
        })
        .ok()?;
    receiver.await.ok()
}

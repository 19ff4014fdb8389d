//! Waiting until spans are there, instead of sleeping and hoping.

use std::fmt;
use std::time::Duration;

use futures_util::future::{pending, select_all};
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use super::SpanTree;
use crate::base::finished::FinishedSpan;
use crate::core::handle::Telemetry;

/// What was waited for did not come; shows what did.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// use std::time::Duration;
/// use waypost_telemetry::testing::{TestTelemetry, wait_for};
///
/// let telemetry = TestTelemetry::new("order-service");
/// let waited = wait_for(&[&telemetry], Duration::from_millis(1), |spans| !spans.is_empty()).await;
/// assert!(waited.unwrap_err().to_string().contains("did not come"));
/// # });
/// ```
#[derive(Debug)]
pub struct TimedOut {
    waited: Duration,
    spans: Vec<FinishedSpan>,
}

impl fmt::Display for TimedOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the expected spans did not come within {:?}; these did:", self.waited)?;
        for tree in SpanTree::all(&self.spans) {
            write!(f, "\n{}", tree.render())?;
        }
        Ok(())
    }
}

impl std::error::Error for TimedOut {}

/// Waits until the finished spans of all handles together satisfy `is_enough`; gives them.
///
/// The handles need [`crate::config::Exporter::Memory`] for traces.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// use std::time::Duration;
/// use waypost_telemetry::testing::{TestTelemetry, wait_for};
///
/// let telemetry = TestTelemetry::new("order-service");
/// telemetry.span("place-order").in_scope(|| ());
/// let spans = wait_for(&[&telemetry], Duration::from_secs(5), |spans| spans.len() == 1).await?;
/// assert_eq!(spans[0].name(), "place-order");
/// # Ok::<(), waypost_telemetry::testing::TimedOut>(())
/// # }).unwrap();
/// ```
pub async fn wait_for(
    handles: &[&Telemetry],
    time_out: Duration,
    is_enough: impl Fn(&[FinishedSpan]) -> bool,
) -> Result<Vec<FinishedSpan>, TimedOut> {
    let deadline = Instant::now() + time_out;
    let mut changes: Vec<_> = handles.iter().filter_map(|handle| handle.exports().span_changes()).collect();
    loop {
        let spans: Vec<_> = handles.iter().flat_map(|handle| handle.finished_spans()).collect();
        if is_enough(&spans) {
            return Ok(spans);
        }
        if timeout_at(deadline, any_change(&mut changes)).await.is_err() {
            return Err(TimedOut { waited: time_out, spans });
        }
    }
}

/// Waits until a trace hangs together: one top, and every other span's parent is there. Gives its tree.
///
/// Work that goes on after the root has ended, such as a consumer's, may still be missing: wait for the expected
/// tree with [`wait_for_tree`] then.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// use std::time::Duration;
/// use waypost_telemetry::testing::{TestTelemetry, wait_for_trace};
///
/// let telemetry = TestTelemetry::new("order-service");
/// let trace = telemetry.span("place").in_scope(waypost_telemetry::trace_id).unwrap();
/// let tree = wait_for_trace(&[&telemetry], &trace, Duration::from_secs(5)).await.unwrap();
/// assert_eq!(tree.len(), 1);
/// # });
/// ```
pub async fn wait_for_trace(
    handles: &[&Telemetry],
    trace_id: &str,
    time_out: Duration,
) -> Result<SpanTree, TimedOut> {
    let spans = wait_for(handles, time_out, |spans| SpanTree::of(spans, trace_id).is_connected());
    Ok(SpanTree::of(&spans.await?, trace_id))
}

/// Waits until a trace matches the expected tree.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// use std::time::Duration;
/// use waypost_telemetry::testing::{TestTelemetry, wait_for_tree};
///
/// let telemetry = TestTelemetry::new("order-service");
/// let trace = telemetry.span("place").in_scope(waypost_telemetry::trace_id).unwrap();
/// wait_for_tree(&[&telemetry], &trace, "place INTERNAL order-service", Duration::from_secs(5)).await;
/// # });
/// ```
///
/// # Panics
///
/// With the difference, if that does not happen in time. If `expected` is not a tree.
pub async fn wait_for_tree(handles: &[&Telemetry], trace_id: &str, expected: &str, time_out: Duration) {
    let waited =
        wait_for(handles, time_out, |spans| SpanTree::of(spans, trace_id).difference(expected).is_none());
    if let Err(timed_out) = waited.await {
        SpanTree::of(&timed_out.spans, trace_id).assert_matches(expected);
    }
}

async fn any_change(changes: &mut [watch::Receiver<u64>]) {
    if changes.is_empty() {
        return pending().await;
    }
    // A sender that is gone belongs to a handle that is gone; the deadline still holds.
    let waits = changes.iter_mut().map(|change| {
        Box::pin(async move {
            if change.changed().await.is_err() {
                pending::<()>().await;
            }
        })
    });
    select_all(waits).await;
}

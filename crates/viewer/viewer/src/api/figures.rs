//! Calls, errors and latencies as they are written, and the window that they are asked for.

use super::parameters::Parameters;
use crate::problem::Problem;
use serde::Serialize;
use std::ops::Range;
use waypost_trace_model::TraceId;
use waypost_trace_statistics::{Examples, Red};

/// The window when none is given: the last hour, in nanoseconds.
const DEFAULT_WINDOW: u64 = 3600 * 1_000_000_000;

/// A figure of the service page or the map.
#[derive(Serialize)]
pub(super) struct Figure {
    calls: u64,
    errors: u64,
    /// Calls a second.
    rate: f64,
    p50: u64,
    p95: u64,
    p99: u64,
    examples: ExampleIds,
}

/// Traces to look at.
#[derive(Serialize)]
pub(super) struct ExampleIds {
    recent: Option<TraceId>,
    slowest: Option<TraceId>,
    failed: Option<TraceId>,
}

impl From<Examples> for ExampleIds {
    fn from(Examples { recent, slowest, failed }: Examples) -> ExampleIds {
        ExampleIds { recent, slowest, failed }
    }
}

impl Figure {
    /// `window` is the one that `red` was asked for.
    pub(super) fn new(red: &Red, window: &Range<u64>) -> Figure {
        #[expect(clippy::cast_precision_loss, reason = "a rate is read with a few digits")]
        let (calls, seconds) = (red.calls as f64, window.end.saturating_sub(window.start) as f64 / 1e9);
        Figure {
            calls: red.calls,
            errors: red.errors,
            rate: if seconds > 0.0 { calls / seconds } else { 0.0 },
            p50: red.p50,
            p95: red.p95,
            p99: red.p99,
            examples: red.examples.into(),
        }
    }
}

/// Takes `from` and `to`.
pub(super) fn window(parameters: &mut Parameters) -> Result<Range<u64>, Problem> {
    let (from, to) = parameters.times()?;
    let to = to.unwrap_or_else(|| parameters.now());
    let from = from.unwrap_or_else(|| to.saturating_sub(DEFAULT_WINDOW));
    if from > to {
        return Err(Problem::parameter("from", "is later than `to`, which is now unless it is given"));
    }
    Ok(from..to)
}

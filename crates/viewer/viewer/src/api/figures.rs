//! Calls, errors and latencies as they are written, and the window that they are asked for.

use super::parameters::Parameters;
use crate::problem::Problem;
use serde::Serialize;
use std::ops::Range;
use waypost_trace_model::{TraceId, nanoseconds::SECOND};
use waypost_trace_statistics::{Examples, Red, Statistics};

/// The window when none is given: the last hour, in nanoseconds.
const DEFAULT_WINDOW: u64 = 3600 * 1_000_000_000;

/// A figure of the service page or the map.
#[derive(Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub(super) struct Figure {
    calls: u64,
    errors: u64,
    /// Calls a second, of the time since the first span came if that is within the window.
    rate: f64,
    p50: u64,
    p95: u64,
    p99: u64,
    examples: ExampleIds,
}

/// Traces to look at.
#[derive(Serialize)]
#[cfg_attr(test, derive(ts_rs::TS), ts(rename = "Examples"))]
pub(super) struct ExampleIds {
    #[cfg_attr(test, ts(type = "TraceId | null"))]
    recent: Option<TraceId>,
    #[cfg_attr(test, ts(type = "TraceId | null"))]
    slowest: Option<TraceId>,
    #[cfg_attr(test, ts(type = "TraceId | null"))]
    failed: Option<TraceId>,
}

impl From<Examples> for ExampleIds {
    fn from(Examples { recent, slowest, failed }: Examples) -> ExampleIds {
        ExampleIds { recent, slowest, failed }
    }
}

impl Figure {
    pub(super) fn new(red: &Red, measured: Measured) -> Figure {
        #[expect(clippy::cast_precision_loss, reason = "a rate is read with a few digits")]
        let (calls, seconds) = (red.calls as f64, measured.0 as f64 / 1e9);
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

/// How much of a window there can be calls in, in nanoseconds: what rates are divided by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Measured(u64);

impl Measured {
    /// A window as far as spans were received at all: from the first arrival on, and not beyond `now`.
    pub(super) fn of(window: &Range<u64>, statistics: &Statistics, now: u64) -> Measured {
        let start = window.start.max(statistics.first_arrival().unwrap_or(0));
        let measured = window.end.min(now).saturating_sub(start);
        // What has come in within the first second is no rate yet.
        Measured(measured.max(SECOND.min(window.end.saturating_sub(window.start))))
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use waypost_trace_model::{Batch, Kind, Resource, Scope, Span, SpanId, Status, Text};

    const NOW: u64 = 1_790_000_000 * SECOND;

    fn statistics() -> Statistics {
        let span = Span {
            trace_id: TraceId::from_bytes(&[1; 16]).unwrap(),
            span_id: SpanId::from_bytes(&[1; 8]).unwrap(),
            parent_span_id: None,
            trace_state: Text::new(),
            flags: 0,
            name: "get".into(),
            kind: Kind::Server,
            start: 1,
            end: 2,
            status: Status::default(),
            attributes: Vec::new(),
            dropped_attributes: 0,
            events: Vec::new(),
            dropped_events: 0,
            links: Vec::new(),
            dropped_links: 0,
            resource: Arc::new(Resource::new(Vec::new(), 0, Text::new())),
            scope: Arc::new(Scope::default()),
        };
        let statistics = Statistics::default();
        statistics.observe(&Batch { spans: vec![span], ..Batch::default() }, NOW);
        statistics
    }

    #[test]
    fn rates_are_divided_by_the_time_in_which_there_were_spans() {
        let statistics = statistics();
        let measured = |from: u64, to: u64, now: u64| Measured::of(&(from..to), &statistics, now).0 / SECOND;
        let later = NOW + 600 * SECOND;
        assert_eq!(measured(later - 3600 * SECOND, later, later), 600, "up for ten minutes");
        assert_eq!(measured(later - 60 * SECOND, later, later), 60, "the window is shorter");
        assert_eq!(
            measured(later - 60 * SECOND, later + 3600 * SECOND, later),
            60,
            "the future brings nothing"
        );
        assert_eq!(measured(NOW - 60 * SECOND, NOW, NOW), 1, "the first moment");
        assert_eq!(measured(NOW, NOW, NOW), 0, "a window of nothing");
    }
}

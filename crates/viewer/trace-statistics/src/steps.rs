//! Figures over time in equal steps: what a chart draws.

use crate::{
    Examples, Peer, Red, Statistics,
    series::{Bucket, Call, DAY, HOUR, MINUTE, Series, TEN_MINUTES},
    sketch,
    state::State,
};
use std::ops::Range;
use waypost_trace_model::{Kind, Text, TraceId};

/// The most steps of one answer.
pub const MAX_STEPS: u64 = 1_500;

/// Widths of the buckets that are kept, and up to which age.
const KEPT: [(u64, u64); 4] = [(HOUR, MINUTE), (6 * HOUR, TEN_MINUTES), (DAY, HOUR), (u64::MAX, DAY)];

/// What a series is of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// A service, as [`ServiceFigures`](crate::ServiceFigures) measures it.
    Service(Text),
    /// Spans of a service by name, or of every name, and by kind, or of every kind when there is none.
    Operations {
        /// The service.
        service: Text,
        /// The spans' name.
        name: Option<Text>,
        /// The spans' kinds.
        kinds: Vec<Kind>,
    },
    /// Calls from one point of the map to another.
    Edge {
        /// Who calls.
        from: Peer,
        /// Who is called.
        to: Peer,
    },
}

/// Equal steps of time that touch each other. Each begins at a multiple of its width since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Steps {
    start: u64,
    width: u64,
    count: u64,
    /// Where the window ends, in the last step.
    until: u64,
}

/// Why there are no such steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StepsError {
    /// What is kept of the window is coarser.
    #[error("must be a whole multiple of {}: what is kept of so early a time is no finer", in_words(*.finest))]
    Width {
        /// The narrowest width, in nanoseconds, of which every step of this window is a multiple.
        finest: u64,
    },
    /// More than [`MAX_STEPS`].
    #[error("makes {0} steps of this time, of at most {MAX_STEPS}")]
    TooMany(u64),
}

/// What happened in one step.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// When it begins, in nanoseconds since 1970. It ends where the next begins.
    pub start: u64,
    pub(crate) sum: Bucket,
}

/// Calls whose latency lies between two bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LatencyCount {
    /// Number of the range: its lower bound is [`latency_bound`] of it, its upper bound that of the next.
    pub range: u16,
    /// Calls.
    pub calls: u64,
    /// Of these, failed.
    pub errors: u64,
}

/// The lower bound of a range of latencies, in nanoseconds. There are four ranges to every power of two.
pub fn latency_bound(range: u16) -> u64 {
    sketch::low(range.saturating_mul(sketch::RANGE))
}

impl Steps {
    /// The narrowest width that the figures of a window have whose beginning is this old, in nanoseconds.
    pub fn finest(age: u64) -> u64 {
        kept(age).1
    }

    /// The steps that a window touches; as narrow as what is kept of it when no width is given. A first step that would
    /// reach back to where what is kept is too coarse for it is left out.
    ///
    /// # Errors
    /// The width is 0, finer than what is kept, or makes too many steps.
    pub fn new(window: &Range<u64>, width: Option<u64>, now: u64) -> Result<Steps, StepsError> {
        let (oldest, finest) = kept(now.saturating_sub(window.start));
        let width = width.unwrap_or(finest);
        if width == 0 || !width.is_multiple_of(finest) {
            return Err(StepsError::Width { finest });
        }
        let mut start = window.start / width * width;
        let age = now.saturating_sub(start);
        if age > oldest.saturating_add(finest) && !width.is_multiple_of(kept(age).1) {
            start = start.saturating_add(width);
            if start >= window.end {
                return Err(StepsError::Width { finest: kept(now.saturating_sub(start - width)).1 });
            }
        }
        let count = window.end.saturating_sub(start).div_ceil(width).max(1);
        if count > MAX_STEPS {
            return Err(StepsError::TooMany(count));
        }
        Ok(Steps { start, width, count, until: window.end })
    }

    /// The width of a step in nanoseconds.
    pub fn width(&self) -> u64 {
        self.width
    }

    /// From the beginning of the first to the end of the last.
    pub fn window(&self) -> Range<u64> {
        self.start..self.start.saturating_add(self.width.saturating_mul(self.count))
    }
}

impl Step {
    /// A step in which nothing happened yet: for figures of spans that are looked through, in whatever order.
    pub fn empty(start: u64) -> Step {
        Step { start, sum: Bucket::default() }
    }

    /// Counts a call; the examples are those of the latest time.
    pub fn record(&mut self, time: u64, trace: TraceId, duration: u64, is_error: bool) {
        self.sum.record_at(time, &Call { trace, duration, is_error });
    }

    /// Its figures; latencies are 0 without calls.
    pub fn red(&self) -> Red {
        self.sum.red()
    }

    /// Calls.
    pub fn calls(&self) -> u64 {
        self.sum.calls
    }

    /// Calls that failed.
    pub fn errors(&self) -> u64 {
        self.sum.errors
    }

    /// Traces to look at.
    pub fn examples(&self) -> Examples {
        self.sum.examples
    }

    /// The latency in nanoseconds that this part of the calls (0 to 1) did not exceed, within 2 %; `None` without calls.
    pub fn quantile(&self, part: f64) -> Option<u64> {
        self.sum.sketch.quantile(part)
    }

    /// Calls that took at most this long (in nanoseconds, told from it within 2 %), failed or not.
    pub fn within(&self, limit: u64) -> u64 {
        self.sum.sketch.up_to(limit)
    }

    /// Calls that did not fail and, when there is a limit (in nanoseconds), took at most this long.
    pub fn good(&self, limit: Option<u64>) -> u64 {
        match limit {
            None => self.sum.calls.saturating_sub(self.sum.errors),
            Some(limit) => self.sum.sketch.up_to(limit).saturating_sub(self.sum.failed.up_to(limit)),
        }
    }

    /// How satisfied callers were, from 0 to 1 (Apdex 1.1): calls of at most the target (in nanoseconds) count whole,
    /// those of at most four times that count half, slower ones and those that failed not at all. A latency is told
    /// from the target within 2 %. `None` without calls.
    pub fn apdex(&self, target: u64) -> Option<f64> {
        let within = |limit| self.sum.sketch.up_to(limit).saturating_sub(self.sum.failed.up_to(limit));
        let (satisfied, tolerating) = (within(target), within(target.saturating_mul(4)));
        #[expect(clippy::cast_precision_loss, reason = "a score is read with two digits")]
        let score = (satisfied + tolerating) as f64 / (2 * self.sum.calls) as f64;
        (self.sum.calls > 0).then_some(score)
    }

    /// How often each range of latencies occurred, the shortest first.
    pub fn latencies(&self) -> Vec<LatencyCount> {
        let mut counts: Vec<LatencyCount> = Vec::new();
        for bin in self.sum.sketch.bins() {
            let (range, calls) = (bin.step / sketch::RANGE, u64::from(bin.count));
            match counts.last_mut() {
                Some(last) if last.range == range => last.calls += calls,
                _ => counts.push(LatencyCount { range, calls, errors: 0 }),
            }
        }
        for bin in self.sum.failed.bins() {
            let place = counts.binary_search_by_key(&(bin.step / sketch::RANGE), |count| count.range);
            if let Some(count) = place.ok().and_then(|place| counts.get_mut(place)) {
                count.errors += u64::from(bin.count);
            }
        }
        counts
    }

    /// This step and others as one.
    pub fn merged<'a>(steps: impl IntoIterator<Item = &'a Step>) -> Option<Step> {
        let mut steps = steps.into_iter();
        let mut all = steps.next()?.clone();
        steps.filter(|step| step.sum.calls > 0).for_each(|step| all.sum.merge(&step.sum));
        Some(all)
    }
}

impl Statistics {
    /// The figures of a subject in each step; `None` when nothing of it ever came.
    ///
    /// Counted by time of arrival, as everything here. A call to a host that sends no spans counts a minute after it came.
    pub fn series(&self, subject: &Subject, steps: &Steps) -> Option<Vec<Step>> {
        self.lock().series(subject, steps)
    }
}

impl State {
    fn series(&self, subject: &Subject, steps: &Steps) -> Option<Vec<Step>> {
        let count = usize::try_from(steps.count).unwrap_or(usize::MAX);
        let mut sums = vec![Bucket::default(); count];
        let mut is_known = false;
        let mut add = |series: &Series| {
            is_known = true;
            series.add_to(&mut sums, steps.start, steps.width);
        };
        self.each_series(subject, &(steps.start..steps.until), &mut add);
        let starts = (0..).map(|place: u64| steps.start.saturating_add(steps.width.saturating_mul(place)));
        is_known.then(|| starts.zip(sums).map(|(start, sum)| Step { start, sum }).collect())
    }

    /// Hands on every series that a subject's figures are made of.
    pub(crate) fn each_series(&self, subject: &Subject, window: &Range<u64>, add: &mut dyn FnMut(&Series)) {
        match subject {
            Subject::Service(service) => self.service_series(service).into_iter().for_each(add),
            Subject::Operations { service, name, kinds } => self
                .operations_of(service)
                .filter(|operation| name.as_ref().is_none_or(|name| *name == operation.name))
                .filter(|operation| kinds.is_empty() || kinds.contains(&operation.kind))
                .for_each(|operation| add(&operation.series)),
            Subject::Edge { from, to } => {
                self.graph.of_edge(from, to, window).iter().for_each(|series| add(series));
            }
        }
    }
}

/// Up to which age figures are kept as finely as those of this age are, and how finely.
fn kept(age: u64) -> (u64, u64) {
    KEPT.iter().copied().find(|(oldest, _)| age <= *oldest).unwrap_or((u64::MAX, DAY))
}

fn in_words(width: u64) -> String {
    match width {
        MINUTE => "1m".to_owned(),
        TEN_MINUTES => "10m".to_owned(),
        HOUR => "1h".to_owned(),
        _ => "24h".to_owned(),
    }
}

//! Calls, errors and latencies of one thing over time: minutes for an hour, then hours for a day, then days for a week.
//!
//! Invariant: at most [`MINUTES`] + [`HOURS`] + [`DAYS`] buckets, whatever the clock does. A bucket knows from when to when
//! it has counted, so a window never includes a coarse bucket that ended before it.

use crate::{Examples, Red, sketch::Sketch};
use std::{collections::VecDeque, ops::Range};
use waypost_trace_model::TraceId;

pub(crate) const MINUTE: u64 = 60_000_000_000;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
/// One more than the hour has: a window of an hour touches both ends.
const MINUTES: usize = 62;
const HOURS: usize = 25;
const DAYS: usize = 8;

/// One call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) trace: TraceId,
    pub(crate) duration: u64,
    pub(crate) is_error: bool,
}

/// What happened between two moments.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Bucket {
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) calls: u64,
    pub(crate) errors: u64,
    pub(crate) sketch: Sketch,
    pub(crate) examples: Examples,
    /// Of the slowest example.
    pub(crate) slowest: u64,
}

/// Buckets of one thing. Each list is in the order of time.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Series {
    minutes: VecDeque<Bucket>,
    hours: VecDeque<Bucket>,
    days: VecDeque<Bucket>,
}

impl Bucket {
    fn record(&mut self, call: &Call) {
        self.calls += 1;
        self.sketch.record(call.duration);
        self.examples.recent = Some(call.trace);
        if call.is_error {
            self.errors += 1;
            self.examples.failed = Some(call.trace);
        }
        if self.examples.slowest.is_none() || call.duration > self.slowest {
            self.examples.slowest = Some(call.trace);
            self.slowest = call.duration;
        }
    }

    /// Adds what happened later than everything here.
    pub(crate) fn merge(&mut self, later: &Bucket) {
        if self.calls == 0 {
            (self.start, self.end) = (later.start, later.end);
        } else {
            self.start = self.start.min(later.start);
            self.end = self.end.max(later.end);
        }
        self.calls += later.calls;
        self.errors += later.errors;
        self.sketch.merge(&later.sketch);
        self.examples.recent = later.examples.recent.or(self.examples.recent);
        self.examples.failed = later.examples.failed.or(self.examples.failed);
        if self.examples.slowest.is_none() || later.slowest > self.slowest {
            self.examples.slowest = later.examples.slowest;
            self.slowest = later.slowest;
        }
    }

    fn touches(&self, window: &Range<u64>) -> bool {
        self.start < window.end && self.end > window.start
    }

    /// As the world sees it.
    pub(crate) fn red(&self) -> Red {
        let [p50, p95, p99] = self.sketch.percentiles([50, 95, 99]);
        Red { calls: self.calls, errors: self.errors, p50, p95, p99, examples: self.examples }
    }
}

impl Series {
    /// Counts a call that arrived at `now`.
    pub(crate) fn record(&mut self, now: u64, call: &Call) {
        bucket_at(&mut self.minutes, now, MINUTE).record(call);
        if self.minutes.len() > MINUTES {
            self.roll(now);
        }
    }

    /// Puts an older bucket back, as it was read from a checkpoint.
    pub(crate) fn insert(&mut self, level: Level, bucket: &Bucket) {
        let (list, width) = match level {
            Level::Minutes => (&mut self.minutes, MINUTE),
            Level::Hours => (&mut self.hours, HOUR),
            Level::Days => (&mut self.days, DAY),
        };
        bucket_at(list, bucket.start, width).merge(bucket);
        self.roll(0);
    }

    /// Makes coarse what is old, and forgets what is too old.
    pub(crate) fn roll(&mut self, now: u64) {
        roll_up(&mut self.minutes, &mut self.hours, now.saturating_sub(HOUR + MINUTE), MINUTES, HOUR);
        roll_up(&mut self.hours, &mut self.days, now.saturating_sub(DAY + HOUR), HOURS, DAY);
        let oldest = now.saturating_sub(7 * DAY);
        while self.days.front().is_some_and(|day| day.end <= oldest) || self.days.len() > DAYS {
            self.days.pop_front();
        }
    }

    /// Everything of the buckets that the window touches, added up.
    pub(crate) fn sum(&self, window: &Range<u64>) -> Bucket {
        let mut sum = Bucket::default();
        let touched = self.buckets().map(|(_, bucket)| bucket).filter(|bucket| bucket.touches(window));
        touched.for_each(|bucket| sum.merge(bucket));
        sum
    }

    /// All buckets, the oldest first.
    pub(crate) fn buckets(&self) -> impl Iterator<Item = (Level, &Bucket)> {
        let days = self.days.iter().map(|bucket| (Level::Days, bucket));
        let hours = self.hours.iter().map(|bucket| (Level::Hours, bucket));
        let minutes = self.minutes.iter().map(|bucket| (Level::Minutes, bucket));
        days.chain(hours).chain(minutes)
    }
}

/// How coarse a bucket is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    Minutes,
    Hours,
    Days,
}

/// The bucket of this moment: nearly always the last one, except after the clock was set back.
fn bucket_at(list: &mut VecDeque<Bucket>, moment: u64, width: u64) -> &mut Bucket {
    let slot = moment / width;
    let at = list.iter().rposition(|bucket| bucket.start / width <= slot);
    let at = match at {
        Some(at) if list.get(at).is_some_and(|bucket| bucket.start / width == slot) => at,
        other => {
            let at = other.map_or(0, |at| at + 1);
            let start = slot * width;
            list.insert(at, Bucket { start, end: start.saturating_add(width), ..Bucket::default() });
            at
        }
    };
    &mut list[at]
}

fn roll_up(fine: &mut VecDeque<Bucket>, coarse: &mut VecDeque<Bucket>, oldest: u64, max: usize, width: u64) {
    while fine.front().is_some_and(|bucket| bucket.end <= oldest) || fine.len() > max {
        let Some(bucket) = fine.pop_front() else { return };
        bucket_at(coarse, bucket.start, width).merge(&bucket);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(duration: u64, trace: u8) -> Call {
        Call {
            trace: TraceId::from_bytes(&[trace; 16]).unwrap(),
            duration,
            is_error: trace.is_multiple_of(2),
        }
    }

    #[test]
    fn nothing_is_counted_twice_or_lost_while_it_becomes_coarse() {
        let mut series = Series::default();
        let begin = 1_000 * DAY;
        for minute in 0..6 * 24 * 60 {
            series.record(begin + minute * MINUTE, &call(minute, 1));
        }
        series.roll(begin + 6 * DAY);
        assert_eq!(series.sum(&(0..u64::MAX)).calls, 6 * 24 * 60);
        assert!(series.minutes.len() <= MINUTES && series.hours.len() <= HOURS && series.days.len() <= DAYS);
        let last_hour = series.sum(&(begin + 6 * DAY - HOUR..begin + 6 * DAY));
        assert_eq!(last_hour.calls, 60);
    }

    #[test]
    fn what_is_older_than_a_week_is_forgotten() {
        let mut series = Series::default();
        series.record(0, &call(1, 1));
        series.record(8 * DAY, &call(1, 1));
        series.roll(8 * DAY);
        assert_eq!(series.sum(&(0..u64::MAX)).calls, 1);
    }

    #[test]
    fn a_clock_that_jumps_keeps_the_number_of_buckets_bounded() {
        let mut series = Series::default();
        for step in 0..10_000_u64 {
            series.record(step.wrapping_mul(0x9e37_79b9_7f4a_7c15), &call(step, 3));
        }
        assert!(series.buckets().count() <= MINUTES + HOURS + DAYS);
    }

    #[test]
    fn examples_are_the_latest_the_slowest_and_the_latest_failed() {
        let mut series = Series::default();
        for (minute, (duration, trace)) in [(5, 1), (9, 2), (7, 4), (1, 5)].into_iter().enumerate() {
            series.record(minute as u64 * MINUTE, &call(duration, trace));
        }
        let red = series.sum(&(0..HOUR)).red();
        let id = |trace: u8| TraceId::from_bytes(&[trace; 16]);
        assert_eq!(red.examples, Examples { recent: id(5), slowest: id(2), failed: id(4) });
        assert_eq!((red.calls, red.errors, red.p50, red.p99), (4, 2, 5, 9));
        assert_eq!(series.sum(&(2 * MINUTE..3 * MINUTE)).red().calls, 1);
    }
}

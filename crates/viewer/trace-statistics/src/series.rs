//! Calls, errors and latencies of one thing over time: minutes for an hour, ten minutes for six hours, then hours for a
//! day, then days for a week; and everything that ever came, for counters. Of hours that became part of a day their
//! counts and percentiles stay, for comparing an hour with the same hour of earlier days.
//!
//! Invariant: at most [`MINUTES`] + [`TENS`] + [`HOURS`] + [`DAYS`] buckets, whatever the clock does. A bucket knows from
//! when to when it has counted, so a window never includes a coarse bucket that ended before it.

use crate::{
    Examples, Red,
    hours::{Hour, PastHours},
    sketch::Sketch,
};
use std::{collections::VecDeque, ops::Range};
use waypost_trace_model::TraceId;

pub(crate) const MINUTE: u64 = 60_000_000_000;
pub(crate) const TEN_MINUTES: u64 = 10 * MINUTE;
pub(crate) const HOUR: u64 = 60 * MINUTE;
pub(crate) const DAY: u64 = 24 * HOUR;
/// One more than the hour has: a window of an hour touches both ends.
const MINUTES: usize = 62;
/// One more than six hours have, and what is left of an hour of minutes.
const TENS: usize = 38;
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
    /// All durations together, in nanoseconds.
    pub(crate) duration: u64,
    pub(crate) sketch: Sketch,
    /// Of the calls that failed.
    pub(crate) failed: Sketch,
    pub(crate) examples: Examples,
    /// Of the slowest example.
    pub(crate) slowest: u64,
}

/// Buckets of one thing. Each list is in the order of time.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Series {
    minutes: VecDeque<Bucket>,
    tens: VecDeque<Bucket>,
    hours: VecDeque<Bucket>,
    days: VecDeque<Bucket>,
    /// Of the hours that are in the days.
    past_hours: PastHours,
    /// Everything that is no longer in the minutes, forgotten days included: a counter never goes back.
    past: Bucket,
}

impl Bucket {
    fn record(&mut self, call: &Call) {
        self.calls += 1;
        self.duration = self.duration.saturating_add(call.duration);
        self.sketch.record(call.duration);
        self.examples.recent = Some(call.trace);
        if call.is_error {
            self.errors += 1;
            self.failed.record(call.duration);
            self.examples.failed = Some(call.trace);
        }
        if self.examples.slowest.is_none() || call.duration > self.slowest {
            self.examples.slowest = Some(call.trace);
            self.slowest = call.duration;
        }
    }

    /// As [`Bucket::record`] for calls in any order: the examples are the latest of them.
    pub(crate) fn record_at(&mut self, time: u64, call: &Call) {
        let Examples { recent, failed, .. } = self.examples;
        let is_earlier = self.calls > 0 && time < self.end;
        self.record(call);
        if is_earlier {
            self.examples.recent = recent;
            self.examples.failed = failed.or(self.examples.failed);
        }
        self.end = self.end.max(time);
    }

    /// Adds what happened at another time, or elsewhere.
    pub(crate) fn merge(&mut self, other: &Bucket) {
        let is_later = self.calls == 0 || other.end >= self.end;
        if self.calls == 0 {
            (self.start, self.end) = (other.start, other.end);
        } else {
            self.start = self.start.min(other.start);
            self.end = self.end.max(other.end);
        }
        self.calls += other.calls;
        self.errors += other.errors;
        self.duration = self.duration.saturating_add(other.duration);
        self.sketch.merge(&other.sketch);
        if other.errors > 0 {
            self.failed.merge(&other.failed);
        }
        let later = |ours: Option<TraceId>, theirs: Option<TraceId>| {
            if is_later { theirs.or(ours) } else { ours.or(theirs) }
        };
        self.examples.recent = later(self.examples.recent, other.examples.recent);
        self.examples.failed = later(self.examples.failed, other.examples.failed);
        if self.examples.slowest.is_none() || other.slowest > self.slowest {
            self.examples.slowest = other.examples.slowest;
            self.slowest = other.slowest;
        }
    }

    fn touches(&self, window: &Range<u64>) -> bool {
        self.start < window.end && self.end > window.start
    }

    /// What stays of an hour.
    fn digest(&self) -> Hour {
        let [p50, p95, p99] = self.sketch.percentiles([50, 95, 99]);
        Hour { start: self.start / HOUR * HOUR, calls: self.calls, errors: self.errors, p50, p95, p99 }
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
            Level::Tens => (&mut self.tens, TEN_MINUTES),
            Level::Hours => (&mut self.hours, HOUR),
            Level::Days => (&mut self.days, DAY),
        };
        bucket_at(list, bucket.start, width).merge(bucket);
        self.roll(0);
    }

    /// Makes coarse what is old, and forgets what is too old.
    pub(crate) fn roll(&mut self, now: u64) {
        let ages = |age: u64, width: u64| now.saturating_sub(age + width);
        let past = &mut self.past;
        let leave = |minute: &Bucket| past.merge(minute);
        roll_up(&mut self.minutes, (&mut self.tens, TEN_MINUTES), ages(HOUR, MINUTE), MINUTES, leave);
        roll_up(&mut self.tens, (&mut self.hours, HOUR), ages(6 * HOUR, TEN_MINUTES), TENS, |_| {});
        let past_hours = &mut self.past_hours;
        let digest = |hour: &Bucket| past_hours.push(&hour.digest());
        roll_up(&mut self.hours, (&mut self.days, DAY), ages(DAY, HOUR), HOURS, digest);
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

    /// Calls of the buckets that the window touches.
    pub(crate) fn calls(&self, window: &Range<u64>) -> u64 {
        let touched = self.buckets().map(|(_, bucket)| bucket).filter(|bucket| bucket.touches(window));
        touched.map(|bucket| bucket.calls).sum()
    }

    /// The hour that began at this moment, a day or more ago.
    pub(crate) fn hour(&self, start: u64) -> Option<Hour> {
        let kept = self.hours.iter().find(|bucket| bucket.start / HOUR == start / HOUR);
        kept.map(Bucket::digest).or_else(|| self.past_hours.get(start))
    }

    pub(crate) fn past_hours(&self) -> &PastHours {
        &self.past_hours
    }

    /// Puts back an hour that became part of a day.
    pub(crate) fn add_past_hour(&mut self, hour: &Hour) {
        self.past_hours.push(hour);
    }

    /// Adds every bucket to that of `steps` in which it began; the first begins at `start`.
    pub(crate) fn add_to(&self, steps: &mut [Bucket], start: u64, step: u64) {
        for (_, bucket) in self.buckets() {
            let place = bucket.start.checked_sub(start).and_then(|after| after.checked_div(step));
            let place = place.and_then(|place| usize::try_from(place).ok());
            if let Some(sum) = place.and_then(|place| steps.get_mut(place)) {
                sum.merge(bucket);
            }
        }
    }

    /// What is no longer in the minutes.
    pub(crate) fn past(&self) -> &Bucket {
        &self.past
    }

    /// Puts back what was no longer in the minutes.
    pub(crate) fn add_past(&mut self, past: &Bucket) {
        if past.calls > 0 {
            self.past.merge(past);
        }
    }

    /// The parts whose sum is everything that ever came, the latest last.
    pub(crate) fn ever(&self) -> impl DoubleEndedIterator<Item = &Bucket> {
        std::iter::once(&self.past).chain(&self.minutes)
    }

    /// All buckets, the oldest first.
    pub(crate) fn buckets(&self) -> impl Iterator<Item = (Level, &Bucket)> {
        let days = self.days.iter().map(|bucket| (Level::Days, bucket));
        let hours = self.hours.iter().map(|bucket| (Level::Hours, bucket));
        let tens = self.tens.iter().map(|bucket| (Level::Tens, bucket));
        let minutes = self.minutes.iter().map(|bucket| (Level::Minutes, bucket));
        days.chain(hours).chain(tens).chain(minutes)
    }
}

/// How coarse a bucket is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    Minutes,
    Tens,
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

/// Moves what ended before `oldest`, or is more than `max`, into coarse buckets of a width.
fn roll_up(
    fine: &mut VecDeque<Bucket>,
    (coarse, width): (&mut VecDeque<Bucket>, u64),
    oldest: u64,
    max: usize,
    mut leave: impl FnMut(&Bucket),
) {
    while fine.front().is_some_and(|bucket| bucket.end <= oldest) || fine.len() > max {
        let Some(bucket) = fine.pop_front() else { return };
        leave(&bucket);
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
        assert!(series.minutes.len() <= MINUTES && series.tens.len() <= TENS);
        assert!(series.hours.len() <= HOURS && series.days.len() <= DAYS);
        assert_eq!(series.ever().map(|bucket| bucket.calls).sum::<u64>(), 6 * 24 * 60);
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
        assert_eq!(
            series.ever().map(|bucket| bucket.calls).sum::<u64>(),
            2,
            "but a counter does not go back"
        );
    }

    #[test]
    fn a_clock_that_jumps_keeps_the_number_of_buckets_bounded() {
        let mut series = Series::default();
        for step in 0..10_000_u64 {
            series.record(step.wrapping_mul(0x9e37_79b9_7f4a_7c15), &call(step, 3));
        }
        assert!(series.buckets().count() <= MINUTES + TENS + HOURS + DAYS);
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
